//! The leases of this worker: one for every entry that it took and has not settled.
//!
//! Invariant: an entry is in a run once at most. The queue may deliver an entry again that has its outcome, because it lost the
//! acknowledgement or got it too late. Then the worker settles the entry as before, and does not ask for the meeting again.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::entry_row::{entry_id, entry_row};
use crate::clock::Clock;
use crate::journal::OutcomeRecord;
use crate::lists::TriagedRow;
use crate::meeting::{Cells, Fingerprint, FingerprintSet};
use crate::outcome::{Outcome, OutcomeKind};
use crate::queue::{Delivery, EntryId, Settled, Settlement};
use crate::run::{IncomingRow, Lease, PriorAttempts};

/// The leased entries, and what the current run knows of its entries.
#[derive(Debug)]
pub(crate) struct Leases {
    stream: String,
    clock: Clock,
    leased: HashMap<EntryId, LeasedEntry>,
    /// How many entries are in the run without an outcome.
    open: usize,
    /// The requests of the run's rows, except those that failed. The same request again is a duplicate.
    asked_for: FingerprintSet,
    /// The request of each entry that has its outcome, and how the entry is settled.
    ended: HashMap<EntryId, (Fingerprint, Settlement)>,
}

#[derive(Debug)]
struct LeasedEntry {
    lease: Arc<Lease>,
    times_delivered: u64,
}

/// What becomes of a delivery.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A row for the run.
    Row(Box<IncomingRow>),
    /// The entry has its outcome. It must be settled once more.
    Ended(Settled),
    /// The entry is leased to this worker already, and its lease is renewed.
    AlreadyLeased,
}

impl Leases {
    pub(crate) fn new(stream: &str, clock: Clock) -> Self {
        Self {
            stream: stream.to_owned(),
            clock,
            leased: HashMap::new(),
            open: 0,
            asked_for: FingerprintSet::default(),
            ended: HashMap::new(),
        }
    }

    /// Prepares for the next run: entries from now on belong to it. Forgets what this run asked for. Keeps how its entries are
    /// settled only for those that are not settled yet.
    pub(crate) fn end_run(&mut self) {
        self.ended.retain(|id, _| self.leased.contains_key(id));
        self.asked_for.clear();
    }

    /// Takes the lease on a delivered entry, which lasts `until` then.
    pub(crate) fn accept(&mut self, delivery: &Delivery, until: Instant) -> Accepted {
        let Delivery { id, times_delivered, in_doubt, .. } = *delivery;
        if let Some(leased) = self.leased.get_mut(&id) {
            leased.times_delivered = times_delivered;
            leased.lease.renew(until);
            return Accepted::AlreadyLeased;
        }
        let lease = Arc::new(Lease::new(self.clock.clone(), until));
        self.leased.insert(id, LeasedEntry { lease: Arc::clone(&lease), times_delivered });
        let entry = entry_row(delivery, &self.stream);
        // The same id can mean another request: a person chose the id, or the server's clock went back.
        if let Some((request, settlement)) = self.ended.get(&id)
            && *request == fingerprint(&entry)
        {
            return Accepted::Ended(Settled { id, settlement: settlement.clone() });
        }
        self.open += 1;
        let entry = self.without_duplicates(entry);
        let prior = PriorAttempts { in_doubt, lease: Some(lease), ..PriorAttempts::default() };
        Accepted::Row(Box::new(IncomingRow { entry, prior }))
    }

    /// In one run, the second entry for the same meeting and host becomes a duplicate.
    fn without_duplicates(&mut self, entry: TriagedRow) -> TriagedRow {
        match entry {
            TriagedRow::ToClose { origin, request } if !self.asked_for.insert(request.fingerprint()) => {
                let reason = "the same conference id and union id came earlier in this run".to_owned();
                let cells = Cells {
                    conference_id: request.conference_id.to_string(),
                    union_id: request.union_id.to_string(),
                };
                TriagedRow::Unasked { origin, cells, kind: OutcomeKind::Duplicate, reason }
            }
            entry => entry,
        }
    }

    /// Notes the outcome of a row, and returns how to settle its entry.
    pub(crate) fn ended(&mut self, outcome: &Outcome, run_id: &str) -> Option<Settled> {
        let id = entry_id(&outcome.origin.source)?;
        let leased = self.leased.get(&id)?;
        self.open -= 1;
        let settlement = settlement(outcome, id, run_id, leased.times_delivered);
        let request = Fingerprint::of(&outcome.conference_id, &outcome.union_id);
        match outcome.kind {
            OutcomeKind::Closed
            | OutcomeKind::AlreadyClosed
            | OutcomeKind::Duplicate
            | OutcomeKind::Excluded
            | OutcomeKind::Withdrawn => {}
            OutcomeKind::Failed | OutcomeKind::NotAttempted | OutcomeKind::Invalid => {
                self.asked_for.remove(&request);
            }
        }
        if outcome.kind != OutcomeKind::NotAttempted {
            self.ended.insert(id, (request, settlement.clone()));
        }
        Some(Settled { id, settlement })
    }

