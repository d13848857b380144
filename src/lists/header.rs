//! The header row: which delimiter a list uses, where its two id columns are, and how many cells a row may have.
//!
//! Invariant: a column is found by its name or not at all. Two columns that match are an error, never a guess.

use super::cell::{clean, is_blank};
use super::skipped::bare;
use crate::meeting::{ConferenceId, UnionId};
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
    pub(super) shape: Shape,
    /// The names that the columns were found by.
    pub(super) names: InputSettings,
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
    /// How many columns of the line have a known name.
    pub(super) known: usize,
}

/// How many cells a row may have. A delimiter in a cell without quotes shifts the cells behind it, and the row then has
/// more cells than the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shape {
    /// The header's cells up to the last one with a name.
    pub(super) named: usize,
    /// All cells of the header.
    cells: usize,
    /// The id columns come first. Ids contain no delimiter, so nothing shifts them.
    ids_lead: bool,
    /// The last column with a name is an id column. If a row is shifted, an id stands behind it.
    ids_end: bool,
}

impl Shape {
    fn of(fields: &[String], Columns { conference_id, union_id }: &Columns) -> Self {
        let named = fields.iter().rposition(|field| !field.is_empty()).map_or(0, |last| last + 1);
        let ids = [Some(conference_id), union_id.as_ref()];
        let ids: Vec<usize> = ids.into_iter().flatten().map(|column| column.index).collect();
        let last = ids.iter().max().map_or(0, |last| last + 1);
        Self { named, cells: fields.len(), ids_lead: last == ids.len(), ids_end: last == named }
    }

    /// Whether a row has no more cells than the header. Empty cells behind the last column do not count, unless a shift
    /// could have moved them there.
    pub(super) fn fits(self, cells: usize, is_filled: impl Fn(usize) -> bool) -> bool {
        if cells <= self.named {
            return true;
        }
        let mut surplus = (self.named..cells).filter(|cell| is_filled(*cell));
        match surplus.next_back() {
            Some(last) => self.ids_lead && last < self.cells,
            None => cells <= self.cells || self.ids_lead || self.ids_end || !is_filled(self.named - 1),
        }
    }
}

/// What a row says of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repetition {
    /// It is an ordinary row.
    None,
    /// It is the header again. Other columns may have come or gone.
    Same(Shape),
    /// It is a header whose id columns stand elsewhere.
    Elsewhere,
}

impl Header {
    /// Whether a row is a header, as in lists that were put together.
    pub(super) fn repetition<'a>(&self, cells: impl Iterator<Item = &'a str> + Clone) -> Repetition {
        let id = cells.clone().nth(self.conference_id.index).unwrap_or_default();
        // Ids have digits, and the known names have none.
        let is_configured = self.names != InputSettings::default();
        if id.len() > MAX_NAME_BYTES || (!is_configured && id.bytes().any(|byte| byte.is_ascii_digit())) {
            return Repetition::None;
        }
        let fields: Vec<String> = cells.map(|cell| bare(cell).to_owned()).collect();
        let Ok(found) = columns(&fields, &self.names, self.union_id.is_some()) else {
            return Repetition::None;
        };
        let place = |column: &Option<Column>| column.as_ref().map(|column| column.index);
        let is_same = found.conference_id.index == self.conference_id.index;
        match &self.union_id {
            Some(_) if !is_same || place(&found.union_id) != place(&self.union_id) => Repetition::Elsewhere,
            None if !is_same => Repetition::None,
            Some(_) | None => Repetition::Same(Shape::of(&fields, &found)),
        }
    }
}

/// The longest name of a column that is looked for below the header.
const MAX_NAME_BYTES: usize = 120;

/// A first line `sep=;`, which Excel writes and reads. It names no columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Separator {
    /// The delimiter, if it can be one.
    pub(super) delimiter: Option<u8>,
}

impl Separator {
    pub(super) fn in_line(line: &str) -> Option<Self> {
        let line = bare(line);
        let name = line.get(..4).filter(|name| name.eq_ignore_ascii_case("sep="))?;
        let is_delimiter = |byte: &u8| *byte == b'\t' || (byte.is_ascii_punctuation() && *byte != b'"');
        // A tab at the end of the line was taken off as a blank.
        let delimiter = line[name.len()..].bytes().next().or(Some(b'\t')).filter(is_delimiter);
        Some(Self { delimiter })
    }
}

/// Whether the cells of a line above the header could be a meeting's.
pub(super) fn is_row_above(
    cell: impl Fn(usize) -> String,
    conference_id: &Column,
    union_id: Option<&Column>,
) -> bool {
    let id = cell(conference_id.index);
    let has_host = union_id.is_none_or(|column| UnionId::parse(clean(&cell(column.index))).is_ok());
    id.bytes().any(|byte| byte.is_ascii_digit()) && ConferenceId::parse(clean(&id)).is_ok() && has_host
}

/// The two id columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) conference_id: Column,
    /// `None` in an exclusion list without such a column.
    pub(super) union_id: Option<Column>,
}

