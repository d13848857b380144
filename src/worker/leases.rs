//! What this worker has in hand: every entry that it took and has not settled.
//!
//! Invariant: an entry is in a run once at most, and one that has its outcome is never asked for again because it was handed
//! out again (an acknowledgement that was forgotten, or came too late): it is settled as it was.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::entry_row::entry_id;
use crate::clock::Clock;
use crate::journal::OutcomeRecord;
use crate::lists::TriagedRow;
use crate::meeting::{Cells, Fingerprint, FingerprintSet};
use crate::outcome::{Outcome, OutcomeKind};
use crate::queue::{Delivery, EntryId, Settled, Settlement};
use crate::run::{IncomingRow, Lease, PriorAttempts};
use parking_lot::{Mutex, MutexGuard};

/// The entries in hand.
#[derive(Debug)]
pub(crate) struct Leases {
    stream: String,
    clock: Clock,
    held: HashMap<EntryId, LeasedEntry>,
    /// Entries in the run, without an outcome.
    open: usize,
    /// What the run's rows ask for, but for those that failed: the same once more is a duplicate.
    asked: FingerprintSet,
    /// What the run's entries asked for, and what became of them.
    ended: HashMap<EntryId, (Fingerprint, Settlement)>,
}

#[derive(Debug)]
struct LeasedEntry {
    lease: Arc<Lease>,
    times: u64,
}

/// What a delivery comes to.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A row for the run.
    Row(Box<IncomingRow>),
    /// It has its outcome and is to be settled once more.
    Ended(Settled),
    /// It is in hand already.
    AlreadyLeased,
}

impl Leases {
    /// Nothing is in hand.
    pub(crate) fn new(stream: &str, clock: Clock) -> Self {
        Self {
            stream: stream.to_owned(),
            clock,
            held: HashMap::new(),
            open: 0,
            asked: FingerprintSet::default(),
            ended: HashMap::new(),
        }
    }

    /// The run has ended, and what is dealt from now on is the next one's: what this one asked for is forgotten, and so is what
    /// became of its entries, but for those that are not settled yet.
    pub(crate) fn end_run(&mut self) {
        self.ended.retain(|id, _| self.held.contains_key(id));
        self.asked.clear();
    }

    /// Takes a delivery in hand, which is this worker's until then.
    pub(crate) fn accept(&mut self, delivery: &Delivery, until: Instant) -> Accepted {
        let Delivery { id, times, in_doubt, .. } = *delivery;
        if let Some(held) = self.held.get_mut(&id) {
            held.times = times;
            held.lease.renew(until);
            return Accepted::AlreadyLeased;
        }
        let lease = Arc::new(Lease::new(self.clock.clone(), until));
        self.held.insert(id, LeasedEntry { lease: Arc::clone(&lease), times });
        let entry = delivery.row(&self.stream);
        // An id that was given once more, by hand or by a server whose clock went back, may ask for something else.
        if let Some((asked, settlement)) = self.ended.get(&id)
            && *asked == asks_for(&entry)
        {
            return Accepted::Ended(Settled { id, settlement: settlement.clone() });
        }
        self.open += 1;
        let entry = self.without_duplicates(entry);
        let prior = PriorAttempts { in_doubt, lease: Some(lease), ..PriorAttempts::default() };
        Accepted::Row(Box::new(IncomingRow { entry, prior }))
    }

