//! The quota of one process: the limiter's hard cap, and below it the rate that DingTalk was found to allow.
//!
//! Invariant: whatever the answers say, the limiter's cap holds.

use std::time::Duration;

use tokio::time::Instant;

use super::quota::{NotYet, REPORTED_RISE, RateChange, RateSignal};
use super::{Limiter, RateController, Reduction};
use crate::settings::PaceSettings;

/// A wake-up that is late by at most this does not move the next due time. So the average rate stays what it should be.
const CATCH_UP: Duration = Duration::from_millis(5);
/// A shorter wait only delays the next permit. A longer one is a pause of the run.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Grants one permit for each request.
#[derive(Debug)]
pub(crate) struct OwnQuota {
    limiter: Limiter,
    /// `None` where the rate stays as it is configured.
    controller: Option<RateController>,
    /// When the next request is due at a reduced rate.
    due_at: Option<Instant>,
    /// No permit before this instant, so that the window that refused has room again.
    full_until: Option<Instant>,
    reported_rate: f64,
}

impl OwnQuota {
    /// The quota of `[pace]`.
    pub(crate) fn new(settings: &PaceSettings) -> Self {
        Self {
            limiter: Limiter::new(settings),
            controller: settings.adaptive.then(|| RateController::new(settings)),
            due_at: None,
            full_until: None,
            reported_rate: settings.requests_per_second,
        }
    }

    /// Takes a permit for a request that is sent now, or says when there is one.
    pub(crate) fn take_permit(&mut self, now: Instant) -> Result<(), NotYet> {
        let Some(controller) = &mut self.controller else {
            return self.limiter.take_permit().map_err(NotYet::Until);
        };
        let due_at = if controller.is_reduced() { self.due_at } else { None };
        if let Some(at) = due_at.max(self.full_until).filter(|at| *at > now) {
            return Err(NotYet::Until(at));
        }
        self.limiter.take_permit().map_err(NotYet::Until)?;
        controller.sent(now);
        let late = now.checked_sub(CATCH_UP).unwrap_or(now);
        let from = self.due_at.map_or(now, |at| at.max(late));
        self.due_at = Some(from + Duration::from_secs_f64(1.0 / controller.per_second()));
        Ok(())
    }

    /// Takes in the answer to a request that was sent at `sent_at`.
    pub(crate) fn feedback(&mut self, signal: RateSignal, sent_at: Instant, now: Instant) -> RateChange {
        let Some(controller) = &mut self.controller else {
            return RateChange { per_second: None, pause: signal.whole_window() };
        };
        let wait = match signal {
            RateSignal::Accepted => {
                controller.let_in(now);
                Duration::ZERO
            }
            RateSignal::Throttled { throttle, retry_after } => {
                match (controller.refused(throttle, sent_at, now), retry_after) {
                    (Some(Reduction { pause, .. }), None) => pause,
                    (Some(_) | None, Some(named)) => named,
                    (None, None) => Duration::ZERO,
                }
            }
            RateSignal::Banned(_) | RateSignal::Nothing => {
                controller.trouble(now);
                Duration::ZERO
            }
        };
        let rate = controller.per_second();
        let is_reported = rate < self.reported_rate
            || rate > self.reported_rate * (1.0 + REPORTED_RISE)
            || (rate > self.reported_rate && !controller.is_reduced());
        if is_reported {
            self.reported_rate = rate;
        }
        let pause = if wait < SHORTEST_PAUSE {
            self.full_until = self.full_until.max(Some(now + wait));
            Duration::ZERO
        } else {
            wait
        };
        RateChange { per_second: is_reported.then_some(rate), pause }
    }