    /// How to settle the entries of rows that came into no run.
    pub(crate) fn release(&mut self, rows: &[IncomingRow]) -> Vec<Settled> {
        let ids = rows.iter().filter_map(|row| match &row.entry {
            TriagedRow::ToClose { origin, .. } | TriagedRow::Unasked { origin, .. } => {
                entry_id(&origin.source)
            }
        });
        let released = ids.filter_map(|id| {
            let times_delivered = self.leased.get(&id)?.times_delivered - 1;
            Some(Settled { id, settlement: Settlement::Release { times_delivered } })
        });
        released.collect()
    }

    /// Notes that the queue has settled these entries.
    pub(crate) fn settled(&mut self, settled: &[Settled]) {
        for Settled { id, .. } in settled {
            self.leased.remove(id);
        }
    }

    pub(crate) fn leases(&self) -> HashMap<EntryId, Arc<Lease>> {
        self.leased.iter().map(|(id, leased)| (*id, Arc::clone(&leased.lease))).collect()
    }

    /// How many entries are in the run without an outcome.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// How many entries have their outcome, and are not settled yet.
    pub(crate) fn unsettled(&self) -> usize {
        self.leased.len().saturating_sub(self.open)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.leased.is_empty()
    }
}

fn fingerprint(entry: &TriagedRow) -> Fingerprint {
    match entry {
        TriagedRow::ToClose { request, .. } => request.fingerprint(),
        TriagedRow::Unasked { cells, .. } => Fingerprint::of(&cells.conference_id, &cells.union_id),
    }
}

/// How to settle the entry of a row with this outcome.
fn settlement(outcome: &Outcome, id: EntryId, run_id: &str, times_delivered: u64) -> Settlement {
    match outcome.kind {
        OutcomeKind::Closed
        | OutcomeKind::AlreadyClosed
        | OutcomeKind::Duplicate
        | OutcomeKind::Excluded
        | OutcomeKind::Withdrawn => Settlement::Acknowledge,
        OutcomeKind::Failed | OutcomeKind::Invalid => {
            let cells =
                Cells { conference_id: outcome.conference_id.clone(), union_id: outcome.union_id.clone() };
            Settlement::DeadLetter { cells, fields: dead_letter_fields(outcome, id, run_id) }
        }
        // Without an attempt, this delivery does not count: the next worker need not doubt that it is the first to ask.
        OutcomeKind::NotAttempted if outcome.first_attempt_at.is_none() => {
            Settlement::Release { times_delivered: times_delivered - 1 }
        }
        OutcomeKind::NotAttempted => Settlement::Release { times_delivered },
    }
}

fn dead_letter_fields(outcome: &Outcome, id: EntryId, run_id: &str) -> Vec<(&'static str, String)> {
    let record = OutcomeRecord::from(outcome);
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    vec![
        ("entry_id", id.to_string()),
        ("run_id", run_id.to_owned()),
        ("outcome", record.outcome.name().to_owned()),
        ("code", record.code),
        ("http_status", number(record.http_status.map(u64::from))),
        ("message", record.message),
        ("request_id", record.request_id),
        ("attempts", record.attempts.to_string()),
        ("first_attempt_at", record.first_attempt_at.map(crate::clock::rfc3339).unwrap_or_default()),
        ("finished_at", crate::clock::rfc3339(record.finished_at)),
        ("duration_ms", number(record.duration_ms)),
    ]
}

/// The leases, for the tasks that share them.
#[derive(Debug, Clone)]
pub(crate) struct SharedLeases {
    leases: Arc<Mutex<Leases>>,
    room: Arc<Notify>,
    doubt: Arc<Notify>,
}

