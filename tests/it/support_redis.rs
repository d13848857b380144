//! Starts a Redis for one test, with its own folder, port and process; and starts workers.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use meeting_closer::Sandbox;
use redis::{Commands as _, Connection, FromRedisValue};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::ChildStderr;

use crate::support::{Closer, audit_of, signal};

/// The default stream.
pub(crate) const STREAM: &str = "meeting-closer:requests";
/// The default dead-letter stream.
pub(crate) const DEAD: &str = "meeting-closer:dead";
/// The default consumer group.
pub(crate) const GROUP: &str = "meeting-closer";

/// An entry that was delivered and not acknowledged.
#[derive(Debug, PartialEq)]
pub(crate) struct Pending {
    pub(crate) id: String,
    pub(crate) worker: String,
    /// The time since the last renewal of the lease.
    pub(crate) idle_ms: u64,
    pub(crate) deliveries: u64,
}

/// A running server. Dropping it ends it.
pub(crate) struct Redis {
    pub(crate) folder: TempDir,
    port: u16,
    arguments: Vec<String>,
    child: Child,
}

impl Redis {
    /// Starts a server with an append-only file.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more options of the server.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        loop {
            let folder = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let child = spawn(folder.path(), port, &arguments);
            let mut redis = Self { folder, port, arguments: arguments.clone(), child };
            // Another process may take the port first.
            if redis.wait_until_up() {
                return redis;
            }
        }
    }

    /// The address with these credentials, as a user writes it.
    pub(crate) fn url_of(&self, credentials: &str) -> String {
        format!("redis://{credentials}@127.0.0.1:{}/", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Stops the server as a shutdown would. Its data stays.
    pub(crate) fn stop(&mut self) {
        signal(Some(self.child.id()), "-TERM");
        self.child.wait().unwrap();
    }

    /// Suspends the server, so that it answers nothing.
    pub(crate) fn freeze(&self) {
        signal(Some(self.child.id()), "-STOP");
    }

    /// Starts the stopped server again with its data.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), self.port, &self.arguments);
        assert!(self.wait_until_up(), "it did not start again");
    }

    /// Waits until the server answers. Returns false if it has ended.
    fn wait_until_up(&mut self) -> bool {
        while self.child.try_wait().unwrap().is_none() {
            if let Ok(mut connection) = self.try_connect()
                && redis::cmd("PING").query::<String>(&mut connection).is_ok()
            {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    fn try_connect(&self) -> redis::RedisResult<Connection> {
        redis::Client::open(self.url())?.get_connection()
    }

    /// An ordinary client connection.
    pub(crate) fn connection(&self) -> Connection {
        self.try_connect().unwrap()
    }

    /// Runs a command.
    pub(crate) fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        redis::cmd(words[0]).arg(&words[1..]).query(&mut self.connection()).unwrap()
    }

    /// Adds an entry as any client can.
    pub(crate) fn add(&self, fields: &[(&str, &str)]) -> String {
        let mut command = redis::cmd("XADD");
        command.arg(STREAM).arg("*").arg(fields);
        command.query(&mut self.connection()).unwrap()
    }

    /// Adds a meeting as any client can.
    pub(crate) fn add_meeting(&self, conference_id: &str) -> String {
        self.add(&[("conference_id", conference_id), ("union_id", "host")])
    }

    /// The number of entries on a stream, delivered ones included.
    pub(crate) fn length(&self, stream: &str) -> u64 {
        self.command(&["XLEN", stream])
    }

    /// Entries with a lease, and released ones.
    pub(crate) fn pending(&self) -> Vec<Pending> {
        let entries: Vec<redis::Value> = self.command(&["XPENDING", STREAM, GROUP, "-", "+", "100000"]);
        let pending = |entry| {
            let (id, worker, idle_ms, deliveries) = redis::from_redis_value(entry).unwrap();
            Pending { id, worker, idle_ms, deliveries }
        };
        entries.into_iter().map(pending).collect()
    }

    /// The consumers of the group.
    pub(crate) fn consumers(&self) -> Vec<String> {
        let consumers: Vec<HashMap<String, redis::Value>> =
            self.command(&["XINFO", "CONSUMERS", STREAM, GROUP]);
        let name = |consumer: &HashMap<String, redis::Value>| {
            String::from_redis_value(consumer["name"].clone()).unwrap()
        };
        consumers.iter().map(name).collect()
    }

    /// The fields of each dead letter.
    pub(crate) fn dead(&self) -> Vec<HashMap<String, String>> {
        let entries: Vec<(String, HashMap<String, String>)> = self.command(&["XRANGE", DEAD, "-", "+"]);
        entries.into_iter().map(|(_, fields)| fields).collect()
    }

    /// Changes a setting of the server.
    pub(crate) fn configure(&self, key: &str, value: &str) {
        let _: String = self.command(&["CONFIG", "SET", key, value]);
    }

    pub(crate) fn exists(&self, key: &str) -> bool {
        self.connection().exists(key).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, port: u16, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "yes"])
        .arg("--dir")
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server, which tests/run installs")
}

impl Closer {
    /// Adds the queue to the configuration.
    pub(crate) fn with_queue(self, redis: &Redis) -> Self {
        self.set("QUEUE__URL", &redis.url())
    }
}

pub(crate) fn worker(sandbox: &Sandbox, redis: &Redis) -> Closer {
    Closer::at(sandbox).with_queue(redis)
}

/// Starts `work` with these arguments.
pub(crate) fn start_worker(closer: &Closer, arguments: &[&str]) -> tokio::process::Child {
    closer.command(&[&["work"], arguments].concat()).spawn().unwrap()
}

pub(crate) fn terminate(child: &tokio::process::Child) {
    signal(child.id(), "-TERM");
}

/// The log lines of a worker.
pub(crate) struct LogLines(Lines<BufReader<ChildStderr>>);

impl LogLines {
    /// Reads the log from its start.
    pub(crate) fn of(child: &mut tokio::process::Child) -> Self {
        Self(BufReader::new(child.stderr.take().unwrap()).lines())
    }

    /// Reads until a line contains these words. Returns the lines since the last call.
    pub(crate) async fn wait_for(&mut self, words: &str) -> String {
        let mut printed = String::new();
        while let Some(line) = self.0.next_line().await.unwrap() {
            printed += &line;
            printed.push('\n');
            if line.contains(words) {
                return printed;
            }
        }
        panic!("it never printed {words:?}:\n{printed}")
    }
}

/// Reads a worker's log until a line contains these words. Returns the lines until then.
pub(crate) async fn wait_for_log(child: &mut tokio::process::Child, words: &str) -> String {
    let mut log = LogLines::of(child);
    let printed = log.wait_for(words).await;
    // Something must read the rest, or the pipe fills up.
    tokio::spawn(async move { while let Ok(Some(_)) = log.0.next_line().await {} });
    printed
}

/// The rows of all runs in an audit folder, by conference id.
pub(crate) fn outcomes(closer: &Closer) -> HashMap<String, Vec<HashMap<String, String>>> {
    let mut outcomes: HashMap<String, Vec<HashMap<String, String>>> = HashMap::new();
    for row in closer.run_folders().iter().flat_map(|folder| audit_of(folder)) {
        outcomes.entry(row["conference_id"].clone()).or_default().push(row);
    }
    outcomes
}
