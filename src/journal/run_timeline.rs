//! A run over time: one span of time for each process that worked on it.
//!
//! A process that ended has left its timeline in its last record. A killed process has left only its requests.
//!
//! Invariant: every request of the journal is in exactly one process's span.

use std::time::Duration;

use jiff::Timestamp;

use super::{MAX_SPANS, Timeline};

/// The processes of a run, in their order. There is always one.
#[derive(Debug)]
pub struct RunTimeline(Vec<ProcessSpan>);

/// What one process did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSpan {
    /// When the process began.
    pub begun_at: Timestamp,
    /// What happened from then on.
    pub timeline: Timeline,
    /// Whether refusals, pauses and rate are known, or only the requests.
    pub is_whole: bool,
}

impl ProcessSpan {
    fn begun(begun_at: Timestamp) -> Self {
        Self { begun_at, timeline: Timeline::default(), is_whole: false }
    }

    /// Whether there is no known refusal and no known pause.
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

    /// Another process continues the run.
    pub fn continued(&mut self, at: Timestamp) {
        self.0.push(ProcessSpan::begun(at));
    }

    /// A request was sent.
    pub fn call(&mut self, at: Timestamp) {
        let process = self.last();
        // A machine's clock can be set back.
        let since = Duration::try_from(at.duration_since(process.begun_at)).unwrap_or_default();
        process.timeline.call(since);
    }

    /// The process ended with this timeline. It is empty if that version recorded none.
    pub fn finished(&mut self, timeline: &Timeline) {
        if !timeline.spans.is_empty() {
            let process = self.last();
            process.timeline = timeline.clone();
            process.is_whole = true;
        }
    }

    /// When later processes continued the run.
    pub fn continuations(&self) -> impl Iterator<Item = Timestamp> {
        self.0.iter().skip(1).map(|process| process.begun_at)
    }

    /// All processes with spans of one length: at most [`MAX_SPANS`], or one for each process.
    pub fn in_equal_spans(&self) -> Vec<ProcessSpan> {
        let longest = self.0.iter().map(|process| process.timeline.span_ms).max().unwrap_or_default();
        let mut span_ms = longest.max(1);
        loop {
            let processes: Vec<ProcessSpan> =
                self.0.iter().map(|process| process.in_spans_of(span_ms)).collect();
            let spans: usize = processes.iter().map(|process| process.timeline.spans.len()).sum();
            match span_ms.checked_mul(2) {
                Some(longer) if spans > MAX_SPANS.max(processes.len()) => span_ms = longer,
                Some(_) | None => return processes,
            }
        }
    }

    fn last(&mut self) -> &mut ProcessSpan {
        self.0.last_mut().expect("`begun` adds the first process, and none is removed")
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
    fn a_killed_process_has_its_requests_and_an_ended_one_its_timeline() {
        let mut timeline = RunTimeline::begun(at(0));
        for second in [0, 0, 2] {
            timeline.call(at(second));
        }
        timeline.continued(at(100));
        timeline.call(at(99));
        let recorded =
            Timeline { span_ms: 2000, spans: vec![Span { calls: 1, refused: 1, ..Span::default() }] };
        timeline.finished(&recorded);
        let processes = timeline.in_equal_spans();
        assert_eq!(processes[0].timeline.spans.iter().map(|span| span.calls).collect::<Vec<_>>(), [2, 1]);
        assert_eq!((processes[0].is_whole, processes[0].timeline.span_ms), (false, 2000));
        assert_eq!((processes[1].is_whole, &processes[1].timeline), (true, &recorded));
    }

    #[test]
    fn a_run_that_was_continued_often_has_a_bounded_number_of_spans_and_loses_no_request() {
        let mut timeline = RunTimeline::begun(at(0));
        for process in 0..20 {
            timeline.continued(at(process * 1000));
            for second in 0..100 {
                timeline.call(at(process * 1000 + second));
            }
        }
        let processes = timeline.in_equal_spans();
        let spans = || processes.iter().flat_map(|process| &process.timeline.spans);
        assert!(spans().count() <= MAX_SPANS, "{}", spans().count());
        assert_eq!(spans().map(|span| span.calls).sum::<u64>(), 2000);
    }

    #[test]
    fn a_timeline_with_impossible_values_does_not_loop_for_ever() {
        let mut timeline = RunTimeline::begun(at(0));
        timeline.finished(&Timeline { span_ms: 0, spans: vec![Span::default(); 100_000] });
        assert!(timeline.in_equal_spans()[0].timeline.spans.len() <= MAX_SPANS);
    }
}
