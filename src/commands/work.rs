//! `work`: entries of a queue in, meetings ended, one run after the other out.
//!
//! A worker's journal gives way to a new run at midnight UTC and when it has grown; each is a whole run with its reports. A
//! run begins with the first entry, so that a day without any leaves nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use super::begin::{self, Begun};
use crate::cli::WorkArgs;
use crate::clock::Clock;
use crate::dingtalk::HttpApi;
use crate::events::{Observe, Observers, RunEvent};
use crate::exit::{ExitCode, Failure};
use crate::intake::IntakeError;
use crate::journal::{self, Hasher, Record, RowCounts, RunFinished, RunStarted};
use crate::pace::{Pacer, Shared};
use crate::queue::{
    Broker as _, Feeder, Hand, Link, QueueObserver, RedisQueue, RedisQuota, Settler, Settling, SharedHand,
    Step, keep,
};
use crate::report;
use crate::run::{self, Arrival, Parts, RunEnd, Signal, Stop};
use crate::settings::Settings;
use crate::telemetry::RunLog;

/// Entries in a run without an outcome, for each request in flight: one on its way, and one that waits for its turn.
const CARRIED: usize = 2;
/// How long a worker that ends waits for a queue that does not answer.
const GOODBYE: Duration = Duration::from_secs(10);

pub(super) async fn run(args: WorkArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let settings = super::settings(config, options(&args))?;
    let hasher = begin::hasher(&settings)?;
    let clock = Clock::System;
    let link = Link::new(&settings.queue, "work")?;
    let auth = settings.dingtalk.auth()?;
    let api = Arc::new(HttpApi::new(&settings.dingtalk, auth, settings.pace.concurrency, clock.clone())?);
    let audit_dir = &settings.audit.dir;
    journal::lock_audit_dir(audit_dir).map_err(|error| begin::lost(audit_dir, &error))?;
    let signals = super::signals::listen().map_err(|error| Failure::new(ExitCode::Usage, error))?;

    let name = worker_name();
    let queue = Arc::new(RedisQueue::new(link.clone(), &settings.queue, name.clone(), clock.clone()));
    queue.join().await?;
    info!(worker = name, stream = settings.queue.stream, "joined the queue");
    let quota = RedisQuota::new(link, name, settings.pace);
    let (concurrency, per_second) = (settings.pace.concurrency, settings.pace.requests_per_second);
    let shared = Shared::start(quota, concurrency, per_second, clock.clone());
    let hand = SharedHand::new(Hand::new(&settings.queue.stream, clock.clone()));
    let (settler, settling) = Settler::new(Arc::clone(&queue), hand.clone(), clock.clone());
    let settler = tokio::spawn(settler.run());
    let keeper = tokio::spawn({
        let (queue, hand, clock, claim_after) =
            (Arc::clone(&queue), hand.clone(), clock.clone(), settings.queue.claim_after);
        async move { keep(&*queue, &hand, &clock, claim_after).await }
    });

    let feeder = Feeder::new(
        Arc::clone(&queue),
        hand.clone(),
        settling.clone(),
        clock.clone(),
        settings.queue.claim_after,
        CARRIED * concurrency,
    );
    let drains = args.drain;
    let worker =
        Worker { drains, settings, hasher, clock, api, queue, shared, hand, settling, signals, stop: None };
    let (worked, queue) = worker.work(feeder).await;

    // Every way to the settler is gone by now: it ends with the last entry.
    if tokio::time::timeout(GOODBYE, settler).await.is_err() {
        warn!(
            "the queue does not answer: what is done and not acknowledged is handed to another worker later"
        );
    }
    keeper.abort();
    match tokio::time::timeout(GOODBYE, queue.leave()).await {
        Ok(Ok(0)) => {}
        Ok(Ok(held)) => warn!("{held} entries stay with this worker until they are taken over"),
        Ok(Err(error)) => warn!("{error}"),
        Err(_) => warn!("the queue does not answer"),
    }
    worked
}

fn options(args: &WorkArgs) -> Vec<(&'static str, Value)> {
    let path = |path: &PathBuf| Value::from(path.to_string_lossy().into_owned());
    let options = [
        ("pace.requests_per_second", args.rate.map(Value::from)),
        ("pace.concurrency", args.concurrency.map(Value::from)),
        ("audit.dir", args.audit_dir.as_ref().map(path)),
    ];
    options.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// A name that no other worker has: host, process and a few digits for the process id that comes again.
fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "worker" } else { host.trim() };
    format!("{host}-{}-{:04x}", std::process::id(), fastrand::u16(..))
}

