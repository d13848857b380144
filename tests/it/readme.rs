//! README says what the program does, and goes on saying it.

use meeting_closer::exit::ExitCode;
use meeting_closer::outcome::OutcomeKind;
use meeting_closer::report::hint;

use crate::support::Closer;

const README: &str = include_str!("../../README.md");

#[test]
fn the_first_two_commands_do_all_the_set_up() {
    let mut commands = README.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().trim());
    assert_eq!(commands.next(), Some("cargo run --release -- close --sandbox tests/data/end-of-day.csv"));
    assert_eq!(commands.next(), Some("tests/run"));
}

#[test]
fn every_code_of_the_apis_page_stands_in_the_table_with_its_hint() {
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
fn every_exit_code_and_outcome_stands_there_with_its_meaning() {
    for code in ExitCode::ALL {
        assert!(README.contains(&format!("| {} | {} |", code.number(), code.meaning())), "{code:?}");
    }
    for kind in OutcomeKind::ALL {
        assert!(README.contains(&format!("| `{kind}` | ")), "{kind}");
    }
}

#[tokio::test]
async fn every_option_of_close_stands_there() {
    let help = Closer::bare().run(&["close", "--help"]).await.stdout;
    let options: Vec<&str> = help.split_whitespace().filter(|word| word.starts_with("--")).collect();
    assert!(options.len() > 10);
    for option in options {
        let option = option.trim_end_matches(['.', ',']);
        assert!(["--help", "--version"].contains(&option) || README.contains(option), "{option}");
    }
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
    let names = table.split('`').filter(|word| word.matches('_').count() > 4);
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 8);
    for name in names {
        assert!(sources.lines().any(|line| line == format!("fn {name}")), "{name}");
    }
}
