//! Parse, run, map to an exit code.

use std::process;

use clap::Parser as _;
use meeting_closer::{Cli, ExitCode, print_err, run_command};

fn main() -> process::ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print_err(&format!("error: cannot start: {error}"));
            return ExitCode::Usage.into();
        }
    };
    let ended = runtime.block_on(run_command(cli));
    // What still waits (a request that was let go of, a list that is not read to its end) is not waited for.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code.into(),
        Err(failure) => {
            print_err(&failure.to_string());
            failure.code.into()
        }
    }
}
