//! The only place that prints. Standard output is for data; standard error is for people.
//!
//! Invariant: it is no error if the reader of the output stops reading (`| head`).

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// Prints to standard output.
pub fn out(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints to standard error.
pub fn err(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether the program can ask the user a question.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether standard error is a terminal, so that a bar can be drawn.
pub(crate) fn can_redraw() -> bool {
    io::stderr().is_terminal()
}

/// Asks the question. Only `y` and `yes` count as yes.
pub(crate) fn ask(question: &str) -> bool {
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
