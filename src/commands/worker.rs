//! A worker's runs, one after the other.
//!
//! Each is a whole run with its reports. A run begins with the first entry, so that a day without any leaves nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tracing::{Instrument as _, info, info_span, warn};

#[cfg(feature = "otlp")]
use super::aftermath;
use super::aftermath::Ended;
use super::begin::{self, Begun};
use super::close::PATIENCE;
use crate::clock::Clock;
use crate::dingtalk::HttpApi;
use crate::events::{Observe, Observers, RunEvent};
use crate::exit::{ExitCode, Failure};
use crate::intake::IntakeError;
use crate::journal::{self, Hasher, Record, RowCounts, RunFinished, RunStarted};
use crate::metrics::{Metrics, Readiness};
use crate::pace::{Pacer, Shared};
use crate::queue::{
    self, Broker as _, Ends, Feeder, QueueObserver, RedisQueue, Settling, SharedHand, Step, Watched,
};
use crate::report;
use crate::run::{self, Arrival, Parts, RunEnd, Signal, Stop};
use crate::settings::Settings;
use crate::telemetry::RunLog;

/// Entries in a run without an outcome, for each request in flight: one on its way, and one that waits for its turn.
pub(super) const CARRIED: usize = 2;

/// The queue that a worker works on.
pub(super) type Queue = Watched<RedisQueue>;

/// What a worker's runs share.
pub(super) struct Worker {
    pub(super) drains: bool,
    pub(super) settings: Settings,
    pub(super) hasher: Hasher,
    pub(super) clock: Clock,
    pub(super) api: Arc<HttpApi>,
    pub(super) queue: Arc<Queue>,
    pub(super) shared: Shared,
    pub(super) hand: SharedHand,
    pub(super) settling: Settling,
    pub(super) signals: mpsc::Receiver<Signal>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Readiness,
    pub(super) stop: Option<Stop>,
}

/// What is left of a worker that works no more.
pub(super) struct Parting {
    pub(super) ended: Result<ExitCode, Failure>,
    pub(super) queue: Arc<Queue>,
    pub(super) signals: mpsc::Receiver<Signal>,
}

