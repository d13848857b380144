//! Checks what a run needs, without closing a meeting. Trying and judging are separate functions.
//!
//! Invariant: a check leaves no file and no key behind, and no finding contains a secret.

mod contact;
mod findings;
mod folders;
mod queue;

pub(crate) use contact::{Contact, contact};
pub(crate) use findings::{Finding, Findings, Side};
pub(crate) use folders::{audit_folder, probe_audit_dir, probe_textfile, room, textfile};
pub(crate) use queue::{QueueFacts, queue};
