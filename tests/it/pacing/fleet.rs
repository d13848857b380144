//! Workers that share one quota, against the simulated servers, on paused time. The script that Redis runs is run by a Lua
//! interpreter in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use meeting_closer::{
    Clock, Feedback, Layers, PaceSettings, Pacer, PermitGrant, PermitRequest, QUOTA_SCRIPT, QuotaHost,
    QuotaStore as _, RateSignal, RedisQuota, ScriptReply, Settings, SharedQuota, WaitReason,
};
use mlua::{Function, Lua, Table, Variadic};
use tokio::time::Instant;

/// How long a request is on its way to Redis; the reply takes as long.
const ONE_WAY: Duration = Duration::from_micros(500);

/// A Redis with one hash, on which it runs the script.
pub(crate) struct ScriptHost {
    lua: Lua,
    script: Function,
    clock: Clock,
    /// By how many seconds the server's clock was set back.
    set_back: Arc<AtomicU64>,
}

impl ScriptHost {
    pub(crate) fn new() -> Self {
        let (lua, start) = (Lua::new(), Instant::now());
        let set_back = Arc::new(AtomicU64::new(0));
        let seconds_back = Arc::clone(&set_back);
        let redis = lua.create_table().unwrap();
        let hash = lua.create_table().unwrap();
        let call = lua
            .create_function(move |lua, (command, words): (String, Variadic<mlua::Value>)| {
                match command.as_str() {
                    "TIME" => {
                        let since = Instant::now() - start;
                        let second = 1_700_000_000 + since.as_secs() - seconds_back.load(Ordering::Relaxed);
                        lua.create_sequence_from([second.to_string(), since.subsec_micros().to_string()])
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
                    other => panic!("{other}: this Redis does not know the command"),
                }
            })
            .unwrap();
        redis.set("call", call).unwrap();
        lua.globals().set("redis", redis).unwrap();
        lua.globals().set("KEYS", ["quota"]).unwrap();
        let script = lua.load(QUOTA_SCRIPT).into_function().unwrap();
        Self { lua, script, clock: Clock::tokio(), set_back }
    }
}

impl QuotaHost for ScriptHost {
    async fn run(
        &self,
        arguments: impl FnOnce(Instant) -> Vec<String> + Send,
    ) -> Result<ScriptReply, String> {
        let arguments = arguments(self.clock.now());
        self.clock.wait_until(self.clock.now() + ONE_WAY).await;
        self.lua.globals().set("ARGV", arguments).unwrap();
        let reply: Table = self.script.call(()).unwrap();
        let reply = ScriptReply {
            count: reply.get(1).unwrap(),
            first_micros: reply.get(2).unwrap(),
            between_micros: reply.get(3).unwrap(),
            why: reply.get(4).unwrap(),
            per_second: reply.get(5).unwrap(),
            is_probe: reply.get::<u8>(6).unwrap() == 1,
        };
        self.clock.wait_until(self.clock.now() + ONE_WAY).await;
        Ok(reply)
    }
}

/// The pacer of one more worker.
pub(crate) fn pacer(host: &Arc<ScriptHost>, pace: &PaceSettings, number: usize) -> Pacer {
    let quota = RedisQuota::new(Arc::clone(host), format!("worker-{number}"), *pace);
    Pacer::sharing(
        SharedQuota::start(quota, pace.concurrency, pace.requests_per_second, Clock::tokio()),
        pace,
        None,
    )
}

#[tokio::test(start_paused = true)]
async fn a_server_clock_that_is_set_back_does_not_make_a_pause_longer() {
    let (host, clock) = (Arc::new(ScriptHost::new()), Clock::tokio());
    let pace = Settings::load(&Layers::default()).unwrap().pace;
    let quota = RedisQuota::new(Arc::clone(&host), "worker".into(), pace);
    let request = |feedback| PermitRequest { permits: 1, lateness: Duration::from_millis(20), feedback };
    // If the clock is set back, the time since the last request is lost.
    let (five_seconds, round_trips) = (Duration::from_secs(5), Duration::from_millis(10));
    let banned = Feedback { signal: RateSignal::Banned(five_seconds), sent_at: clock.now() };
    let start = clock.now();
    for (feedback, hours_back) in [(vec![banned], 0), (vec![], 1), (vec![], 2)] {
        host.set_back.store(3600 * hours_back, Ordering::Relaxed);
        let PermitGrant::Wait { wait, why: WaitReason::Banned } =
            quota.request(&request(feedback)).await.unwrap().grant
        else {
            panic!("the ban lasts")
        };
        assert!(clock.now() + wait <= start + five_seconds + round_trips, "{hours_back}: {wait:?}");
    }
    clock.wait_until(start + five_seconds + round_trips).await;
    let granted = quota.request(&request(vec![])).await.unwrap().grant;
    assert!(matches!(granted, PermitGrant::Permits { is_probe: true, .. }), "{granted:?}");
}
