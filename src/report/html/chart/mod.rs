//! Requests, the rate, refusals and pauses over time, as an SVG drawing with a text of the same content.
//!
//! The chart leaves out time in which no process worked on the run. A line marks where the next process continued the run.
//!
//! Invariant: the chart never draws unknown values as zero. A killed process left its requests alone, and the chart says so.

mod description;
mod drawing;
mod scale;
#[cfg(test)]
mod tests;

pub(super) use drawing::Chart;
