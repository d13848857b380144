//! One connection to Redis, which is opened again when it is lost.
//!
//! Invariant: no error shows the address's password.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo, RedisError, ScriptInvocation,
};
use secrecy::ExposeSecret as _;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::queue::BrokerError;
use crate::settings::{QueueSettings, Secret, SettingsError};

/// What a script's error says, from version to version, if the user may not run one of its commands.
const NO_PERMISSION: [&str; 2] = ["The user executing the script can't", "ACL failure in script"];

const CREDENTIALS: &str = "set queue.password_file, and put the user's name into queue.url";

const NO_CLUSTER: &str =
    "a queue needs all its keys on one server: set queue.url to a Redis that is no cluster";

/// How long to wait for a connection, and for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The link to one Redis. Clones share the connection.
#[derive(Clone)]
pub struct Link {
    connection_info: ConnectionInfo,
    password: Option<Secret>,
    /// The address as errors show it, without a password.
    shown_address: Arc<str>,
    current: Arc<Mutex<Current>>,
}

#[derive(Default)]
struct Current {
    connection: Option<MultiplexedConnection>,
    /// How many connections have been opened so far.
    number: u64,
    /// The last attempt to connect, if it failed, and when it ended.
    failed: Option<(Instant, BrokerError)>,
}

/// A connection and its number. What a worker learned when the connection was new is valid on this connection alone.
pub(super) struct Connected {
    connection: MultiplexedConnection,
    pub(super) number: u64,
}

impl Link {
    /// A link that connects at its first use. `needed_for` names the command in the error about a missing `queue.url`.
    pub fn new(settings: &QueueSettings, needed_for: &'static str) -> Result<Self, SettingsError> {
        // TLS uses the provider that is installed for the process. A second call finds it installed and fails: that is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = settings.needed_url(needed_for)?;
        let connection_info =
            url.expose_secret().into_connection_info().map_err(|_| SettingsError::Value {
                key: "queue.url",
                found: "not the address of a Redis".into(),
                expected: "expected redis://user:password@host:port/database, or rediss:// for TLS",
            })?;
        if connection_info.redis_settings().password().is_some() && settings.password.is_some() {
            return Err(SettingsError::Value {
                key: "queue.password",
                found: "set, and queue.url contains a password too".into(),
                expected: "one of the two is expected",
            });
        }
        let shown_address = match connection_info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                format!("redis://{host}:{port}/{}", connection_info.redis_settings().db())
            }
            ConnectionAddr::TcpTls { host, port, .. } => {
                format!("rediss://{host}:{port}/{}", connection_info.redis_settings().db())
            }
            other => other.to_string(),
        };
        Ok(Self {
            connection_info,
            password: settings.password.clone(),
            shown_address: shown_address.into(),
            current: Arc::default(),
        })
    }

    /// The open connection, or a new one. Callers that wait during a failed attempt get its error, and do not try again.
    pub(super) async fn connected(&self) -> Result<Connected, BrokerError> {
        let asked_at = Instant::now();
        let mut current = self.current.lock().await;
        if current.connection.is_none() {
            if let Some((at, error)) = &current.failed
                && *at > asked_at
            {
                return Err(error.clone());
            }
            match self.connect().await {
                Ok(connection) => current.connection = Some(connection),
                Err(error) => {
                    current.failed = Some((Instant::now(), error.clone()));
                    return Err(error);
                }
            }
            current.number += 1;
        }
        let connection =
            current.connection.clone().expect("the connection was opened above if there was none");
        Ok(Connected { connection, number: current.number })
    }

    async fn connect(&self) -> Result<MultiplexedConnection, BrokerError> {
        let mut info = self.connection_info.clone();
        if let Some(password) = &self.password {
            let password = password.read().map_err(|error| self.error(error.to_string(), None))?;
            let settings = info.redis_settings().clone().set_password(password.expose_secret());
            info = info.set_redis_settings(settings);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT));
        let client = Client::open(info).map_err(|error| self.refused(&error))?;
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        connection.map_err(|error| self.refused(&error))
    }

    /// Runs a script on that connection. After an error, the next call opens a new connection, and the worker joins again: the
    /// connection may be broken, a replica may have taken over, or the group may be deleted. Only an error by which the server
    /// refuses this script alone keeps the connection.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        on: &mut Connected,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, BrokerError> {
        let result = script.invoke_async(&mut on.connection).await;
        self.checked(on, result).await
    }

    /// Runs a command. An error has the same consequences.
    pub(super) async fn query<T: FromRedisValue>(
        &self,
        on: &mut Connected,
        command: &Cmd,
    ) -> Result<T, BrokerError> {
        let result = command.query_async(&mut on.connection).await;
        self.checked(on, result).await
    }

    async fn checked<T>(&self, on: &Connected, result: Result<T, RedisError>) -> Result<T, BrokerError> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => {
                let refuses_script_alone =
                    matches!(code(&error).as_deref(), Some("OOM" | "WRONGTYPE" | "NOPERM" | "MISCONF"));
                let mut current = self.current.lock().await;
                if current.number == on.number && !refuses_script_alone {
                    current.connection = None;
                }
                Err(self.refused(&error))
            }
        }
    }

    /// The error for a server that is part of a cluster.
    pub(super) fn cluster(&self) -> BrokerError {
        self.error("it is a Redis Cluster (cluster_enabled is 1)".into(), Some(NO_CLUSTER))
    }

    fn refused(&self, error: &RedisError) -> BrokerError {
        let hint = match code(error).as_deref() {
            Some("OOM") => Some("Redis has no memory left: raise its maxmemory, or delete other data in it"),
            Some("READONLY") => Some("this Redis is a replica: set queue.url to the primary"),
            Some("WRONGTYPE") => {
                Some("a key of the queue has another type: check queue.stream and queue.dead_letter_stream")
            }
            Some("MISCONF") => Some(
                "Redis cannot save to its disk, and refuses writes until it can: free disk space; its log gives the reason",
            ),
            Some("NOREPLICAS") => Some(
                "too few replicas are connected (min-replicas-to-write): start them again, or lower that number",
            ),
            Some("CROSSSLOT" | "MOVED" | "ASK" | "CLUSTERDOWN") => Some(NO_CLUSTER),
            Some("NOAUTH" | "WRONGPASS") => Some(CREDENTIALS),
            None if error.kind() == ErrorKind::AuthenticationFailed => Some(CREDENTIALS),
            Some("NOPERM") => {
                Some("allow the Redis user to run scripts, every command on the queue's keys, XINFO and INFO")
            }
            _ => None,
        };
        let is_transient = error.is_io_error()
            || matches!(
                code(error).as_deref(),
                Some(
                    "LOADING"
                        | "BUSY"
                        | "MASTERDOWN"
                        | "READONLY"
                        | "TRYAGAIN"
                        | "OOM"
                        | "MISCONF"
                        | "NOREPLICAS"
                )
            );
        BrokerError { is_transient, ..self.error(error.to_string(), hint) }
    }

    pub(super) fn error(&self, problem: String, hint: Option<&'static str>) -> BrokerError {
        BrokerError { address: self.shown_address.to_string(), problem, hint, is_transient: false }
    }
}

