//! When no request may be sent: after a ban, in an outage, during a wait that DingTalk named. A state machine without a clock.
//!
//! Invariant: nothing shortens a pause. After a ban and in an outage, one request at a time probes until one is answered.

use std::time::Duration;

use tokio::time::Instant;

use super::outage::OutageDetector;
use crate::outcome::{Judgement, Verdict};
use crate::settings::PaceSettings;

/// So many bans in a row are waited out. DingTalk lifts a ban after five minutes. If probes still get the page of a ban, the
/// cause is something else, and every row would get that page.
const MAX_BANS: u32 = 3;

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Yes, as soon as the quota grants a permit.
    Go,
    /// Not before this pause is over.
    Until(Pause),
    /// One request at a time, to find out whether the trouble is over.
    Probe(ProbeFor),
}

/// What a probe finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeFor {
    /// Whether a ban is over. Any row may probe.
    Ban,
    /// Whether an outage is over. A row without trouble so far probes, because the other rows may be the only ones in trouble.
    Outage,
}

/// A time in which no request is sent.
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
    /// The next probe is sent after this long.
    Wait(Duration),
    /// The outage has lasted as long as the run waits at most.
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
    /// No pause yet. `longest_outage` is how long the run waits for DingTalk to come back; `None` is for ever.
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

    /// Whether a request may be sent at `now`.
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

    /// Pauses the run for this long, unless a longer pause is on.
    pub fn pause(&mut self, now: Instant, wait: Duration, reason: &'static str) {
        let until = now + wait;
        if !wait.is_zero() && self.pause.is_none_or(|pause| pause.until < until) {
            self.pause = Some(Pause { until, wait, reason });
        }
    }

    /// Takes in an answer: any answer but a ban ends the bans, and any answer but trouble ends an outage. An answer that comes
    /// during a ban's pause belongs to a request that was sent before, so it does not end the bans.
    pub fn answered(&mut self, judgement: &Judgement, now: Instant) {
        let is_answer = judgement.verdict != Verdict::Banned && judgement.details.http_status.is_some();
        if is_answer && self.current(now).is_none() {
            self.bans_in_a_row = 0;
        }
        if !matches!(judgement.verdict, Verdict::Retry | Verdict::Unreachable | Verdict::Banned) {
            self.outage.answered();
            self.was_answered = true;
        }
    }

    /// A row is in trouble; `was_before` says that it was so before. Returns `None` where only this row is in trouble.
    pub fn trouble(&mut self, judgement: &Judgement, was_before: bool, now: Instant) -> Option<OutageStep> {
        let wait = match self.current(now) {
            Some(pause) if self.outage.is_open() => pause.until - now,
            Some(_) | None => self.outage.trouble(was_before, now)?,
        };
        Some(self.continue_outage(judgement.retry_after.map_or(wait, |named| named.max(wait)), now))
    }

    /// No access token could be fetched. Once DingTalk has answered in this run, that is an outage. Before that it is not, and
    /// this returns `None`.
    pub fn no_access_token(&mut self, now: Instant) -> Option<OutageStep> {
        self.was_answered.then(|| {
            let wait = self.outage.no_answer(now);
            self.continue_outage(wait, now)
        })
    }

    fn continue_outage(&mut self, wait: Duration, now: Instant) -> OutageStep {
        if self.longest_outage.is_some_and(|longest| self.outage.lasting(now) >= longest) {
            return OutageStep::TooLong;
        }
        self.pause(now, wait, "DingTalk has an outage; one request at a time probes whether it is over");
        OutageStep::Wait(wait)
    }

    /// DingTalk banned this address. Returns false where this can be no ban, because too many probes in a row were banned.
    /// Bans of requests that were in flight when the first ban came count once.
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

#[cfg(test)]
mod tests;
