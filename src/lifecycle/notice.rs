//! What a group is told of a run, in the markdown that DingTalk's clients show.
//!
//! Invariant: a text has at most [`MAX_BYTES`], whatever the run was, and what others wrote cannot become a link, an image
//! or a tag in it.

use crate::dingtalk::hint;
use crate::outcome::OutcomeKind;

/// The longest text, in bytes. DingTalk takes about 20,000.
const MAX_BYTES: usize = 4000;

/// How many codes are named.
const MAX_CODES: usize = 5;

/// The longest text of others that is quoted, in characters.
const MAX_QUOTED_CHARS: usize = 300;

/// The longest command that is shown, in bytes: half of one is worse than none.
const MAX_COMMAND_BYTES: usize = 600;

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notice {
    /// The run's id.
    pub run_id: String,
    /// The run's folder.
    pub folder: String,
    /// Whether it was a rehearsal.
    pub rehearsal: bool,
    /// The exit code.
    pub exit_code: u8,
    /// What the exit code says.
    pub meaning: &'static str,
    /// Why it stopped early, or what went wrong; empty where nothing did.
    pub detail: String,
    /// Rows by outcome.
    pub outcomes: Vec<(OutcomeKind, u64)>,
    /// Rows that did not end in a closed meeting, by code, as far as they have one.
    pub codes: Vec<(String, u64)>,
    /// The command that goes on where the run stopped, if it stopped early.
    pub to_continue: Option<String>,
}

impl Notice {
    /// One line, for lists of chats.
    pub(crate) fn title(&self) -> String {
        let rehearsal = if self.rehearsal { "SANDBOX: " } else { "" };
        format!("{rehearsal}meeting-closer: exit code {}", self.exit_code)
    }

    /// The whole message.
    pub(crate) fn text(&self) -> String {
        let mut parts = vec![format!("### {}", self.title())];
        if self.rehearsal {
            parts.push("**a rehearsal, no real meeting was touched**".into());
        }
        parts.push(self.meaning.into());
        if !self.detail.is_empty() {
            parts.push(format!("> {}", quoted(&self.detail)));
        }
        parts.push(self.totals());
        if !self.codes.is_empty() {
            parts.push(format!("**Why rows were not closed**\n\n{}", self.reasons()));
        }
        if let Some(command) = &self.to_continue {
            parts.push(format!("**To continue**: {}", shown(command)));
        }
        parts.push(format!("run {}, in {}", quoted(&self.run_id), quoted(&self.folder)));
        cut(parts.join("\n\n"))
    }

    fn totals(&self) -> String {
        let counted = self.outcomes.iter().filter(|(_, rows)| *rows > 0);
        let mut lines: Vec<String> = counted.map(|(kind, rows)| format!("- {kind}: {rows}")).collect();
        lines.push(format!("- rows in: {}", self.outcomes.iter().map(|(_, rows)| rows).sum::<u64>()));
        lines.join("\n")
    }

    fn reasons(&self) -> String {
        let mut codes: Vec<&(String, u64)> = self.codes.iter().collect();
        codes.sort_by(|(code, rows), (other, others)| others.cmp(rows).then_with(|| code.cmp(other)));
        let named = codes.iter().take(MAX_CODES).map(|(code, rows)| {
            let advice = hint(code).map(|advice| format!(": {advice}")).unwrap_or_default();
            format!("- {} ({rows} rows){advice}", quoted(code))
        });
        let mut lines: Vec<String> = named.collect();
        if codes.len() > MAX_CODES {
            lines.push(format!("- and {} more codes", codes.len() - MAX_CODES));
        }
        lines.join("\n")
    }
}

/// Text of others, on one line, that no client takes for a link, an image or a tag.
fn quoted(text: &str) -> String {
    let plain = |c: char| match c {
        '[' | '<' => '(',
        ']' | '>' => ')',
        c if c.is_control() => ' ',
        c => c,
    };
    let mut quoted: String = text.chars().take(MAX_QUOTED_CHARS).map(plain).collect();
    if text.chars().count() > MAX_QUOTED_CHARS {
        quoted.push('\u{2026}');
    }
    quoted
}

