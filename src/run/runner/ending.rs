//! How a run ends early: the requests in flight may finish, and every other row gets its outcome.
//!
//! Invariant: a run that stops sends no new request, and still gives every row an outcome.

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
    /// Does what a signal asks.
    pub(super) fn handle_signal(&mut self, signal: Signal) -> Result<(), Break> {
        match signal {
            Signal::Abort => Err(Break::Abort),
            Signal::Drain => {
                self.stop(Stop::Interrupted);
                Ok(())
            }
        }
    }

    /// Reports a stop that the dispatcher decided, where the run was running before.
    pub(super) fn report_dispatchers_stop(&mut self, was_running: bool) {
        if was_running && let Some(stop) = self.dispatcher.stopped().cloned() {
            self.stop(stop);
        }
    }

    /// Sends no new request from now on.
    pub(super) fn stop(&mut self, stop: Stop) {
        self.report(&RunEvent::Stopping { reason: &stop.to_string() });
        self.dispatcher.stop(stop);
        self.grace_until.get_or_insert(self.parts.clock.now() + GRACE);
    }

    /// The time for the requests in flight is over: the run does not wait for them, and their meetings' state stays unknown.
    pub(super) fn abandon_in_flight(&mut self, now: Instant) -> Result<(), Break> {
        self.grace_until = None;
        self.tasks.abort_all();
        let exchange = Exchange::NoReply(NoReply::Timeout);
        for (_, request) in std::mem::take(&mut self.in_flight) {
            debug_assert!(request.sent_at <= now, "a request is sent before it is abandoned");
            self.attempt_ended(request, &exchange)?;
        }
        Ok(())
    }

    /// The run has stopped: every row that waits gets its outcome.
    pub(super) fn end_waiting_rows(&mut self) -> Result<(), Break> {
        self.end_failed_rows()?;
        while let Some(job) = self.dispatcher.take_leftover() {
            let job = self.dispatcher.with_stop_reason(job);
            self.end_row(job, OutcomeKind::NotAttempted)?;
        }
        Ok(())
    }

    /// The run has stopped: the rows that it has not read yet get their outcome too.
    pub(super) async fn end_unread_rows(&mut self) -> Result<(), Break> {
        while self.rows_open {
            match self.rows.recv().await {
                None => self.rows_open = false,
                Some(Ok(IncomingRow { entry: TriagedRow::ToClose { origin, request }, prior })) => {
                    let job = self.dispatcher.with_stop_reason(Job::new(origin, request).after(prior));
                    self.end_row(job, OutcomeKind::NotAttempted)?;
                }
                Some(other) => self.take_row(Some(other))?,
            }
        }
        Ok(())
    }
}
