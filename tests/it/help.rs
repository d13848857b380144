//! The program's own documentation: `--help`, completions, manual page.

use std::process::Stdio;

use clap::{Command, CommandFactory as _};
use meeting_closer::Cli;
use tokio::io::AsyncWriteExt as _;

use crate::support::Closer;

/// The command line of the program and of each of its commands, with the words that call it.
fn commands() -> Vec<(Vec<String>, Command)> {
    fn visit(words: &[String], command: &Command, found: &mut Vec<(Vec<String>, Command)>) {
        found.push((words.to_vec(), command.clone()));
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            visit(&[words, &[inner.get_name().to_owned()]].concat(), inner, found);
        }
    }
    let (mut whole, mut found) = (Cli::command(), vec![]);
    whole.build();
    visit(&[], &whole, &mut found);
    assert!(found.len() > 6);
    found
}

/// The options of all commands, as a user types them.
fn options() -> Vec<String> {
    let long = |(_, command): (_, Command)| {
        command
            .get_arguments()
            .filter_map(|option| Some(format!("--{}", option.get_long()?)))
            .collect::<Vec<_>>()
    };
    commands().into_iter().flat_map(long).collect()
}

#[test]
fn no_line_of_any_help_is_longer_than_eighty_columns() {
    for (words, command) in commands() {
        let help = command.clone().term_width(80).render_long_help().to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{words:?}: {line}");
        }
        // clap does not wrap a text that was laid out by hand.
        let by_hand = command.get_after_long_help().or(command.get_after_help());
        for line in by_hand.map(ToString::to_string).unwrap_or_default().lines() {
            assert!(help.lines().any(|shown| shown == line), "{words:?}: {line}");
        }
    }
}

#[test]
fn every_command_and_every_option_says_what_it_does() {
    for (words, command) in commands() {
        assert!(command.get_about().is_some(), "{words:?}");
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.trim().is_empty(), "{words:?}: {argument}");
            assert!(!help.ends_with('.'), "{words:?}: {argument}: {help}");
        }
    }
}

#[tokio::test]
async fn every_help_is_printed_on_standard_output_with_exit_code_0() {
    for (words, command) in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let ran = Closer::bare().variable("COLUMNS", "80").run(&words).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.printed());
        assert!(ran.stdout.starts_with(&command.get_about().unwrap().to_string()), "{}", ran.printed());
        assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.printed());
    }
}

#[tokio::test]
async fn every_shell_gets_completions_that_know_every_command_and_option() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = Closer::bare().run(&["completions", shell]).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell}: {}", ran.printed());
        for (words, _) in commands() {
            assert!(words.iter().all(|word| ran.stdout.contains(word)), "{shell}: {words:?}");
        }
        for option in options() {
            // fish names an option without its dashes.
            let name = if shell == "fish" { option.replace("--", "-l ") } else { option };
            assert!(ran.stdout.contains(&name), "{shell}: {name}");
        }
    }
}

#[tokio::test]
async fn bash_loads_the_completions_and_completes_every_option() {
    let closer = Closer::bare();
    closer.file("completions.bash", closer.run(&["completions", "bash"]).await.stdout);
    let checked = closer.finish(&mut closer.program("bash", &["-n", "completions.bash"])).await;
    assert_eq!((checked.code, checked.printed().lines().count()), (0, 3), "{}", checked.printed());
    for (words, command) in commands() {
        let words = [&["meeting-closer".to_owned()], words.as_slice()].concat();
        let (typed, count) = (words.join(" "), words.len());
        let ask = format!(
            "source completions.bash; COMP_WORDS=({typed} --); COMP_CWORD={count}; \
             _meeting__closer meeting-closer -- {}; echo ${{COMPREPLY[@]}}",
            words[count - 1]
        );
        let completed = closer.finish(&mut closer.program("bash", &["-c", &ask])).await;
        for option in command.get_arguments().filter_map(clap::Arg::get_long) {
            let mut offered = completed.stdout.split_whitespace();
            assert!(
                offered.any(|offered| offered == format!("--{option}")),
                "{typed}: {}",
                completed.printed()
            );
        }
    }
}

#[tokio::test]
async fn the_manual_page_is_valid_and_names_every_command_and_option() {
    let closer = Closer::bare();
    let page = closer.run(&["man"]).await;
    assert_eq!((page.code, page.stderr.as_str()), (0, ""), "{}", page.printed());
    assert!(!page.stdout.trim_end().contains("\n.ie"), "one preamble is enough");
    // -ww: every warning; -b: where it comes from.
    let mut groff =
        closer.program("groff", &["-Kutf8", "-man", "-Tutf8", "-P-cbou", "-rLL=200n", "-ww", "-b"]);
    let mut groff = groff.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = groff.stdin.take().unwrap();
    stdin.write_all(page.stdout.as_bytes()).await.unwrap();
    drop(stdin);
    let shown = groff.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8(shown.stderr).unwrap(), "");
    let shown = String::from_utf8(shown.stdout).unwrap();
    for (words, command) in commands() {
        if let Some(name) = words.first() {
            assert!(shown.lines().any(|line| line == name.to_uppercase()), "{name}");
        }
        for argument in command.get_arguments() {
            let name = argument.get_long().map_or_else(
                || argument.get_value_names().unwrap()[0].to_string(),
                |long| format!("--{long}"),
            );
            assert!(shown.contains(&name), "{words:?}: {name}");
        }
    }
    for line in ["Exit codes:", "meeting-closer close --sandbox tonight.csv"] {
        assert!(shown.lines().any(|shown| shown.trim() == line), "{line}");
    }
}
