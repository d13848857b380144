//! How the page shows each outcome: label, meaning and pattern. The colours are in `style.css`, by the outcome's name.
//!
//! Invariant: no two outcomes look the same, and an outcome that needs attention also has a pattern.

use crate::outcome::{EndedBy, OutcomeKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutcomeStyle {
    /// The name in files and in the class of the style.
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) meaning: &'static str,
    /// The pattern over its colour, so that outcomes differ in more than their colour.
    pub(super) pattern: Option<&'static str>,
}

pub(super) const fn outcome_style(kind: OutcomeKind) -> OutcomeStyle {
    let (label, meaning, pattern) = match kind {
        OutcomeKind::Closed => ("Closed", "DingTalk answered that it closed the meeting", None),
        OutcomeKind::AlreadyClosed => ("Already closed", "the meeting had ended before", None),
        OutcomeKind::Failed => {
            ("Failed", "DingTalk refused for good, or the attempts ran out", Some("stripes"))
        }
        OutcomeKind::Invalid => ("Invalid", "the row itself is unusable", Some("dots")),
        OutcomeKind::Duplicate => ("Duplicate", "an earlier row has the same meeting and host", None),
        OutcomeKind::Excluded => ("Excluded", "an exclusion list names the meeting", None),
        OutcomeKind::Withdrawn => {
            ("Withdrawn", "the row was taken off the lists while the run was unfinished", None)
        }
        OutcomeKind::NotAttempted => {
            ("Not attempted", "the run ended first, or another worker took over the row", Some("lines"))
        }
    };
    OutcomeStyle { name: kind.name(), label, meaning, pattern }
}

/// Whether a person should look at a row with that outcome.
pub(super) const fn needs_attention(kind: OutcomeKind) -> bool {
    match kind {
        OutcomeKind::Failed | OutcomeKind::Invalid | OutcomeKind::NotAttempted => true,
        OutcomeKind::Closed
        | OutcomeKind::AlreadyClosed
        | OutcomeKind::Duplicate
        | OutcomeKind::Excluded
        | OutcomeKind::Withdrawn => false,
    }
}

/// Who ended a meeting, in words.
pub(super) const fn ended_by(by: EndedBy) -> &'static str {
    match by {
        EndedBy::ThisRun => "by this run",
        EndedBy::Earlier => "before this run asked",
        EndedBy::Unknown => "perhaps by this run",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::assets::STYLE;

    #[test]
    fn every_outcome_has_a_colour_in_light_and_dark_and_a_label_of_its_own() {
        let mut labels = std::collections::BTreeSet::new();
        for kind in OutcomeKind::ALL {
            let OutcomeStyle { name, label, .. } = outcome_style(kind);
            assert!(labels.insert(label), "{label} twice");
            assert_eq!(
                STYLE.matches(&format!("--{name}: #")).count(),
                2,
                "{name}: one for light, one for dark"
            );
            assert!(STYLE.contains(&format!(".outcome-{name} {{ --outcome: var(--{name}); }}")), "{name}");
        }
    }

    #[test]
    fn exactly_the_outcomes_that_need_attention_have_a_pattern() {
        let patterns = OutcomeKind::ALL.map(|kind| (needs_attention(kind), outcome_style(kind).pattern));
        assert!(patterns.iter().all(|(needs_attention, pattern)| *needs_attention == pattern.is_some()));
    }
}