impl Worker {
    /// One run after the other, until there is a reason to end.
    pub(super) async fn work(mut self, mut feeder: Feeder<Queue>) -> Parting {
        let mut worst = ExitCode::Done;
        let ended = loop {
            let rows = match self.first_rows(&mut feeder).await {
                Step::Rows(rows) => rows,
                Step::Due => continue,
                Step::Stopped | Step::Emptied { stranded: 0 } => break Ok(()),
                Step::Emptied { stranded } => {
                    self.tell_of_stranded(stranded);
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
        let code = ExitCode::of_worker(self.stop.as_ref(), self.drains, worst);
        Parting { ended: ended.map(|()| code), queue: self.queue, signals: self.signals }
    }

    /// Waits for the first entries of the next run.
    async fn first_rows(&mut self, feeder: &mut Feeder<Queue>) -> Step {
        let (ask_to_stop, mut stopped) = watch::channel(false);
        let due = self.clock.now() + queue::until_midnight(self.clock.timestamp());
        let look = feeder.step(self.drains, due, &mut stopped);
        tokio::pin!(look);
        tokio::select! {
            step = &mut look => return step,
            Some(_) = self.signals.recv() => {}
        }
        // What is being taken right now is not let go of unseen.
        let _ = ask_to_stop.send(true);
        match look.await {
            emptied @ Step::Emptied { .. } => return emptied,
            Step::Rows(rows) => self.give_back(&rows).await,
            Step::Due | Step::Stopped => {}
        }
        self.readiness.ends("a signal came");
        self.stop = Some(Stop::Interrupted);
        if self.drains {
            warn!("a signal came before the queue was empty: the same command goes on");
        }
        Step::Stopped
    }

    fn tell_of_stranded(&self, stranded: u64) {
        let queue = &self.settings.queue;
        warn!(
            "{stranded} entries stand on {stream} that nobody is handed: they were acknowledged by hand, or their worker's \
             name was deleted. Delete them (XDEL), or have all handed out anew (XGROUP SETID {stream} {group} 0)",
            stream = queue.stream,
            group = queue.group,
        );
    }

    async fn give_back(&self, rows: &[Arrival]) {
        let given_back = self.hand.lock().give_back(rows);
        if let Err(error) = self.queue.settle(&given_back).await {
            warn!("{error}");
        }
    }

    async fn one_run(
        &mut self,
        feeder: Feeder<Queue>,
        rows: Vec<Arrival>,
    ) -> Result<(ExitCode, Feeder<Queue>), Failure> {
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
        let (stop, stopped) = watch::channel(false);
        let (sender, receiver) = mpsc::channel(CARRIED * self.settings.pace.concurrency);
        let feed = tokio::spawn(queue::feed(
            feeder,
            rows,
            sender,
            Ends {
                until_empty: self.drains,
                at: self.clock.now() + queue::until_midnight(self.clock.timestamp()),
                journal: begun.folder.join(journal::FILE_NAME),
                bytes: self.settings.queue.rotate_bytes,
                stopped,
            },
        ));
        // The span's name stands in every line that the run logs.
        let span = if rehearsal { info_span!("sandbox") } else { tracing::Span::none() };
        let ended = self.drive(&begun, receiver, stop.clone()).instrument(span).await;
        let _ = stop.send(true);
        let feeder = feed.await.map_err(|error| Failure::new(ExitCode::AuditLost, error))?;
        self.hand.lock().end_run();
        let code = match &ended {
            Ok((code, _)) => *code,
            Err(failure) => failure.code,
        };
        self.metrics.run_ended(code.number(), self.clock.timestamp());
        ended.map(|_| (code, feeder))
    }

    /// The run itself. Whatever stops it stops the feeder, too.
    async fn drive(
        &mut self,
        begun: &Begun,
        rows: mpsc::Receiver<Result<Arrival, IntakeError>>,
        stop: watch::Sender<bool>,
    ) -> Ended {
        let queue_observer = QueueObserver {
            hand: self.hand.clone(),
            run_id: begun.run_id.clone(),
            durability: begun.journal.durability(),
            settling: self.settling.clone(),
        };
        let mut observer = Observers(vec![
            Box::new(RunLog::new(&begun.run_id)),
            Box::new(queue_observer),
            Box::new(self.metrics.watcher()),
            Box::new(StopsFeeding { stop, readiness: self.readiness.clone() }),
        ]);
        #[cfg(feature = "otlp")]
        let traces = {
            let rehearsal = self.settings.dingtalk.base_url.is_loopback();
            aftermath::begin_traces(&begun.run_id, rehearsal, &self.clock, &mut observer)
        };
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
            patience: patience(self.drains),
            clock: self.clock.clone(),
        };
        let run = run::run(parts, rows);
        tokio::pin!(run);
        let end = loop {
            tokio::select! {
                end = &mut run => break end,
                Some(signal) = self.signals.recv() => {
                    // A run that has just ended does not hear it, and the next one does not begin.
                    let _ = forward.try_send(signal);
                    self.stop = Some(Stop::Interrupted);
                }
            }
        };
        if let Some(stop) = &end.stop {
            self.stop = Some(stop.clone());
        }
        let ended = finish(&end, begun, &self.clock);
        #[cfg(feature = "otlp")]
        aftermath::end_traces(traces, &ended, &self.clock).await;
        ended
    }
}

/// How long an outage of DingTalk is waited out: for ever by a worker that serves, as long as by a `close` by one that somebody
/// started to come to an end.
fn patience(drains: bool) -> Option<Duration> {
    drains.then_some(PATIENCE)
}

/// A run that stops is fed no more.
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
fn finish(end: &RunEnd, begun: &Begun, clock: &Clock) -> Ended {
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
    let summary = report::write_reports(folder, hasher.clone())?;
    super::close::print_end(&summary, folder);
    Ok((code, summary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_waits_an_outage_out_for_half_an_hour_and_a_service_for_ever() {
        assert_eq!(patience(true), Some(Duration::from_mins(30)));
        assert_eq!(patience(false), None);
    }
}
