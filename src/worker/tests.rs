//! Feeder, keeper and settler against a queue in memory, on paused time.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::settler::QueueObserver;
use super::*;
use crate::clock::Clock;
use crate::events::{Observe as _, RunEvent};
use crate::journal::{AttemptStarted, Chain, Hasher, Journal, JournalError, Record, Storage};
use crate::lists::TriagedRow;
use crate::outcome::{Outcome, OutcomeKind, ReplyDetails};
use crate::queue::{Broker, BrokerError, Delivery, EntryId, Field, Renewed, Settled, Settlement, TakenBatch};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// A queue in memory, which fails as often as it is told to.
#[derive(Default)]
struct Memory {
    added: AtomicU64,
    waiting: Mutex<VecDeque<Delivery>>,
    settled: Mutex<Vec<Settled>>,
    renewed: Mutex<HashMap<EntryId, u32>>,
    taken_over: Mutex<Vec<EntryId>>,
    failures: Mutex<u32>,
    refuses_burials: Mutex<bool>,
}

impl Memory {
    fn with(entries: u64) -> Arc<Self> {
        let memory = Self::default();
        memory.add(entries);
        Arc::new(memory)
    }

    /// Adds entries of names that were not there before.
    fn add(&self, entries: u64) {
        let field = |text: String| Some(Field { bytes: text.len(), start: text.into() });
        let delivery = |number: u64| Delivery {
            id: format!("7-{number}").parse().unwrap(),
            times: 1,
            in_doubt: false,
            conference_id: field(format!("m{number}")),
            union_id: field("u".into()),
        };
        let from = self.added.fetch_add(entries, Ordering::Relaxed);
        self.waiting.lock().unwrap().extend((from..from + entries).map(delivery));
    }

    fn fail(&self) -> Result<(), BrokerError> {
        let mut failures = self.failures.lock().unwrap();
        if *failures == 0 {
            return Ok(());
        }
        *failures -= 1;
        Err(BrokerError { place: "here".into(), problem: "away".into(), hint: None, passes: true })
    }
}

impl Broker for Memory {
    async fn take(&self, most: usize) -> Result<TakenBatch, BrokerError> {
        self.fail()?;
        let mut waiting = self.waiting.lock().unwrap();
        let count = most.min(waiting.len());
        let deliveries: Vec<Delivery> = waiting.drain(..count).collect();
        let held = deliveries.len() as u64;
        Ok(TakenBatch { deliveries, entries: waiting.len() as u64 + held, held })
    }

    async fn renew(&self, ids: &[EntryId]) -> Result<Renewed, BrokerError> {
        self.fail()?;
        for id in ids {
            *self.renewed.lock().unwrap().entry(*id).or_default() += 1;
        }
        let anothers = self.taken_over.lock().unwrap().iter().copied().collect();
        Ok(Renewed { anothers, ..Renewed::default() })
    }

    async fn settle(&self, settled: &[Settled]) -> Result<(), BrokerError> {
        self.fail()?;
        let buries = settled.iter().any(|entry| matches!(entry.settlement, Settlement::Bury { .. }));
        if buries && *self.refuses_burials.lock().unwrap() {
            return Err(BrokerError {
                place: "here".into(),
                problem: "no room".into(),
                hint: None,
                passes: true,
            });
        }
        self.settled.lock().unwrap().extend_from_slice(settled);
        Ok(())
    }

    async fn leave(&self) -> Result<u64, BrokerError> {
        Ok(0)
    }
}

struct TestWorker {
    broker: Arc<Memory>,
    leases: SharedLeases,
    clock: Clock,
    feeder: Feeder<Memory>,
    settler: Settler<Memory>,
    settle_queue: SettleQueue,
}

fn bench(broker: Arc<Memory>, most: usize) -> TestWorker {
    let clock = Clock::tokio();
    let leases = SharedLeases::new(Leases::new("s", clock.clone()));
    let (settler, settle_queue) = Settler::new(Arc::clone(&broker), leases.clone(), clock.clone());
    let feeder = Feeder::new(
        Arc::clone(&broker),
        leases.clone(),
        settle_queue.clone(),
        clock.clone(),
        MINUTE,
        most,
        Box::new(|_| {}),
    );
    TestWorker { broker, leases, clock, feeder, settler, settle_queue }
}

