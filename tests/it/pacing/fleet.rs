//! Workers that share one quota, against the simulated servers: the script that Redis runs, in a Lua of the test's own, on
//! paused time.

use std::sync::Arc;
use std::time::Duration;

use meeting_closer::clock::Clock;
use meeting_closer::pace::{Pacer, Shared};
use meeting_closer::queue::{QUOTA_SCRIPT, QuotaHost, QuotaReply, RedisQuota};
use meeting_closer::settings::PaceSettings;
use mlua::{Function, Lua, Table, Variadic};
use tokio::time::Instant;

/// From a question's leaving to its reaching Redis, and back.
const ONE_WAY: Duration = Duration::from_micros(500);

/// A Redis that holds one hash, and runs the script on it.
pub(crate) struct ScriptHost {
    lua: Lua,
    script: Function,
    clock: Clock,
}

impl ScriptHost {
    pub(crate) fn new() -> Self {
        let (lua, start) = (Lua::new(), Instant::now());
        let redis = lua.create_table().unwrap();
        let hash = lua.create_table().unwrap();
        let call =
            lua.create_function(move |lua, (command, words): (String, Variadic<mlua::Value>)| match command
                .as_str()
            {
                "TIME" => {
                    let since = Instant::now() - start;
                    let words =
                        [(1_700_000_000 + since.as_secs()).to_string(), since.subsec_micros().to_string()];
                    lua.create_sequence_from(words)
                }
                "HGETALL" => {
                    let pairs = hash.pairs::<String, String>().map(Result::unwrap);
                    lua.create_sequence_from(pairs.flat_map(|(name, value)| [name, value]))
                }
                "HSET" => {
                    for pair in words[1..].chunks(2) {
                        hash.set(pair[0].to_string()?, pair[1].to_string()?)?;
                    }
                    lua.create_table()
                }
                "PEXPIRE" => lua.create_table(),
                other => panic!("{other}: the script asks for what this Redis does not know"),
            })
            .unwrap();
        redis.set("call", call).unwrap();
        lua.globals().set("redis", redis).unwrap();
        lua.globals().set("KEYS", ["quota"]).unwrap();
        let script = lua.load(QUOTA_SCRIPT).into_function().unwrap();
        Self { lua, script, clock: Clock::tokio() }
    }
}

impl QuotaHost for ScriptHost {
    async fn run(&self, arguments: &[String]) -> Result<QuotaReply, String> {
        self.clock.wait_until(self.clock.now() + ONE_WAY).await;
        self.lua.globals().set("ARGV", arguments).unwrap();
        let reply: Table = self.script.call(()).unwrap();
        let reply = (
            reply.get(1).unwrap(),
            reply.get(2).unwrap(),
            reply.get(3).unwrap(),
            reply.get(4).unwrap(),
            reply.get(5).unwrap(),
            reply.get(6).unwrap(),
        );
        self.clock.wait_until(self.clock.now() + ONE_WAY).await;
        Ok(reply)
    }
}

/// The pacer of one more worker.
pub(crate) fn pacer(host: &Arc<ScriptHost>, pace: &PaceSettings, number: usize) -> Pacer {
    let quota = RedisQuota::new(Arc::clone(host), format!("worker-{number}"), *pace);
    Pacer::sharing(Shared::start(quota, pace.concurrency, pace.requests_per_second, Clock::tokio()), pace)
}
