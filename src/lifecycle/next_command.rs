//! The command that continues a run which stopped early.

use std::borrow::Cow;

/// The same command again, with the run's id in the place of `latest`, which may name another run by then.
pub(crate) fn next_command(run_id: &str, retry_of: Option<&str>) -> String {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    continuing(words, run_id, retry_of)
}

fn continuing(words: impl Iterator<Item = String>, run_id: &str, retry_of: Option<&str>) -> String {
    let named = |option: &str| match option {
        "--resume" => Some(run_id.to_owned()),
        "--retry-failed" => retry_of.map(str::to_owned),
        _ => None,
    };
    let mut run_of_last_option = None;
    let words = words.filter(|word| word != "--fresh").map(|word| {
        let before = run_of_last_option.take();
        run_of_last_option = named(&word);
        let replaced = match word.split_once('=') {
            Some((option, "latest")) => named(option).map(|id| format!("{option}={id}")),
            None if word == "latest" => before,
            Some(_) | None => None,
        };
        quoted(&replaced.unwrap_or(word))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it. Only a NUL cannot be quoted, and no argument of a process holds one.
fn quoted(word: &str) -> String {
    shlex::try_quote(word).unwrap_or(Cow::Borrowed(word)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn continued(words: &[&str]) -> String {
        continuing(words.iter().map(|word| (*word).to_owned()), "R2", Some("R1"))
    }

    #[test]
    fn the_same_command_continues_a_run_but_does_not_start_another() {
        assert_eq!(continued(&["mc", "close", "--fresh", "--yes", "a.csv"]), "mc close --yes a.csv");
    }

    #[test]
    fn latest_is_replaced_by_the_run_that_it_meant() {
        assert_eq!(continued(&["mc", "close", "--resume", "latest"]), "mc close --resume R2");
        assert_eq!(continued(&["mc", "close", "--resume=latest"]), "mc close '--resume=R2'");
        assert_eq!(continued(&["mc", "close", "--retry-failed", "latest"]), "mc close --retry-failed R1");
        assert_eq!(continued(&["mc", "close", "latest"]), "mc close latest");
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_split_or_change_it() {
        for (word, expected) in
            [("a b.csv", "'a b.csv'"), ("it's", "\"it's\""), ("", "''"), ("a/b-1.csv", "a/b-1.csv")]
        {
            assert_eq!(quoted(word), expected);
        }
    }
}
