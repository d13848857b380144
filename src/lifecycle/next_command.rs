//! The command that continues a run that stopped early.
//!
//! Invariant: the command names the run by its id. `latest` may be another run by then.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

/// The same command without `--fresh`, and with the run's id instead of `latest`.
pub(crate) fn next_command(run_id: &str, retry_of: Option<&str>) -> String {
    continuing(std::env::args_os(), run_id, retry_of)
}

/// The same command, but it continues this run.
pub(super) fn resume_command(run_id: &str) -> String {
    resuming(std::env::args_os(), run_id)
}

fn resuming(words: impl Iterator<Item = OsString>, run_id: &str) -> String {
    let is_dropped = |word: &OsString| word == "--dry-run" || word.as_bytes().starts_with(b"--run-id=");
    let mut words: Vec<OsString> = words.filter(|word| !is_dropped(word)).collect();
    if let Some(option) = words.iter().position(|word| word == "--run-id") {
        words.drain(option..words.len().min(option + 2));
    }
    // After `--` every word is a list.
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.splice(end..end, ["--resume".into(), run_id.into()]);
    words.into_iter().map(quoted_word).collect::<Vec<_>>().join(" ")
}

fn quoted_word(word: OsString) -> String {
    word.into_string().map_or_else(|bytes| quoted_bytes(bytes.as_bytes()), |word| quoted(&word))
}

fn continuing(words: impl Iterator<Item = OsString>, run_id: &str, retry_of: Option<&str>) -> String {
    let id_after = |option: &str| match option {
        "--resume" => Some(run_id.to_owned()),
        "--retry-failed" => retry_of.map(str::to_owned),
        _ => None,
    };
    let mut id_of_last_option = None;
    let words = words.filter(|word| word != "--fresh").map(|word| {
        let id = id_of_last_option.take();
        let word = match word.into_string() {
            Ok(word) => word,
            Err(bytes) => return quoted_bytes(bytes.as_bytes()),
        };
        id_of_last_option = id_after(&word);
        let replaced = match word.split_once('=') {
            Some((option, "latest")) => id_after(option).map(|id| format!("{option}={id}")),
            None if word == "latest" => id,
            Some(_) | None => None,
        };
        quoted(&replaced.unwrap_or(word))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A word that is not UTF-8, as bash and other shells take it: `$'…'` with each byte that is no plain character as its code.
fn quoted_bytes(word: &[u8]) -> String {
    let byte = |byte: &u8| match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\{byte:03o}"),
    };
    format!("$'{}'", word.iter().map(byte).collect::<String>())
}

/// A word in the quotes that a shell needs. Only a NUL cannot be quoted, and no argument of a process has one.
fn quoted(word: &str) -> String {
    let quote = |text: &str| shlex::try_quote(text).unwrap_or(Cow::Borrowed(text)).into_owned();
    match word.split_once('=') {
        // `--resume=R2` is easier to read than `'--resume=R2'`, and no shell changes it.
        Some((option, value)) if option.starts_with("--") && quote(option) == option => {
            format!("{option}={}", quote(value))
        }
        Some(_) | None => quote(word),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn continued(words: &[&str]) -> String {
        continuing(words.iter().map(OsString::from), "R2", Some("R1"))
    }

    #[test]
    fn the_command_has_no_fresh_because_that_would_start_another_run() {
        assert_eq!(continued(&["mc", "close", "--fresh", "--yes", "a.csv"]), "mc close --yes a.csv");
    }

    #[test]
    fn a_word_that_is_not_text_keeps_its_bytes() {
        let word: &[u8] = b"au'd\\it \xff\x011\xe4";
        let mut shell = std::process::Command::new("bash");
        let printed = shell.arg("-c").arg(format!("printf %s {}", quoted_bytes(word))).output().unwrap();
        assert_eq!(printed.stdout, word);
        let words =
            ["mc", "close"].map(OsString::from).into_iter().chain([OsString::from_vec(b"\xff".into())]);
        assert_eq!(continuing(words, "R2", None), "mc close $'\\377'");
    }

    #[test]
    fn latest_is_replaced_by_the_id_of_the_run() {
        assert_eq!(continued(&["mc", "close", "--resume", "latest"]), "mc close --resume R2");
        assert_eq!(continued(&["mc", "close", "--resume=latest"]), "mc close --resume=R2");
        assert_eq!(continued(&["mc", "close", "--retry-failed", "latest"]), "mc close --retry-failed R1");
        assert_eq!(continued(&["mc", "close", "latest"]), "mc close latest");
    }

    #[test]
    fn the_command_that_resumes_a_run_has_its_id_and_neither_dry_run_nor_another_id() {
        for (words, expected) in [
            ("mc close --dry-run a.csv", "mc close a.csv --resume R1"),
            ("mc close --yes --run-id x a.csv", "mc close --yes a.csv --resume R1"),
            ("mc close --run-id=x -- a.csv", "mc close --resume R1 -- a.csv"),
        ] {
            assert_eq!(resuming(words.split(' ').map(OsString::from), "R1"), expected);
        }
    }

    #[test]
    fn a_word_is_quoted_if_a_shell_would_split_or_change_it() {
        for (word, expected) in
            [("a b.csv", "'a b.csv'"), ("it's", "\"it's\""), ("", "''"), ("a/b-1.csv", "a/b-1.csv")]
        {
            assert_eq!(quoted(word), expected);
        }
    }
}
