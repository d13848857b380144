//! The one place that prints. Standard output is data, standard error is for people.
//!
//! Invariant: a reader that has gone away (`| head`) is no error.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// Prints to standard output.
pub fn out(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints to standard error.
pub fn err(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether somebody can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether standard error is a terminal, which can show a bar.
pub(crate) fn can_redraw() -> bool {
    io::stderr().is_terminal()
}

/// Asks, and takes nothing but `y` or `yes` for a yes.
pub(crate) fn ask(question: &str) -> bool {
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