impl SharedLeases {
    pub(crate) fn new(leases: Leases) -> Self {
        Self { leases: Arc::new(Mutex::new(leases)), room: Arc::default(), doubt: Arc::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock()
    }

    /// Wakes the task that waits in [`SharedLeases::room_freed`].
    pub(super) fn notify_room(&self) {
        self.room.notify_one();
    }

    /// Resolves when a row has ended since this was last awaited.
    pub(super) async fn room_freed(&self) {
        self.room.notified().await;
    }

    /// Puts every lease in doubt: the queue may have delivered these entries to other workers. No row is asked for before its
    /// lease is renewed.
    pub(crate) fn doubt_all(&self) {
        for leased in self.lock().leased.values() {
            leased.lease.doubt();
        }
        self.doubt.notify_one();
    }

    /// Resolves when leases came into doubt since this was last awaited.
    pub(super) async fn in_doubt(&self) {
        self.doubt.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::outcome::ReplyDetails;
    use crate::queue::Field;

    const MINUTE: Duration = Duration::from_mins(1);

    fn delivery(number: u64, times_delivered: u64, conference_id: &str) -> Delivery {
        let field = |text: &str| Some(Field { start: text.into(), bytes: text.len() });
        Delivery {
            id: format!("5-{number}").parse().unwrap(),
            times_delivered,
            in_doubt: times_delivered > 1,
            conference_id: field(conference_id),
            union_id: field("u"),
        }
    }

    fn no_leases() -> (Leases, Instant) {
        let clock = Clock::tokio();
        let until = clock.now() + MINUTE;
        (Leases::new("s", clock), until)
    }

    fn outcome(number: u64, conference_id: &str, kind: OutcomeKind, was_attempted: bool) -> Outcome {
        Outcome {
            origin: crate::meeting::Origin { source: format!("s/5-{number}").into(), line: 1 },
            conference_id: conference_id.into(),
            union_id: "u".into(),
            kind,
            ended_by: None,
            details: ReplyDetails {
                code: "permissionError".into(),
                http_status: Some(404),
                ..ReplyDetails::default()
            },
            attempts: u32::from(was_attempted),
            first_attempt_at: was_attempted.then_some(Timestamp::UNIX_EPOCH),
            finished_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn is_duplicate(accepted: &Accepted) -> bool {
        match accepted {
            Accepted::Row(row) => {
                matches!(row.entry, TriagedRow::Unasked { kind: OutcomeKind::Duplicate, .. })
            }
            Accepted::Ended(_) | Accepted::AlreadyLeased => false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_is_delivered_again_does_not_become_a_second_row() {
        let (mut leases, until) = no_leases();
        assert!(matches!(leases.accept(&delivery(1, 1, "a"), until), Accepted::Row(_)));
        assert!(matches!(leases.accept(&delivery(1, 2, "a"), until), Accepted::AlreadyLeased));
        let settled = leases.ended(&outcome(1, "a", OutcomeKind::Closed, true), "r").unwrap();
        assert_eq!(settled.settlement, Settlement::Acknowledge);
        leases.settled(std::slice::from_ref(&settled));
        assert!(leases.is_empty());
        // The queue lost the acknowledgement, and delivers the entry again.
        let Accepted::Ended(again) = leases.accept(&delivery(1, 1, "a"), until) else { panic!() };
        assert_eq!((again, leases.open()), (settled.clone(), 0));
        // The same id now belongs to another request.
        leases.settled(&[settled]);
        assert!(matches!(leases.accept(&delivery(1, 1, "b"), until), Accepted::Row(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_entry_for_the_same_meeting_is_a_duplicate_unless_the_first_one_failed() {
        let (mut leases, until) = no_leases();
        leases.accept(&delivery(1, 1, "a"), until);
        assert!(is_duplicate(&leases.accept(&delivery(2, 1, "a"), until)));
        let failed = leases.ended(&outcome(1, "a", OutcomeKind::Failed, true), "r").unwrap();
        let Settlement::DeadLetter { fields, .. } = failed.settlement else { panic!() };
        for field in
            [("entry_id", "5-1"), ("run_id", "r"), ("outcome", "failed"), ("code", "permissionError")]
        {
            assert!(fields.contains(&(field.0, field.1.to_owned())), "{field:?}");
        }
        assert!(!is_duplicate(&leases.accept(&delivery(3, 1, "a"), until)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_run_forgets_everything_but_the_unsettled_entries() {
        let (mut leases, until) = no_leases();
        for number in 1..=2 {
            leases.accept(&delivery(number, 1, &number.to_string()), until);
            let ended = outcome(number, &number.to_string(), OutcomeKind::Closed, true);
            let settled = leases.ended(&ended, "r").unwrap();
            leases.settled(if number == 1 { std::slice::from_ref(&settled) } else { &[] });
        }
        leases.end_run();
        assert_eq!((leases.asked_for.len(), leases.ended.len(), leases.leased.len()), (0, 1, 1));
        // The same meetings in the next run. Its first rows are accepted before it begins.
        assert!(!is_duplicate(&leases.accept(&delivery(3, 1, "1"), until)));
        assert!(!is_duplicate(&leases.accept(&delivery(4, 1, "2"), until)));
        assert!(is_duplicate(&leases.accept(&delivery(5, 1, "1"), until)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_released_entry_counts_as_delivered_only_if_its_meeting_was_asked_for() {
        let (mut leases, until) = no_leases();
        for (number, times_delivered, was_attempted, expected) in
            [(1, 1, false, 0), (2, 1, true, 1), (3, 4, false, 3)]
        {
            leases.accept(&delivery(number, times_delivered, &number.to_string()), until);
            let ended = outcome(number, &number.to_string(), OutcomeKind::NotAttempted, was_attempted);
            let settled = leases.ended(&ended, "r").unwrap();
            assert_eq!(settled.settlement, Settlement::Release { times_delivered: expected }, "{number}");
            leases.settled(&[settled]);
            // The queue may deliver it again, and then it becomes a row.
            assert!(matches!(
                leases.accept(&delivery(number, times_delivered, &number.to_string()), until),
                Accepted::Row(_)
            ));
        }
    }
}
