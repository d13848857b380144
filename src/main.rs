//! Parses the command line, runs the command, and returns its exit code.

use std::process;

use meeting_closer::{ExitCode, hide_panic_messages, parse_command_line, print_err, run_command};

fn main() -> process::ExitCode {
    hide_panic_messages();
    let cli = match parse_command_line() {
        Ok(cli) => cli,
        Err(code) => return code.into(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print_err(&format!("error: cannot start the async runtime: {error}"));
            return ExitCode::Usage.into();
        }
    };
    let result = runtime.block_on(run_command(cli));
    // Do not wait for tasks that still run: an aborted request, or a list that is still being read.
    runtime.shutdown_background();
    match result {
        Ok(code) => code.into(),
        Err(failure) => {
            print_err(&failure.to_string());
            failure.code.into()
        }
    }
}
