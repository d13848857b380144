//! The result of one attempt ([`Judgement`]) and of one row ([`Outcome`]).
//!
//! Invariant: every row of a list ends in exactly one [`OutcomeKind`].

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::meeting::{Cells, Origin};

/// What an answer of DingTalk, or no answer, means for the row and for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// This call closed the meeting.
    Closed,
    /// The meeting had ended before this call.
    AlreadyEnded,
    /// The meeting's state is unknown, or DingTalk has trouble: retry.
    Retry,
    /// No connection could be made, so no request was sent: retry. Costs the row no attempt.
    Unreachable,
    /// DingTalk refused the request for its rate, without reading it: slow down and retry.
    Throttled(Throttle),
    /// DingTalk refuses every call of this address: pause the whole run. Costs the row no attempt.
    Banned,
    /// The access token is not valid: fetch one and retry. Costs the row no attempt.
    TokenRefused,
    /// DingTalk will not close this meeting, and a retry would not help.
    Refused,
    /// Every row would get the same refusal: stop the run.
    Halt,
}

/// The quota that a throttled request exceeded. Each resets in its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttle {
    /// A rate a second, or an unknown one.
    Second,
    /// A rate a minute.
    Minute,
}

/// A verdict with its reason and with the details of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What to do.
    pub verdict: Verdict,
    /// The reason for the verdict, in a few words.
    pub reason: &'static str,
    /// What the audit keeps of the answer.
    pub details: ReplyDetails,
    /// How long DingTalk asked us to wait, if it did.
    pub retry_after: Option<Duration>,
}

/// The parts of an answer that the audit keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplyDetails {
    /// DingTalk's code (`200`, `resourceClose`, …) or, if there was none, ours: `timeout`, `connection_lost`,
    /// `connect_failed`, `certificate_untrusted`, `unreadable_answer`, `address_banned`, `http_<status>`.
    pub code: String,
    /// The HTTP status, if an answer came.
    pub http_status: Option<u16>,
    /// DingTalk's message, or a sentence of ours: one line of at most 500 characters.
    pub message: String,
    /// DingTalk's id of the request, to quote to its support.
    pub request_id: String,
}

/// The outcome of a row. The names are fixed, because dashboards and scripts read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// DingTalk answered that it closed the meeting.
    Closed,
    /// DingTalk answered that the meeting had ended.
    AlreadyClosed,
    /// A final answer that the meeting will not be closed, or the attempts ran out.
    Failed,
    /// The row itself is unusable.
    Invalid,
    /// An earlier row of the lists has the same conference id and union id.
    Duplicate,
    /// The exclusion list names it.
    Excluded,
    /// It stood in an earlier version of the run's lists, and was taken off. No further request is sent for it.
    Withdrawn,
    /// The run ended first.
    NotAttempted,
}

impl OutcomeKind {
    /// All outcomes, in the order in which people read them.
    pub const ALL: [Self; 8] = [
        Self::Closed,
        Self::AlreadyClosed,
        Self::Failed,
        Self::Invalid,
        Self::Duplicate,
        Self::Excluded,
        Self::Withdrawn,
        Self::NotAttempted,
    ];

    /// The name in files and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::AlreadyClosed => "already_closed",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
            Self::Duplicate => "duplicate",
            Self::Excluded => "excluded",
            Self::Withdrawn => "withdrawn",
            Self::NotAttempted => "not_attempted",
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a row without a final outcome may have ended its meeting: a request was sent, and no answer says that it did nothing.
/// `http_status` is that of the last answer. What became of earlier requests is not known any more.
pub(crate) const fn is_in_doubt(attempts: u32, http_status: Option<u16>) -> bool {
    match (attempts, http_status) {
        (0, _) | (1, Some(400..=499)) => false,
        (1.., _) => true,
    }
}

/// Who ended a meeting, as far as can be proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// DingTalk answered this run that it closed the meeting.
    ThisRun,
    /// It had ended before this run's first request.
    Earlier,
    /// It has ended, and an earlier attempt of this run without an answer may have ended it.
    Unknown,
}

impl EndedBy {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ThisRun => "this_run",
            Self::Earlier => "earlier",
            Self::Unknown => "unknown",
        }
    }
}

/// The result of one row: a line of the audit report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The row's place in the lists.
    pub origin: Origin,
    /// The conference id column, as read.
    pub conference_id: String,
    /// The union id column, as read.
    pub union_id: String,
    /// Its outcome.
    pub kind: OutcomeKind,
    /// Who ended the meeting, if it ended.
    pub ended_by: Option<EndedBy>,
    /// The last answer.
    pub details: ReplyDetails,
    /// Attempts that counted against `retry.max_attempts`.
    pub attempts: u32,
    /// When the first request was sent.
    pub first_attempt_at: Option<Timestamp>,
    /// When the outcome was known.
    pub finished_at: Timestamp,
}

impl Outcome {
    /// The outcome of a row without a request.
    pub fn unasked(origin: Origin, cells: Cells, kind: OutcomeKind, reason: String, at: Timestamp) -> Self {
        Self {
            origin,
            conference_id: cells.conference_id,
            union_id: cells.union_id,
            kind,
            ended_by: None,
            details: ReplyDetails { message: reason, ..ReplyDetails::default() },
            attempts: 0,
            first_attempt_at: None,
            finished_at: at,
        }
    }

    /// From the first request to the outcome, waits included, in milliseconds.
    pub fn duration_ms(&self) -> Option<u64> {
        let first = self.first_attempt_at?;
        u64::try_from(self.finished_at.duration_since(first).as_millis()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::is_in_doubt;

    #[test]
    fn only_a_single_request_that_was_refused_leaves_no_doubt() {
        for (attempts, http_status, expected) in [
            (0, None, false),
            (0, Some(403), false),
            (1, Some(403), false),
            (1, None, true),
            (1, Some(500), true),
            (1, Some(200), true),
            (2, Some(403), true),
        ] {
            assert_eq!(is_in_doubt(attempts, http_status), expected, "{attempts} {http_status:?}");
        }
    }
}
