//! One connection to Redis, made anew when it is lost.
//!
//! Invariant: no error shows the address's password.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo,
    RedisError, ScriptInvocation,
};
use secrecy::ExposeSecret as _;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::queue::BrokerError;
use crate::settings::{QueueSettings, Secret, SettingsError};

/// How long a connection may take to come about, and an answer to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// A way to one Redis. Clones share the connection.
#[derive(Clone)]
pub struct Link {
    address: ConnectionInfo,
    password: Option<Secret>,
    place: Arc<str>,
    current: Arc<Mutex<Current>>,
}

#[derive(Default)]
struct Current {
    connection: Option<MultiplexedConnection>,
    /// How many connections there were.
    number: u64,
    /// The last attempt that came to nothing, and when it ended.
    failed: Option<(Instant, BrokerError)>,
}

/// A connection, and which one it is: a script that relies on what was found out at its beginning runs on it or fails.
pub(super) struct Connected {
    connection: MultiplexedConnection,
    pub(super) number: u64,
}

impl Link {
    /// Nothing is connected yet.
    pub fn new(settings: &QueueSettings, needed_for: &'static str) -> Result<Self, SettingsError> {
        // TLS takes its cryptography from whatever is in place; a second call finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = settings.needed_url(needed_for)?;
        let address = url.expose_secret().into_connection_info().map_err(|error| SettingsError::Value {
            key: "queue.url",
            found: format!("not the address of a Redis ({})", error.detail().unwrap_or("it cannot be read")),
            expected: "expected redis://user:password@host:port/database",
        })?;
        if address.redis_settings().password().is_some() && settings.password.is_some() {
            return Err(SettingsError::Value {
                key: "queue.password",
                found: "set, and queue.url holds a password too".into(),
                expected: "expected only one of the two",
            });
        }
        let place = match address.addr() {
            ConnectionAddr::Tcp(host, port) => {
                format!("redis://{host}:{port}/{}", address.redis_settings().db())
            }
            ConnectionAddr::TcpTls { host, port, .. } => {
                format!("rediss://{host}:{port}/{}", address.redis_settings().db())
            }
            other => other.to_string(),
        };
        Ok(Self {
            address,
            password: settings.password.clone(),
            place: place.into(),
            current: Arc::default(),
        })
    }

    /// The connection that there is, or a new one. Who waits while another tries in vain has tried, too.
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
        let connection = current.connection.clone().expect("it was just made where it was missing");
        Ok(Connected { connection, number: current.number })
    }

    async fn connect(&self) -> Result<MultiplexedConnection, BrokerError> {
        let mut address = self.address.clone();
        if let Some(password) = &self.password {
            let password = password.read().map_err(|error| self.error(error.to_string(), None))?;
            let settings = address.redis_settings().clone().set_password(password.expose_secret());
            address = address.set_redis_settings(settings);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = Client::open(address).map_err(|error| self.refused(&error))?;
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        connection.map_err(|error| self.refused(&error))
    }

    /// Runs a script on that connection. After an error the next one is made anew, and whatever was found out at its
    /// beginning is looked at afresh: a connection that broke, a replica that took over, a group that is gone. Only an error
    /// that says itself that the server knows us, and refuses just this, leaves the connection as it is.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        on: &mut Connected,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, BrokerError> {
        match script.invoke_async(&mut on.connection).await {
            Ok(value) => Ok(value),
            Err(error) => {
                let refuses_just_this =
                    matches!(code(&error).as_deref(), Some("OOM" | "WRONGTYPE" | "NOPERM" | "MISCONF"));
                let mut current = self.current.lock().await;
                if current.number == on.number && !refuses_just_this {
                    current.connection = None;
                }
                Err(self.refused(&error))
            }
        }
    }

    fn refused(&self, error: &RedisError) -> BrokerError {
        let hint = match code(error).as_deref() {
            Some("OOM") => Some("it is full: raise its maxmemory, or take away what else it holds"),
            Some("READONLY") => Some("it is a replica: name the primary in queue.url"),
            Some("WRONGTYPE") => {
                Some("a key of the queue holds something else: see queue.stream and queue.dead_letter_stream")
            }
            Some("NOAUTH" | "WRONGPASS") => Some("set queue.password_file, and the user's name in queue.url"),
            Some("NOPERM") => {
                Some("its user needs scripts, and every command on the queue's keys, XINFO and INFO included")
            }
            _ => None,
        };
        let passes = error.is_io_error()
            || matches!(
                code(error).as_deref(),
                Some("LOADING" | "BUSY" | "MASTERDOWN" | "READONLY" | "TRYAGAIN" | "OOM" | "MISCONF")
            );
        BrokerError { passes, ..self.error(error.to_string(), hint) }
    }

    pub(super) fn error(&self, problem: String, hint: Option<&'static str>) -> BrokerError {
        BrokerError { place: self.place.to_string(), problem, hint, passes: false }
    }
}

/// The code of a server's refusal. Before Redis 7 that of a script's command stands within the text:
/// `Error running script (call to f_…): @user_script:16: @user_script: 16: -OOM command not allowed …`.
fn code(error: &RedisError) -> Option<String> {
    let text = error.detail().unwrap_or_default();
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
    fn an_error_names_the_place_without_the_password() {
        let error = link("url = \"redis://me:hunter2@127.0.0.1:7/3\"").unwrap().error("x".into(), None);
        assert_eq!(error.to_string(), "the queue at redis://127.0.0.1:7/3: x");
    }

    #[test]
    fn no_address_and_two_passwords_are_refused_with_the_key() {
        assert_eq!(link("").err().unwrap().to_string(), "queue.url is not set, but work needs it");
        let twice = link("url = \"redis://:hunter2@127.0.0.1/\"\npassword = \"hunter2\"").err().unwrap();
        assert_eq!(
            twice.to_string(),
            "queue.password is set, and queue.url holds a password too: expected only one of the two"
        );
    }

    #[test]
    fn a_refusal_within_a_script_has_its_code_in_every_version() {
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
        assert_eq!(refusal("WRONGTYPE Operation against a key: -x"), "WRONGTYPE");
    }
}
