//! All lists of a run.
//!
//! Invariant: each list is copied once, and [`Lists::rows`] always reads that copy.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::cell;
use super::error::ListError;
use super::header::{self, Header, HeaderProblem, Separator};
use super::list::{List, Purpose};
use super::list_name::{self, ListName};
use super::reader::{ExclusionRows, ListRows};
use super::spool::{CopyFile, Spool};
use super::workbook;
use crate::meeting::Row;
use crate::settings::InputSettings;

/// How many bytes the header and the lines above it may have.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// How many lines that are not blank may stand above the header: people put titles and remarks there.
const LINES_ABOVE: usize = 20;

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
        let copies = CopyFile::default();
        let open = |name: &ListName| List::open(name, columns, Purpose::ToClose, &copies);
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
    let list = List::open(&path.to_owned().into(), columns, Purpose::Exclusions, &CopyFile::default())?;
    Ok(ExclusionRows::of(&list.spool, &list.header))
}

impl List {
    fn open(
        name: &ListName,
        columns: &InputSettings,
        purpose: Purpose,
        copies: &CopyFile,
    ) -> Result<Self, ListError> {
        if list_name::is_workbook(&name.path) {
            return workbook::open(name, columns, purpose, copies);
        }
        let spool = Spool::of(&name.path, copies)?;
        let list = match Self::with_header(spool.clone(), columns, purpose) {
            Ok(list) => list,
            Err(error) => {
                let second = spool.in_second_encoding().ok_or(error)?;
                Self::with_header(second, columns, purpose)
                    .or_else(|_| Self::with_header(spool, columns, purpose))?
            }
        };
        list.spool.say_encoding()?;
        if list.header.line > list.first_line {
            tracing::info!(list = %list.spool.source, "the header is line {}; the lines above it are ignored", list.header.line);
        }
        Ok(list)
    }

    /// Finds the header among the first lines.
    fn with_header(spool: Spool, columns: &InputSettings, purpose: Purpose) -> Result<Self, ListError> {
        let no_header = || ListError::new(&spool.source, "the list has no header row");
        let first = first_lines(&spool)?;
        let mut lines = first.as_slice();
        let mut delimiter = None;
        if let [(_, line), below @ ..] = lines
            && let Some(named) = Separator::in_line(line)
        {
            (delimiter, lines) = (named.delimiter, below);
        }
        let mut nearest: Option<(u64, HeaderProblem)> = None;
        for (index, (line, text)) in lines.iter().enumerate() {
            match header::read(*line, text, delimiter, columns, purpose.needs_union_id()) {
                Ok(header) => {
                    refuse_row_above(&spool, &header, &lines[..index])?;
                    let first_line = lines[0].0;
                    return Ok(Self { spool, header, first_line });
                }
                Err(problem) if nearest.as_ref().is_none_or(|(_, best)| problem.known > best.known) => {
                    nearest = Some((*line, problem));
                }
                Err(_) => {}
            }
        }
        let (line, HeaderProblem { problem, hint, .. }) = nearest.ok_or_else(no_header)?;
        Err(ListError::new(&spool.source, problem).at(line).hint(hint))
    }
}

/// Refuses a list with a row above its header, because the columns of that row are unknown.
fn refuse_row_above(spool: &Spool, header: &Header, above: &[(u64, String)]) -> Result<(), ListError> {
    for (line, text) in above {
        let cells = header::split(text, header.delimiter);
        let cell = |index: usize| cells.get(index).cloned().unwrap_or_default();
        if header::is_row_above(cell, &header.conference_id, header.union_id.as_ref()) {
            let problem =
                format!("this line looks like a row, and the header is below it, in line {}", header.line);
            return Err(ListError::new(&spool.source, problem)
                .at(*line)
                .hint("move the header above the first row"));
        }
    }
    Ok(())
}

/// The first lines that are not blank, with their numbers.
fn first_lines(spool: &Spool) -> Result<Vec<(u64, String)>, ListError> {
    let mut text = BufReader::new(spool.text().take(MAX_HEADER_BYTES));
    let (mut found, mut start, mut number) = (vec![], vec![], 0);
    while found.len() <= LINES_ABOVE {
        start.clear();
        let unreadable = |error| ListError::unreadable(&spool.source, &error);
        if text.read_until(b'\n', &mut start).map_err(unreadable)? == 0 {
            break;
        }
        // A single carriage return also ends a line.
        for line in String::from_utf8_lossy(&start).trim_end_matches(['\r', '\n']).split('\r') {
            number += 1;
            if !line.chars().all(cell::is_blank) {
                found.push((number, line.to_owned()));
            }
        }
    }
    found.truncate(LINES_ABOVE + 1);
    Ok(found)
}
