//! The end of one request, before it is judged: the answer as it came, or the reason why none came.
//!
//! Invariant: an answer is bounded, in size and in the wait that it may ask for.

use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

/// How much of a body is read. DingTalk's answers have a few hundred bytes; a longer one is not from DingTalk's API.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;

/// The longest wait that a server may ask for: DingTalk's longest documented block. A longer one is cut to this, so that
/// a wrong header cannot stop a run for a day.
pub(super) const MAX_SERVER_WAIT: Duration = Duration::from_mins(5);

/// The header by which the stand-in says that it is not DingTalk.
pub(crate) const SANDBOX_HEADER: &str = "x-meeting-closer-sandbox";

/// The end of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// The head of an answer came. Its body may be cut off.
    Answered(HttpAnswer),
    /// No answer came.
    NoReply(NoReply),
}

/// An answer, from DingTalk or from another server on the way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body, up to `MAX_BODY_BYTES`.
    pub body: Vec<u8>,
    /// Whether `body` is whole.
    pub complete: bool,
    /// Whether the answer says that it comes from the stand-in: the header `SANDBOX_HEADER`.
    pub is_sandbox: bool,
    /// The header `x-acs-request-id`.
    pub request_id: Option<String>,
    /// How long the server asked us to wait: at most `MAX_SERVER_WAIT`.
    pub retry_after: Option<Duration>,
    /// The server's time, to the second: the header `Date`.
    pub served_at: Option<Timestamp>,
}

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoReply {
    /// No connection could be made, so no request was sent.
    #[error("could not connect: {0}")]
    NoConnection(String),
    /// The server could not prove that it is DingTalk, so no request was sent.
    #[error("the certificate is not trusted: {0}")]
    Untrusted(String),
    /// The stand-in answered in a real run, or another server in a rehearsal. What it did with the request is unknown.
    #[error("{0}")]
    WrongServer(&'static str),
    /// The request may have arrived, but no answer came in time.
    #[error("no answer in time")]
    Timeout,
    /// The request may have arrived, but the connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// `Retry-After` of RFC 9110: seconds, or an HTTP date.
pub(crate) fn parse_retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    let wait = if let Ok(seconds) = header.parse() {
        Duration::from_secs(seconds)
    } else {
        Duration::try_from(parse_date(header)?.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(MAX_SERVER_WAIT))
}

/// A date in the form of RFC 9110.
pub(super) fn parse_date(header: &str) -> Option<Timestamp> {
    Some(jiff::fmt::rfc2822::parse(header.trim()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_a_limit() {
        let now: Timestamp = "2026-11-23T18:00:00Z".parse().unwrap();
        let parse = |header| parse_retry_after(header, now);
        assert_eq!(parse("7"), Some(Duration::from_secs(7)));
        assert_eq!(parse("Mon, 23 Nov 2026 18:00:09 GMT"), Some(Duration::from_secs(9)));
        assert_eq!(parse("Mon, 23 Nov 2026 17:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("86400"), Some(MAX_SERVER_WAIT));
        assert_eq!(parse("Tue, 24 Nov 2026 18:00:00 GMT"), Some(MAX_SERVER_WAIT));
        for wrong in ["", "soon", "-1", "1.5"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
