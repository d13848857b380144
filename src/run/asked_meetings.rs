//! Which meetings this process has asked for, and which more than once.

use crate::meeting::{Fingerprint, FingerprintSet};

/// The meetings that were asked for: another row can name the same one with another host.
#[derive(Default)]
pub(super) struct AskedMeetings {
    once: FingerprintSet,
    again: FingerprintSet,
}

impl AskedMeetings {
    /// A request for it leaves.
    pub(super) fn asked(&mut self, meeting: Fingerprint) {
        if !self.once.insert(meeting) {
            self.again.insert(meeting);
        }
    }

    /// Whether more than one request of this process asked for it, so that the other may have ended it.
    pub(super) fn was_asked_again(&self, meeting: Fingerprint) -> bool {
        self.again.contains(&meeting)
    }
}
