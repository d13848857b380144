//! The group robot's message about a run, in the markdown of DingTalk's clients.
//!
//! Invariant: the text has at most [`MAX_BYTES`]. Foreign text in it cannot become a link, an image or a tag.

use crate::dingtalk::hint;
use crate::outcome::OutcomeKind;
use crate::wording::count;

/// The longest text, in bytes. DingTalk accepts about 20,000.
const MAX_BYTES: usize = 4000;

/// How many codes the message lists.
const MAX_CODES: usize = 5;

/// The longest quotation of foreign text, in characters.
const MAX_QUOTED_CHARS: usize = 300;

/// The longest command that the message shows, in bytes. Half a command would be worse than none.
const MAX_COMMAND_BYTES: usize = 600;

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notice {
    pub run_id: String,
    pub folder: String,
    pub is_rehearsal: bool,
    pub exit_code: u8,
    /// The meaning of the exit code.
    pub meaning: &'static str,
    /// Why the run stopped early, or what went wrong; empty if neither.
    pub detail: String,
    /// Rows by outcome.
    pub outcomes: Vec<(OutcomeKind, u64)>,
    /// Rows without a closed meeting, by code.
    pub codes: Vec<(String, u64)>,
    /// The command that continues the run, if it stopped early.
    pub next_command: Option<String>,
}

impl Notice {
    /// One line, which clients show in the list of chats.
    pub(crate) fn title(&self) -> String {
        let rehearsal = if self.is_rehearsal { "SANDBOX: " } else { "" };
        format!("{rehearsal}meeting-closer: exit code {}", self.exit_code)
    }

    /// The whole message.
    pub(crate) fn text(&self) -> String {
        let mut parts = vec![format!("### {}", self.title())];
        if self.is_rehearsal {
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
        if let Some(command) = &self.next_command {
            parts.push(format!("**To continue**: {}", command_line(command)));
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
            format!("- {} ({}){advice}", quoted(code), count(*rows, "row"))
        });
        let mut lines: Vec<String> = named.collect();
        if codes.len() > MAX_CODES {
            lines.push(format!("- and {}", count((codes.len() - MAX_CODES) as u64, "more code")));
        }
        lines.join("\n")
    }
}

/// Foreign text on one line, changed so that no client shows it as a link, an image or a tag.
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

/// The command, if the message can show all of it unchanged.
fn command_line(command: &str) -> String {
    if command.len() > MAX_COMMAND_BYTES || quoted(command) != command {
        return "repeat the command".into();
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
            meaning: "halted: DingTalk would refuse every row alike; the rest is not_attempted",
            detail: "DingTalk would answer the same to every row: quota is spent (ApiCountLimitForOrg)"
                .into(),
            outcomes: vec![(Closed, 812), (AlreadyClosed, 0), (Failed, 4), (NotAttempted, 100)],
            codes: vec![
                ("odd".into(), 1),
                ("permissionError".into(), 3),
                ("Forbidden.AccessDenied.ApiCountLimitForOrg".into(), 16),
            ],
            next_command: Some("meeting-closer close --yes 'to night.csv'".into()),
            ..Notice::default()
        }
    }

    #[test]
    fn the_message_of_a_halted_run_has_totals_reasons_and_the_command_that_continues_it() {
        let expected = "\
### meeting-closer: exit code 3

halted: DingTalk would refuse every row alike; the rest is not_attempted

> DingTalk would answer the same to every row: quota is spent (ApiCountLimitForOrg)

- closed: 812
- failed: 4
- not_attempted: 100
- rows in: 916

**Why rows were not closed**

- Forbidden.AccessDenied.ApiCountLimitForOrg (16 rows): the month's quota of calls is spent: wait for the next month or raise the plan, then run the same command again
- permissionError (3 rows): the union id must be the meeting's host; the host may have handed the meeting on: look the host up among the meeting's members
- odd (1 row)

**To continue**: meeting-closer close --yes 'to night.csv'

run 20261123T190702Z-a7a27113, in /var/lib/audit/20261123T190702Z-a7a27113";
        assert_eq!(halted().text(), expected);
        assert_eq!(halted().title(), "meeting-closer: exit code 3");
    }

    #[test]
    fn the_message_of_a_rehearsal_is_short_and_marked() {
        let notice = Notice {
            run_id: "r".into(),
            folder: "/a/r".into(),
            is_rehearsal: true,
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
    fn foreign_text_is_one_short_line_without_links_and_a_command_is_whole_or_missing() {
        let mut notice = halted();
        notice.detail = format!("x\n# [click](http://evil) <a href='x'>{}", "会".repeat(1000));
        notice.next_command = Some("meeting-closer close 'list[1].csv'".into());
        let text = notice.text();
        assert!(text.contains("\n> x # (click)(http://evil) (a href='x')会"), "{text}");
        assert!(text.contains("会\u{2026}\n\n- closed"), "{text}");
        assert!(text.contains("**To continue**: repeat the command\n"), "{text}");
        notice.next_command = Some("x".repeat(MAX_COMMAND_BYTES + 1));
        assert!(notice.text().contains("**To continue**: repeat the command\n"));
    }

    #[test]
    fn the_message_lists_the_most_frequent_codes_and_its_length_is_bounded() {
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
