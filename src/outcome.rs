//! What became of one attempt ([`Judgement`]) and of one row ([`Outcome`]).
//!
//! Invariant: every row of a list ends in exactly one [`OutcomeKind`].

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::meeting::{Cells, Origin};

/// What one answer of DingTalk, or the lack of one, means for the row and for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// This call closed the meeting.
    Closed,
    /// The meeting had ended before this call.
    AlreadyEnded,
    /// The meeting's state is unknown or DingTalk has trouble: ask again.
    Retry,
    /// No connection could be made, so the request never left, and no row is to blame: ask again. Costs no row an attempt.
    Unreachable,
    /// DingTalk refused the call unread, for its rate: slow down and ask again.
    Throttled(Throttle),
    /// DingTalk refuses this address for every call: pause the whole run. Costs no row an attempt.
    Banned,
    /// The access token is not valid: fetch one and ask again. Costs no row an attempt.
    TokenRefused,
    /// This meeting will not be closed, however often it is asked.
    Refused,
    /// Every row would hear the same: stop the run.
    Halt,
}

/// Which quota a throttled call ran into; each resets in its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttle {
    /// A rate a second, or one that is not named.
    Second,
    /// A rate a minute.
    Minute,
}

/// A verdict with its reason and with what DingTalk said, for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What to do.
    pub verdict: Verdict,
    /// Why this verdict, in a few words.
    pub reason: &'static str,
    /// What was said.
    pub details: ReplyDetails,
    /// How long DingTalk asked us to wait, if it did.
    pub retry_after: Option<Duration>,
}

/// The parts of an answer that the audit keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplyDetails {
    /// DingTalk's own code (`200`, `resourceClose`, …) or, where there was none, ours: `timeout`, `connection_lost`,
    /// `connect_failed`, `certificate_untrusted`, `unreadable_answer`, `address_banned`, `http_<status>`.
    pub code: String,
    /// The HTTP status, where an answer came.
    pub http_status: Option<u16>,
    /// DingTalk's message, or a sentence of ours: one line of at most 500 characters.
    pub message: String,
    /// DingTalk's id of the request, to quote to its support.
    pub request_id: String,
}

/// The outcome of a row. The names are fixed: dashboards and scripts read them.
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
    /// The same conference id and union id stood earlier in the lists.
    Duplicate,
    /// Named by the exclusion list.
    Excluded,
    /// The run ended first.
    NotAttempted,
}

impl OutcomeKind {
    /// All outcomes, in the order in which people read them.
    pub const ALL: [Self; 7] = [
        Self::Closed,
        Self::AlreadyClosed,
        Self::Failed,
        Self::Invalid,
        Self::Duplicate,
        Self::Excluded,
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
            Self::NotAttempted => "not_attempted",
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who ended a meeting, as far as can be proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// DingTalk answered this run that it closed the meeting.
    ThisRun,
    /// It had ended when this run first asked.
    Earlier,
    /// It was found ended, but an earlier attempt of this run may have been what ended it.
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

/// What became of one row: a line of the audit report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Where the row stood.
    pub origin: Origin,
    /// The conference id column, as read.
    pub conference_id: String,
    /// The union id column, as read.
    pub union_id: String,
    /// What became of it.
    pub kind: OutcomeKind,
    /// Who ended the meeting, where it ended.
    pub ended_by: Option<EndedBy>,
    /// The last answer.
    pub details: ReplyDetails,
    /// Attempts that counted against `retry.max_attempts`.
    pub attempts: u32,
    /// When the first request left.
    pub first_attempt_at: Option<Timestamp>,
    /// When the outcome was known.
    pub finished_at: Timestamp,
}

impl Outcome {
    /// The outcome of a row of which nothing was asked.
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