struct Worker {
    drains: bool,
    settings: Settings,
    hasher: Hasher,
    clock: Clock,
    api: Arc<HttpApi>,
    queue: Arc<RedisQueue>,
    shared: Shared,
    hand: SharedHand,
    settling: Settling,
    signals: mpsc::Receiver<Signal>,
    stop: Option<Stop>,
}

impl Worker {
    /// One run after the other, until there is a reason to end.
    async fn work(mut self, mut feeder: Feeder<RedisQueue>) -> (Result<ExitCode, Failure>, Arc<RedisQueue>) {
        let mut worst = ExitCode::Done;
        let ended = loop {
            let rows = match self.first_rows(&mut feeder).await {
                Step::Rows(rows) => rows,
                Step::Due => continue,
                Step::Emptied | Step::Stopped => break Ok(()),
            };
            match self.one_run(feeder, rows).await {
                Ok((code, returned)) => {
                    feeder = returned;
                    worst = if code == ExitCode::Done { worst } else { code };
                }
                Err(failure) => break Err(failure),
            }
            if self.stop.is_some() {
                break Ok(());
            }
        };
        let code = match (&self.stop, self.drains) {
            // Only a worker that was to empty the queue was interrupted in that; any other one ends so.
            (Some(Stop::Interrupted), false) => ExitCode::Done,
            (None, false) => ExitCode::Done,
            (Some(_), _) | (None, true) => worst,
        };
        (ended.map(|()| code), self.queue)
    }

    /// Waits for the first entries of the next run.
    async fn first_rows(&mut self, feeder: &mut Feeder<RedisQueue>) -> Step {
        let (stop, mut stopped) = watch::channel(false);
        let due = self.clock.now() + until_midnight(&self.clock);
        let step = feeder.step(self.drains, due, &mut stopped);
        tokio::pin!(step);
        let signalled = tokio::select! {
            step = &mut step => return step,
            signal = self.signals.recv() => signal.is_some(),
        };
        // What is being taken right now is not let go of unseen.
        let _ = stop.send(signalled);
        let step = step.await;
        self.stop = Some(Stop::Interrupted);
        if let Step::Rows(rows) = step {
            self.give_back(&rows).await;
        }
        Step::Stopped
    }

    async fn give_back(&self, rows: &[Arrival]) {
        let given_back = self.hand.lock().give_back(rows);
        if let Err(error) = self.queue.settle(&given_back).await {
            warn!("{error}");
        }
    }

    async fn one_run(
        &mut self,
        feeder: Feeder<RedisQueue>,
        rows: Vec<Arrival>,
    ) -> Result<(ExitCode, Feeder<RedisQueue>), Failure> {
        let rehearsal = self.settings.dingtalk.base_url.is_loopback();
        let started = run_started(&self.settings, rehearsal, &self.hasher);
        let begun = match begin::begin_of_queue(&self.settings, started, self.hasher.clone(), &self.clock) {
            Ok(begun) => begun,
            Err(failure) => {
                self.give_back(&rows).await;
                return Err(failure);
            }
        };
        info!(run_id = begun.run_id, "a run begins");
        self.hand.lock().begin_run();
        let (stop, stopped) = watch::channel(false);
        let (sender, receiver) = mpsc::channel(CARRIED * self.settings.pace.concurrency);
        let feed = tokio::spawn(feed(
            feeder,
            rows,
            sender,
            Ends {
                until_empty: self.drains,
                at: self.clock.now() + until_midnight(&self.clock),
                journal: begun.folder.join(journal::FILE_NAME),
                bytes: self.settings.queue.rotate_bytes,
                stopped,
            },
        ));
        let end = self.drive(&begun, receiver, stop.clone()).await;
        let _ = stop.send(true);
        let feeder = feed.await.map_err(|error| Failure::new(ExitCode::AuditLost, error))?;
        if let Some(stop) = &end.stop {
            self.stop = Some(stop.clone());
        }
        let code = finish(&end, &begun, &self.clock)?;
        Ok((code, feeder))
    }

