//! The long-running worker: entries of a queue in, meetings ended, one run after the other out.
//!
//! The `feeder` prefetches entries, and each becomes a row (`entry_row`) under a lease (`leases`). `lease_renewal` renews the
//! leases. The `settler` settles an entry once its outcome is on the disk. At midnight, or when the journal has grown, the
//! next run begins (`rotation`). A run begins with its first entry, so a day without entries leaves no run.
//!
//! Invariant: an entry is settled once its outcome is durable, and not before.

mod entry_row;
mod feeder;
mod join;
mod lease_renewal;
mod leases;
mod rotation;
mod settler;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tracing::{Instrument as _, info, info_span, warn};

pub(crate) use feeder::{FeedStep, Feeder};
pub(crate) use join::{join, leave, worker_name};
pub(crate) use lease_renewal::renew_leases;
pub(crate) use leases::{Leases, SharedLeases};
use rotation::{FeedLimits, feed, until_midnight};
use settler::QueueObserver;
pub(crate) use settler::{SettleQueue, Settler};

use crate::clock::Clock;
use crate::dingtalk::HttpApi;
use crate::events::{Observe, Observers, RunEvent};
use crate::exit::{ExitCode, Failure};
use crate::journal::{self, Hasher};
#[cfg(feature = "otlp")]
use crate::lifecycle::after;
use crate::lifecycle::{self, Finished, LONGEST_OUTAGE, RowSource, StartedRun};
use crate::lists::ListError;
use crate::metrics::{Metrics, Readiness};
use crate::pace::{Pacer, SharedQuota};
use crate::queue::{Broker as _, MonitoredQueue, RedisQueue};
use crate::run::{self, IncomingRow, RunParts, Signal, Stop};
use crate::settings::Settings;
use crate::telemetry::RunLog;

/// Entries in a run without an outcome, for each request in flight: the one in flight, and one that waits for its turn.
pub(crate) const PREFETCH: usize = 2;

/// The queue that a worker works on.
pub(crate) type Queue = MonitoredQueue<RedisQueue>;

/// What a worker's runs share.
pub(crate) struct Worker {
    pub(crate) drains: bool,
    pub(crate) settings: Settings,
    pub(crate) hasher: Hasher,
    pub(crate) clock: Clock,
    pub(crate) api: Arc<HttpApi>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) quota: SharedQuota,
    pub(crate) leases: SharedLeases,
    pub(crate) settle_queue: SettleQueue,
    pub(crate) signals: mpsc::Receiver<Signal>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) readiness: Readiness,
    pub(crate) stop: Option<Stop>,
}

/// How a worker ended, and what is still needed to leave the queue.
pub(crate) struct WorkerEnd {
    pub(crate) ended: Result<ExitCode, Failure>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) signals: mpsc::Receiver<Signal>,
}

