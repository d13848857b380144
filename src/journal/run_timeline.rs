//! How a run went over time: one stretch for each process that worked on it.
//!
//! A process that ended left its timeline in its last record. One that was killed left its requests alone.
//!
//! Invariant: every request of the journal stands in exactly one stretch.

use std::time::Duration;

use jiff::Timestamp;

use super::{MAX_SPANS, Timeline};

/// The stretches of a run, in their order; there is always one.
#[derive(Debug)]
pub struct RunTimeline(Vec<ProcessSpan>);

/// What one process did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSpan {
    /// When it began.
    pub begun_at: Timestamp,
    /// Over time, from then on.
    pub timeline: Timeline,
    /// Whether refusals, pauses and rate are known, or the requests alone.
    pub is_whole: bool,
}

impl ProcessSpan {
    fn begun(begun_at: Timestamp) -> Self {
        Self { begun_at, timeline: Timeline::default(), is_whole: false }
    }

    /// Whether nothing was refused and nothing paused, as far as is known.
    pub fn is_undisturbed(&self) -> bool {
        self.timeline.spans.iter().all(|span| span.refused == 0 && span.paused_ms == 0)
    }

    fn in_spans_of(&self, span_ms: u64) -> Self {
        Self { timeline: self.timeline.in_spans_of(span_ms), ..self.clone() }
    }
}

impl RunTimeline {
    /// A run began.
    pub fn begun(at: Timestamp) -> Self {
        Self(vec![ProcessSpan::begun(at)])
    }

    /// Another process goes on with it.
    pub fn continued(&mut self, at: Timestamp) {
        self.0.push(ProcessSpan::begun(at));
    }

    /// A request left.
    pub fn call(&mut self, at: Timestamp) {
        let stretch = self.last();
        // A machine's clock can be set back.
        let since = Duration::try_from(at.duration_since(stretch.begun_at)).unwrap_or_default();
        stretch.timeline.call(since);
    }

    /// The process ended with this timeline, which is empty where its version kept none.
    pub fn finished(&mut self, timeline: &Timeline) {
        if !timeline.spans.is_empty() {
            let stretch = self.last();
            stretch.timeline = timeline.clone();
            stretch.is_whole = true;
        }
    }

    /// When other processes went on with the run.
    pub fn continuations(&self) -> impl Iterator<Item = Timestamp> {
        self.0.iter().skip(1).map(|stretch| stretch.begun_at)
    }

    /// All stretches with spans of one length, of which there are [`MAX_SPANS`] at most or one a stretch.
    pub fn in_equal_spans(&self) -> Vec<ProcessSpan> {
        let longest = self.0.iter().map(|stretch| stretch.timeline.span_ms).max().unwrap_or_default();
        let mut span_ms = longest.max(1);
        loop {
            let stretches: Vec<ProcessSpan> =
                self.0.iter().map(|stretch| stretch.in_spans_of(span_ms)).collect();
            let spans: usize = stretches.iter().map(|stretch| stretch.timeline.spans.len()).sum();
            match span_ms.checked_mul(2) {
                Some(longer) if spans > MAX_SPANS.max(stretches.len()) => span_ms = longer,
                Some(_) | None => return stretches,
            }
        }
    }

    fn last(&mut self) -> &mut ProcessSpan {
        self.0.last_mut().expect("there is always one")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Span;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + second).unwrap()
    }

    #[test]
    fn a_killed_process_is_known_by_its_requests_and_an_ended_one_by_its_timeline() {
        let mut course = RunTimeline::begun(at(0));
        for second in [0, 0, 2] {
            course.call(at(second));
        }
        course.continued(at(100));
        course.call(at(99));
        let told = Timeline { span_ms: 2000, spans: vec![Span { calls: 1, refused: 1, ..Span::default() }] };
        course.finished(&told);
        let stretches = course.in_equal_spans();
        assert_eq!(stretches[0].timeline.spans.iter().map(|span| span.calls).collect::<Vec<_>>(), [2, 1]);
        assert_eq!((stretches[0].is_whole, stretches[0].timeline.span_ms), (false, 2000));
        assert_eq!((stretches[1].is_whole, &stretches[1].timeline), (true, &told));
    }

    #[test]
    fn a_run_that_was_continued_often_has_no_more_spans_and_loses_no_request() {
        let mut course = RunTimeline::begun(at(0));
        for process in 0..20 {
            course.continued(at(process * 1000));
            for second in 0..100 {
                course.call(at(process * 1000 + second));
            }
        }
        let stretches = course.in_equal_spans();
        let spans = || stretches.iter().flat_map(|stretch| &stretch.timeline.spans);
        assert!(spans().count() <= MAX_SPANS, "{}", spans().count());
        assert_eq!(spans().map(|span| span.calls).sum::<u64>(), 2000);
    }

    #[test]
    fn a_timeline_that_nobody_could_have_written_ends_too() {
        let mut course = RunTimeline::begun(at(0));
        course.finished(&Timeline { span_ms: 0, spans: vec![Span::default(); 100_000] });
        assert!(course.in_equal_spans()[0].timeline.spans.len() <= MAX_SPANS);
    }
}
