//! Finds the rate that DingTalk really allows, from its refusals. It has no clock of its own.
//!
//! The quota is unknown: plans differ, other apps share it, and it changes during a run. But a refusal measures it: the quota
//! is the number of requests that were let in within the window before. So a refusal does not halve the rate blindly. It sets
//! the rate a little below the measured quota.
//!
//! From there the rate rises on a CUBIC curve (RFC 9438, with the rate in the congestion window's place). It comes back
//! quickly and stays long just below the refused level. When DingTalk refuses nothing there any more, it leaves that level
//! faster and faster. AIMD would spend most of its time far below the quota, and cross it blindly. Each time the same level
//! is refused again, the controller trusts it more and returns to it more slowly.
//!
//! Time counts for growth only while DingTalk lets requests in. A server that answers with errors has not shown that it allows
//! more. Latency plays no part: a rate limit refuses at any latency.
//!
//! Invariant: the rate is never above the configured one and never below the floor. Only quiet time raises it: time in which
//! DingTalk let requests in, whatever it answered to them.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::Throttle;
use crate::settings::PaceSettings;

/// The share of a measured quota that is used after a refusal.
const KEPT: f64 = 0.98;
/// A request counts in its window for this much longer, because the time to DingTalk varies.
const SLACK: Duration = Duration::from_millis(5);
/// Quiet time of this length brings the rate back to the refused level.
const RETURN: Duration = Duration::from_millis(1500);
/// How often that time doubles when the same level is refused again.
const MAX_TRUST: u32 = 2;
/// Two levels count as the same when they differ by less than this share.
const SAME_LEVEL: f64 = 0.1;
/// How the rate leaves a level that is not refused any more: by this share after one second, by eight times that after two.
const DEPARTURE: f64 = 0.01;
/// Fewer requests than this in a window measure nothing.
const MEASURABLE: usize = 8;
/// The bounds of how many requests are remembered; between them, as many as are sent in a minute. At the upper bound, a window
/// is only as long as the remembered requests reach back.
const REMEMBERED: (usize, usize) = (4096, 262_144);

/// The length of the window that this quota counts in.
pub(crate) const fn window(throttle: Throttle) -> Duration {
    match throttle {
        Throttle::Second => Duration::from_secs(1),
        Throttle::Minute => Duration::from_mins(1),
    }
}

/// What a refusal changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reduction {
    /// The rate from now on, in requests a second.
    pub per_second: f64,
    /// How long no request may be sent, so that the window has room at that rate.
    pub pause: Duration,
}

/// Finds the rate.
#[derive(Debug, Clone)]
pub struct RateController {
    configured: f64,
    floor: f64,
    rate: f64,
    /// When requests were sent that were not refused, as far as is known.
    let_in_at: VecDeque<Instant>,
    /// The latest request that is not remembered any more.
    forgotten: Option<Instant>,
    remembered: usize,
    reduced_at: Option<Instant>,
    /// The level at which refusals are expected, and the rate right after the last refusal.
    refused_level: f64,
    resumed_rate: f64,
    trust: u32,
    quiet: Duration,
    answered_at: Option<Instant>,
    lowest: f64,
    lowest_level: Option<f64>,
}

impl RateController {
    /// Begins at the configured rate.
    pub fn new(settings: &PaceSettings) -> Self {
        let configured = settings.requests_per_second;
        Self {
            configured,
            floor: settings.min_requests_per_second,
            rate: configured,
            let_in_at: VecDeque::new(),
            forgotten: None,
            remembered: in_a_minute(configured).clamp(REMEMBERED.0, REMEMBERED.1),
            reduced_at: None,
            refused_level: configured,
            resumed_rate: configured,
            trust: 0,
            quiet: Duration::ZERO,
            answered_at: None,
            lowest: configured,
            lowest_level: None,
        }
    }

    /// The rate now, in requests a second.
    pub fn per_second(&self) -> f64 {
        self.rate
    }

    /// The lowest rate so far.
    pub fn lowest(&self) -> f64 {
        self.lowest
    }

    /// The rate below which no request would have been refused so far, where one was.
    pub fn unrefused(&self) -> Option<f64> {
        self.lowest_level.map(|level| level * KEPT)
    }

    /// Whether the rate is below the configured one.
    pub fn is_reduced(&self) -> bool {
        self.rate < self.configured
    }