/// A command as it can be copied, or none.
fn shown(command: &str) -> String {
    if command.len() > MAX_COMMAND_BYTES || quoted(command) != command {
        return "run the same command again".into();
    }
    command.to_owned()
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_BYTES {
        let end = (0..=MAX_BYTES - 3).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('\u{2026}');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use OutcomeKind::{AlreadyClosed, Closed, Failed, NotAttempted};

    fn halted() -> Notice {
        Notice {
            run_id: "20261123T190702Z-a7a27113".into(),
            folder: "/var/lib/audit/20261123T190702Z-a7a27113".into(),
            exit_code: 3,
            meaning: "halted: every row would meet the same refusal; the rest is not_attempted",
            detail: "DingTalk would answer the same to every row: quota is spent (ApiCountLimitForOrg)"
                .into(),
            outcomes: vec![(Closed, 812), (AlreadyClosed, 0), (Failed, 4), (NotAttempted, 100)],
            codes: vec![
                ("odd".into(), 1),
                ("permissionError".into(), 3),
                ("Forbidden.AccessDenied.ApiCountLimitForOrg".into(), 16),
            ],
            to_continue: Some("meeting-closer close --yes 'to night.csv'".into()),
            ..Notice::default()
        }
    }

    #[test]
    fn a_halted_run_is_told_with_totals_reasons_and_the_command_that_continues_it() {
        let expected = "\
### meeting-closer: exit code 3

halted: every row would meet the same refusal; the rest is not_attempted

> DingTalk would answer the same to every row: quota is spent (ApiCountLimitForOrg)

- closed: 812
- failed: 4
- not_attempted: 100
- rows in: 916

**Why rows were not closed**

- Forbidden.AccessDenied.ApiCountLimitForOrg (16 rows): the month's quota of calls is spent: wait for the next month or raise the plan, then run the same command again
- permissionError (3 rows): the union id must be the meeting's host; the host may have handed the meeting on: look the host up among the meeting's members
- odd (1 rows)

**To continue**: meeting-closer close --yes 'to night.csv'

run 20261123T190702Z-a7a27113, in /var/lib/audit/20261123T190702Z-a7a27113";
        assert_eq!(halted().text(), expected);
        assert_eq!(halted().title(), "meeting-closer: exit code 3");
    }

    #[test]
    fn a_rehearsal_that_went_well_is_short_and_says_that_it_is_one() {
        let notice = Notice {
            run_id: "r".into(),
            folder: "/a/r".into(),
            rehearsal: true,
            meaning: "every meeting asked for has ended",
            outcomes: vec![(Closed, 2)],
            ..Notice::default()
        };
        let expected = "\
### SANDBOX: meeting-closer: exit code 0

**a rehearsal, no real meeting was touched**

every meeting asked for has ended

- closed: 2
- rows in: 2

run r, in /a/r";
        assert_eq!(notice.text(), expected);
        assert_eq!(notice.title(), "SANDBOX: meeting-closer: exit code 0");
    }

    #[test]
    fn what_others_wrote_is_one_short_line_without_links_and_a_command_is_whole_or_not_there() {
        let mut notice = halted();
        notice.detail = format!("x\n# [click](http://evil) <a href='x'>{}", "会".repeat(1000));
        notice.to_continue = Some("meeting-closer close 'list[1].csv'".into());
        let text = notice.text();
        assert!(text.contains("\n> x # (click)(http://evil) (a href='x')会"), "{text}");
        assert!(text.contains("会\u{2026}\n\n- closed"), "{text}");
        assert!(text.contains("**To continue**: run the same command again\n"), "{text}");
        notice.to_continue = Some("x".repeat(MAX_COMMAND_BYTES + 1));
        assert!(notice.text().contains("**To continue**: run the same command again\n"));
    }

    #[test]
    fn the_most_frequent_codes_are_named_and_the_text_is_bounded() {
        let mut notice = halted();
        notice.codes = (0..9).map(|n| (format!("{}{n}", "\u{4f1a}".repeat(400)), n)).collect();
        let text = notice.text();
        assert!(text.len() <= MAX_BYTES && text.ends_with('\u{2026}'), "{}", text.len());
        notice.codes = (0..9).map(|n| (format!("code{n}"), n)).collect();
        let text = notice.text();
        assert!(
            text.contains("- code8 (8 rows)\n") && text.contains("- code4 (4 rows)\n- and 4 more codes\n")
        );
        assert!(!text.contains("code3"));
    }
}
