//! The README agrees with the program.

use meeting_closer::{ExitCode, Metrics, OutcomeKind, hint};

use crate::support::Closer;

const README: &str = include_str!("../../README.md");

#[test]
fn the_first_two_commands_do_all_the_set_up() {
    let mut commands = README.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().trim());
    assert_eq!(commands.next(), Some("cargo run --release -- close --sandbox tests/data/end-of-day.csv"));
    assert_eq!(commands.next(), Some("tests/run"));
}

#[test]
fn every_documented_code_is_in_the_table_with_its_hint() {
    for code in [
        "orgAccessForbidden",
        "unknownUserError",
        "paramsTitleError",
        "paramsError",
        "resourceClose",
        "waterLimitError",
        "permissionError",
        "systemError",
    ] {
        let row = README.lines().find(|line| line.contains(&format!("| `{code}` |"))).unwrap();
        assert!(
            row.ends_with(&format!("| {} |", hint(code).unwrap_or_default()).replace("|  |", "| |")),
            "{row}"
        );
    }
}

#[test]
fn every_exit_code_and_outcome_is_listed_with_its_meaning() {
    for code in ExitCode::ALL {
        assert!(README.contains(&format!("| {} | {} |", code.number(), code.meaning())), "{code:?}");
    }
    for kind in OutcomeKind::ALL {
        assert!(README.contains(&format!("| `{kind}` | ")), "{kind}");
    }
}

#[tokio::test]
async fn every_option_of_close_is_listed() {
    let help = Closer::bare().run(&["close", "--help"]).await.stdout;
    let options: Vec<&str> = help.split_whitespace().filter(|word| word.starts_with("--")).collect();
    assert!(options.len() > 10);
    for option in options {
        let option = option.trim_end_matches(['.', ',']);
        assert!(["--help", "--version"].contains(&option) || README.contains(option), "{option}");
    }
}

#[test]
fn every_metric_is_listed_with_its_type() {
    let metrics = Metrics::new(18.0);
    metrics.run_ended(0, jiff::Timestamp::UNIX_EPOCH);
    let text = metrics.text();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut counted = 0;
    for (name, kind) in types {
        let row = README.lines().find(|line| line.starts_with('|') && line.contains(name));
        assert!(row.is_some_and(|row| row.ends_with(&format!("| {kind} |"))), "{name} {kind}");
        counted += 1;
    }
    // The eleventh metric appears with the first attempt.
    assert_eq!((counted, README.contains("`meeting_closer_attempts_total{code}`")), (10, true), "{text}");
}

#[test]
fn every_configuration_key_in_the_readme_exists() {
    let defaults: toml::Table = meeting_closer::DEFAULTS.parse().unwrap();
    let mut named = 0;
    for word in README.split(|c: char| !(c.is_ascii_alphanumeric() || "._".contains(c))) {
        if let Some((section, key)) = word.trim_matches('.').split_once('.')
            && let Some(section) = defaults.get(section).and_then(toml::Value::as_table)
        {
            let is_a_file = word == "audit.csv";
            assert!(is_a_file || section.contains_key(key), "{word}");
            named += 1;
        }
    }
    assert!(named > 15, "{named}");
}

#[test]
fn every_test_that_proves_a_guarantee_exists() {
    let table = README.split("## Guarantees").nth(1).unwrap().split("\n## ").next().unwrap();
    let sources = std::process::Command::new("grep")
        .args(["-rhoE", "fn [a-z0-9_]+", "src", "tests"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let sources = String::from_utf8(sources.stdout).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let proofs = rows.map(|row| row.trim_end_matches(" |").rsplit(" | ").next().unwrap());
    let names: Vec<&str> = proofs.flat_map(|proofs| proofs.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 40, "{names:?}");
    for name in names {
        assert!(sources.lines().any(|line| line == format!("fn {name}")), "{name}");
    }
}
