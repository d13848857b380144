//! Whether a run is a rehearsal: its requests go to a stand-in on this machine.
//!
//! Invariant: every output of a rehearsal is marked as one.

use crate::settings::Settings;

/// The line that marks every output of a rehearsal.
pub(crate) const REHEARSAL: &str = "SANDBOX: a rehearsal, no real meeting was touched";

/// Whether these settings make a rehearsal.
pub(crate) fn is_rehearsal(settings: &Settings) -> bool {
    settings.dingtalk.base_url.is_loopback()
}
