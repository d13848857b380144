//! How a run ends before its rows do: what is in flight may finish, and every other row leaves with its outcome.

use std::time::Duration;

use tokio::time::Instant;

use super::{Break, Runner};
use crate::dingtalk::{Api, Exchange, NoReply};
use crate::events::RunEvent;
use crate::lists::TriagedRow;
use crate::outcome::OutcomeKind;
use crate::run::{IncomingRow, Job, Signal, Stop};

/// How long requests in flight may take to finish once a run stops.
const GRACE: Duration = Duration::from_secs(10);

impl<A: Api> Runner<'_, A> {
    /// What somebody outside asks.
    pub(super) fn heed(&mut self, signal: Signal) -> Result<(), Break> {
        match signal {
            Signal::Abort => Err(Break::Abort),
            Signal::Drain => {
                self.stop(Stop::Interrupted);
                Ok(())
            }
        }
    }

    /// The dispatcher decided to stop, where the run was `running` before.
    pub(super) fn heed_dispatchers_stop(&mut self, running: bool) {
        if running && let Some(stop) = self.dispatcher.stopped().cloned() {
            self.stop(stop);
        }
    }

    /// Starts nothing new from now on.
    pub(super) fn stop(&mut self, stop: Stop) {
        self.report(&RunEvent::Stopping { reason: &stop.to_string() });
        self.dispatcher.stop(stop);
        self.grace_until.get_or_insert(self.parts.clock.now() + GRACE);
    }

    /// The grace is over: what is still in flight is not waited for, and its meetings' state stays unknown.
    pub(super) fn abandon_in_flight(&mut self, now: Instant) -> Result<(), Break> {
        self.grace_until = None;
        self.tasks.abort_all();
        let exchange = Exchange::NoReply(NoReply::Timeout);
        for (_, request) in std::mem::take(&mut self.in_flight) {
            debug_assert!(request.sent_at <= now, "a flight leaves before it is let go of");
            self.attempt_ended(request, &exchange)?;
        }
        Ok(())
    }

    /// The run has stopped: what was on its way and is in flight no more is left out.
    pub(super) fn leave_out_the_rest(&mut self) -> Result<(), Break> {
        while let Some(job) = self.dispatcher.take_leftover() {
            let job = self.dispatcher.leave_out(job);
            self.end(job, OutcomeKind::NotAttempted)?;
        }
        Ok(())
    }

    /// The run has stopped: the rows that it never took in get their outcome too.
    pub(super) async fn drain_rows(&mut self) -> Result<(), Break> {
        while self.rows_open {
            match self.rows.recv().await {
                None => self.rows_open = false,
                Some(Ok(IncomingRow { entry: TriagedRow::ToClose { origin, request }, prior })) => {
                    let job = self.dispatcher.leave_out(Job::new(origin, request).after(prior));
                    self.end(job, OutcomeKind::NotAttempted)?;
                }
                Some(other) => self.row(Some(other))?,
            }
        }
        Ok(())
    }
}
