//! The progress of a run: a bar on a terminal, and a line every few seconds elsewhere.
//!
//! Invariant: the numbers come from [`RunEvent`]s only.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::events::{Observe, RunEvent};
use crate::outcome::OutcomeKind;
use crate::wording::count;

/// The time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgressMode {
    Bar,
    /// A line every few seconds.
    Plain,
    None,
}

/// Shows the progress of a run until it is dropped.
pub(crate) struct Progress {
    counts: Arc<Mutex<Counts>>,
    bar: Option<ProgressBar>,
    task: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts to show progress. `done` of `rows` rows were done before; `sandbox`: the run is a rehearsal.
    pub(crate) fn start(
        mode: ProgressMode,
        (done, rows): (u64, u64),
        sandbox: bool,
        terminal: &MultiProgress,
        clock: &Clock,
    ) -> Self {
        let counts = Arc::new(Mutex::new(Counts {
            rows,
            done,
            done_before: done,
            sandbox,
            ..Counts::new(clock.now())
        }));
        match mode {
            ProgressMode::None => Self { counts, bar: None, task: None },
            ProgressMode::Bar => {
                let bar = terminal.add(ProgressBar::new(rows).with_position(done));
                bar.set_style(style());
                bar.set_message(if sandbox { "sandbox, " } else { "" });
                bar.enable_steady_tick(Duration::from_millis(200));
                let countdown = tokio::spawn(count_down(Arc::clone(&counts), bar.clone(), clock.clone()));
                Self { counts, bar: Some(bar), task: Some(countdown) }
            }
            ProgressMode::Plain => {
                let lines = tokio::spawn(print_lines(Arc::clone(&counts), clock.clone()));
                Self { counts, bar: None, task: Some(lines) }
            }
        }
    }

    /// The observer that counts the run's events.
    pub(crate) fn observer(&self) -> impl Observe + use<> {
        Watcher { counts: Arc::clone(&self.counts), bar: self.bar.clone() }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} rows, {per_sec}, {msg}{eta} left")
        .expect("the template is a valid constant")
}

/// Updates the bar's message every second, so that a pause counts down.
async fn count_down(counts: Arc<Mutex<Counts>>, bar: ProgressBar, clock: Clock) {
    loop {
        clock.wait_until(clock.now() + Duration::from_secs(1)).await;
        bar.set_message(counts.lock().message(clock.now()));
    }
}

async fn print_lines(counts: Arc<Mutex<Counts>>, clock: Clock) {
    loop {
        clock.wait_until(clock.now() + LINE_EVERY).await;
        let line = counts.lock().line(clock.now());
        crate::printer::err(&line);
    }
}

#[derive(Debug, Clone)]
struct Counts {
    rows: u64,
    sandbox: bool,
    done: u64,
    done_before: u64,
    failed: u64,
    retries: u64,
    pause: Option<(String, Instant)>,
    /// The rate in requests a second, if it was changed.
    allowed_rate: Option<f64>,
    started: Instant,
}

impl Counts {
    fn new(started: Instant) -> Self {
        Self {
            rows: 0,
            sandbox: false,
            done: 0,
            done_before: 0,
            failed: 0,
            retries: 0,
            pause: None,
            allowed_rate: None,
            started,
        }
    }

    fn count(&mut self, event: &RunEvent<'_>, now: Instant) {
        match event {
            RunEvent::RowEnded { outcome } => {
                self.done += 1;
                if matches!(outcome.kind, OutcomeKind::Failed | OutcomeKind::Invalid) {
                    self.failed += 1;
                }
            }
            RunEvent::RetryPlanned { .. } => self.retries += 1,
            RunEvent::Paused { reason, wait } => self.pause = Some(((*reason).to_owned(), now + *wait)),
            RunEvent::Resumed => self.pause = None,
            RunEvent::RateChanged { per_second, .. } => self.allowed_rate = Some(*per_second),
            RunEvent::AttemptStarted { .. }
            | RunEvent::AttemptEnded { .. }
            | RunEvent::TokenFetched
            | RunEvent::TokenFetchFailed { .. }
            | RunEvent::Stopping { .. } => {}
        }
    }

    /// Failures, retries, the changed rate and the pause; each is left out if there is none.
    fn message(&self, now: Instant) -> String {
        let mut message = String::from(if self.sandbox { "sandbox, " } else { "" });
        if self.failed > 0 {
            message += &format!("{} failed, ", self.failed);
        }
        if self.retries > 0 {
            message += &format!("{}, ", count(self.retries, "retry"));
        }
        if let Some(per_second) = self.allowed_rate {
            message += &format!("at most {per_second:.1} a second, ");
        }
        if let Some((reason, until)) = &self.pause {
            let left = until.saturating_duration_since(now).as_secs();
            message += &format!("paused {left}s ({reason}), ");
        }
        message
    }

    fn line(&self, now: Instant) -> String {
        let seconds = now.saturating_duration_since(self.started).as_secs_f64();
        let (done, left) =
            ((self.done - self.done_before) as f64, self.rows.saturating_sub(self.done) as f64);
        let rate = if seconds > 0.0 { done / seconds } else { 0.0 };
        let left = if rate > 0.0 { format!("{:.0}s left", left / rate) } else { "time left unknown".into() };
        format!("{} of {} rows, {rate:.1} a second, {}{left}", self.done, self.rows, self.message(now))
    }
}

struct Watcher {
    counts: Arc<Mutex<Counts>>,
    bar: Option<ProgressBar>,
}

impl Observe for Watcher {
    fn observe(&mut self, event: &RunEvent<'_>) {
        let now = Instant::now();
        let mut counts = self.counts.lock();
        counts.count(event, now);
        if let Some(bar) = &self.bar {
            bar.set_position(counts.done);
            if !matches!(event, RunEvent::AttemptStarted { .. } | RunEvent::AttemptEnded { .. }) {
                bar.set_message(counts.message(now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_rows_rate_failures_retries_and_time_left() {
        let start = Instant::now();
        let counts = Counts { rows: 2000, done: 800, failed: 3, retries: 7, ..Counts::new(start) };
        let line = counts.line(start + Duration::from_secs(40));
        assert_eq!(line, "800 of 2000 rows, 20.0 a second, 3 failed, 7 retries, 60s left");
    }

    #[test]
    fn a_pause_is_shown_with_its_reason_and_remaining_time_until_it_ends() {
        let start = Instant::now();
        let mut counts = Counts { rows: 10, ..Counts::new(start) };
        counts
            .count(&RunEvent::Paused { reason: "rate limit a minute", wait: Duration::from_secs(60) }, start);
        let line = counts.line(start + Duration::from_secs(20));
        assert_eq!(line, "0 of 10 rows, 0.0 a second, paused 40s (rate limit a minute), time left unknown");
        counts.count(&RunEvent::Resumed, start);
        counts.count(&RunEvent::RateChanged { per_second: 9.7, reason: "rate limit a minute" }, start);
        let line = counts.line(start + Duration::from_secs(60));
        assert_eq!(line, "0 of 10 rows, 0.0 a second, at most 9.7 a second, time left unknown");
    }
}