    /// The run itself. Whatever stops it stops the feeder, too.
    async fn drive(
        &mut self,
        begun: &Begun,
        rows: mpsc::Receiver<Result<Arrival, IntakeError>>,
        stop: watch::Sender<bool>,
    ) -> RunEnd {
        let queue_observer = QueueObserver {
            hand: self.hand.clone(),
            run_id: begun.run_id.clone(),
            durability: begun.journal.durability(),
            settling: self.settling.clone(),
        };
        let mut observer = Observers(vec![
            Box::new(RunLog::new(&begun.run_id)),
            Box::new(queue_observer),
            Box::new(StopsFeeding(stop)),
        ]);
        let (forward, signals) = mpsc::channel(2);
        let parts = Parts {
            api: Arc::clone(&self.api),
            pacer: Pacer::sharing(self.shared.clone(), &self.settings.pace),
            pace: self.settings.pace,
            retry: self.settings.retry,
            seed: fastrand::u64(..),
            journal: &begun.journal,
            observer: &mut observer,
            signals,
            deadline: None,
            patience: None,
            clock: self.clock.clone(),
        };
        let run = run::run(parts, rows);
        tokio::pin!(run);
        loop {
            tokio::select! {
                end = &mut run => return end,
                Some(signal) = self.signals.recv() => {
                    // A run that has just ended does not hear it, and the next one does not begin.
                    let _ = forward.try_send(signal);
                    self.stop = Some(Stop::Interrupted);
                }
            }
        }
    }
}

/// When a run's rows end.
struct Ends {
    until_empty: bool,
    at: Instant,
    journal: PathBuf,
    bytes: u64,
    stopped: watch::Receiver<bool>,
}

/// Feeds a run until it ends for one of these reasons; the run drains what it has then.
async fn feed(
    mut feeder: Feeder<RedisQueue>,
    first: Vec<Arrival>,
    sender: mpsc::Sender<Result<Arrival, IntakeError>>,
    mut ends: Ends,
) -> Feeder<RedisQueue> {
    let mut rows = first;
    loop {
        for row in rows {
            // A run that lost its audit takes nothing more; its entries are handed to somebody else.
            if sender.send(Ok(row)).await.is_err() {
                return feeder;
            }
        }
        let has_grown = std::fs::metadata(&ends.journal).is_ok_and(|journal| journal.len() >= ends.bytes);
        if has_grown {
            return feeder;
        }
        rows = match feeder.step(ends.until_empty, ends.at, &mut ends.stopped).await {
            Step::Rows(rows) => rows,
            Step::Due | Step::Emptied | Step::Stopped => return feeder,
        };
    }
}

/// A run that stops is fed no more.
struct StopsFeeding(watch::Sender<bool>);

impl Observe for StopsFeeding {
    fn observe(&mut self, event: &RunEvent<'_>) {
        if let RunEvent::Stopping { .. } = event {
            self.0.send_replace(true);
        }
    }
}

/// From now to the next midnight in UTC.
fn until_midnight(clock: &Clock) -> Duration {
    let now = clock.timestamp().as_second();
    let seconds = 86_400 - now.rem_euclid(86_400);
    Duration::from_secs(u64::try_from(seconds).expect("between 1 and 86400"))
}

fn run_started(settings: &Settings, sandbox: bool, hasher: &Hasher) -> RunStarted {
    RunStarted {
        run_id: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        keyed: hasher.is_keyed(),
        sandbox,
        lists: vec![],
        lists_digest: String::new(),
        rows: RowCounts::default(),
        settings: settings.for_journal(),
        retry_of: None,
        queue: Some(settings.queue.stream.clone()),
    }
}

/// The last record, the reports and the table.
fn finish(end: &RunEnd, begun: &Begun, clock: &Clock) -> Result<ExitCode, Failure> {
    let Begun { folder, journal, hasher, .. } = begun;
    if let Some(Stop::AuditLost(error)) = &end.stop {
        return Err(error.clone().into());
    }
    if end.aborted {
        journal.sync()?;
        return Err(Failure::new(ExitCode::Interrupted, "let go of everything at the second signal"));
    }
    let code = ExitCode::of(end, |_| 0);
    let finished = RunFinished {
        exit_code: code.number(),
        reason: end.stop.as_ref().map_or(journal::EndReason::Completed, Stop::reason),
        detail: end.stop.as_ref().map(ToString::to_string).unwrap_or_default(),
        totals: end.totals.clone(),
    };
    journal.append(&Record::RunFinished(Box::new(finished)), clock.timestamp())?;
    journal.sync()?;
    print_end(folder, hasher)?;
    Ok(code)
}

fn print_end(folder: &Path, hasher: &Hasher) -> Result<(), Failure> {
    let summary = report::write_reports(folder, hasher.clone())?;
    super::close::print_end(&summary, folder);
    Ok(())
}
