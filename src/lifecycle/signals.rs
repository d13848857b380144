//! SIGINT, SIGTERM and SIGHUP: after the first signal, a run finishes its requests in flight. The second signal aborts it.
//!
//! Invariant: from the call of [`listen`] on, no signal is lost.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::exit::{ExitCode, Failure};
use crate::run::Signal;

/// SIGHUP. `nohup` starts a program that ignores it, and then it stays ignored.
const HANGUP: u32 = 1;

/// SIGXFSZ. Tokio has no name for it.
const FILE_TOO_LARGE: i32 = 25;

/// Starts to listen for signals.
pub(crate) fn listen() -> Result<mpsc::Receiver<Signal>, Failure> {
    receive().map_err(|error| Failure::new(ExitCode::Usage, format!("cannot listen for signals: {error}")))
}

fn receive() -> std::io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(2);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = match std::fs::read_to_string("/proc/self/status") {
        Ok(status) if ignores(&status, HANGUP) => None,
        Ok(_) | Err(_) => Some(signal(SignalKind::hangup())?),
    };
    // With a handler, writing past `ulimit -f` is an error, like a full disk. Without one, the signal kills the process.
    let file_too_large = signal(SignalKind::from_raw(FILE_TOO_LARGE))?;
    tokio::spawn(async move {
        let _handler = file_too_large;
        for request in [Signal::Drain, Signal::Abort] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = async { hangup.as_mut().expect("it is polled only where it is there").recv().await },
                    if hangup.is_some() => {}
            }
            if sender.send(request).await.is_err() {
                return;
            }
        }
        sender.closed().await;
    });
    Ok(receiver)
}

/// Whether a process with this `/proc/<pid>/status` ignores a signal.
fn ignores(status: &str, number: u32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_ignored_if_its_bit_is_set() {
        let status = |mask| format!("Name:\tmc\nSigBlk:\tffffffffffffffff\nSigIgn:\t{mask}\nSigCgt:\tffff\n");
        assert!(ignores(&status("0000000000000001"), HANGUP) && ignores(&status("0000000000001001"), HANGUP));
        assert!(!ignores(&status("0000000000001000"), HANGUP) && !ignores(&status("x"), HANGUP));
        assert!(!ignores("", HANGUP));
    }
}