/// The code with which the server refuses a command. Before Redis 7, the code of a script's command is inside the text:
/// `Error running script (call to f_…): @user_script:16: @user_script: 16: -OOM command not allowed …`.
fn code(error: &RedisError) -> Option<String> {
    let text = error.detail().unwrap_or_default();
    if NO_PERMISSION.iter().any(|words| text.contains(words)) {
        return Some("NOPERM".to_owned());
    }
    match text.rsplit_once(": -") {
        Some((before, refusal)) if before.starts_with("Error running script") => {
            refusal.split_whitespace().next().map(str::to_owned)
        }
        Some(_) | None => error.code().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::load_text;

    fn link(queue: &str) -> Result<Link, SettingsError> {
        Link::new(&load_text(&format!("[queue]\n{queue}")).unwrap().queue, "work")
    }

    #[test]
    fn an_error_shows_the_address_without_the_password() {
        let error = link("url = \"redis://me:hunter2@127.0.0.1:7/3\"").unwrap().error("x".into(), None);
        assert_eq!(error.to_string(), "the queue at redis://127.0.0.1:7/3: x");
    }

    #[test]
    fn a_missing_address_and_two_passwords_are_errors_that_name_the_key() {
        assert_eq!(link("").err().unwrap().to_string(), "queue.url is not set, but work needs it");
        let twice = link("url = \"redis://:hunter2@127.0.0.1/\"\npassword = \"hunter2\"").err().unwrap();
        assert_eq!(
            twice.to_string(),
            "queue.password is set, and queue.url contains a password too: one of the two is expected"
        );
    }

    #[test]
    fn every_redis_version_gives_the_code_of_a_refusal_inside_a_script() {
        let refusal = |text: &str| {
            let value = redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
            code(&value.extract_error().unwrap_err()).unwrap()
        };
        assert_eq!(refusal("OOM command not allowed when used memory > 'maxmemory'."), "OOM");
        assert_eq!(
            refusal(
                "ERR Error running script (call to f_13d2): @user_script:16: @user_script: 16: -OOM command not \
                 allowed when used memory > 'maxmemory'."
            ),
            "OOM"
        );
        for text in [
            "NOPERM this user has no permissions to run the 'info' command",
            "ERR The user executing the script can't run this command or subcommand script: f0, on @user_script:10.",
            "ERR Error running script (call to f_1): @user_script:9: @user_script: 9: The user executing the script \
             can't access at least one of the keys mentioned in the command arguments",
            "ERR ACL failure in script: User robot has no permissions to run the 'xadd' command script: f0, on \
             @user_script:10.",
        ] {
            assert_eq!(refusal(text), "NOPERM", "{text}");
        }
        assert_eq!(refusal("WRONGTYPE Operation against a key: -x"), "WRONGTYPE");
    }
}
