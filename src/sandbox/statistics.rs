//! What the stand-in counted, for tests and for the end of a rehearsal.
//!
//! Invariant: every request is counted, also one that is refused.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use tokio::time::Instant;

#[derive(Debug, Clone, Default, Serialize)]
pub struct Statistics {
    /// Requests for an access token.
    pub token_calls: u64,
    /// Requests to close a meeting.
    pub close_calls: u64,
    /// Meetings that were closed.
    pub closed: u64,
    /// Requests of any kind during a ban.
    pub calls_while_banned: u64,
    /// The most requests to close a meeting that came within any one second.
    pub most_in_a_second: usize,
    /// The most requests that were in flight at once.
    pub most_in_flight: usize,
    /// Answers to requests to close a meeting, by code.
    pub answers: BTreeMap<String, u64>,
    /// From the first request to close a meeting to the last, in milliseconds.
    pub span_ms: u64,
    /// Every request to close a meeting, if they are kept.
    #[serde(skip)]
    pub calls: Vec<Call>,
}

/// One request to close a meeting.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it came.
    pub at: Instant,
    /// The conference id, decoded.
    pub conference_id: String,
    /// The union id, decoded.
    pub union_id: String,
    /// Whether it closed the meeting.
    pub closed: bool,
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} calls to close a meeting, {} closed", self.close_calls, self.closed)?;
        for (code, count) in &self.answers {
            writeln!(f, "  {count:>8}  {code}")?;
        }
        writeln!(f, "{} calls for an access token", self.token_calls)?;
        writeln!(f, "{} calls while the address was banned", self.calls_while_banned)?;
        writeln!(f, "{} calls within one second at most", self.most_in_a_second)?;
        write!(f, "{} calls in flight at most", self.most_in_flight)
    }
}
