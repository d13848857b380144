//! The journal's records, and their canonical text.
//!
//! Invariant: a record's canonical text is what `jq -cS` would print of it: keys in order, no spaces, whole numbers only.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Chain, FORMAT_VERSION, Timeline};
use crate::clock::{rfc3339, rfc3339_serde};
use crate::meeting::Origin;
use crate::outcome::{EndedBy, Outcome, OutcomeKind, ReplyDetails};

/// One record, without the fields that every record has (`v`, `seq`, `at`, `prev`, `hash`).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record {
    /// A run began. This is always the first record.
    RunStarted(Box<RunStarted>),
    /// A request is about to be sent.
    Attempt(AttemptStarted),
    /// A row has its outcome.
    Outcome(Box<OutcomeRecord>),
    /// A process continues an unfinished run, with the lists and settings as they are now.
    RunContinued(Box<RunStarted>),
    /// A process ended the run or stopped it early. `reason` says which.
    RunFinished(Box<RunFinished>),
}

/// What a run is about: its lists, its settings, its process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The run's id.
    pub run_id: String,
    /// The version of meeting-closer.
    pub version: String,
    /// The process that runs it.
    pub pid: u32,
    /// Whether the hashes are keyed.
    pub keyed: bool,
    /// Whether the run is a rehearsal against the built-in stand-in.
    pub sandbox: bool,
    /// The lists, in the order in which they were given.
    pub lists: Vec<ListRecord>,
    /// SHA-256 over the lists' digests: two runs over the same lists have the same.
    pub lists_digest: String,
    /// The rows of the lists.
    pub rows: RowCounts,
    /// The settings that shape a run, as text, without secrets.
    pub settings: BTreeMap<String, String>,
    /// The run whose failed and not attempted rows this one asks for again.
    pub retry_of: Option<String>,
    /// The queue of a worker's run. Each of its entries is a row of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
}

/// One list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRecord {
    /// Its path as given, or `-`.
    pub source: String,
    /// The sheet that was read, of a workbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// The SHA-256 of its bytes.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// How many rows the lists hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// All rows.
    pub total: u64,
    /// Rows that name a meeting to be closed.
    pub to_close: u64,
    /// Rows that are unusable.
    pub invalid: u64,
    /// Rows that repeat an earlier row.
    pub duplicate: u64,
    /// Rows whose meeting an exclusion list names.
    pub excluded: u64,
}

/// A request that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStarted {
    /// The row's list.
    pub source: Arc<str>,
    /// The row's line in the list.
    pub line: u64,
    /// The meeting.
    pub conference_id: String,
    /// The meeting's host.
    pub union_id: String,
    /// The number of the row's attempt, from 1. It repeats after an attempt that did not count (a refused access token, a
    /// ban).
    pub attempt: u32,
}

/// A row's outcome: the columns of the audit report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeRecord {
    /// The list.
    pub source: Arc<str>,
    /// The line.
    pub line: u64,
    /// The conference id column, as read.
    pub conference_id: String,
    /// The union id column, as read.
    pub union_id: String,
    /// The outcome.
    pub outcome: OutcomeKind,
    /// Who ended the meeting.
    pub ended_by: Option<EndedBy>,
    /// The last answer's code.
    pub code: String,
    /// The last answer's HTTP status.
    pub http_status: Option<u16>,
    /// The last answer's message.
    pub message: String,
    /// DingTalk's id of the last request.
    pub request_id: String,
    /// Attempts that counted.
    pub attempts: u32,
    /// When the first request was sent.
    #[serde(with = "optional_timestamp")]
    pub first_attempt_at: Option<Timestamp>,
    /// When the outcome was known.
    #[serde(with = "rfc3339_serde")]
    pub finished_at: Timestamp,
    /// From the first request to the outcome, in milliseconds.
    pub duration_ms: Option<u64>,
}

/// How a run, or the part of it since it was last continued, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFinished {
    /// The program's exit code.
    pub exit_code: u8,
    /// Why it ended.
    pub reason: EndReason,
    /// Details of the reason, if there are any.
    pub detail: String,
    /// What this process counted.
    pub totals: Totals,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Every row has its final outcome.
    Completed,
    /// The deadline passed.
    Deadline,
    /// The process received a signal.
    Interrupted,
    /// DingTalk was out of reach for too long.
    Outage,
    /// DingTalk would have refused every row for the same reason.
    Halted,
}

/// What a process counted between start (or continuation) and end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Outcomes by name.
    pub outcomes: BTreeMap<String, u64>,
    /// Requests that were sent.
    pub calls: u64,
    /// Requests that were refused for their rate, bans included.
    pub throttled_calls: u64,
    /// Time in pauses, in milliseconds.
    pub paused_ms: u64,
    /// How the rate changed.
    #[serde(default)]
    pub pace: PaceTotals,
    /// Calls, refusals, pauses and rate over time.
    #[serde(default)]
    pub timeline: Timeline,
}

/// How the rate changed, in requests per 1,000 seconds, because the canonical text has whole numbers only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaceTotals {
    /// The rate that was configured.
    pub configured: u64,
    /// The lowest rate.
    pub lowest: u64,
    /// The rate at the end.
    pub last: u64,
    /// The rate below which DingTalk would have refused nothing, if it refused something.
    pub unrefused: Option<u64>,
}

/// A parsed line of a journal. Neither hash nor order is checked.
pub(super) struct RawLine<'a> {
    pub(super) seq: u64,
    pub(super) prev: &'a str,
    pub(super) at: Timestamp,
    pub(super) record: Record,
}

