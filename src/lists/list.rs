//! One list: its copy, its header, and what it is read for.

use super::header::Header;
use super::spool::Spool;

/// A list that was copied and whose header was read.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) spool: Spool,
    pub(super) header: Header,
}

/// What a list is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its meetings are to be closed.
    ToClose,
    /// Its meetings must not be closed; whose they are is of no interest.
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