    /// The rate controller, where the rate adapts.
    pub(crate) fn controller(&self) -> Option<&RateController> {
        self.controller.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::outcome::Throttle;
    use crate::settings::tests::load_text;

    const SECOND: Duration = Duration::from_secs(1);
    const REFUSED: RateSignal = RateSignal::Throttled { throttle: Throttle::Second, retry_after: None };

    fn quota(text: &str) -> OwnQuota {
        OwnQuota::new(&load_text(&format!("[pace]\nrequests_per_second = 100\n{text}")).unwrap().pace)
    }

    /// Takes every permit within `span`. Returns when each was taken, in milliseconds.
    async fn take(quota: &mut OwnQuota, clock: &Clock, span: Duration) -> Vec<u128> {
        let start = clock.now();
        let mut offsets = vec![];
        loop {
            match quota.take_permit(clock.now()) {
                Ok(()) => offsets.push((clock.now() - start).as_millis()),
                Err(NotYet::Until(at)) if at < start + span => clock.wait_until(at).await,
                Err(NotYet::Until(_)) => return offsets,
                Err(NotYet::Unknown) => panic!("this quota always knows when the next permit comes"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn at_a_reduced_rate_permits_come_evenly_and_without_a_burst() {
        let (mut quota, clock) = (quota("burst = 10"), Clock::tokio());
        let before = take(&mut quota, &clock, SECOND).await;
        assert_eq!(before[..11], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10]);
        let now = clock.now();
        let RateChange { per_second: Some(rate), .. } = quota.feedback(REFUSED, now, now) else { panic!() };
        assert!(rate < 100.0, "{rate}");
        clock.wait_until(now + SECOND).await;
        let after = take(&mut quota, &clock, SECOND).await;
        let gaps: Vec<u128> = after.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps[1..].iter().all(|gap| (10..=12).contains(gap)), "{gaps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fixed_rate_stays_and_the_run_waits_for_the_whole_window() {
        let (mut quota, now) = (quota("adaptive = false"), Clock::tokio().now());
        assert_eq!(quota.feedback(REFUSED, now, now), RateChange { per_second: None, pause: SECOND });
        let minute = RateSignal::Throttled { throttle: Throttle::Minute, retry_after: None };
        assert_eq!(quota.feedback(minute, now, now).pause, 60 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_dingtalk_names_wins_whether_the_rate_adapts_or_not() {
        for text in ["", "adaptive = false"] {
            let (mut quota, now) = (quota(text), Clock::tokio().now());
            let named = RateSignal::Throttled { throttle: Throttle::Minute, retry_after: Some(7 * SECOND) };
            assert_eq!(quota.feedback(named, now, now).pause, 7 * SECOND, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_lifts_the_cap() {
        let (mut quota, clock) = (quota("burst = 3"), Clock::tokio());
        for round in 0..20 {
            let offsets = take(&mut quota, &clock, SECOND).await;
            assert!(offsets.len() <= 103, "{}", offsets.len());
            let now = clock.now();
            quota.feedback(if round % 3 == 0 { REFUSED } else { RateSignal::Accepted }, now, now);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_says_nothing_about_the_rate_never_raises_it() {
        for signal in [RateSignal::Nothing, RateSignal::Banned(SECOND)] {
            let (mut quota, clock) = (quota(""), Clock::tokio());
            let now = clock.now();
            let RateChange { per_second: Some(reduced), .. } = quota.feedback(REFUSED, now, now) else {
                panic!()
            };
            for _ in 0..100 {
                clock.wait_until(clock.now() + SECOND).await;
                quota.feedback(signal, clock.now(), clock.now());
            }
            assert!((quota.controller().unwrap().per_second() - reduced).abs() < 1e-9, "{signal:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rise_is_reported_in_steps_and_the_return_to_the_configured_rate_is_always_reported() {
        let (mut quota, clock) = (quota(""), Clock::tokio());
        let now = clock.now();
        quota.feedback(REFUSED, now, now);
        let mut reported = vec![];
        for _ in 0..200 {
            clock.wait_until(clock.now() + SECOND / 10).await;
            reported.extend(quota.feedback(RateSignal::Accepted, clock.now(), clock.now()).per_second);
        }
        assert!(reported.windows(2).all(|pair| pair[0] < pair[1]) && reported.len() < 20, "{reported:?}");
        assert!(reported.last().is_some_and(|rate| (rate - 100.0).abs() < 1e-9), "{reported:?}");
    }
}
