//! The state of the stand-in's meetings.
//!
//! Invariant: a meeting that has ended never opens again.

use std::collections::HashMap;

/// What a request to close a meeting does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseResult {
    Closed,
    HadEnded,
    NotTheHost,
    UnknownUser,
}

/// Every meeting that a request named.
#[derive(Debug, Default)]
pub(super) struct Meetings(HashMap<String, MeetingState>);

#[derive(Debug)]
enum MeetingState {
    Open { host: String },
    Ended,
}

impl Meetings {
    /// Closes a meeting if it is open and this is its host.
    pub(super) fn close(&mut self, conference_id: &str, union_id: &str) -> CloseResult {
        if union_id.starts_with("stranger") {
            return CloseResult::UnknownUser;
        }
        if conference_id.starts_with("ended")
            || matches!(self.0.get(conference_id), Some(MeetingState::Ended))
        {
            return CloseResult::HadEnded;
        }
        if union_id.starts_with("guest") {
            return CloseResult::NotTheHost;
        }
        match self.0.get(conference_id) {
            Some(MeetingState::Open { host }) if host != union_id => CloseResult::NotTheHost,
            Some(MeetingState::Open { .. } | MeetingState::Ended) | None => {
                self.0.insert(conference_id.to_owned(), MeetingState::Ended);
                CloseResult::Closed
            }
        }
    }

    /// Makes this person the host of a meeting that is new. For a request that a fault kept from closing it.
    pub(super) fn open(&mut self, conference_id: &str, union_id: &str) {
        if !self.0.contains_key(conference_id) {
            self.0.insert(conference_id.to_owned(), MeetingState::Open { host: union_id.to_owned() });
        }
    }

    pub(super) fn has_ended(&self, conference_id: &str) -> bool {
        matches!(self.0.get(conference_id), Some(MeetingState::Ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meeting_is_closed_once_and_never_opens_again() {
        let mut meetings = Meetings::default();
        assert_eq!(meetings.close("a", "host"), CloseResult::Closed);
        assert_eq!(meetings.close("a", "host"), CloseResult::HadEnded);
        assert!(meetings.has_ended("a"));
    }

    #[test]
    fn the_first_person_who_asks_for_a_meeting_is_its_host() {
        let mut meetings = Meetings::default();
        meetings.open("a", "host");
        assert_eq!(meetings.close("a", "other"), CloseResult::NotTheHost);
        assert_eq!(meetings.close("a", "host"), CloseResult::Closed);
    }

    #[test]
    fn test_ids_give_the_other_cases() {
        let mut meetings = Meetings::default();
        assert_eq!(meetings.close("ended-1", "host"), CloseResult::HadEnded);
        assert_eq!(meetings.close("a", "guest-1"), CloseResult::NotTheHost);
        assert_eq!(meetings.close("a", "stranger-1"), CloseResult::UnknownUser);
        assert!(!meetings.has_ended("a"));
    }
}
