//! A Redis of one's own: its folder, its port, its process.

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

/// The stream that the product uses unless told otherwise.
pub(crate) const STREAM: &str = "meeting-closer:requests";
/// And the one for what died.
pub(crate) const DEAD: &str = "meeting-closer:dead";
/// And the group of its workers.
pub(crate) const GROUP: &str = "meeting-closer";

/// A running server; dropping it ends it.
pub(crate) struct Redis {
    pub(crate) folder: TempDir,
    port: u16,
    child: Child,
}

impl Redis {
    /// A server that writes down every command.
    pub(crate) fn start() -> Self {
        loop {
            let folder = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut redis = Self { child: spawn(folder.path(), port), folder, port };
            // Somebody else may take the port first.
            if redis.is_up() {
                return redis;
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Ends the server as its host's shutdown would, and leaves its data.
    pub(crate) fn stop(&mut self) {
        signal(Some(self.child.id()), "-TERM");
        self.child.wait().unwrap();
    }

    /// Lets it answer nobody from now on.
    pub(crate) fn freeze(&self) {
        signal(Some(self.child.id()), "-STOP");
    }

    /// Starts the stopped server again, with what is in its folder.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), self.port);
        assert!(self.is_up(), "it did not start again");
    }

    /// Waits until it answers; not where it has ended.
    fn is_up(&mut self) -> bool {
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

    /// A connection as any client has it.
    pub(crate) fn connection(&self) -> Connection {
        self.try_connect().unwrap()
    }

    /// Runs a command.
    pub(crate) fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        redis::cmd(words[0]).arg(&words[1..]).query(&mut self.connection()).unwrap()
    }

    /// Adds an entry as any client may.
    pub(crate) fn add(&self, fields: &[(&str, &str)]) -> String {
        let mut command = redis::cmd("XADD");
        command.arg(STREAM).arg("*").arg(fields);
        command.query(&mut self.connection()).unwrap()
    }

    /// Adds a meeting as any client may.
    pub(crate) fn add_meeting(&self, conference_id: &str) -> String {
        self.add(&[("conference_id", conference_id), ("union_id", "host")])
    }

    /// Entries on the queue, those in work included.
    pub(crate) fn length(&self, stream: &str) -> u64 {
        self.command(&["XLEN", stream])
    }

    /// Entries that somebody works on, or that were given back and nobody took yet: id, worker, silence, deliveries.
    pub(crate) fn pending(&self) -> Vec<(String, String, u64, u64)> {
        self.command(&["XPENDING", STREAM, GROUP, "-", "+", "100000"])
    }

    /// The consumers that are known to the group.
    pub(crate) fn consumers(&self) -> Vec<String> {
        let consumers: Vec<HashMap<String, redis::Value>> =
            self.command(&["XINFO", "CONSUMERS", STREAM, GROUP]);
        let name = |consumer: &HashMap<String, redis::Value>| {
            String::from_redis_value(consumer["name"].clone()).unwrap()
        };
        consumers.iter().map(name).collect()
    }

    /// The dead entries, each as its fields.
    pub(crate) fn dead(&self) -> Vec<HashMap<String, String>> {
        let entries: Vec<(String, HashMap<String, String>)> = self.command(&["XRANGE", DEAD, "-", "+"]);
        entries.into_iter().map(|(_, fields)| fields).collect()
    }

    /// Sets a part of its configuration.
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

fn spawn(folder: &Path, port: u16) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "yes"])
        .arg("--dir")
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server, which tests/run installs")
}

impl Closer {
    /// Configured for a queue, too.
    pub(crate) fn on(self, redis: &Redis) -> Self {
        self.set("QUEUE__URL", &redis.url())
    }
}

pub(crate) fn worker(sandbox: &Sandbox, redis: &Redis) -> Closer {
    Closer::at(sandbox).on(redis)
}

/// A worker that goes on until it is told to end.
pub(crate) fn start(closer: &Closer, arguments: &[&str]) -> tokio::process::Child {
    closer.command(&[&["work"], arguments].concat()).spawn().unwrap()
}

pub(crate) fn terminate(child: &tokio::process::Child) {
    signal(child.id(), "-TERM");
}

/// What a worker says, line by line.
pub(crate) struct Voice(Lines<BufReader<ChildStderr>>);

impl Voice {
    /// All of it from the start.
    pub(crate) fn of(child: &mut tokio::process::Child) -> Self {
        Self(BufReader::new(child.stderr.take().unwrap()).lines())
    }

    /// Reads until it says this; what it said since the last time.
    pub(crate) async fn says(&mut self, words: &str) -> String {
        let mut said = String::new();
        while let Some(line) = self.0.next_line().await.unwrap() {
            said += &line;
            said.push('\n');
            if line.contains(words) {
                return said;
            }
        }
        panic!("it never said {words:?}:\n{said}")
    }
}

/// Reads what a worker says until it says this; what it said before.
pub(crate) async fn says(child: &mut tokio::process::Child, words: &str) -> String {
    let mut voice = Voice::of(child);
    let said = voice.says(words).await;
    // The rest has to go somewhere.
    tokio::spawn(async move { while let Ok(Some(_)) = voice.0.next_line().await {} });
    said
}

/// The rows of all runs in an audit folder, by conference id.
pub(crate) fn outcomes(closer: &Closer) -> HashMap<String, Vec<HashMap<String, String>>> {
    let mut outcomes: HashMap<String, Vec<HashMap<String, String>>> = HashMap::new();
    for row in closer.run_folders().iter().flat_map(|folder| audit_of(folder)) {
        outcomes.entry(row["conference_id"].clone()).or_default().push(row);
    }
    outcomes
}
