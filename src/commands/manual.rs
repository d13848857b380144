//! `completions` and `man`: made from the definitions of the command line.

use std::io;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use roff::{Roff, roman};

use crate::cli::Cli;
use crate::exit::ExitCode;
use crate::printer;

pub(super) fn completions(shell: Shell) -> ExitCode {
    let (mut command, mut script) = (Cli::command(), vec![]);
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, &name, &mut script);
    let script = String::from_utf8(script).expect("the definitions are UTF-8");
    // For bash, clap_complete 4.6 writes a dash in the program's name in two ways, and then completes no command's options.
    let script = script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"));
    printer::out(script.trim_end());
    ExitCode::Done
}

pub(super) fn man() -> ExitCode {
    printer::out(page(Cli::command()).trim_end());
    ExitCode::Done
}

/// One page for the whole program: a section for each command, and one for the options of every command.
fn page(mut command: Command) -> String {
    command.build();
    let commands: Vec<Command> = subcommands(&command).flat_map(with_subcommands).collect();
    let whole = Man::new(command);
    let mut page = Roff::new().render() + &written(|to| whole.render_title(to));
    page += &written(|to| whole.render_name_section(to));
    page += &written(|to| whole.render_synopsis_section(to));
    page += &written(|to| whole.render_description_section(to));
    for command in commands {
        page += &section(command);
    }
    page += &written(|to| whole.render_options_section(to));
    page
}

fn subcommands(command: &Command) -> impl Iterator<Item = Command> {
    let subcommands = command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help");
    subcommands.map(|subcommand| subcommand.clone().mut_args(hide_where_common))
}

/// A command and its own subcommands.
fn with_subcommands(command: Command) -> Vec<Command> {
    let own: Vec<Command> = subcommands(&command).collect();
    [vec![command], own].concat()
}

/// The section of a command. What would be sections of its own page are subsections here.
fn section(command: Command) -> String {
    let mut heading = Roff::new();
    let words = command.get_bin_name().unwrap_or_default();
    let words = words.split_once(' ').map_or(words, |(_program, words)| words);
    heading.control("SH", [words.to_uppercase().as_str()]);
    let mut examples = Roff::new();
    if let Some(text) = command.get_after_help() {
        examples.control("PP", []).control("nf", []);
        for line in text.to_string().lines() {
            examples.text([roman(line)]);
        }
        examples.control("fi", []);
    }
    let man = Man::new(command);
    let parts = [
        written(|to| heading.to_writer(to)),
        written(|to| man.render_description_section(to)).replacen(".SH DESCRIPTION\n", "", 1),
        written(|to| man.render_synopsis_section(to)).replacen(".SH", ".SS", 1),
        written(|to| man.render_options_section(to)).replacen(".SH", ".SS", 1),
        written(|to| examples.to_writer(to)),
    ];
    parts.concat()
}

/// Hides the options of every command: the page lists them once.
fn hide_where_common(argument: Arg) -> Arg {
    let is_common = argument.is_global_set() || ["help", "version"].contains(&argument.get_id().as_str());
    argument.hide(is_common)
}

/// A part of the page, without the preamble that each part has.
fn written(render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let mut roff = vec![];
    render(&mut roff).expect("writing to memory does not fail");
    let roff = String::from_utf8(roff).expect("the definitions are UTF-8");
    roff.strip_prefix(&Roff::new().render()).unwrap_or(&roff).to_owned()
}
