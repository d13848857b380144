//! The only place that prints. Standard output is for data; standard error is for people.
//!
//! Invariant: output that is lost is never taken for printed ([`lost_output`]). It is no error if the reader of the output
//! stops reading (`| head`).

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{self, PanicHookInfo};
use std::path::Path;

use parking_lot::Mutex;

/// Why standard output did not take all that was printed, the first time.
static LOST: Mutex<Option<String>> = Mutex::new(None);

/// Prints to standard output. A failure is kept for the end of the command.
pub fn out(text: &str) {
    note_failure(print_line(&mut io::stdout().lock(), text.as_bytes()));
}

/// Prints a path to standard output as it is, also where it is not text.
pub(crate) fn out_path(path: &Path) {
    note_failure(print_line(&mut io::stdout().lock(), path.as_os_str().as_bytes()));
}

/// Keeps the failure of a write to standard output, if it is one.
pub(crate) fn note_failure(written: io::Result<()>) {
    if let Some(problem) = problem(written) {
        LOST.lock().get_or_insert(problem);
    }
}

/// Why standard output did not take all that was printed. `None` if it took all, or if its reader went away.
pub(crate) fn lost_output() -> Option<String> {
    LOST.lock().clone()
}

fn print_line(to: &mut impl io::Write, text: &[u8]) -> io::Result<()> {
    to.write_all(text)?;
    to.write_all(b"\n")?;
    to.flush()
}

fn problem(written: io::Result<()>) -> Option<String> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Some(format!("cannot write to standard output: {error}"))
        }
        Ok(()) | Err(_) => None,
    }
}

/// From now on a panic prints where it happened, and nothing of its message: the message can hold a secret.
pub fn hide_panic_messages() {
    panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| err(&panic_text(panic))));
}

fn panic_text(panic: &PanicHookInfo<'_>) -> String {
    let place = panic
        .location()
        .map_or_else(|| "an unknown place".to_owned(), |place| format!("{}:{}", place.file(), place.line()));
    format!(
        "error: internal error at {place} (meeting-closer {})\nhint: report this line and the command; the message is \
         left out, because it can hold a secret",
        env!("CARGO_PKG_VERSION")
    )
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

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::process::Command;

    use super::*;

    /// Makes the test below panic for another process, which it starts itself.
    const PANICS: &str = "PRINTER_TEST_PANICS";

    #[test]
    fn a_full_disk_loses_output_and_a_reader_that_went_away_does_not() {
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let lost = problem(print_line(&mut full, b"text")).unwrap();
        assert!(lost.starts_with("cannot write to standard output: No space left"), "{lost}");
        assert_eq!(problem(Err(io::ErrorKind::BrokenPipe.into())), None);
        assert_eq!(problem(print_line(&mut Vec::new(), b"text")), None);
    }

    #[test]
    fn a_panic_shows_its_place_and_nothing_of_its_message() {
        if std::env::var_os(PANICS).is_some() {
            hide_panic_messages();
            let secret = std::hint::black_box("hunter2");
            panic!("hunter1 {secret}");
        }
        let name = "printer::tests::a_panic_shows_its_place_and_nothing_of_its_message";
        let mut again = Command::new(std::env::current_exe().unwrap());
        let ran = again.args(["--exact", name, "--nocapture"]).env(PANICS, "1").output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(!ran.status.success() && said.contains("error: internal error at src/printer.rs:"), "{said}");
        assert!(said.contains("hint: report this line") && !said.contains("hunter"), "{said}");
    }
}
