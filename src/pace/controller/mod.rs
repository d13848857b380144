//! The rate that DingTalk really allows, found from its refusals: a controller without a clock of its own.
//!
//! The quota is not known: plans differ, other apps share it, and it changes during a run. But a refusal says where it
//! is: as many requests as were let in within the window before, that is the quota. So a refusal does not halve the rate
//! blindly; it sets it a little below what was measured. From there the rate rises on a CUBIC curve (RFC 9438, with the
//! rate in the congestion window's place): it comes back quickly, stays long just below the level that was refused, and,
//! when nothing is refused there any more, leaves it faster and faster. AIMD would spend most of its time far below the
//! quota, and cross it blindly. A level that is refused again is trusted more each time and touched less often.
//!
//! Time counts for growth only while requests are let in: a server that answers with errors has not been found to allow
//! more. Latency plays no part: a rate cap refuses at any latency.
//!
//! Invariant: the rate is never above the configured one and never below the floor, and only a quiet spell raises it: a time in
//! which requests passed DingTalk's gate, whatever became of them behind it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::Throttle;
use crate::settings::PaceSettings;

/// The share of a measured quota that is used after a refusal.
const KEPT: f64 = 0.98;
/// How much later than its window a request is taken to have left it: arrivals jitter.
const SLACK: Duration = Duration::from_millis(5);
/// A quiet spell of this length brings the rate back to the level that was refused.
const RETURN: Duration = Duration::from_millis(1500);
/// How many times that spell doubles when the same level is refused again.
const MAX_TRUST: u32 = 2;
/// Two levels count as the same when they differ by less than this share.
const SAME_LEVEL: f64 = 0.1;
/// How the rate leaves a level that is refused no more: by this share after one second, eight times that after two.
const DEPARTURE: f64 = 0.01;
/// Fewer requests than this in a window measure nothing.
const MEASURABLE: usize = 8;
/// Requests that are remembered: as many as leave within a minute, within these bounds. At so many a window is as long as
/// they reach back.
const REMEMBERED: (usize, usize) = (4096, 262_144);

/// The length of the window that a refusal speaks of.
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
    /// How long nothing may leave, so that the window has room at that rate.
    pub pause: Duration,
}

/// Finds the rate.
#[derive(Debug, Clone)]
pub struct RateController {
    configured: f64,
    floor: f64,
    rate: f64,
    /// When requests left that were not refused, as far as is known.
    let_in_at: VecDeque<Instant>,
    /// The last one that is not remembered any more.
    forgotten: Option<Instant>,
    remembered: usize,
    reduced_at: Option<Instant>,
    /// The level at which refusals are expected, and the rate that was gone on with after the last.
    refused_level: f64,
    resumed_rate: f64,
    trust: u32,
    quiet: Duration,
    heard_at: Option<Instant>,
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
            heard_at: None,
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

    /// A request leaves.
    pub fn sent(&mut self, now: Instant) {
        if self.let_in_at.len() == self.remembered {
            self.forgotten = self.let_in_at.pop_front();
        }
        self.let_in_at.push_back(now);
    }

    /// An answer came that is no refusal and no trouble: quiet goes on.
    pub fn let_in(&mut self, now: Instant) {
        let longest = Duration::from_secs_f64((2.0 / self.rate).max(1.0));
        let since = self.heard_at.replace(now).map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.quiet += since.min(longest);
        if self.is_reduced() {
            self.rate = self.grown().clamp(self.rate, self.configured);
        }
    }

    /// An answer came that says nothing about the rate, or none came: quiet stands still.
    pub fn trouble(&mut self, now: Instant) {
        self.heard_at = Some(now);
    }

    /// A request that left at `sent_at` was refused for its rate. Requests that left before the last reduction belong to
    /// the same moment, and change nothing.
    pub fn refused(&mut self, throttle: Throttle, sent_at: Instant, now: Instant) -> Option<Reduction> {
        self.heard_at = Some(now);
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
        // The configured rate is a guess, and what was measured is the quota. Later a rate that was let in for a while says
        // as much about the quota as the window that was refused: another app may have taken that one.
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

    /// Requests a second that were let in within the window before `at`. Where they are too few to measure, half the
    /// present rate is the best guess.
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

    /// How long until the window holds one request less than this rate allows in it. The floor has no say: it is how slow
    /// we go, and not how much is let in.
    fn until_room(&self, per_second: f64, window: Duration, now: Instant) -> Duration {
        let allowed = (per_second * window.as_secs_f64()).floor();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, cut at zero")]
        let allowed = allowed as usize;
        let Some(index) = self.let_in_at.len().checked_sub(allowed.max(1)) else { return Duration::ZERO };
        let room_at = self.let_in_at.get(index).map_or(now, |sent| *sent + window + SLACK);
        room_at.saturating_duration_since(now)
    }

    /// The rate after the quiet so far: up to the refused level within the spell of return, and away from it afterwards.
    fn grown(&self) -> f64 {
        let spell = RETURN * 2_u32.pow(self.trust);
        if self.quiet < spell {
            let way_left = 1.0 - self.quiet.as_secs_f64() / spell.as_secs_f64();
            return self.refused_level - (self.refused_level - self.resumed_rate) * way_left.powi(3);
        }
        self.refused_level * (1.0 + DEPARTURE * self.quiet.saturating_sub(spell).as_secs_f64().powi(3))
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
