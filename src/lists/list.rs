//! One list: its temporary copy, its header, and its purpose.

use super::header::Header;
use super::spool::Spool;

#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) spool: Spool,
    pub(super) header: Header,
    /// The first line that is not blank, and names no delimiter.
    pub(super) first_line: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Close the list's meetings.
    ToClose,
    /// Do not close the list's meetings. Their hosts do not matter.
    Exclusions,
}

impl Purpose {
    pub(super) const fn needs_union_id(self) -> bool {
        match self {
            Self::ToClose => true,
            Self::Exclusions => false,
        }
    }
}