/// Reads a header line, which is line `number` of the list. Of all delimiters, it takes the one that gives the most
/// known columns, unless the list names its delimiter.
pub(super) fn read(
    number: u64,
    line: &str,
    delimiter: Option<u8>,
    names: &InputSettings,
    needs_union_id: bool,
) -> Result<Header, HeaderProblem> {
    let delimiters = delimiter.map_or(DELIMITERS.to_vec(), |delimiter| vec![delimiter]);
    let readings = delimiters.into_iter().map(|delimiter| {
        let fields = split(line, delimiter);
        ((known(&fields, names), fields.len()), delimiter, fields)
    });
    let ((known, _), delimiter, fields) =
        readings.rev().max_by_key(|(found, ..)| *found).expect("there is at least one delimiter");
    let columns =
        columns(&fields, names, needs_union_id).map_err(|problem| HeaderProblem { known, ..problem })?;
    let shape = Shape::of(&fields, &columns);
    let Columns { conference_id, union_id } = columns;
    let names = names.clone();
    Ok(Header { line: number, delimiter, conference_id, union_id, is_rewritten: false, shape, names })
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

pub(super) fn split(line: &str, delimiter: u8) -> Vec<String> {
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
            known: 0,
        };
    }
    HeaderProblem {
        problem: format!("no {what} column: found {seen}; expected {wanted}"),
        hint: format!(
            "the header row must name the columns; if your column has another name, set input.{key}"
        ),
        known: 0,
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
        let header = read(1, line, None, &InputSettings::default(), true).unwrap();
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
        let header = read(1, "conferenceId,RAUM,gastgeber", None, &names, true).unwrap();
        assert_eq!((header.conference_id.index, header.union_id.unwrap().index), (1, 2));
        let error = read(1, "conferenceId,unionId", None, &names, true).unwrap_err();
        assert!(
            error.problem.ends_with("; expected \"Raum\" (input.conference_id_column)"),
            "{}",
            error.problem
        );
    }

    #[test]
    fn a_missing_column_is_reported_with_the_columns_that_were_found() {
        let error = read(1, "name,host", None, &InputSettings::default(), true).unwrap_err();
        let expected =
            "no conference id column: found \"name\", \"host\"; expected one of conferenceId, conference_id";
        assert!(error.problem.starts_with(expected), "{}", error.problem);
        assert!(error.hint.contains("input.conference_id_column"));
        let error = read(1, "conf_id,name", None, &InputSettings::default(), true).unwrap_err();
        assert!(
            error.problem.starts_with("no union id column: found \"conf_id\", \"name\""),
            "{}",
            error.problem
        );
        assert!(read(1, "conf_id,name", None, &InputSettings::default(), false).unwrap().union_id.is_none());
    }

    #[test]
    fn two_matching_columns_are_an_error() {
        let error =
            read(1, "conferenceId,meeting id,host", None, &InputSettings::default(), true).unwrap_err();
        assert!(error.problem.starts_with("2 columns match the conference id"), "{}", error.problem);
        assert_eq!(error.hint, "name the right column in input.conference_id_column");
    }

    fn fits(header: &str, row: &str) -> bool {
        let header = read(1, header, None, &InputSettings::default(), true).unwrap();
        let cells: Vec<&str> = row.split(',').collect();
        header.shape.fits(cells.len(), |cell| !cells[cell].is_empty())
    }

    #[test]
    fn a_row_has_no_more_cells_than_the_header_except_empty_ones() {
        let (lead, end) = ("conf_id,host,title", "title,conf_id,host");
        for header in [lead, end] {
            assert!(fits(header, "a,b,c") && fits(header, "a,b,c,,,") && fits(header, "a"), "{header}");
            assert!(!fits(header, "a,b,c,d") && !fits(header, "a,b,c,,d"), "{header}");
        }
        // Columns without a name hold remarks where ids come first, and what was shifted elsewhere.
        assert!(fits("conf_id,host,,", "a,u,remark"));
        assert!(!fits("conf_id,host,,", "a,u,remark,,x"));
        assert!(!fits("title,conf_id,host,,", "x,y,a,u,"));
        // The note may be an id that was shifted.
        assert!(!fits("title,conf_id,host,note", "x,y,a,u,"));
        assert!(fits("title,conf_id,host,note", "x,a,u,,"));
    }

    #[test]
    fn a_row_that_names_the_columns_is_the_header_again() {
        let repetition = |header: &str, row: &str, needs_union_id| {
            let header = read(1, header, None, &InputSettings::default(), needs_union_id).unwrap();
            header.repetition(row.split(','))
        };
        let both = "title,conf_id,host";
        for row in [both, "title,\u{feff}conferenceId,unionId", "name,\"Conf ID\",host,end"] {
            assert!(matches!(repetition(both, row, true), Repetition::Same(_)), "{row}");
        }
        assert_eq!(repetition(both, "conf_id,host", true), Repetition::Elsewhere);
        assert_eq!(repetition(both, "title,host,conf_id", true), Repetition::Elsewhere);
        for row in ["conf_id,a1,host", "x,y,host", "x,conf_id,u", ""] {
            assert_eq!(repetition(both, row, true), Repetition::None, "{row}");
        }
        assert!(matches!(repetition("title,conf_id", "x,meeting id", false), Repetition::Same(_)));
        assert_eq!(repetition("title,conf_id", "meeting id,vip", false), Repetition::None);
    }

    #[test]
    fn a_first_line_may_name_the_delimiter() {
        for (line, expected) in [
            ("sep=;", Some(Some(b';'))),
            ("SEP=|", Some(Some(b'|'))),
            ("\"sep=,\"", Some(Some(b','))),
            ("sep=\t", Some(Some(b'\t'))),
            ("sep=x", Some(None)),
            ("conf_id;host", None),
            ("会议", None),
        ] {
            assert_eq!(Separator::in_line(line).map(|found| found.delimiter), expected, "{line:?}");
        }
    }
}
