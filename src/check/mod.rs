//! What has to be right before a run: probed without closing anything, and judged apart from the probing.
//!
//! Invariant: a probe leaves nothing behind, and no finding holds a secret.

mod contact;
mod findings;
mod folders;

pub(crate) use contact::{Contact, contact};
pub(crate) use findings::{Finding, Findings, Side};
pub(crate) use folders::{audit_folder, probe_audit_dir, probe_textfile, room, textfile};
