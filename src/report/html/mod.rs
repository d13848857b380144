//! `report.html`: one self-contained page for people.
//!
//! What happened in a sentence, outcomes as a bar, requests over time as a chart, failures by their code, the rows with
//! search and filter, and the run's facts. All but search and filter work without JavaScript.
//!
//! Invariant: foreign text reaches the page through the template's escaping or through JSON that holds no `<`, and the
//! page's policy lets no script and no style run but ours.

mod bar;
mod chart;
mod facts;
mod failures;
mod look;
mod policy;
mod rows;
mod story;

use std::path::Path;

use askama::Template;

use self::bar::Bar;
use self::chart::Chart;
use self::facts::Facts;
use self::failures::Failures;
use self::look::{Look, look};
use self::rows::{Bounds, Choice, Data, Row, Rows};
use self::story::Story;
use super::{ReportError, write_atomically};
use crate::journal::Reader;
use crate::journal::RunIndex;
use crate::outcome::OutcomeKind;

/// The one style of the page, which its policy names by digest.
const STYLE: &str = include_str!("style.css");
/// The one script of the page, likewise.
const SCRIPT: &str = include_str!("script.js");

/// The page.
#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    policy: String,
    style: &'static str,
    script: &'static str,
    run_id: &'a str,
    sandbox: bool,
    story: Story,
    bar: Bar,
    chart: Option<Chart>,
    failures: Failures,
    choices: Vec<Choice>,
    /// The rows that stand in the page itself: what is seen without JavaScript, and printed.
    printed: Vec<Row>,
    blank: Row,
    rows_note: Option<String>,
    printed_note: String,
    data: Data,
    facts: Facts<'a>,
}

/// Writes the page.
pub(super) fn write(index: &RunIndex, journal: &mut Reader, path: &Path) -> Result<(), ReportError> {
    let page = Page::of(index, journal, Bounds::PAGE)?;
    write_atomically(path, |file| page.write_into(file))
}

impl<'a> Page<'a> {
    fn of(index: &'a RunIndex, journal: &mut Reader, bounds: Bounds) -> Result<Self, ReportError> {
        let mut failures = Failures::of(index);
        let Rows { data, printed, note, printed_note } =
            Rows::read(index, journal, bounds, |outcome| failures.learn(outcome))?;
        Ok(Self {
            policy: policy::of(STYLE, SCRIPT),
            style: STYLE,
            script: SCRIPT,
            run_id: &index.started.run_id,
            sandbox: index.started.sandbox,
            story: Story::of(index),
            bar: Bar::of(index),
            chart: Chart::of(&index.timeline.in_equal_spans()),
            failures,
            choices: rows::choices(index),
            printed,
            blank: Row::default(),
            rows_note: note,
            printed_note,
            data,
            facts: Facts::of(index),
        })
    }
}

/// How many rows have that outcome.
fn count(index: &RunIndex, kind: OutcomeKind) -> u64 {
    index.outcomes.get(kind.name()).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