    /// A request is sent.
    pub fn sent(&mut self, now: Instant) {
        if self.let_in_at.len() == self.remembered {
            self.forgotten = self.let_in_at.pop_front();
        }
        self.let_in_at.push_back(now);
    }

    /// An answer came that is no refusal and no trouble: quiet time continues.
    pub fn let_in(&mut self, now: Instant) {
        let longest = Duration::from_secs_f64((2.0 / self.rate).max(1.0));
        let since =
            self.answered_at.replace(now).map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.quiet += since.min(longest);
        if self.is_reduced() {
            self.rate = self.grown().clamp(self.rate, self.configured);
        }
    }

    /// No answer came, or one that says nothing about the rate: quiet time stands still.
    pub fn trouble(&mut self, now: Instant) {
        self.answered_at = Some(now);
    }

    /// A request that was sent at `sent_at` was refused for its rate. Refusals of requests that were sent before the last
    /// reduction change nothing.
    pub fn refused(&mut self, throttle: Throttle, sent_at: Instant, now: Instant) -> Option<Reduction> {
        self.answered_at = Some(now);
        if let Ok(index) = self.let_in_at.binary_search(&sent_at) {
            self.let_in_at.remove(index);
        }
        if self.reduced_at.is_some_and(|at| sent_at <= at) {
            return None;
        }
        let level = self.rate.min(self.measured(sent_at, window(throttle)));
        let same =
            self.reduced_at.is_some() && (level - self.refused_level).abs() < SAME_LEVEL * self.refused_level;
        self.trust = if same { MAX_TRUST.min(self.trust + 1) } else { 0 };
        // At first the configured rate is a guess, and the measurement is the quota. Later, a rate that was let in for a while
        // says as much about the quota as the window that was refused: another app may have used up that window.
        self.refused_level = if self.reduced_at.is_some() { f64::midpoint(level, self.rate) } else { level };
        self.rate = (level * KEPT).clamp(self.floor, self.configured);
        self.resumed_rate = self.rate;
        self.lowest = self.lowest.min(self.rate);
        self.lowest_level = Some(self.lowest_level.map_or(level, |lowest| lowest.min(level)));
        self.reduced_at = Some(now);
        self.quiet = Duration::ZERO;
        let pause = self.until_room(level * KEPT, window(throttle), now);
        Some(Reduction { per_second: self.rate, pause })
    }

    /// Requests per second that were let in within the window before `at`. Where they are too few to measure, half the present
    /// rate is the best guess.
    fn measured(&self, at: Instant, window: Duration) -> f64 {
        let from = at.checked_sub(window);
        let first = self.let_in_at.partition_point(|sent| from.is_some_and(|from| *sent <= from));
        let last = self.let_in_at.partition_point(|sent| *sent < at);
        let count = last.saturating_sub(first);
        if count < MEASURABLE {
            return (count as f64 / window.as_secs_f64()).max(self.rate / 2.0);
        }
        let all_are_remembered = from.is_none_or(|from| self.forgotten.is_none_or(|sent| sent <= from));
        let span = if all_are_remembered { window } else { at - self.let_in_at[first] };
        count as f64 / span.as_secs_f64()
    }

    /// How long until the window holds one request less than this rate allows in it. The floor plays no part: it bounds how
    /// slowly we send, not how much DingTalk lets in.
    fn until_room(&self, per_second: f64, window: Duration, now: Instant) -> Duration {
        let allowed = (per_second * window.as_secs_f64()).floor();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, cut at zero")]
        let allowed = allowed as usize;
        let Some(index) = self.let_in_at.len().checked_sub(allowed.max(1)) else { return Duration::ZERO };
        let room_at = self.let_in_at.get(index).map_or(now, |sent| *sent + window + SLACK);
        room_at.saturating_duration_since(now)
    }

    /// The rate after the quiet time so far: first up to the refused level, then away from it.
    fn grown(&self) -> f64 {
        let return_time = RETURN * 2_u32.pow(self.trust);
        if self.quiet < return_time {
            let way_left = 1.0 - self.quiet.as_secs_f64() / return_time.as_secs_f64();
            return self.refused_level - (self.refused_level - self.resumed_rate) * way_left.powi(3);
        }
        self.refused_level * (1.0 + DEPARTURE * self.quiet.saturating_sub(return_time).as_secs_f64().powi(3))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a checked rate is at most 1e6 a second"
)]
fn in_a_minute(per_second: f64) -> usize {
    (per_second * 60.0).ceil() as usize
}

#[cfg(test)]
mod tests;