    /// Two entries for the same meeting and host are asked for once in a run.
    fn without_duplicates(&mut self, entry: TriagedRow) -> TriagedRow {
        match entry {
            TriagedRow::ToClose { origin, request } if !self.asked.insert(request.fingerprint()) => {
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

    /// A row of the run has its outcome: how its entry is to be settled.
    pub(crate) fn ended(&mut self, outcome: &Outcome, run_id: &str) -> Option<Settled> {
        let id = entry_id(&outcome.origin.source)?;
        let held = self.held.get(&id)?;
        self.open -= 1;
        let settlement = settlement(outcome, id, run_id, held.times);
        let asked = Fingerprint::of(&outcome.conference_id, &outcome.union_id);
        match outcome.kind {
            OutcomeKind::Closed
            | OutcomeKind::AlreadyClosed
            | OutcomeKind::Duplicate
            | OutcomeKind::Excluded => {}
            OutcomeKind::Failed | OutcomeKind::NotAttempted | OutcomeKind::Invalid => {
                self.asked.remove(&asked);
            }
        }
        if outcome.kind != OutcomeKind::NotAttempted {
            self.ended.insert(id, (asked, settlement.clone()));
        }
        Some(Settled { id, settlement })
    }

    /// Gives rows back that never came into a run.
    pub(crate) fn release(&mut self, arrivals: &[IncomingRow]) -> Vec<Settled> {
        let ids = arrivals.iter().filter_map(|arrival| match &arrival.entry {
            TriagedRow::ToClose { origin, .. } | TriagedRow::Unasked { origin, .. } => {
                entry_id(&origin.source)
            }
        });
        let released = ids.filter_map(|id| {
            let times = self.held.get(&id)?.times - 1;
            Some(Settled { id, settlement: Settlement::Release { times } })
        });
        released.collect()
    }

    /// These have been settled.
    pub(crate) fn settled(&mut self, settled: &[Settled]) {
        for Settled { id, .. } in settled {
            self.held.remove(id);
        }
    }

    /// What is in hand, and the hold of each.
    pub(crate) fn leases(&self) -> HashMap<EntryId, Arc<Lease>> {
        self.held.iter().map(|(id, held)| (*id, Arc::clone(&held.lease))).collect()
    }

    /// How many entries are in the run without an outcome.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// How many entries have their outcome and are not settled yet.
    pub(crate) fn unsettled(&self) -> usize {
        self.held.len().saturating_sub(self.open)
    }

    /// Whether nothing is in hand.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

fn asks_for(entry: &TriagedRow) -> Fingerprint {
    match entry {
        TriagedRow::ToClose { request, .. } => request.fingerprint(),
        TriagedRow::Unasked { cells, .. } => Fingerprint::of(&cells.conference_id, &cells.union_id),
    }
}

/// What becomes of the entry of a row that ended so.
fn settlement(outcome: &Outcome, id: EntryId, run_id: &str, times: u64) -> Settlement {
    match outcome.kind {
        OutcomeKind::Closed | OutcomeKind::AlreadyClosed | OutcomeKind::Duplicate | OutcomeKind::Excluded => {
            Settlement::Acknowledge
        }
        OutcomeKind::Failed | OutcomeKind::Invalid => {
            let cells =
                Cells { conference_id: outcome.conference_id.clone(), union_id: outcome.union_id.clone() };
            Settlement::Bury { cells, fields: dead_letter(outcome, id, run_id) }
        }
        // Whoever takes it next is the first to ask, unless somebody has.
        OutcomeKind::NotAttempted if outcome.first_attempt_at.is_none() => {
            Settlement::Release { times: times - 1 }
        }
        OutcomeKind::NotAttempted => Settlement::Release { times },
    }
}

fn dead_letter(outcome: &Outcome, id: EntryId, run_id: &str) -> Vec<(&'static str, String)> {
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

/// The hand, for the tasks that share it.
#[derive(Debug, Clone)]
pub(crate) struct SharedLeases {
    leases: Arc<Mutex<Leases>>,
    room: Arc<Notify>,
    doubt: Arc<Notify>,
}

impl SharedLeases {
    /// Shares a hand.
    pub(crate) fn new(leases: Leases) -> Self {
        Self { leases: Arc::new(Mutex::new(leases)), room: Arc::default(), doubt: Arc::default() }
    }

    /// The hand, for a moment.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock()
    }

    /// Tells whoever waits in [`SharedLeases::freed`].
    pub(super) fn free(&self) {
        self.room.notify_one();
    }

    /// Resolves when a row has ended since this was last awaited.
    pub(super) async fn freed(&self) {
        self.room.notified().await;
    }

    /// Others may have been handed anything of this meanwhile: nothing of it is asked for before it is known whose it is.
    pub(crate) fn doubt_all(&self) {
        for held in self.lock().held.values() {
            held.lease.doubt();
        }
        self.doubt.notify_one();
    }

    /// Resolves when there was doubt since this was last awaited.
    pub(super) async fn doubted(&self) {
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

    fn delivery(number: u64, times: u64, conference_id: &str) -> Delivery {
        let field = |text: &str| Some(Field { start: text.into(), bytes: text.len() });
        Delivery {
            id: format!("5-{number}").parse().unwrap(),
            times,
            in_doubt: times > 1,
            conference_id: field(conference_id),
            union_id: field("u"),
        }
    }

    fn hand() -> (Leases, Instant) {
        let clock = Clock::tokio();
        let until = clock.now() + MINUTE;
        (Leases::new("s", clock), until)
    }

    fn outcome(number: u64, conference_id: &str, kind: OutcomeKind, asked: bool) -> Outcome {
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
            attempts: u32::from(asked),
            first_attempt_at: asked.then_some(Timestamp::UNIX_EPOCH),
            finished_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn is_duplicate(dealt: &Accepted) -> bool {
        match dealt {
            Accepted::Row(arrival) => {
                matches!(arrival.entry, TriagedRow::Unasked { kind: OutcomeKind::Duplicate, .. })
            }
            Accepted::Ended(_) | Accepted::AlreadyLeased => false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_comes_again_is_no_second_row() {
        let (mut hand, until) = hand();
        assert!(matches!(hand.accept(&delivery(1, 1, "a"), until), Accepted::Row(_)));
        assert!(matches!(hand.accept(&delivery(1, 2, "a"), until), Accepted::AlreadyLeased));
        let settled = hand.ended(&outcome(1, "a", OutcomeKind::Closed, true), "r").unwrap();
        assert_eq!(settled.settlement, Settlement::Acknowledge);
        hand.settled(std::slice::from_ref(&settled));
        assert!(hand.is_empty());
        // The acknowledgement was forgotten, and the entry is handed out again.
        let Accepted::Ended(again) = hand.accept(&delivery(1, 1, "a"), until) else { panic!() };
        assert_eq!((again, hand.open()), (settled.clone(), 0));
        // Its id was given to something else.
        hand.settled(&[settled]);
        assert!(matches!(hand.accept(&delivery(1, 1, "b"), until), Accepted::Row(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_meeting_in_two_entries_is_asked_for_once_but_again_after_it_failed() {
        let (mut hand, until) = hand();
        hand.accept(&delivery(1, 1, "a"), until);
        assert!(is_duplicate(&hand.accept(&delivery(2, 1, "a"), until)));
        let failed = hand.ended(&outcome(1, "a", OutcomeKind::Failed, true), "r").unwrap();
        let Settlement::Bury { fields, .. } = failed.settlement else { panic!() };
        for field in
            [("entry_id", "5-1"), ("run_id", "r"), ("outcome", "failed"), ("code", "permissionError")]
        {
            assert!(fields.contains(&(field.0, field.1.to_owned())), "{field:?}");
        }
        assert!(!is_duplicate(&hand.accept(&delivery(3, 1, "a"), until)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_has_ended_leaves_nothing_but_what_is_to_be_settled() {
        let (mut hand, until) = hand();
        for number in 1..=2 {
            hand.accept(&delivery(number, 1, &number.to_string()), until);
            let ended = outcome(number, &number.to_string(), OutcomeKind::Closed, true);
            let settled = hand.ended(&ended, "r").unwrap();
            hand.settled(if number == 1 { std::slice::from_ref(&settled) } else { &[] });
        }
        hand.end_run();
        assert_eq!((hand.asked.len(), hand.ended.len(), hand.held.len()), (0, 1, 1));
        // The same meetings in the next run, whose first rows are dealt before it begins.
        assert!(!is_duplicate(&hand.accept(&delivery(3, 1, "1"), until)));
        assert!(!is_duplicate(&hand.accept(&delivery(4, 1, "2"), until)));
        assert!(is_duplicate(&hand.accept(&delivery(5, 1, "1"), until)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_back_counts_as_handed_out_only_where_it_was_asked_for() {
        let (mut hand, until) = hand();
        for (number, times, asked, counts) in [(1, 1, false, 0), (2, 1, true, 1), (3, 4, false, 3)] {
            hand.accept(&delivery(number, times, &number.to_string()), until);
            let ended = outcome(number, &number.to_string(), OutcomeKind::NotAttempted, asked);
            let settled = hand.ended(&ended, "r").unwrap();
            assert_eq!(settled.settlement, Settlement::Release { times: counts }, "{number}");
            hand.settled(&[settled]);
            // It may come back, and is asked for then.
            assert!(matches!(
                hand.accept(&delivery(number, times, &number.to_string()), until),
                Accepted::Row(_)
            ));
        }
    }
}
