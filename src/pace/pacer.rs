//! When the next request may leave: the limiter's hard cap, and below it the rate that DingTalk was found to allow.
//!
//! Invariant: whatever is heard, the limiter's cap holds.

use std::time::Duration;

use tokio::time::Instant;

use super::{Adaptive, Limiter, Reduction, Shared, window};
use crate::outcome::Throttle;
use crate::settings::PaceSettings;

/// How late a wake-up may be and still be caught up with, so that a rate below the cap is kept on the average.
const CATCH_UP: Duration = Duration::from_millis(5);
/// A hold that is shorter than this is a matter of the pace; a longer one is a pause of the run.
const PAUSE: Duration = Duration::from_secs(1);
/// A rise of the rate by this share is worth telling.
const WORTH_TELLING: f64 = 0.05;

/// Why no token is granted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotYet {
    /// There is one at this instant.
    Until(Instant),
    /// Nobody knows when: [`Pacer::changed`] tells when it is worth asking again.
    Untold,
}

/// What an answer says about the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The request was let in.
    LetIn,
    /// The request was refused for its rate.
    Refused {
        /// Which quota.
        throttle: Throttle,
        /// How long DingTalk asked us to wait, if it did.
        retry_after: Option<Duration>,
    },
    /// This address is banned for so long: nothing leaves meanwhile but one request at the end.
    Banned(Duration),
    /// Nothing: no answer came, or one that is trouble.
    Nothing,
}

/// What becomes of the pace.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Change {
    /// The new rate, in requests a second, where it is worth telling.
    pub per_second: Option<f64>,
    /// How long the run pauses.
    pub hold: Duration,
}

/// Grants tokens, one for each request.
#[derive(Debug)]
pub struct Pacer {
    limiter: Limiter,
    adaptive: Option<Adaptive>,
    /// When the next request is due at a reduced rate.
    due_at: Option<Instant>,
    /// Until when nothing leaves, so that the refusing window has room again.
    held_until: Option<Instant>,
    told: f64,
    /// The quota of several workers, in place of all of the above, and whether its rate adapts.
    shared: Option<(Shared, bool)>,
}

impl Pacer {
    /// A pacer of this process alone.
    pub fn new(settings: &PaceSettings) -> Self {
        Self {
            limiter: Limiter::new(settings),
            adaptive: settings.adaptive.then(|| Adaptive::new(settings)),
            due_at: None,
            held_until: None,
            told: settings.requests_per_second,
            shared: None,
        }
    }

    /// A pacer of one more run, that has its permits from a quota which this process shares with others.
    pub fn sharing(shared: Shared, settings: &PaceSettings) -> Self {
        shared.begin_run();
        Self { shared: Some((shared, settings.adaptive)), adaptive: None, ..Self::new(settings) }
    }

    /// Takes a token for a request that leaves now, or says why there is none.
    pub fn try_take(&mut self, now: Instant) -> Result<(), NotYet> {
        if let Some((shared, _)) = &self.shared {
            return shared.try_take(now);
        }
        let Some(adaptive) = &mut self.adaptive else {
            return self.limiter.try_take().map_err(NotYet::Until);
        };
        let due_at = if adaptive.is_reduced() { self.due_at } else { None };
        if let Some(at) = due_at.max(self.held_until).filter(|at| *at > now) {
            return Err(NotYet::Until(at));
        }
        self.limiter.try_take().map_err(NotYet::Until)?;
        adaptive.left(now);
        let late = now.checked_sub(CATCH_UP).unwrap_or(now);
        let from = self.due_at.map_or(now, |at| at.max(late));
        self.due_at = Some(from + Duration::from_secs_f64(1.0 / adaptive.per_second()));
        Ok(())
    }

