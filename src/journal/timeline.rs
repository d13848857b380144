//! A process's calls, refusals, pauses and rate over time, short enough for one record.
//!
//! Invariant: a timeline has at most [`MAX_SPANS`] spans, however long the run is. When a run needs more, every two spans
//! become one. All numbers are whole, because the journal's canonical text has whole numbers only.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The most spans that a timeline has.
pub(crate) const MAX_SPANS: usize = 240;

/// What a process did from its start on, in spans of equal length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The length of one span, in milliseconds.
    pub span_ms: u64,
    /// The spans, from the start (or continuation) of the run on.
    pub spans: Vec<Span>,
}

/// One span of a [`Timeline`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Requests that were sent.
    pub calls: u64,
    /// Answers that refused a request for its rate, bans included.
    pub refused: u64,
    /// Time in pauses, in milliseconds.
    pub paused_ms: u64,
    /// The lowest allowed rate, in requests per 1,000 seconds; 0 if it did not change from the span before.
    pub per_1000_s: u64,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { span_ms: 1000, spans: vec![] }
    }
}

impl Timeline {
    /// A request was sent, this long after the start.
    pub fn call(&mut self, at: Duration) {
        self.span(at).calls += 1;
    }

    /// DingTalk refused a request for its rate.
    pub fn refusal(&mut self, at: Duration) {
        self.span(at).refused += 1;
    }

    /// A pause lasted from one time to another.
    pub fn pause(&mut self, from: Duration, to: Duration) {
        self.span(to);
        let (from, to) = (millis(from), millis(to));
        for (index, span) in (0u64..).zip(&mut self.spans) {
            let (start, end) = (index * self.span_ms, (index + 1) * self.span_ms);
            span.paused_ms += to.min(end).saturating_sub(from.max(start));
        }
    }

    /// The rate changed to this, in requests per 1,000 seconds.
    pub fn rate(&mut self, at: Duration, per_1000_s: u64) {
        let span = self.span(at);
        span.per_1000_s = lower(span.per_1000_s, per_1000_s);
    }

    /// The same timeline in longer spans. `span_ms` is a multiple of the present length.
    #[must_use]
    pub fn in_spans_of(&self, span_ms: u64) -> Self {
        let each = usize::try_from(span_ms / self.span_ms.max(1)).unwrap_or(usize::MAX).max(1);
        Self { span_ms, spans: self.spans.chunks(each).map(merged).collect() }
    }

    fn span(&mut self, at: Duration) -> &mut Span {
        let at = millis(at);
        while at / self.span_ms >= MAX_SPANS as u64 {
            self.span_ms *= 2;
            self.spans = self.spans.chunks(2).map(merged).collect();
        }
        let index = usize::try_from(at / self.span_ms).expect("the loop above keeps it below MAX_SPANS");
        if self.spans.len() <= index {
            self.spans.resize(index + 1, Span::default());
        }
        &mut self.spans[index]
    }
}

fn merged(spans: &[Span]) -> Span {
    spans.iter().fold(Span::default(), |sum, span| Span {
        calls: sum.calls + span.calls,
        refused: sum.refused + span.refused,
        paused_ms: sum.paused_ms + span.paused_ms,
        per_1000_s: lower(sum.per_1000_s, span.per_1000_s),
    })
}

/// The lower of two rates. A rate of 0 is unknown.
fn lower(first: u64, second: u64) -> u64 {
    if first == 0 || second == 0 { first.max(second) } else { first.min(second) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn calls_refusals_pauses_and_rates_are_in_the_span_of_their_time() {
        let mut timeline = Timeline::default();
        timeline.rate(Duration::ZERO, 18_000);
        timeline.call(SECOND / 2);
        timeline.call(SECOND * 3 / 2);
        timeline.refusal(SECOND * 3 / 2);
        timeline.pause(SECOND * 3 / 2, SECOND * 13 / 4);
        timeline.rate(SECOND * 13 / 4, 9_000);
        let span = |calls, refused, paused_ms, per_1000_s| Span { calls, refused, paused_ms, per_1000_s };
        assert_eq!(
            timeline.spans,
            [span(1, 0, 0, 18_000), span(1, 1, 500, 0), span(0, 0, 1000, 0), span(0, 0, 250, 9_000)]
        );
    }

    #[test]
    fn longer_spans_have_the_sums_of_the_shorter_ones() {
        let mut timeline = Timeline::default();
        timeline.rate(Duration::ZERO, 9_000);
        for second in 0..5 {
            timeline.call(second * SECOND);
        }
        let coarse = timeline.in_spans_of(2000);
        let calls: Vec<u64> = coarse.spans.iter().map(|span| span.calls).collect();
        assert_eq!((coarse.span_ms, calls, coarse.spans[0].per_1000_s), (2000, vec![2, 2, 1], 9_000));
    }

    #[test]
    fn a_long_run_has_longer_spans_and_loses_no_call() {
        let mut timeline = Timeline::default();
        timeline.rate(SECOND, 5_000);
        for second in 0..10_000 {
            timeline.call(second * SECOND);
        }
        timeline.pause(Duration::ZERO, 10_000 * SECOND);
        assert!(timeline.spans.len() <= MAX_SPANS && timeline.span_ms == 64_000, "{timeline:?}");
        assert_eq!(timeline.spans.iter().map(|span| span.calls).sum::<u64>(), 10_000);
        assert_eq!(timeline.spans.iter().map(|span| span.paused_ms).sum::<u64>(), 10_000_000);
        assert_eq!(timeline.spans[0].per_1000_s, 5_000);
    }
}
