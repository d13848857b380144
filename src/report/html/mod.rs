//! `report.html`: one self-contained page for people.
//!
//! The page shows what happened in one sentence, the outcomes as a bar, the requests over time as a chart, the failures by
//! their code, the rows with search and filter, and the run's details. Everything except search and filter works without
//! JavaScript.
//!
//! Invariant: foreign text reaches the page through the template's escaping, or through JSON without any `<`. The page's
//! policy allows only our style and our script.

mod assets;
mod chart;
mod failure_groups;
mod numbers;
mod outcome_bar;
mod outcome_style;
mod overview;
mod page;
mod policy;
mod row_table;
mod run_details;
#[cfg(test)]
mod tests;

pub(super) use page::write;