    /// Resolves when it is worth asking again after [`NotYet::Untold`].
    pub async fn changed(&mut self) {
        match &self.shared {
            Some((shared, _)) => shared.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Hears what became of a request that left at `sent_at`.
    pub fn heard(&mut self, heard: Heard, sent_at: Instant, now: Instant) -> Change {
        if let Some((shared, adapts)) = &self.shared {
            shared.heard(heard, sent_at);
            let rate = shared.per_second();
            let is_worth_telling = rate < self.told || rate > self.told * (1.0 + WORTH_TELLING);
            if is_worth_telling {
                self.told = rate;
            }
            // How long the window needs until it has room, the book knows: it grants nothing before.
            let hold = if *adapts { named_hold(heard) } else { fixed_hold(heard) };
            return Change { per_second: is_worth_telling.then_some(rate), hold };
        }
        let Some(adaptive) = &mut self.adaptive else {
            return Change { per_second: None, hold: fixed_hold(heard) };
        };
        let hold = match heard {
            Heard::LetIn => {
                adaptive.let_in(now);
                Duration::ZERO
            }
            Heard::Refused { throttle, retry_after } => {
                match (adaptive.refused(throttle, sent_at, now), retry_after) {
                    (Some(Reduction { hold, .. }), None) => hold,
                    (Some(_) | None, Some(named)) => named,
                    (None, None) => Duration::ZERO,
                }
            }
            Heard::Banned(_) | Heard::Nothing => {
                adaptive.trouble(now);
                Duration::ZERO
            }
        };
        let rate = adaptive.per_second();
        let is_worth_telling = rate < self.told
            || rate > self.told * (1.0 + WORTH_TELLING)
            || (rate > self.told && !adaptive.is_reduced());
        if is_worth_telling {
            self.told = rate;
        }
        let hold = if hold < PAUSE {
            self.held_until = self.held_until.max(Some(now + hold));
            Duration::ZERO
        } else {
            hold
        };
        Change { per_second: is_worth_telling.then_some(rate), hold }
    }

    /// The controller, where the rate adapts.
    pub fn adaptive(&self) -> Option<&Adaptive> {
        self.adaptive.as_ref()
    }

    /// The lowest rate so far and the present one, in requests a second, where it adapts.
    pub fn lowest_and_last(&self) -> Option<(f64, f64)> {
        let shared = self.shared.as_ref().map(|(shared, _)| (shared.lowest(), shared.per_second()));
        shared.or_else(|| self.adaptive().map(|adaptive| (adaptive.lowest(), adaptive.per_second())))
    }
}

/// How long DingTalk asked us to wait.
fn named_hold(heard: Heard) -> Duration {
    match heard {
        Heard::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
        Heard::LetIn | Heard::Banned(_) | Heard::Nothing => Duration::ZERO,
    }
}

/// Where the rate stays as it is, a refusal's whole window is waited out.
fn fixed_hold(heard: Heard) -> Duration {
    match heard {
        Heard::Refused { throttle, retry_after } => retry_after.unwrap_or(window(throttle)),
        Heard::LetIn | Heard::Banned(_) | Heard::Nothing => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::settings::tests::load_text;

    const SECOND: Duration = Duration::from_secs(1);
    const REFUSED: Heard = Heard::Refused { throttle: Throttle::Second, retry_after: None };

    fn pacer(text: &str) -> Pacer {
        Pacer::new(&load_text(&format!("[pace]\nrequests_per_second = 100\n{text}")).unwrap().pace)
    }

    /// Takes tokens for so long and says when, in milliseconds.
    async fn take(pacer: &mut Pacer, clock: &Clock, span: Duration) -> Vec<u128> {
        let start = clock.now();
        let mut offsets = vec![];
        loop {
            match pacer.try_take(clock.now()) {
                Ok(()) => offsets.push((clock.now() - start).as_millis()),
                Err(NotYet::Until(at)) if at < start + span => clock.wait_until(at).await,
                Err(NotYet::Until(_)) => return offsets,
                Err(NotYet::Untold) => panic!("a pacer of this process alone knows"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reduced_rate_is_kept_evenly_and_the_burst_is_gone() {
        let (mut pacer, clock) = (pacer("burst = 10"), Clock::tokio());
        let before = take(&mut pacer, &clock, SECOND).await;
        assert_eq!(before[..11], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10]);
        let now = clock.now();
        let Change { per_second: Some(rate), .. } = pacer.heard(REFUSED, now, now) else { panic!() };
        assert!(rate < 100.0, "{rate}");
        clock.wait_until(now + SECOND).await;
        let after = take(&mut pacer, &clock, SECOND).await;
        let gaps: Vec<u128> = after.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps[1..].iter().all(|gap| (10..=12).contains(gap)), "{gaps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_adapting_the_rate_stays_and_the_window_is_waited_out() {
        let (mut pacer, now) = (pacer("adaptive = false"), Clock::tokio().now());
        assert_eq!(pacer.heard(REFUSED, now, now), Change { per_second: None, hold: SECOND });
        let minute = Heard::Refused { throttle: Throttle::Minute, retry_after: None };
        assert_eq!(pacer.heard(minute, now, now).hold, 60 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_dingtalk_names_wins_whether_the_rate_adapts_or_not() {
        for text in ["", "adaptive = false"] {
            let (mut pacer, now) = (pacer(text), Clock::tokio().now());
            let named = Heard::Refused { throttle: Throttle::Minute, retry_after: Some(7 * SECOND) };
            assert_eq!(pacer.heard(named, now, now).hold, 7 * SECOND, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_cap_holds_whatever_is_heard() {
        let (mut pacer, clock) = (pacer("burst = 3"), Clock::tokio());
        for round in 0..20 {
            let offsets = take(&mut pacer, &clock, SECOND).await;
            assert!(offsets.len() <= 103, "{}", offsets.len());
            let now = clock.now();
            pacer.heard(if round % 3 == 0 { REFUSED } else { Heard::LetIn }, now, now);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_says_nothing_about_the_rate_never_raises_it() {
        for heard in [Heard::Nothing, Heard::Banned(SECOND)] {
            let (mut pacer, clock) = (pacer(""), Clock::tokio());
            let now = clock.now();
            let Change { per_second: Some(reduced), .. } = pacer.heard(REFUSED, now, now) else { panic!() };
            for _ in 0..100 {
                clock.wait_until(clock.now() + SECOND).await;
                pacer.heard(heard, clock.now(), clock.now());
            }
            assert!((pacer.adaptive().unwrap().per_second() - reduced).abs() < 1e-9, "{heard:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rise_is_told_in_steps_and_the_return_to_the_configured_rate_always() {
        let (mut pacer, clock) = (pacer(""), Clock::tokio());
        let now = clock.now();
        pacer.heard(REFUSED, now, now);
        let mut told = vec![];
        for _ in 0..200 {
            clock.wait_until(clock.now() + SECOND / 10).await;
            told.extend(pacer.heard(Heard::LetIn, clock.now(), clock.now()).per_second);
        }
        assert!(told.windows(2).all(|pair| pair[0] < pair[1]) && told.len() < 20, "{told:?}");
        assert!(told.last().is_some_and(|rate| (rate - 100.0).abs() < 1e-9), "{told:?}");
    }
}
