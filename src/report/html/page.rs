//! The page as a whole: what each part of the template receives.
//!
//! Invariant: the page is a pure function of the journal, so it can be made again byte for byte.

use std::path::Path;

use askama::Template;

use super::assets::{SCRIPT, STYLE};
use super::chart::Chart;
use super::failure_groups::FailureGroups;
use super::outcome_bar::OutcomeBar;
use super::overview::Overview;
use super::policy;
use super::row_table::{FilterChoice, PageBounds, RowLine, RowTable, ScriptData, filter_choices};
use super::run_details::RunDetails;
use crate::journal::{Reader, RunIndex};
use crate::report::report_file::{ReportError, write_atomically};

#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct ReportPage<'a> {
    policy: String,
    style: &'static str,
    script: &'static str,
    run_id: &'a str,
    sandbox: bool,
    overview: Overview,
    bar: OutcomeBar,
    chart: Option<Chart>,
    pub(super) failures: FailureGroups,
    choices: Vec<FilterChoice>,
    /// The rows in the page's own text: they are seen without JavaScript, and they are printed.
    printed: Vec<RowLine>,
    blank: RowLine,
    rows_note: Option<String>,
    printed_note: String,
    data: ScriptData,
    details: RunDetails<'a>,
}

/// Writes the page.
pub(in crate::report) fn write(
    index: &RunIndex,
    journal: &mut Reader,
    path: &Path,
) -> Result<(), ReportError> {
    let page = ReportPage::of(index, journal, PageBounds::DEFAULT)?;
    write_atomically(path, |file| page.write_into(file))
}

impl<'a> ReportPage<'a> {
    pub(super) fn of(
        index: &'a RunIndex,
        journal: &mut Reader,
        bounds: PageBounds,
    ) -> Result<Self, ReportError> {
        let mut failures = FailureGroups::of(index);
        let RowTable { data, printed, note, printed_note } =
            RowTable::read(index, journal, bounds, |outcome| failures.offer_example(outcome))?;
        Ok(Self {
            policy: policy::content_security_policy(STYLE, SCRIPT),
            style: STYLE,
            script: SCRIPT,
            run_id: &index.started.run_id,
            sandbox: index.started.sandbox,
            overview: Overview::of(index),
            bar: OutcomeBar::of(index),
            chart: Chart::of(&index.timeline.in_equal_spans()),
            failures,
            choices: filter_choices(index),
            printed,
            blank: RowLine::default(),
            rows_note: note,
            printed_note,
            data,
            details: RunDetails::of(index),
        })
    }
}
