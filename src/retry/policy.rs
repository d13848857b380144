//! The retry policy: whether a failed attempt is retried, and after how long.
//!
//! Invariant: no row has more than `retry.max_attempts`.

use std::time::Duration;

use fastrand::Rng;

use super::Budget;
use crate::backoff::Backoff;
use crate::outcome::Throttle;
use crate::settings::RetrySettings;

/// A call that was refused for a rate per second is retried after this at the earliest: the shortest window of DingTalk.
const THROTTLED_SECOND: Duration = Duration::from_secs(1);
/// The wait after a refusal for a rate per minute, where DingTalk names none.
const THROTTLED_MINUTE: Duration = Duration::from_mins(1);

/// Why an attempt may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The meeting's state is unknown, or DingTalk has trouble.
    Trouble,
    /// DingTalk refused the call for its rate and did not process it.
    Throttled(Throttle),
}

/// The attempt is retried after this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait(pub Duration);

/// Why an attempt is not retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GiveUp {
    /// The row has made `retry.max_attempts` attempts.
    AttemptsSpent,
    /// The run has spent `retry.budget`.
    BudgetSpent,
}

/// Decides about retries.
#[derive(Debug, Clone)]
pub(crate) struct RetryPolicy {
    max_attempts: u32,
    /// The longest wait after the first attempt, the second, and so on.
    ceilings: Vec<Duration>,
}

impl RetryPolicy {
    /// The policy of `[retry]`.
    pub(crate) fn new(settings: &RetrySettings) -> Self {
        let mut growth = Backoff::new(settings.initial_interval, settings.multiplier, settings.max_interval);
        let ceilings = (0..settings.max_attempts).map(|_| growth.next_wait()).collect();
        Self { max_attempts: settings.max_attempts, ceilings }
    }

    /// The most attempts of a row, the first one included.
    pub(crate) fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// What follows attempt number `attempts` (from 1).
    ///
    /// After trouble, the row waits as long as DingTalk named. Where it named no wait, the policy draws one between zero and the
    /// ceiling: with this full jitter, rows that failed together are not retried together.
    ///
    /// A throttled row waits for its window and no longer, because the pace spreads the retries. It costs nothing of the
    /// budget, because the pace limits such retries already.
    pub(crate) fn after(
        &self,
        attempts: u32,
        cause: Cause,
        server_wait: Option<Duration>,
        budget: &mut Budget,
        random: &mut Rng,
    ) -> Result<Wait, GiveUp> {
        if attempts >= self.max_attempts {
            return Err(GiveUp::AttemptsSpent);
        }
        Ok(Wait(match cause {
            Cause::Trouble if !budget.pay() => return Err(GiveUp::BudgetSpent),
            Cause::Trouble => server_wait.unwrap_or_else(|| self.jitter(attempts, random)),
            Cause::Throttled(throttle) => {
                let window = match throttle {
                    Throttle::Second => THROTTLED_SECOND,
                    Throttle::Minute => THROTTLED_MINUTE,
                };
                server_wait.map_or(window, |named| named.max(THROTTLED_SECOND))
            }
        }))
    }

    /// A wait between zero and the ceiling after attempt number `attempts`. It takes nothing of the budget.
    pub(crate) fn jitter(&self, attempts: u32, random: &mut Rng) -> Duration {
        let last = self.ceilings.len() - 1;
        let ceiling = self.ceilings[last.min(attempts.saturating_sub(1) as usize)];
        ceiling.mul_f64(random.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::load_text;

    fn policy(text: &str) -> RetryPolicy {
        RetryPolicy::new(&load_text(&format!("[retry]\n{text}")).unwrap().retry)
    }

    fn ask(
        policy: &RetryPolicy,
        attempts: u32,
        cause: Cause,
        server: Option<Duration>,
    ) -> Result<Wait, GiveUp> {
        policy.after(attempts, cause, server, &mut Budget::new(1), &mut Rng::with_seed(7))
    }

    #[test]
    fn ceilings_grow_by_the_multiplier_up_to_the_longest() {
        let ceilings = policy("max_attempts = 9").ceilings;
        let millis: Vec<u128> = ceilings.iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    }

    #[test]
    fn a_wait_is_drawn_between_zero_and_the_ceiling() {
        let (policy, mut random) = (policy(""), Rng::with_seed(1));
        for attempts in 1..6 {
            let ceiling = policy.ceilings[attempts as usize - 1];
            let waits: Vec<Duration> = (0..1000).map(|_| policy.jitter(attempts, &mut random)).collect();
            assert!(waits.iter().all(|wait| *wait <= ceiling));
            assert!(waits.iter().min().unwrap() < &(ceiling / 10));
            assert!(waits.iter().max().unwrap() > &(ceiling * 9 / 10));
        }
    }

    #[test]
    fn a_throttled_call_waits_for_its_window_and_no_longer() {
        let policy = policy("");
        for (throttle, window) in [(Throttle::Second, 1), (Throttle::Minute, 60)] {
            let wait = ask(&policy, 1, Cause::Throttled(throttle), None);
            assert_eq!(wait, Ok(Wait(Duration::from_secs(window))));
        }
    }

    #[test]
    fn a_wait_that_the_server_names_wins() {
        let named = Some(Duration::from_secs(17));
        for cause in [Cause::Trouble, Cause::Throttled(Throttle::Second), Cause::Throttled(Throttle::Minute)]
        {
            assert_eq!(ask(&policy(""), 1, cause, named), Ok(Wait(Duration::from_secs(17))));
        }
    }

    #[test]
    fn the_last_attempt_is_not_retried() {
        let policy = policy("max_attempts = 3");
        assert!(ask(&policy, 2, Cause::Trouble, None).is_ok());
        assert_eq!(ask(&policy, 3, Cause::Trouble, None), Err(GiveUp::AttemptsSpent));
        assert_eq!(ask(&policy, 3, Cause::Throttled(Throttle::Second), None), Err(GiveUp::AttemptsSpent));
    }

    #[test]
    fn a_spent_budget_stops_all_retries_but_those_of_throttled_calls() {
        let (policy, mut budget, mut random) = (policy(""), Budget::new(1), Rng::with_seed(1));
        let mut ask = |cause| policy.after(1, cause, None, &mut budget, &mut random);
        assert!(ask(Cause::Throttled(Throttle::Second)).is_ok());
        assert!(ask(Cause::Trouble).is_ok());
        assert_eq!(ask(Cause::Trouble), Err(GiveUp::BudgetSpent));
        assert!(ask(Cause::Throttled(Throttle::Second)).is_ok());
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let draw = |seed| {
            let mut random = Rng::with_seed(seed);
            (1..6).map(|n| policy("").jitter(n, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }

    #[test]
    fn a_throttled_call_waits_a_second_even_where_the_server_names_less() {
        for throttle in [Throttle::Second, Throttle::Minute] {
            let wait = ask(&policy(""), 1, Cause::Throttled(throttle), Some(Duration::ZERO));
            assert_eq!(wait, Ok(Wait(THROTTLED_SECOND)));
        }
    }
}
