//! When nothing may leave: a ban, an outage, a wait that DingTalk named. A state machine without a clock of its own.
//!
//! Invariant: a pause is never shortened, and after a ban or in an outage one request at a time probes until one is answered.

use std::time::Duration;

use tokio::time::Instant;

use super::outage::OutageDetector;
use crate::outcome::{Judgement, Verdict};
use crate::settings::PaceSettings;

/// How many probes in a row may be banned. DingTalk lifts a ban after five minutes. A page that still comes then is something
/// else, and every row would get it.
const MAX_BANS: u32 = 3;

/// Whether a request may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may, as soon as the quota grants a permit.
    Go,
    /// Nothing leaves before this pause is over.
    Until(Pause),
    /// One request at a time may leave, to find out whether the trouble is over.
    Probe(ProbeFor),
}

/// What a probe finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeFor {
    /// Whether a ban is over. Any row may probe.
    Ban,
    /// Whether an outage is over. A row that is not in trouble yet probes: the others may be the only ones in trouble.
    Outage,
}

/// A time in which nothing leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// When it ends.
    pub until: Instant,
    /// How long it was to last.
    pub wait: Duration,
    /// Why.
    pub reason: &'static str,
}

/// What another failed request means during an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutageStep {
    /// The next probe leaves after this long.
    Wait(Duration),
    /// The outage has lasted longer than the run waits.
    TooLong,
}

/// The pauses of a run.
#[derive(Debug)]
pub struct Pauses {
    settings: PaceSettings,
    longest_outage: Option<Duration>,
    pause: Option<Pause>,
    bans_in_a_row: u32,
    outage: OutageDetector,
    was_answered: bool,
}

impl Pauses {
    /// No pause yet. `longest_outage` is how long a run waits for DingTalk to come back; `None` is for ever.
    pub fn new(settings: &PaceSettings, longest_outage: Option<Duration>) -> Self {
        Self {
            settings: *settings,
            longest_outage,
            pause: None,
            bans_in_a_row: 0,
            outage: OutageDetector::default(),
            was_answered: false,
        }
    }

    /// Whether a request may leave at `now`.
    pub fn admission(&self, now: Instant) -> Admission {
        match self.current(now) {
            Some(pause) => Admission::Until(pause),
            None if self.outage.is_open() => Admission::Probe(ProbeFor::Outage),
            None if self.bans_in_a_row > 0 => Admission::Probe(ProbeFor::Ban),
            None => Admission::Go,
        }
    }

    /// The pause that lasts at `now`, if there is one.
    pub fn current(&self, now: Instant) -> Option<Pause> {
        self.pause.filter(|pause| pause.until > now)
    }

    /// Lets nothing leave for this long.
    pub fn pause(&mut self, now: Instant, wait: Duration, reason: &'static str) {
        let until = now + wait;
        if !wait.is_zero() && self.pause.is_none_or(|pause| pause.until < until) {
            self.pause = Some(Pause { until, wait, reason });
        }
    }

    /// Notes what an answer says about bans and outages: anything but a ban that comes through ends the bans, and anything but
    /// trouble ends an outage.
    pub fn heard(&mut self, judgement: &Judgement, now: Instant) {
        let is_answer = judgement.verdict != Verdict::Banned && judgement.details.http_status.is_some();
        if is_answer && self.current(now).is_none() {
            self.bans_in_a_row = 0;
        }
        if !matches!(judgement.verdict, Verdict::Retry | Verdict::Unreachable | Verdict::Banned) {
            self.outage.answered();
            self.was_answered = true;
        }
    }

    /// A row is in trouble, for the first time unless `was_before`. `None` means that the trouble is the row's own.
    pub fn trouble(&mut self, judgement: &Judgement, was_before: bool, now: Instant) -> Option<OutageStep> {
        let wait = match self.current(now) {
            Some(pause) if self.outage.is_open() => pause.until - now,
            Some(_) | None => self.outage.trouble(was_before, now)?,
        };
        Some(self.outage_goes_on(judgement.retry_after.map_or(wait, |named| named.max(wait)), now))
    }

    /// No access token could be fetched. Once DingTalk has answered in this run, that is an outage like any other; before,
    /// it is not for the pace to decide.
    pub fn no_access_token(&mut self, now: Instant) -> Option<OutageStep> {
        self.was_answered.then(|| {
            let wait = self.outage.no_answer(now);
            self.outage_goes_on(wait, now)
        })
    }

    fn outage_goes_on(&mut self, wait: Duration, now: Instant) -> OutageStep {
        if self.longest_outage.is_some_and(|longest| self.outage.lasting(now) >= longest) {
            return OutageStep::TooLong;
        }
        self.pause(now, wait, "DingTalk has trouble with every row: one request at a time probes");
        OutageStep::Wait(wait)
    }

    /// DingTalk banned this address. Returns false where the ban is no ban any more, because it meets every probe. Requests
    /// that were in flight when the ban came belong to the same ban.
    pub fn banned(&mut self, judgement: &Judgement, now: Instant) -> bool {
        if self.current(now).is_none() || self.bans_in_a_row == 0 {
            if self.bans_in_a_row == MAX_BANS {
                return false;
            }
            self.bans_in_a_row += 1;
            let wait = self.settings.pause_after_ban(judgement.retry_after);
            self.pause(now, wait, judgement.reason);
        }
        true
    }
}