fn outcome(row: &IncomingRow, kind: OutcomeKind) -> Outcome {
    let TriagedRow::ToClose { origin, request } = &row.entry else { panic!("{row:?}") };
    Outcome {
        origin: origin.clone(),
        conference_id: request.conference_id.to_string(),
        union_id: request.union_id.to_string(),
        kind,
        ended_by: None,
        details: ReplyDetails::default(),
        attempts: 1,
        first_attempt_at: Some(Timestamp::UNIX_EPOCH),
        finished_at: Timestamp::UNIX_EPOCH,
    }
}

async fn step(feeder: &mut Feeder<Memory>, clock: &Clock, within: Duration) -> FeedStep {
    let (_ask, mut stopped) = watch::channel(false);
    feeder.step(false, clock.now() + within, &mut stopped).await
}

async fn rows(feeder: &mut Feeder<Memory>, clock: &Clock) -> Vec<IncomingRow> {
    match step(feeder, clock, MINUTE).await {
        FeedStep::Rows(rows) => rows,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_taken_than_can_be_carried_and_the_rest_is_left_to_others() {
    let TestWorker { broker, leases, clock, mut feeder, .. } = bench(Memory::with(100), 8);
    let taken = rows(&mut feeder, &clock).await;
    assert_eq!((taken.len(), broker.waiting.lock().unwrap().len()), (8, 92));
    assert!(matches!(step(&mut feeder, &clock, MINUTE).await, FeedStep::Due));
    // Room is filled in halves.
    for (ended, more) in [(3, None), (1, Some(4))] {
        for row in taken.iter().skip(if ended == 1 { 3 } else { 0 }).take(ended) {
            leases.lock().ended(&outcome(row, OutcomeKind::Closed), "r").unwrap();
        }
        match (step(&mut feeder, &clock, SECOND).await, more) {
            (FeedStep::Due, None) => {}
            (FeedStep::Rows(rows), Some(count)) => assert_eq!(rows.len(), count),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_away_is_asked_again_after_longer_and_longer() {
    let broker = Memory::with(1);
    *broker.failures.lock().unwrap() = 4;
    let TestWorker { clock, mut feeder, .. } = bench(broker, 8);
    let start = clock.now();
    rows(&mut feeder, &clock).await;
    assert_eq!((clock.now() - start).as_millis(), 100 + 200 + 400 + 800);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_hand_is_renewed_four_times_before_it_would_be_taken_over() {
    let TestWorker { broker, leases, clock, mut feeder, .. } = bench(Memory::with(3), 8);
    let rows = rows(&mut feeder, &clock).await;
    let kept = tokio::time::timeout(10 * MINUTE, renew_leases(&*broker, &leases, &clock, MINUTE)).await;
    assert!(kept.is_err());
    assert!(broker.renewed.lock().unwrap().values().all(|times| (39..=40).contains(times)));
    assert!(rows.iter().all(|row| row.prior.lease.as_ref().unwrap().is_unbroken()));
}

#[tokio::test(start_paused = true)]
async fn what_another_took_over_is_known_and_the_rest_is_held_on() {
    let TestWorker { broker, leases, clock, mut feeder, .. } = bench(Memory::with(2), 8);
    let rows = rows(&mut feeder, &clock).await;
    broker.taken_over.lock().unwrap().push("7-1".parse().unwrap());
    let kept = tokio::time::timeout(MINUTE, renew_leases(&*broker, &leases, &clock, MINUTE)).await;
    assert!(kept.is_err());
    let held: Vec<_> = rows.iter().map(|row| row.prior.lease.as_ref().unwrap()).collect();
    assert!(held[0].is_unbroken() && !held[1].is_unbroken());
}

#[tokio::test(start_paused = true)]
async fn where_there_is_doubt_the_queue_is_asked_at_once_and_again_after_longer_where_it_does_not_answer() {
    let TestWorker { broker, leases, clock, mut feeder, .. } = bench(Memory::with(1), 8);
    rows(&mut feeder, &clock).await;
    let renewed = || broker.renewed.lock().unwrap().values().sum::<u32>();
    let mut keeper = Box::pin(renew_leases(&*broker, &leases, &clock, MINUTE));
    leases.doubt_all();
    assert!(tokio::time::timeout(Duration::from_millis(1), &mut keeper).await.is_err());
    assert_eq!(renewed(), 1);
    // The way to a queue that fails on each new connection is no short circuit.
    *broker.failures.lock().unwrap() = 2;
    for _ in 0..5 {
        leases.doubt_all();
        assert!(tokio::time::timeout(Duration::from_millis(10), &mut keeper).await.is_err());
    }
    assert_eq!((renewed(), *broker.failures.lock().unwrap()), (1, 1));
    assert!(tokio::time::timeout(SECOND, &mut keeper).await.is_err());
    assert!(renewed() >= 2);
}

/// A disk whose syncs wait until a test lets them go on, or fail.
struct HeldDisk(std::sync::mpsc::Receiver<std::io::Result<()>>);

struct Synchronised(Mutex<HeldDisk>);

impl Storage for Synchronised {
    fn append(&self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> std::io::Result<()> {
        self.0.lock().unwrap().0.recv().unwrap_or(Ok(()))
    }
}

/// A journal with one record, and what lets its sync go on.
fn journal() -> (Journal, std::sync::mpsc::Sender<std::io::Result<()>>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let disk = Synchronised(Mutex::new(HeldDisk(receiver)));
    let journal = Journal::new("j".into(), disk, Chain::new(Hasher::PLAIN));
    let attempt = AttemptStarted {
        source: "s/7-0".into(),
        line: 1,
        conference_id: "m0".into(),
        union_id: "u".into(),
        attempt: 1,
    };
    journal.append(&Record::Attempt(attempt), Timestamp::UNIX_EPOCH).unwrap();
    (journal, sender)
}

/// One entry that ended closed, on its way to the settler.
async fn one_ended(bench: &mut TestWorker, journal: &Journal) {
    let row = rows(&mut bench.feeder, &bench.clock).await.remove(0);
    end(bench, journal, &row, OutcomeKind::Closed);
}

fn end(bench: &TestWorker, journal: &Journal, row: &IncomingRow, kind: OutcomeKind) {
    let mut observer = QueueObserver {
        leases: bench.leases.clone(),
        run_id: "r".into(),
        durability: journal.durability(),
        settle_queue: bench.settle_queue.clone(),
    };
    observer.observe(&RunEvent::RowEnded { outcome: &outcome(row, kind) });
}

#[tokio::test(start_paused = true)]
async fn nothing_is_settled_before_its_outcome_is_on_the_disk() {
    let mut bench = bench(Memory::with(1), 8);
    let (journal, disk) = journal();
    one_ended(&mut bench, &journal).await;
    let TestWorker { broker, leases, feeder, settler, settle_queue, .. } = bench;
    drop((feeder, settle_queue));
    let mut settler = tokio::spawn(settler.run());
    assert!(tokio::time::timeout(MINUTE, &mut settler).await.is_err());
    assert!(broker.settled.lock().unwrap().is_empty() && !leases.lock().is_empty());
    disk.send(Ok(())).unwrap();
    settler.await.unwrap();
    let settlements: Vec<Settlement> =
        broker.settled.lock().unwrap().iter().map(|settled| settled.settlement.clone()).collect();
    assert_eq!(settlements, [Settlement::Acknowledge]);
    assert!(leases.lock().is_empty());
    drop(disk);
}

#[tokio::test(start_paused = true)]
async fn what_never_reaches_the_disk_is_never_settled() {
    let mut bench = bench(Memory::with(1), 8);
    let (journal, disk) = journal();
    one_ended(&mut bench, &journal).await;
    disk.send(Err(std::io::Error::other("input/output error"))).unwrap();
    let TestWorker { broker, feeder, settler, settle_queue, .. } = bench;
    drop((feeder, settle_queue));
    settler.run().await;
    assert!(broker.settled.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_does_not_take_is_offered_again_until_it_does() {
    let mut bench = bench(Memory::with(1), 8);
    let (journal, disk) = journal();
    drop(disk);
    one_ended(&mut bench, &journal).await;
    *bench.broker.failures.lock().unwrap() = 5;
    let TestWorker { broker, feeder, settler, settle_queue, .. } = bench;
    drop((feeder, settle_queue));
    settler.run().await;
    assert_eq!((broker.settled.lock().unwrap().len(), *broker.failures.lock().unwrap()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_burial_that_the_queue_refuses_keeps_no_acknowledgement_waiting() {
    let mut bench = bench(Memory::with(3), 8);
    let (journal, disk) = journal();
    drop(disk);
    let rows = rows(&mut bench.feeder, &bench.clock).await;
    for (row, kind) in rows.iter().zip([OutcomeKind::Failed, OutcomeKind::Closed, OutcomeKind::Failed]) {
        end(&bench, &journal, row, kind);
    }
    // The minute below passes at once, and the disk's thread is not on paused time.
    journal.sync().unwrap();
    *bench.broker.refuses_burials.lock().unwrap() = true;
    let TestWorker { broker, leases, feeder, settler, settle_queue, .. } = bench;
    drop((feeder, settle_queue));
    let mut settler = tokio::spawn(settler.run());
    assert!(tokio::time::timeout(MINUTE, &mut settler).await.is_err());
    let settled =
        || -> Vec<EntryId> { broker.settled.lock().unwrap().iter().map(|entry| entry.id).collect() };
    assert_eq!(settled(), ["7-1".parse().unwrap()]);
    assert_eq!(leases.lock().unsettled(), 2);
    *broker.refuses_burials.lock().unwrap() = false;
    settler.await.unwrap();
    assert_eq!(settled(), ["7-1", "7-0", "7-2"].map(|id| id.parse().unwrap()));
    assert!(leases.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_outcomes_the_queue_does_not_take_stops_taking() {
    let TestWorker { leases, clock, mut feeder, .. } = bench(Memory::with(10_000), 64);
    let mut ended = 0;
    while let FeedStep::Rows(rows) = step(&mut feeder, &clock, SECOND).await {
        for row in &rows {
            leases.lock().ended(&outcome(row, OutcomeKind::Closed), "r").unwrap();
        }
        ended += rows.len();
    }
    assert_eq!(ended, 4096);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_fed_until_midnight_and_what_comes_later_is_the_next_ones() {
    let TestWorker { broker, clock, mut feeder, .. } = bench(Memory::with(2), 8);
    tokio::time::advance((86_400 - 10) * SECOND).await;
    let first = rows(&mut feeder, &clock).await;
    let (_ask, stopped) = watch::channel(false);
    let ends = FeedLimits {
        until_empty: false,
        at: clock.now() + until_midnight(clock.timestamp()),
        journal: "/nowhere".into(),
        bytes: 1,
        stopped,
    };
    let (sender, mut run) = mpsc::channel(8);
    let feeding = tokio::spawn(feed(feeder, first, sender, ends));
    clock.wait_until(clock.now() + 9 * SECOND).await;
    broker.add(1);
    let mut feeder = feeding.await.unwrap();
    assert_eq!(clock.timestamp().to_string(), "2026-01-02T00:00:00Z");
    broker.add(1);
    let mut fed = 0;
    while let Some(row) = run.recv().await {
        row.unwrap();
        fed += 1;
    }
    assert_eq!((fed, rows(&mut feeder, &clock).await.len()), (3, 1));
}

#[test]
fn a_worker_ends_well_when_its_queue_is_empty_or_when_it_serves_and_is_told_to_end() {
    use ExitCode::{AuditLost, Done, Halted, Incomplete, Interrupted};
    let lost = JournalError { path: "j".into(), problem: "full".into(), durable_records: 0 };
    for (stop, to_drain, to_serve) in [
        (Stop::Deadline, Interrupted, Interrupted),
        (Stop::Interrupted, Interrupted, Done),
        (Stop::Outage(ReplyDetails::default()), Interrupted, Interrupted),
        (Stop::ListsLost("x".into()), Interrupted, Interrupted),
        (Stop::Halted(ReplyDetails::default()), Halted, Halted),
        (Stop::AuditLost(lost), AuditLost, AuditLost),
    ] {
        for runs in [Done, Incomplete, Interrupted] {
            assert_eq!(exit_code(Some(&stop), true, runs), to_drain, "{stop}, {runs:?}");
            assert_eq!(exit_code(Some(&stop), false, runs), to_serve, "{stop}, {runs:?}");
        }
    }
    for runs in [Done, Incomplete] {
        assert_eq!(exit_code(None, true, runs), runs);
    }
}

#[test]
fn a_drain_waits_half_an_hour_for_an_outage_to_end_and_a_service_for_ever() {
    assert_eq!(longest_outage(true), Some(Duration::from_mins(30)));
    assert_eq!(longest_outage(false), None);
}
