//! What the tests stand on.

use std::time::Duration;

use meeting_closer::sandbox::{Quotas, SandboxSettings};

/// A stand-in that answers at once, refuses nothing for its number and keeps every call.
pub(crate) fn fast_sandbox() -> SandboxSettings {
    SandboxSettings {
        latency: (Duration::ZERO, Duration::ZERO),
        quotas: Quotas::unlimited(),
        keep_calls: true,
        ..SandboxSettings::default()
    }
}
