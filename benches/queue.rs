//! What the queue costs: compares a worker with `close` on as many rows, and three workers with the quota that they share.
//!
//! `cargo bench --bench queue` takes a minute and needs `redis-server`. It measures the real commands from start to end,
//! reports included. Redis writes its append-only file.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use meeting_closer::{Clock, Quotas, Sandbox, SandboxSettings, print_out};

const ROWS: u32 = 20_000;
const TURNS: usize = 5;
const SHARED: u32 = 60;
const SHARED_ROWS: u32 = 1800;
const WORKERS: usize = 3;

struct Redis {
    process: Child,
    url: String,
}

impl Redis {
    fn start(folder: &Path) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        drop(listener);
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "yes"])
            .arg("--dir")
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let redis = Self { process, url: format!("redis://127.0.0.1:{port}/") };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        redis
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The stand-in without quotas, the Redis and the folder of the commands.
struct Bench<'a> {
    sandbox: &'a Sandbox,
    redis: &'a Redis,
    folder: &'a Path,
    per_second: u32,
}

impl Bench<'_> {
    fn command(&self, arguments: &[&str]) -> tokio::process::Child {
        tokio::process::Command::new(env!("CARGO_BIN_EXE_meeting-closer"))
            .arg("-qq")
            .args(arguments)
            .current_dir(self.folder)
            .env("MEETING_CLOSER__DINGTALK__BASE_URL", self.sandbox.base_url())
            .env("MEETING_CLOSER__DINGTALK__APP_KEY", "any")
            .env("MEETING_CLOSER__DINGTALK__APP_SECRET", "any")
            .env("MEETING_CLOSER__PACE__REQUESTS_PER_SECOND", self.per_second.to_string())
            .env("MEETING_CLOSER__PACE__CONCURRENCY", "64")
            .env("MEETING_CLOSER__QUEUE__URL", &self.redis.url)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the built program starts")
    }

    async fn run(&self, arguments: &[&str]) {
        let status = self.command(arguments).wait().await.expect("a child can be waited for");
        assert!(status.success(), "{arguments:?}: {status}");
    }

    /// Runs a command, and returns how many seconds it took.
    async fn timed(&self, arguments: &[&str]) -> f64 {
        let start = Clock::System.now();
        self.run(arguments).await;
        (Clock::System.now() - start).as_secs_f64()
    }

    /// Writes a list of meetings that no command has asked for yet.
    fn list(&self, name: &str, rows: u32) -> String {
        let mut list = String::from("conferenceId,unionId\n");
        for row in 0..rows {
            writeln!(list, "{name}-{row},host").expect("writing to a string does not fail");
        }
        let path = format!("{name}.csv");
        std::fs::write(self.folder.join(&path), list).expect("the folder is writable");
        path
    }

    async fn enqueue(&self, name: &str, rows: u32) {
        self.run(&["enqueue", "--yes", &self.list(name, rows)]).await;
    }
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir_in(".").expect("the working directory is writable");
    let redis = Redis::start(folder.path());
    speed(&redis, folder.path()).await;
    quota(&redis, folder.path()).await;
}

/// Compares the medians of both commands. They take turns, so that other load on the machine affects both alike.
async fn speed(redis: &Redis, folder: &Path) {
    let sandbox = stand_in((Duration::ZERO, Duration::ZERO)).await;
    let bench = Bench { sandbox: &sandbox, redis, folder, per_second: 1_000_000 };
    let (mut close, mut work) = (vec![], vec![]);
    for turn in 0..TURNS {
        let list = bench.list(&format!("close-{turn}"), ROWS);
        close.push(bench.timed(&["close", "--yes", "--progress", "none", &list]).await);
        bench.enqueue(&format!("work-{turn}"), ROWS).await;
        work.push(bench.timed(&["work", "--drain"]).await);
    }
    let [close, work] = [close, work].map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        f64::from(ROWS) / seconds[TURNS / 2]
    });
    print_out(&format!("close  {close:>8.0} rows/s"));
    print_out(&format!("work   {work:>8.0} rows/s, {:.0} % of it", 100.0 * work / close));
}

async fn quota(redis: &Redis, folder: &Path) {
    let sandbox = stand_in((Duration::from_millis(20), Duration::from_millis(60))).await;
    let bench = Bench { sandbox: &sandbox, redis, folder, per_second: SHARED };
    bench.enqueue("shared", SHARED_ROWS).await;
    let workers: Vec<_> = (0..WORKERS).map(|_| bench.command(&["work", "--drain"])).collect();
    for mut worker in workers {
        assert!(worker.wait().await.expect("a child can be waited for").success());
    }
    let calls = sandbox.statistics();
    assert_eq!(calls.close_calls, u64::from(SHARED_ROWS));
    let per_second = f64::from(SHARED_ROWS - 1) / (calls.span_ms as f64 / 1000.0);
    print_out(&format!(
        "{WORKERS} workers use {:.1} % of a quota of {SHARED} a second, {} calls in the busiest second",
        100.0 * per_second / f64::from(SHARED),
        calls.most_in_a_second,
    ));
}

async fn stand_in(latency: (Duration, Duration)) -> Sandbox {
    let unlimited = SandboxSettings { latency, quotas: Quotas::unlimited(), ..SandboxSettings::default() };
    Sandbox::start(unlimited).await.expect("loopback has a free port")
}
