//! A stand-in for DingTalk on this machine, for rehearsals and tests: the documented API, its quotas, and faults on request.
//!
//! Every conference id is an open meeting, and the first union id that asks for it is its host. Test ids give the other cases,
//! like the test cards of a payment provider:
//!
//! - A conference id that begins with `ended` has ended.
//! - A union id that begins with `guest` is not the host.
//! - A union id that begins with `stranger` is unknown.
//! - The secret `wrong` is refused. Every other app key and secret is accepted.
//!
//! Quotas count calls in sliding windows: the last second, minute or 20 seconds.
//!
//! Invariant: it listens only on loopback.

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
    /// Where it listens: on loopback. Port 0 is any free port.
    pub listen: SocketAddr,
    /// The shortest and the longest time before an answer.
    pub latency: (Duration, Duration),
    /// What goes wrong, and how often.
    pub faults: Vec<Fault>,
    /// The seed of latency and faults. The same seed and the same calls give the same answers.
    pub seed: u64,
    /// The quotas that it enforces.
    pub quotas: Quotas,
    /// How long an access token is valid.
    pub token_lifetime: Duration,
    /// Whether every answer says that it comes from the stand-in (`x-meeting-closer-sandbox`). Without it, a run takes the stand-in for
    /// DingTalk.
    pub says_so: bool,
    /// Whether the statistics keep every call. Memory then grows with the calls.
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
            says_so: true,
            keep_calls: false,
        }
    }
}
