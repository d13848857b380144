//! All lists of a run.
//!
//! Invariant: each list is copied once, and [`Lists::rows`] always reads that copy.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::cell;
use super::error::ListError;
use super::header::{self, HeaderProblem};
use super::list::{List, Purpose};
use super::list_name::{self, ListName};
use super::reader::{ExclusionRows, ListRows};
use super::spool::Spool;
use super::workbook;
use crate::meeting::Row;
use crate::settings::InputSettings;

/// The longest header line, in bytes.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// The lists of a run.
#[derive(Debug, Clone)]
pub(crate) struct Lists {
    lists: Vec<List>,
}

impl From<List> for Lists {
    fn from(list: List) -> Self {
        Self { lists: vec![list] }
    }
}

/// What a run records about a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListFacts {
    /// The path as given, or `-`.
    pub source: Arc<str>,
    /// The sheet, if the list is a workbook.
    pub sheet: Option<Arc<str>>,
    /// The SHA-256 of the list's bytes, in hex.
    pub sha256: String,
    /// The list's length in bytes.
    pub bytes: u64,
}

impl Lists {
    /// Copies every list and reads its header. A path `-` is standard input.
    pub(crate) fn open<N>(lists: &[N], columns: &InputSettings) -> Result<Self, ListError>
    where
        N: Clone + Into<ListName>,
    {
        let names: Vec<ListName> = lists.iter().cloned().map(Into::into).collect();
        if names.iter().filter(|name| name.path.as_os_str() == "-").count() > 1 {
            return Err(ListError::new(&"-".into(), "it is named twice, but it can be read only once"));
        }
        let open = |name: &ListName| List::open(name, columns, Purpose::ToClose);
        let lists = names.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { lists })
    }

    /// What a run records about each list, in the order of the command line.
    pub(crate) fn facts(&self) -> Vec<ListFacts> {
        let facts = |List { spool, .. }: &List| ListFacts {
            source: Arc::clone(&spool.source),
            sheet: spool.sheet.clone(),
            sha256: spool.sha256.clone(),
            bytes: spool.bytes,
        };
        self.lists.iter().map(facts).collect()
    }

    /// One digest of all lists. The same bytes and sheets in the same order give the same digest; file names do not
    /// count.
    pub(crate) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for list in &self.lists {
            digest.update(&list.spool.sha256);
            digest.update(list.spool.sheet.as_deref().unwrap_or_default());
            digest.update("\n");
        }
        const_hex::encode(digest.finalize())
    }

    /// The rows of all lists. Each call starts from the beginning.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Result<Row, ListError>> + Send + use<'_> {
        self.lists.iter().flat_map(|list| ListRows::of(&list.spool, &list.header))
    }
}

/// Reads the rows of an exclusion list, which needs only the conference id column.
pub(super) fn exclusion_rows(path: &Path, columns: &InputSettings) -> Result<ExclusionRows, ListError> {
    let list = List::open(&path.to_owned().into(), columns, Purpose::Exclusions)?;
    Ok(ExclusionRows::of(&list.spool, &list.header))
}

impl List {
    fn open(name: &ListName, columns: &InputSettings, purpose: Purpose) -> Result<Self, ListError> {
        if list_name::is_workbook(&name.path) {
            return workbook::open(name, columns, purpose);
        }
        let spool = Spool::of(&name.path)?;
        let (line, text) = first_line(&spool)?;
        let header = header::read(line, &text, columns, purpose.needs_union_id()).map_err(
            |HeaderProblem { problem, hint }| ListError::new(&spool.source, problem).at(line).hint(hint),
        )?;
        Ok(Self { spool, header })
    }
}

/// The first line that is not blank, with its number.
fn first_line(spool: &Spool) -> Result<(u64, String), ListError> {
    let mut text = BufReader::new(spool.text().take(MAX_HEADER_BYTES));
    let mut start = vec![];
    let unreadable = |error| ListError::unreadable(&spool.source, &error);
    let mut number = 0;
    loop {
        start.clear();
        if text.read_until(b'\n', &mut start).map_err(unreadable)? == 0 {
            return Err(ListError::new(&spool.source, "the list has no header row"));
        }
        // A single carriage return also ends a line.
        for line in String::from_utf8_lossy(&start).trim_end_matches(['\r', '\n']).split('\r') {
            number += 1;
            if !line.chars().all(cell::is_blank) {
                return Ok((number, line.to_owned()));
            }
        }
    }
}
