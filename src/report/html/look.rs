//! How each outcome shows: its label, its meaning and its pattern. Its colours are in `style.css`, by its name.

use crate::outcome::{EndedBy, OutcomeKind};

/// How an outcome shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// The name in files, and of the style's class.
    pub(super) name: &'static str,
    /// For people.
    pub(super) label: &'static str,
    /// In a few words.
    pub(super) meaning: &'static str,
    /// The pattern over its colour, so that colour is never all that tells it apart.
    pub(super) pattern: Option<&'static str>,
}

/// How that outcome shows.
pub(super) const fn look(kind: OutcomeKind) -> Look {
    let (label, meaning, pattern) = match kind {
        OutcomeKind::Closed => ("Closed", "DingTalk answered that it closed the meeting", None),
        OutcomeKind::AlreadyClosed => ("Already closed", "the meeting had ended", None),
        OutcomeKind::Failed => ("Failed", "refused for good, or the attempts ran out", Some("stripes")),
        OutcomeKind::Invalid => ("Invalid", "the row itself is unusable", Some("dots")),
        OutcomeKind::Duplicate => ("Duplicate", "the same meeting and host stood earlier", None),
        OutcomeKind::Excluded => ("Excluded", "named by the exclusion list", None),
        OutcomeKind::NotAttempted => {
            ("Not attempted", "the run ended first, or another worker took it over", Some("lines"))
        }
    };
    Look { name: kind.name(), label, meaning, pattern }
}

/// Whether a row with that outcome needs a person's eye.
pub(super) const fn needs_an_eye(kind: OutcomeKind) -> bool {
    match kind {
        OutcomeKind::Failed | OutcomeKind::Invalid | OutcomeKind::NotAttempted => true,
        OutcomeKind::Closed | OutcomeKind::AlreadyClosed | OutcomeKind::Duplicate | OutcomeKind::Excluded => {
            false
        }
    }
}

/// Who ended a meeting, for people.
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
    use crate::report::html::STYLE;

    #[test]
    fn every_outcome_has_a_colour_in_light_and_dark_and_a_label_of_its_own() {
        let mut labels = std::collections::BTreeSet::new();
        for kind in OutcomeKind::ALL {
            let Look { name, label, .. } = look(kind);
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
    fn every_outcome_that_needs_an_eye_is_told_by_its_pattern_too() {
        let patterns = OutcomeKind::ALL.map(|kind| (needs_an_eye(kind), look(kind).pattern));
        assert!(patterns.iter().all(|(needs_an_eye, pattern)| *needs_an_eye == pattern.is_some()));
    }
}
