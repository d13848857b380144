//! Feeder, lease renewal and settler with a queue in memory, on paused time.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::feeder::{FeedStep, Feeder, FeederParts};
use super::lease_renewal::renew_leases;
use super::leases::{Leases, SharedLeases};
use super::rotation::{FeedLimits, feed, until_midnight};
use super::settler::{QueueObserver, SettleQueue, Settler};
use crate::clock::Clock;
use crate::events::{Observe as _, RunEvent};
use crate::journal::{AttemptStarted, Chain, Hasher, Journal, Record, Storage};
use crate::lists::TriagedRow;
use crate::outcome::{Outcome, OutcomeKind, ReplyDetails};
use crate::queue::{Batch, Broker, BrokerError, Delivery, EntryId, Field, Renewed, Settled, Settlement};
use crate::run::IncomingRow;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// A queue in memory. Its next `failures` calls fail.
#[derive(Default)]
struct Memory {
    added: AtomicU64,
    waiting: Mutex<VecDeque<Delivery>>,
    settled: Mutex<Vec<Settled>>,
    renewed: Mutex<HashMap<EntryId, u32>>,
    taken_over: Mutex<Vec<EntryId>>,
    failures: Mutex<u32>,
    refuses_dead_letters: Mutex<bool>,
}

impl Memory {
    fn with(entries: u64) -> Arc<Self> {
        let memory = Self::default();
        memory.add(entries);
        Arc::new(memory)
    }

    /// Adds entries with new meetings.
    fn add(&self, entries: u64) {
        let field = |text: String| Some(Field { bytes: text.len(), start: text.into() });
        let delivery = |number: u64| Delivery {
            id: format!("7-{number}").parse().unwrap(),
            times_delivered: 1,
            in_doubt: false,
            conference_id: field(format!("m{number}")),
            union_id: field("u".into()),
        };
        let first = self.added.fetch_add(entries, Ordering::Relaxed);
        self.waiting.lock().unwrap().extend((first..first + entries).map(delivery));
    }

    fn fail(&self) -> Result<(), BrokerError> {
        let mut failures = self.failures.lock().unwrap();
        if *failures == 0 {
            return Ok(());
        }
        *failures -= 1;
        Err(error("it cannot be reached"))
    }
}

fn error(problem: &str) -> BrokerError {
    BrokerError { address: "memory".into(), problem: problem.into(), hint: None, is_transient: true }
}

impl Broker for Memory {
    async fn take(&self, limit: usize) -> Result<Batch, BrokerError> {
        self.fail()?;
        let mut waiting = self.waiting.lock().unwrap();
        let count = limit.min(waiting.len());
        let deliveries: Vec<Delivery> = waiting.drain(..count).collect();
        let pending = deliveries.len() as u64;
        Ok(Batch { deliveries, entries: waiting.len() as u64 + pending, pending })
    }

    async fn renew(&self, ids: &[EntryId]) -> Result<Renewed, BrokerError> {
        self.fail()?;
        for id in ids {
            *self.renewed.lock().unwrap().entry(*id).or_default() += 1;
        }
        let taken_over = self.taken_over.lock().unwrap().iter().copied().collect();
        Ok(Renewed { taken_over, ..Renewed::default() })
    }

