//! Journals: reading, proving, continuing, reporting.
//!
//! An input begins with a line `MODE CUT`. The lines of the journal follow. In the mode `sealed`, each line that is a JSON object
//! gets its number, its place in the chain and its hash here, because random bytes never have the right hash. `CUT` is the byte
//! at which a crash cuts the journal.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{FOLDER, assert_printable, first_line};
use crate::journal::{Chain, FILE_NAME, Hasher, JournalEntry, Reader, Record, recover, verify};
use crate::report::write_reports;
use crate::run::History;

/// The bytes as a journal.
pub fn journal(bytes: &[u8]) {
    let (head, body) = first_line(bytes);
    let (mode, cut) = head.split_once(' ').unwrap_or((&head, ""));
    let whole = if mode == "sealed" { sealed(body) } else { body.to_vec() };
    let cut = cut.trim().parse::<usize>().unwrap_or(whole.len() / 2) % (whole.len() + 1);
    FOLDER.with(|folder| {
        let path = folder.path().join(FILE_NAME);
        let entries = check_reading(&path, &whole);
        check_proof(&path, &entries);
        let before = check_reading(&path, &whole[..cut]);
        assert!(entries.starts_with(&before), "a cut journal holds other records than the whole");
        check_recovery(&path, &whole[..cut], &before);
    });
}

/// The lines as a chain.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut chain = Chain::new(Hasher::PLAIN);
    let mut journal = vec![];
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        if let Ok(Value::Object(mut fields)) = serde_json::from_slice(line) {
            fields.remove("hash");
            fields.insert("prev".into(), chain.head.to_string().into());
            fields.insert("seq".into(), (chain.seq + 1).into());
            let mut record = Value::Object(fields);
            record.sort_all_objects();
            journal.extend(chain.seal(&record.to_string()).into_bytes());
            journal.extend(line.ends_with(b"\n").then_some(b'\n'));
        } else {
            journal.extend(line);
        }
    }
    journal
}

/// Writes the journal and reads its entries up to its first fault.
fn check_reading(path: &Path, bytes: &[u8]) -> Vec<JournalEntry> {
    fs::write(path, bytes).expect("a temporary file can be written");
    let mut reader = Reader::open(path, Hasher::PLAIN).expect("the journal can be opened");
    let mut entries = vec![];
    loop {
        match reader.next_entry() {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => {
                assert_eq!(reader.offset(), bytes.len() as u64, "bytes of the journal are skipped");
                break;
            }
            Err(error) => {
                assert_printable(&error.to_string());
                break;
            }
        }
    }
    let mut history = History::default();
    for (seq, entry) in (1..).zip(&entries) {
        assert_eq!(entry.seq, seq);
        history.learn(&entry.record, entry.at);
        if let Record::Outcome(outcome) = &entry.record {
            let again = reader.outcome_at(entry.offset).expect("an outcome can be read again");
            assert_eq!(&again, &**outcome);
        }
    }
    assert!(entries.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    entries
}

/// A proven journal was read whole, and its reports can be written.
fn check_proof(path: &Path, entries: &[JournalEntry]) {
    match verify(path, Hasher::PLAIN, None) {
        Ok(verified) => {
            assert_eq!(verified.records, entries.len() as u64, "a journal is proven that was not read whole");
            let is_start = |entry: &JournalEntry| matches!(entry.record, Record::RunStarted(_));
            assert!(is_start(&entries[0]) && !entries[1..].iter().any(is_start));
            let finished = entries.last().map(|entry| &entry.record);
            assert_eq!(verified.is_finished, matches!(finished, Some(Record::RunFinished(_))));
            let folder = path.parent().expect("a journal is in a folder");
            let reports = write_reports(folder, Hasher::PLAIN);
            assert!(reports.is_ok(), "a proven journal has no reports: {:?}", reports.err());
        }
        Err(error) => assert_printable(&error.to_string()),
    }
}

/// A journal that is continued keeps every record that was read, and loses none of its bytes.
fn check_recovery(path: &Path, bytes: &[u8], entries: &[JournalEntry]) {
    let mut learned = vec![];
    let recovered = recover(path, Hasher::PLAIN, |entry| learned.push(entry));
    assert_eq!(learned, entries);
    match recovered {
        Ok(recovered) => {
            let mut left = fs::read(path).expect("the journal can be read");
            assert_eq!(recovered.chain.seq, entries.len() as u64);
            assert!(left.is_empty() || left.ends_with(b"\n"), "the next record would continue a torn line");
            if let Some(torn) = recovered.torn {
                left.extend(fs::read(&torn).expect("the torn end can be read"));
                fs::remove_file(torn).expect("a temporary file can be removed");
            }
            assert_eq!(left, bytes, "bytes of the journal are lost");
        }
        Err(error) => {
            assert_printable(&error.to_string());
            assert_eq!(
                fs::read(path).expect("the journal can be read"),
                bytes,
                "a refused journal is changed"
            );
        }
    }
}
