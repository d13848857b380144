//! What must hold for every input, however odd: the checks that the fuzz targets of `fuzz/` make. The program does not contain
//! this module.
//!
//! Each function takes any bytes, feeds them to one part of the program, and panics if what comes out breaks a promise. The tests
//! replay the inputs in `fuzz/corpus`. `fuzz/run` searches for new inputs, guided by the code that they reach.
//!
//! Invariant: a check knows the right answer from the input or from the documents, and never from the code that it checks.

mod answers;
mod configuration;
mod entries;
mod journals;
mod lists;
mod sheets;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use answers::{answer, token_answer};
pub use configuration::configuration;
pub use entries::queue_entry;
pub use journals::journal;
pub use lists::{csv_list, exclusions, workbook};
pub use sheets::sheet;

/// Takes an input, and panics if it breaks a promise.
pub type Check = fn(&[u8]);

/// Every target: its name in `fuzz/`, and its check.
pub const TARGETS: [(&str, Check); 9] = [
    ("answer", answer),
    ("configuration", configuration),
    ("csv_list", csv_list),
    ("exclusions", exclusions),
    ("journal", journal),
    ("queue_entry", queue_entry),
    ("sheet", sheet),
    ("token_answer", token_answer),
    ("workbook", workbook),
];

thread_local! {
    static FOLDER: tempfile::TempDir = tempfile::tempdir().expect("a temporary folder can be made");
}

/// Writes a file of this name, which holds these bytes.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    FOLDER.with(|folder| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a temporary file can be written");
        path
    })
}

/// An input's first line, and what follows it.
fn first_line(input: &[u8]) -> (String, &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let rest = input.get(end + 1..).unwrap_or_default();
    (String::from_utf8_lossy(&input[..end]).into_owned(), rest)
}

/// A text for people must not steer their terminal.
fn assert_printable(text: &str) {
    assert!(!text.is_empty(), "a text for people is empty");
    let control = text.chars().find(|c| c.is_control() && *c != '\n');
    assert!(control.is_none(), "a text for people holds {control:?}: {text:?}");
}