/// The fields that every record has, without `hash`.
#[derive(Deserialize)]
struct Envelope<'a> {
    seq: u64,
    prev: &'a str,
    #[serde(with = "rfc3339_serde")]
    at: Timestamp,
    r#type: &'a str,
}

impl Record {
    /// Parses a line: first the type, then the type's own fields. A tagged enum would be parsed into a tree of values first,
    /// and would take twice the time.
    pub(super) fn read(line: &str) -> serde_json::Result<RawLine<'_>> {
        let Envelope { seq, prev, at, r#type } = serde_json::from_str(line)?;
        let record = match r#type {
            "run_started" => Self::RunStarted(serde_json::from_str(line)?),
            "attempt" => Self::Attempt(serde_json::from_str(line)?),
            "outcome" => Self::Outcome(serde_json::from_str(line)?),
            "run_continued" => Self::RunContinued(serde_json::from_str(line)?),
            "run_finished" => Self::RunFinished(serde_json::from_str(line)?),
            _ => return Err(serde::de::Error::custom("unknown type")),
        };
        Ok(RawLine { seq, prev, at, record })
    }

    /// The canonical text of this record as the next one of `chain`.
    pub(super) fn canonical(&self, chain: &Chain, at: Timestamp) -> String {
        let Ok(Value::Object(mut fields)) = serde_json::to_value(self) else {
            unreachable!("every record is an object with text keys")
        };
        let envelope: [(&str, Value); 4] = [
            ("v", FORMAT_VERSION.into()),
            ("seq", (chain.seq + 1).into()),
            ("at", rfc3339(at).into()),
            ("prev", chain.head.to_string().into()),
        ];
        fields.extend(envelope.map(|(key, value)| (key.to_owned(), value)));
        canonical_text(fields)
    }
}

/// `serde_json` writes text as jq does, except that jq escapes DEL. Its maps are sorted too, unless any crate of the build
/// turns on `preserve_order`, so the keys are sorted here.
fn canonical_text(fields: Map<String, Value>) -> String {
    let mut value = Value::Object(fields);
    value.sort_all_objects();
    let text = value.to_string();
    if text.contains('\u{7f}') { text.replace('\u{7f}', "\\u007f") } else { text }
}

impl From<&Outcome> for OutcomeRecord {
    fn from(outcome: &Outcome) -> Self {
        Self {
            source: Arc::clone(&outcome.origin.source),
            line: outcome.origin.line,
            conference_id: outcome.conference_id.clone(),
            union_id: outcome.union_id.clone(),
            outcome: outcome.kind,
            ended_by: outcome.ended_by,
            code: outcome.details.code.clone(),
            http_status: outcome.details.http_status,
            message: outcome.details.message.clone(),
            request_id: outcome.details.request_id.clone(),
            attempts: outcome.attempts,
            first_attempt_at: outcome.first_attempt_at,
            finished_at: outcome.finished_at,
            duration_ms: outcome.duration_ms(),
        }
    }
}

impl From<OutcomeRecord> for Outcome {
    fn from(record: OutcomeRecord) -> Self {
        Self {
            origin: Origin { source: record.source, line: record.line },
            conference_id: record.conference_id,
            union_id: record.union_id,
            kind: record.outcome,
            ended_by: record.ended_by,
            details: ReplyDetails {
                code: record.code,
                http_status: record.http_status,
                message: record.message,
                request_id: record.request_id,
            },
            attempts: record.attempts,
            first_attempt_at: record.first_attempt_at,
            finished_at: record.finished_at,
        }
    }
}

mod optional_timestamp {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct WrittenTimestamp(#[serde(with = "crate::clock::rfc3339_serde")] Timestamp);

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(WrittenTimestamp).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<WrittenTimestamp>::deserialize(deserializer)?.map(|written| written.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Hasher;

    fn attempt() -> Record {
        Record::Attempt(AttemptStarted {
            source: "a.csv".into(),
            line: 2,
            conference_id: "c\u{7f}\n".into(),
            union_id: "会议".into(),
            attempt: 2,
        })
    }

    #[test]
    fn the_canonical_text_has_its_keys_in_order_and_no_spaces() {
        let at = "2026-11-23T18:00:00.5Z".parse().unwrap();
        let zeros = "0".repeat(64);
        assert_eq!(
            attempt().canonical(&Chain::new(Hasher::PLAIN), at),
            format!(
                r#"{{"at":"2026-11-23T18:00:00.500Z","attempt":2,"conference_id":"c\u007f\n","line":2,"prev":"{zeros}","seq":1,"source":"a.csv","type":"attempt","union_id":"会议","v":1}}"#
            )
        );
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let outcome = Outcome {
            origin: Origin { source: "a.csv".into(), line: 7 },
            conference_id: "c".into(),
            union_id: "u".into(),
            kind: OutcomeKind::AlreadyClosed,
            ended_by: Some(EndedBy::Unknown),
            details: ReplyDetails {
                code: "resourceClose".into(),
                http_status: Some(400),
                message: "The meeting has ended".into(),
                request_id: "R".into(),
            },
            attempts: 2,
            first_attempt_at: Some("2026-11-23T18:00:00.250Z".parse().unwrap()),
            finished_at: "2026-11-23T18:00:01Z".parse().unwrap(),
        };
        let record = Record::Outcome(Box::new(OutcomeRecord::from(&outcome)));
        let text = record.canonical(&Chain::new(Hasher::PLAIN), outcome.finished_at);
        let Record::Outcome(read) = Record::read(&text).unwrap().record else { panic!("{text}") };
        assert_eq!(read.duration_ms, Some(750));
        assert_eq!(Outcome::from(*read), outcome);
    }
}
