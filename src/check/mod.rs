//! What has to be right before a run: probed without closing anything, and judged apart from the probing.
//!
//! Invariant: a probe leaves nothing behind, and no finding holds a secret.

mod contact;
mod findings;
mod folders;

pub use contact::{Contact, contact};
pub use findings::{Finding, Findings, Grade, Side};
pub use folders::{FolderFacts, audit_folder, probe_audit_dir, probe_textfile, room, textfile};
