//! The header row: which delimiter a list uses, and where its two id columns are.
//!
//! Invariant: a column is found by its name or not at all. Two columns that match are an error, never a guess.

use super::cell::is_blank;
use crate::settings::InputSettings;

const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// The accepted names of the conference id column, in the form that [`normal`] returns.
const CONFERENCE_ID: &[&str] = &["conferenceid", "confid", "meetingid", "会议id"];
/// The accepted names of the union id column, in the form that [`normal`] returns.
const UNION_ID: &[&str] = &["unionid", "hostunionid", "host", "主持人unionid", "主持人"];

/// The same names as people write them, for errors.
const CONFERENCE_ID_NAMES: &str = "conferenceId, conference_id, conf_id, meeting id, 会议ID";
/// The same names as people write them, for errors.
const UNION_ID_NAMES: &str = "unionId, union_id, host union id, host, 主持人unionId, 主持人";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// The header's line, from 1.
    pub(super) line: u64,
    pub(super) delimiter: u8,
    pub(super) conference_id: Column,
    /// `None` in an exclusion list without such a column.
    pub(super) union_id: Option<Column>,
    /// Whether this is a rewritten list ([`super::rewritten`]). Its rows hold their origin and the kinds of their
    /// cells, and its cells are already clean.
    pub(super) is_rewritten: bool,
}

/// A column's place, from 0, and its name as the list writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) index: usize,
    pub(super) name: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct HeaderProblem {
    pub(super) problem: String,
    pub(super) hint: String,
}

/// The two id columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) conference_id: Column,
    /// `None` in an exclusion list without such a column.
    pub(super) union_id: Option<Column>,
}

/// Reads a header line, which is line `number` of the list. Of all delimiters, it takes the one that gives the most
/// known columns.
pub(super) fn read(
    number: u64,
    line: &str,
    names: &InputSettings,
    needs_union_id: bool,
) -> Result<Header, HeaderProblem> {
    let readings = DELIMITERS.map(|delimiter| {
        let fields = split(line, delimiter);
        ((known(&fields, names), fields.len()), delimiter, fields)
    });
    let (_, delimiter, fields) = readings
        .into_iter()
        .rev()
        .max_by_key(|(found, ..)| *found)
        .expect("there is one reading for each of the three delimiters");
    let Columns { conference_id, union_id } = columns(&fields, names, needs_union_id)?;
    Ok(Header { line: number, delimiter, conference_id, union_id, is_rewritten: false })
}

/// How many of these fields are a known column name.
pub(super) fn known(fields: &[String], names: &InputSettings) -> usize {
    fields.iter().filter(|field| is_known(field, names)).count()
}

/// Finds the two id columns among the fields of a header.
pub(super) fn columns(
    fields: &[String],
    names: &InputSettings,
    needs_union_id: bool,
) -> Result<Columns, HeaderProblem> {
    let conference_id =
        find(fields, CONFERENCE_ID, names.conference_id_column.as_deref()).map_err(|found| {
            problem(
                "conference id",
                "conference_id_column",
                CONFERENCE_ID_NAMES,
                names.conference_id_column.as_deref(),
                fields,
                found,
            )
        })?;
    let union_id = find(fields, UNION_ID, names.union_id_column.as_deref());
    let union_id = match union_id {
        Ok(column) => Some(column),
        Err(_) if !needs_union_id => None,
        Err(found) => {
            return Err(problem(
                "union id",
                "union_id_column",
                UNION_ID_NAMES,
                names.union_id_column.as_deref(),
                fields,
                found,
            ));
        }
    };
    Ok(Columns { conference_id, union_id })
}

fn split(line: &str, delimiter: u8) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .flexible(true)
        .from_reader(line.as_bytes());
    let fields = reader.records().next().and_then(Result::ok).unwrap_or_default();
    fields.iter().map(|field| field.trim_matches(is_blank).to_owned()).collect()
}

fn is_known(field: &str, names: &InputSettings) -> bool {
    let name = normal(field);
    let configured = [&names.conference_id_column, &names.union_id_column];
    CONFERENCE_ID.contains(&name.as_str())
        || UNION_ID.contains(&name.as_str())
        || configured.into_iter().flatten().any(|configured| normal(configured) == name)
}

/// A name in lower case, without spaces and underscores.
fn normal(name: &str) -> String {
    name.chars().filter(|c| !is_blank(*c) && *c != '_').flat_map(char::to_lowercase).collect()
}