    async fn settle(&self, settled: &[Settled]) -> Result<(), BrokerError> {
        self.fail()?;
        let has_dead_letter =
            settled.iter().any(|entry| matches!(entry.settlement, Settlement::DeadLetter { .. }));
        if has_dead_letter && *self.refuses_dead_letters.lock().unwrap() {
            return Err(error("it has no memory left"));
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

fn test_worker(broker: Arc<Memory>, capacity: usize) -> TestWorker {
    let clock = Clock::tokio();
    let leases = SharedLeases::new(Leases::new("s", clock.clone()));
    let (settler, settle_queue) = Settler::new(Arc::clone(&broker), leases.clone(), clock.clone());
    let feeder = Feeder::new(FeederParts {
        broker: Arc::clone(&broker),
        leases: leases.clone(),
        settle_queue: settle_queue.clone(),
        clock: clock.clone(),
        claim_after: MINUTE,
        capacity,
        on_batch: Box::new(|_| {}),
    });
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
    let (_sender, mut stopped) = watch::channel(false);
    feeder.step(false, clock.now() + within, &mut stopped).await
}

async fn rows(feeder: &mut Feeder<Memory>, clock: &Clock) -> Vec<IncomingRow> {
    match step(feeder, clock, MINUTE).await {
        FeedStep::Rows(rows) => rows,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_feeder_takes_no_more_than_its_capacity_and_leaves_the_rest_on_the_queue() {
    let TestWorker { broker, leases, clock, mut feeder, .. } = test_worker(Memory::with(100), 8);
    let taken = rows(&mut feeder, &clock).await;
    assert_eq!((taken.len(), broker.waiting.lock().unwrap().len()), (8, 92));
    assert!(matches!(step(&mut feeder, &clock, MINUTE).await, FeedStep::Due));
    // The feeder takes more only when half the capacity is free.
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
async fn the_feeder_waits_longer_after_each_failure_of_the_queue() {
    let broker = Memory::with(1);
    *broker.failures.lock().unwrap() = 4;
    let TestWorker { clock, mut feeder, .. } = test_worker(broker, 8);
    let start = clock.now();
    rows(&mut feeder, &clock).await;
    assert_eq!((clock.now() - start).as_millis(), 100 + 200 + 400 + 800);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_four_times_before_it_would_run_out() {
    let TestWorker { broker, leases, clock, mut feeder, .. } = test_worker(Memory::with(3), 8);
    let rows = rows(&mut feeder, &clock).await;
    let renewal = tokio::time::timeout(10 * MINUTE, renew_leases(&*broker, &leases, &clock, MINUTE)).await;
    assert!(renewal.is_err());
    assert!(broker.renewed.lock().unwrap().values().all(|times| (39..=40).contains(times)));
    assert!(rows.iter().all(|row| row.prior.lease.as_ref().unwrap().is_unbroken()));
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_lost_when_another_worker_has_the_entry_and_the_other_leases_stay_held() {
    let TestWorker { broker, leases, clock, mut feeder, .. } = test_worker(Memory::with(2), 8);
    let rows = rows(&mut feeder, &clock).await;
    broker.taken_over.lock().unwrap().push("7-1".parse().unwrap());
    let renewal = tokio::time::timeout(MINUTE, renew_leases(&*broker, &leases, &clock, MINUTE)).await;
    assert!(renewal.is_err());
    let leases: Vec<_> = rows.iter().map(|row| row.prior.lease.as_ref().unwrap()).collect();
    assert!(leases[0].is_unbroken() && !leases[1].is_unbroken());
}

#[tokio::test(start_paused = true)]
async fn leases_in_doubt_are_renewed_at_once_and_later_if_the_queue_does_not_answer() {
    let TestWorker { broker, leases, clock, mut feeder, .. } = test_worker(Memory::with(1), 8);
    rows(&mut feeder, &clock).await;
    let renewed = || broker.renewed.lock().unwrap().values().sum::<u32>();
    let mut renewal = Box::pin(renew_leases(&*broker, &leases, &clock, MINUTE));
    leases.doubt_all();
    assert!(tokio::time::timeout(Duration::from_millis(1), &mut renewal).await.is_err());
    assert_eq!(renewed(), 1);
    // A queue that fails on each new connection is not asked again at once, however often leases come into doubt.
    *broker.failures.lock().unwrap() = 2;
    for _ in 0..5 {
        leases.doubt_all();
        assert!(tokio::time::timeout(Duration::from_millis(10), &mut renewal).await.is_err());
    }
    assert_eq!((renewed(), *broker.failures.lock().unwrap()), (1, 1));
    assert!(tokio::time::timeout(SECOND, &mut renewal).await.is_err());
    assert!(renewed() >= 2);
}

/// A disk that waits in each sync for the result that a test sends.
struct ControlledDisk(Mutex<std::sync::mpsc::Receiver<std::io::Result<()>>>);

impl Storage for ControlledDisk {
    fn append(&self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> std::io::Result<()> {
        self.0.lock().unwrap().recv().unwrap_or(Ok(()))
    }
}

/// A journal with one record, and the sender of its sync's result.
fn journal() -> (Journal, std::sync::mpsc::Sender<std::io::Result<()>>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let disk = ControlledDisk(Mutex::new(receiver));
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

/// Takes one entry, and ends its row as closed.
async fn one_ended(worker: &mut TestWorker, journal: &Journal) {
    let row = rows(&mut worker.feeder, &worker.clock).await.remove(0);
    end(worker, journal, &row, OutcomeKind::Closed);
}

fn end(worker: &TestWorker, journal: &Journal, row: &IncomingRow, kind: OutcomeKind) {
    let mut observer = QueueObserver {
        leases: worker.leases.clone(),
        run_id: "r".into(),
        durability: journal.durability(),
        settle_queue: worker.settle_queue.clone(),
    };
    observer.observe(&RunEvent::RowEnded { outcome: &outcome(row, kind) });
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_not_settled_before_its_outcome_is_on_the_disk() {
    let mut worker = test_worker(Memory::with(1), 8);
    let (journal, disk) = journal();
    one_ended(&mut worker, &journal).await;
    let TestWorker { broker, leases, feeder, settler, settle_queue, .. } = worker;
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
async fn an_entry_is_never_settled_if_its_outcome_cannot_be_written() {
    let mut worker = test_worker(Memory::with(1), 8);
    let (journal, disk) = journal();
    one_ended(&mut worker, &journal).await;
    disk.send(Err(std::io::Error::other("input/output error"))).unwrap();
    let TestWorker { broker, feeder, settler, settle_queue, .. } = worker;
    drop((feeder, settle_queue));
    settler.run().await;
    assert!(broker.settled.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_settler_retries_until_the_queue_has_settled_an_entry() {
    let mut worker = test_worker(Memory::with(1), 8);
    let (journal, disk) = journal();
    drop(disk);
    one_ended(&mut worker, &journal).await;
    *worker.broker.failures.lock().unwrap() = 5;
    let TestWorker { broker, feeder, settler, settle_queue, .. } = worker;
    drop((feeder, settle_queue));
    settler.run().await;
    assert_eq!((broker.settled.lock().unwrap().len(), *broker.failures.lock().unwrap()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refused_dead_letter_does_not_delay_acknowledgements() {
    let mut worker = test_worker(Memory::with(3), 8);
    let (journal, disk) = journal();
    drop(disk);
    let rows = rows(&mut worker.feeder, &worker.clock).await;
    for (row, kind) in rows.iter().zip([OutcomeKind::Failed, OutcomeKind::Closed, OutcomeKind::Failed]) {
        end(&worker, &journal, row, kind);
    }
    // The minute below passes at once, but the disk's thread does not use the paused time. So sync first.
    journal.sync().unwrap();
    *worker.broker.refuses_dead_letters.lock().unwrap() = true;
    let TestWorker { broker, leases, feeder, settler, settle_queue, .. } = worker;
    drop((feeder, settle_queue));
    let mut settler = tokio::spawn(settler.run());
    assert!(tokio::time::timeout(MINUTE, &mut settler).await.is_err());
    let settled =
        || -> Vec<EntryId> { broker.settled.lock().unwrap().iter().map(|entry| entry.id).collect() };
    assert_eq!(settled(), ["7-1".parse().unwrap()]);
    assert_eq!(leases.lock().unsettled(), 2);
    *broker.refuses_dead_letters.lock().unwrap() = false;
    settler.await.unwrap();
    assert_eq!(settled(), ["7-1", "7-0", "7-2"].map(|id| id.parse().unwrap()));
    assert!(leases.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_feeder_takes_no_more_entries_while_the_queue_settles_none() {
    let TestWorker { leases, clock, mut feeder, .. } = test_worker(Memory::with(10_000), 64);
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
async fn a_run_is_fed_until_midnight_and_later_entries_belong_to_the_next_run() {
    let TestWorker { broker, clock, mut feeder, .. } = test_worker(Memory::with(2), 8);
    tokio::time::advance((86_400 - 10) * SECOND).await;
    let first = rows(&mut feeder, &clock).await;
    let (_sender, stopped) = watch::channel(false);
    let limits = FeedLimits {
        until_empty: false,
        due: clock.now() + until_midnight(clock.timestamp()),
        journal: "/nowhere".into(),
        max_journal_bytes: 1,
        stopped,
    };
    let (sender, mut run) = mpsc::channel(8);
    let feeding = tokio::spawn(feed(feeder, first, sender, limits));
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
