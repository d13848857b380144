//! Which meetings this process sent a close request for, and which more than once.
//!
//! Invariant: a meeting that was asked for is never forgotten. It costs one fingerprint.

use crate::meeting::{Fingerprint, FingerprintSet};

/// The meetings that were asked for. Two rows can name the same meeting with different hosts.
#[derive(Default)]
pub(super) struct AskedMeetings {
    once: FingerprintSet,
    again: FingerprintSet,
}

impl AskedMeetings {
    /// A close request for this meeting is sent.
    pub(super) fn asked(&mut self, meeting: Fingerprint) {
        if !self.once.insert(meeting) {
            self.again.insert(meeting);
        }
    }

    /// Whether this process sent more than one close request for it, so that an earlier one may have ended it.
    pub(super) fn was_asked_again(&self, meeting: Fingerprint) -> bool {
        self.again.contains(&meeting)
    }
}