/// The only column with such a name. The error is the number of columns that match: 0, or 2 and more.
fn find(fields: &[String], known: &[&str], configured: Option<&str>) -> Result<Column, usize> {
    let matches = |field: &String| match configured {
        Some(configured) => normal(field) == normal(configured),
        None => known.contains(&normal(field).as_str()),
    };
    let mut found = fields.iter().enumerate().filter(|(_, field)| matches(field));
    match (found.next(), found.count()) {
        (Some((index, name)), 0) => Ok(Column { index, name: name.clone() }),
        (Some(_), more) => Err(more + 1),
        (None, _) => Err(0),
    }
}

fn problem(
    what: &str,
    key: &str,
    known: &str,
    configured: Option<&str>,
    fields: &[String],
    found: usize,
) -> HeaderProblem {
    let seen: Vec<String> = fields.iter().take(8).map(|field| format!("{:?}", shortened(field))).collect();
    let seen = if fields.len() > 8 { format!("{}, …", seen.join(", ")) } else { seen.join(", ") };
    let wanted =
        configured.map_or_else(|| format!("one of {known}"), |name| format!("{name:?} (input.{key})"));
    if found > 1 {
        return HeaderProblem {
            problem: format!("{found} columns match the {what}: found {seen}; expected {wanted}"),
            hint: format!("name the right column in input.{key}"),
        };
    }
    HeaderProblem {
        problem: format!("no {what} column: found {seen}; expected {wanted}"),
        hint: format!(
            "the header row must name the columns; if your column has another name, set input.{key}"
        ),
    }
}

fn shortened(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    if start.len() < text.len() { format!("{start}…") } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(line: &str) -> (u8, usize, usize) {
        let header = read(1, line, &InputSettings::default(), true).unwrap();
        (header.delimiter, header.conference_id.index, header.union_id.unwrap().index)
    }

    #[test]
    fn every_documented_column_name_is_accepted_in_any_case_and_spacing() {
        for name in [
            "conferenceId",
            "conference_id",
            "conf_id",
            "conference id",
            "meeting id",
            "会议ID",
            "会议id",
            "CONFERENCEID",
            " Conference  Id ",
            "Meeting\u{3000}ID",
            "\u{feff}conferenceId",
            "\"conferenceId\"",
        ] {
            assert_eq!(columns(&format!("{name},unionId")), (b',', 0, 1), "{name:?}");
        }
        for name in [
            "unionId",
            "union_id",
            "host union id",
            "hostUnionId",
            "host",
            "主持人unionId",
            "主持人",
            "Union ID",
        ] {
            assert_eq!(columns(&format!("conferenceId,{name}")), (b',', 0, 1), "{name:?}");
        }
    }

    #[test]
    fn the_delimiter_is_found_and_other_columns_are_ignored() {
        assert_eq!(columns("title;host;conf_id;end"), (b';', 2, 1));
        assert_eq!(columns("title\thost\tconf_id"), (b'\t', 2, 1));
        assert_eq!(columns("\"a;b\",host,conf_id"), (b',', 2, 1));
        assert_eq!(columns("a,b;host;conf_id"), (b';', 2, 1));
    }

    #[test]
    fn a_configured_name_replaces_the_known_names() {
        let names = InputSettings {
            conference_id_column: Some("Raum".into()),
            union_id_column: Some("Gast_Geber".into()),
        };
        let header = read(1, "conferenceId,RAUM,gastgeber", &names, true).unwrap();
        assert_eq!((header.conference_id.index, header.union_id.unwrap().index), (1, 2));
        let error = read(1, "conferenceId,unionId", &names, true).unwrap_err();
        assert!(
            error.problem.ends_with("; expected \"Raum\" (input.conference_id_column)"),
            "{}",
            error.problem
        );
    }

    #[test]
    fn a_missing_column_is_reported_with_the_columns_that_were_found() {
        let error = read(1, "name,host", &InputSettings::default(), true).unwrap_err();
        let expected =
            "no conference id column: found \"name\", \"host\"; expected one of conferenceId, conference_id";
        assert!(error.problem.starts_with(expected), "{}", error.problem);
        assert!(error.hint.contains("input.conference_id_column"));
        let error = read(1, "conf_id,name", &InputSettings::default(), true).unwrap_err();
        assert!(
            error.problem.starts_with("no union id column: found \"conf_id\", \"name\""),
            "{}",
            error.problem
        );
        assert!(read(1, "conf_id,name", &InputSettings::default(), false).unwrap().union_id.is_none());
    }

    #[test]
    fn two_matching_columns_are_an_error() {
        let error = read(1, "conferenceId,meeting id,host", &InputSettings::default(), true).unwrap_err();
        assert!(error.problem.starts_with("2 columns match the conference id"), "{}", error.problem);
        assert_eq!(error.hint, "name the right column in input.conference_id_column");
    }
}
