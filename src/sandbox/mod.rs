//! A stand-in for DingTalk on this machine, to rehearse on: the documented API, its quotas, and faults on request.
//!
//! A meeting that was never named before is open and belongs to whoever asks first. Test ids stand for the other cases,
//! as test cards do at a payment provider: a conference id that begins with `ended` has ended; a union id that begins
//! with `guest` is not the host, and one that begins with `stranger` is not known. Any app key and secret are taken, but
//! the secret `wrong`. Windows slide: a call is refused where as many were let in within the last second as the quota
//! allows.
//!
//! Invariant: it listens on loopback alone.

mod faults;
mod meetings;
mod quota;
mod reply;
mod server;
mod stand_in;
mod statistics;
mod tokens;

pub(crate) use faults::{Fault, FaultKind};
pub use quota::Quotas;
pub use reply::{Reply, ScriptedReply};
pub use server::Sandbox;
pub(crate) use statistics::Statistics;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How the stand-in behaves.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// Where it listens: loopback, port 0 for any free one.
    pub listen: SocketAddr,
    /// The shortest and the longest time before an answer.
    pub latency: (Duration, Duration),
    /// What goes wrong, and how often.
    pub faults: Vec<Fault>,
    /// The seed of latency and faults: the same seed and the same calls give the same answers.
    pub seed: u64,
    /// What it refuses.
    pub quotas: Quotas,
    /// How long an access token lives.
    pub token_lifetime: Duration,
    /// Whether statistics keep every call: memory grows with the calls.
    pub keep_calls: bool,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            latency: (Duration::from_millis(20), Duration::from_millis(60)),
            faults: vec![],
            seed: 1,
            quotas: Quotas::default(),
            token_lifetime: Duration::from_hours(2),
            keep_calls: false,
        }
    }
}