impl Worker {
    /// Does one run after the other, until there is a reason to stop.
    pub(crate) async fn work(mut self, mut feeder: Feeder<Queue>) -> WorkerEnd {
        let mut worst = ExitCode::Done;
        let ended = loop {
            let rows = match self.first_rows(&mut feeder).await {
                FeedStep::Rows(rows) => rows,
                FeedStep::Due => continue,
                FeedStep::Stopped | FeedStep::Emptied { stranded: 0 } => break Ok(()),
                FeedStep::Emptied { stranded } => {
                    self.warn_of_stranded(stranded);
                    worst = if worst == ExitCode::Done { ExitCode::Incomplete } else { worst };
                    break Ok(());
                }
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
        let code = exit_code(self.stop.as_ref(), self.drains, worst);
        WorkerEnd { ended: ended.map(|()| code), queue: self.queue, signals: self.signals }
    }

    /// Waits for the first entries of the next run.
    async fn first_rows(&mut self, feeder: &mut Feeder<Queue>) -> FeedStep {
        let (ask_to_stop, mut stopped) = watch::channel(false);
        let due = self.clock.now() + until_midnight(self.clock.timestamp());
        let step = feeder.step(self.drains, due, &mut stopped);
        tokio::pin!(step);
        tokio::select! {
            step = &mut step => return step,
            Some(_) = self.signals.recv() => {}
        }
        // The feeder may be taking entries right now, so it is not cancelled: it returns them.
        let _ = ask_to_stop.send(true);
        match step.await {
            emptied @ FeedStep::Emptied { .. } => return emptied,
            FeedStep::Rows(rows) => self.release(&rows).await,
            FeedStep::Due | FeedStep::Stopped => {}
        }
        self.readiness.ends("a signal came");
        self.stop = Some(Stop::Interrupted);
        if self.drains {
            warn!("a signal came before the queue was empty; the same command continues");
        }
        FeedStep::Stopped
    }

    fn warn_of_stranded(&self, stranded: u64) {
        let queue = &self.settings.queue;
        warn!(
            "{stranded} entries are stranded on {stream}: no worker is handed them, because somebody acknowledged them by \
             hand or deleted their worker's name. Delete them (XDEL), or have all delivered again (XGROUP SETID {stream} \
             {group} 0)",
            stream = queue.stream,
            group = queue.group,
        );
    }

    async fn release(&self, rows: &[IncomingRow]) {
        let released = self.leases.lock().release(rows);
        if let Err(error) = self.queue.settle(&released).await {
            warn!("{error}");
        }
    }

    async fn one_run(
        &mut self,
        feeder: Feeder<Queue>,
        rows: Vec<IncomingRow>,
    ) -> Result<(ExitCode, Feeder<Queue>), Failure> {
        let is_rehearsal = self.settings.dingtalk.base_url.is_loopback();
        let source = RowSource::Queue { stream: &self.settings.queue.stream };
        let record = lifecycle::run_started(&self.settings, is_rehearsal, &self.hasher, source);
        let started = match lifecycle::start_worker_run(&self.settings, record, &self.hasher, &self.clock) {
            Ok(started) => started,
            Err(failure) => {
                self.release(&rows).await;
                return Err(failure);
            }
        };
        info!(run_id = started.run_id, "a run begins");
        let (stop, stopped) = watch::channel(false);
        let (sender, receiver) = mpsc::channel(PREFETCH * self.settings.pace.concurrency);
        let limits = FeedLimits {
            until_empty: self.drains,
            at: self.clock.now() + until_midnight(self.clock.timestamp()),
            journal: started.folder.join(journal::FILE_NAME),
            bytes: self.settings.queue.rotate_bytes,
            stopped,
        };
        let feed = tokio::spawn(feed(feeder, rows, sender, limits));
        // The span's name stands in every line that the run logs.
        let span = if is_rehearsal { info_span!("sandbox") } else { tracing::Span::none() };
        let finished = self.drive(&started, receiver, stop.clone()).instrument(span).await;
        let _ = stop.send(true);
        let feeder = feed.await.map_err(|error| Failure::new(ExitCode::AuditLost, error))?;
        self.leases.lock().end_run();
        let code = lifecycle::exit_code(&finished);
        self.metrics.run_ended(code.number(), self.clock.timestamp());
        finished.map(|_| (code, feeder))
    }

    /// The run itself. What stops it stops the feeder, too.
    async fn drive(
        &mut self,
        started: &StartedRun,
        rows: mpsc::Receiver<Result<IncomingRow, ListError>>,
        stop: watch::Sender<bool>,
    ) -> Finished {
        let queue_observer = QueueObserver {
            leases: self.leases.clone(),
            run_id: started.run_id.clone(),
            durability: started.journal.durability(),
            settle_queue: self.settle_queue.clone(),
        };
        let mut observer = Observers(vec![
            Box::new(RunLog::new(&started.run_id)),
            Box::new(queue_observer),
            Box::new(self.metrics.watcher()),
            Box::new(StopsFeeding { stop, readiness: self.readiness.clone() }),
        ]);
        #[cfg(feature = "otlp")]
        let traces = {
            let is_rehearsal = self.settings.dingtalk.base_url.is_loopback();
            after::begin_traces(&started.run_id, is_rehearsal, &self.clock, &mut observer)
        };
        let (forward, signals) = mpsc::channel(2);
        let parts = RunParts {
            api: Arc::clone(&self.api),
            pacer: Pacer::sharing(self.quota.clone(), &self.settings.pace, longest_outage(self.drains)),
            pace: self.settings.pace,
            retry: self.settings.retry,
            seed: fastrand::u64(..),
            journal: &started.journal,
            observer: &mut observer,
            signals,
            deadline: None,
            clock: self.clock.clone(),
        };
        let run = run::run(parts, rows);
        tokio::pin!(run);
        let end = loop {
            tokio::select! {
                end = &mut run => break end,
                Some(signal) = self.signals.recv() => {
                    // A run that has just ended does not receive it, and the next one does not begin.
                    let _ = forward.try_send(signal);
                    self.stop = Some(Stop::Interrupted);
                }
            }
        };
        if let Some(stop) = &end.stop {
            self.stop = Some(stop.clone());
        }
        let finished = lifecycle::finish(&end, started, &self.clock);
        #[cfg(feature = "otlp")]
        after::end_traces(traces, &finished, &self.clock).await;
        finished
    }
}

/// The exit code of a worker: `stop` is why it stopped, and `runs` is the worst exit code of its runs. A signal is the normal
/// end of a service. For a worker that drains the queue, it is an interruption.
const fn exit_code(stop: Option<&Stop>, drains: bool, runs: ExitCode) -> ExitCode {
    match stop {
        None => runs,
        Some(Stop::Interrupted) if !drains => ExitCode::Done,
        Some(stop) => stop.exit_code(),
    }
}

/// How long a run waits for DingTalk to come back: for ever in a service, as long as `close` in a worker that drains the
/// queue.
fn longest_outage(drains: bool) -> Option<Duration> {
    drains.then_some(LONGEST_OUTAGE)
}

/// Stops the feeder when the run stops.
struct StopsFeeding {
    stop: watch::Sender<bool>,
    readiness: Readiness,
}

impl Observe for StopsFeeding {
    fn observe(&mut self, event: &RunEvent<'_>) {
        if let RunEvent::Stopping { reason } = event {
            self.stop.send_replace(true);
            self.readiness.ends(reason);
        }
    }
}
