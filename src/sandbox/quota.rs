//! The stand-in's quotas: sliding windows over the calls that it admitted.
//!
//! Invariant: a refused call does not count against a quota.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How many calls are admitted. `None`: no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// Calls a second of one app to one API. DingTalk Standard: 20.
    pub per_second: Option<usize>,
    /// Calls a minute of one app to one API.
    pub per_minute: Option<usize>,
    /// Calls of one address to all APIs. DingTalk: 10,000 in 20 seconds.
    pub address: Option<(usize, Duration)>,
    /// How long an address is banned. DingTalk: 5 minutes.
    pub ban: Duration,
    /// Metered calls a month. DingTalk Standard: 5,000.
    pub month: Option<u64>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            per_second: Some(20),
            per_minute: None,
            address: Some((10_000, Duration::from_secs(20))),
            ban: Duration::from_mins(5),
            month: None,
        }
    }
}

impl Quotas {
    /// No limit of any kind.
    pub fn unlimited() -> Self {
        Self { per_second: None, address: None, ..Self::default() }
    }
}

/// The quota that refuses a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Second,
    Minute,
    Month,
}

/// Counts calls against the quotas.
#[derive(Debug)]
pub(super) struct Meter {
    quotas: Quotas,
    second: Window,
    minute: Window,
    address: Window,
    metered: u64,
    banned_until: Option<Instant>,
}

impl Meter {
    pub(super) fn new(quotas: Quotas) -> Self {
        Self {
            second: Window::new(Duration::from_secs(1)),
            minute: Window::new(Duration::from_mins(1)),
            address: Window::new(quotas.address.map_or(Duration::ZERO, |(_, span)| span)),
            metered: 0,
            banned_until: None,
            quotas,
        }
    }

    pub(super) fn set_app_quota(&mut self, per_second: Option<usize>) {
        self.quotas.per_second = per_second;
    }

    /// Whether this call of any kind is banned. The call above the address's quota starts a ban.
    pub(super) fn is_banned(&mut self, now: Instant) -> bool {
        if self.banned_until.is_some_and(|until| now < until) {
            return true;
        }
        let Some((limit, _)) = self.quotas.address else { return false };
        if self.address.count(now) >= limit {
            self.ban(now);
            return true;
        }
        self.address.admit(now);
        false
    }

    pub(super) fn ban(&mut self, now: Instant) {
        self.banned_until = Some(now + self.quotas.ban);
    }

    /// Admits a metered call, or returns the quota that refuses it. A refusal is not metered.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Refusal> {
        if self.quotas.month.is_some_and(|limit| self.metered >= limit) {
            return Err(Refusal::Month);
        }
        if self.quotas.per_minute.is_some_and(|limit| self.minute.count(now) >= limit) {
            return Err(Refusal::Minute);
        }
        if self.quotas.per_second.is_some_and(|limit| self.second.count(now) >= limit) {
            return Err(Refusal::Second);
        }
        if self.quotas.per_minute.is_some() {
            self.minute.admit(now);
        }
        self.second.admit(now);
        self.metered += 1;
        Ok(())
    }
}

/// The instants within the last `span`.
#[derive(Debug)]
pub(super) struct Window {
    span: Duration,
    instants: VecDeque<Instant>,
}

impl Window {
    pub(super) fn new(span: Duration) -> Self {
        Self { span, instants: VecDeque::new() }
    }

    /// How many instants are in the window at `now`.
    pub(super) fn count(&mut self, now: Instant) -> usize {
        while self.instants.front().is_some_and(|first| now.saturating_duration_since(*first) >= self.span) {
            self.instants.pop_front();
        }
        self.instants.len()
    }

    pub(super) fn admit(&mut self, now: Instant) {
        self.count(now);
        self.instants.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_second_slides_and_refused_calls_do_not_count() {
        let (mut meter, start) =
            (Meter::new(Quotas { per_second: Some(2), ..Quotas::default() }), Instant::now());
        assert_eq!(meter.admit(at(start, 0)), Ok(()));
        assert_eq!(meter.admit(at(start, 600)), Ok(()));
        assert_eq!(meter.admit(at(start, 999)), Err(Refusal::Second));
        assert_eq!(meter.admit(at(start, 1000)), Ok(()));
        assert_eq!(meter.admit(at(start, 1599)), Err(Refusal::Second));
        assert_eq!(meter.admit(at(start, 1600)), Ok(()));
    }

    #[test]
    fn a_minute_and_a_month_have_their_own_refusals() {
        let quotas = Quotas { per_second: None, per_minute: Some(1), month: Some(2), ..Quotas::default() };
        let (mut meter, start) = (Meter::new(quotas), Instant::now());
        assert_eq!(meter.admit(start), Ok(()));
        assert_eq!(meter.admit(at(start, 59_999)), Err(Refusal::Minute));
        assert_eq!(meter.admit(at(start, 60_000)), Ok(()));
        assert_eq!(meter.admit(at(start, 999_000)), Err(Refusal::Month));
    }

    #[test]
    fn an_address_above_its_quota_is_banned_for_a_while() {
        let quotas = Quotas { address: Some((2, Duration::from_secs(20))), ..Quotas::default() };
        let (mut meter, start) = (Meter::new(quotas), Instant::now());
        assert!(!meter.is_banned(start) && !meter.is_banned(start));
        assert!(meter.is_banned(at(start, 19_999)));
        assert!(meter.is_banned(at(start, 319_998)));
        assert!(!meter.is_banned(at(start, 319_999)));
    }
}
