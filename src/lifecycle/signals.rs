//! SIGINT and SIGTERM: after the first signal, a run finishes its requests in flight. The second signal aborts it.
//!
//! Invariant: from the call of [`listen`] on, no signal is lost.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::exit::{ExitCode, Failure};
use crate::run::Signal;

/// SIGXFSZ. Tokio has no name for it.
const FILE_TOO_LARGE: i32 = 25;

/// Starts to listen for signals.
pub(crate) fn listen() -> Result<mpsc::Receiver<Signal>, Failure> {
    receive().map_err(|error| Failure::new(ExitCode::Usage, format!("cannot listen for signals: {error}")))
}

fn receive() -> std::io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(2);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // With a handler, writing past `ulimit -f` is an error, like a full disk. Without one, the signal kills the process.
    let file_too_large = signal(SignalKind::from_raw(FILE_TOO_LARGE))?;
    tokio::spawn(async move {
        let _handler = file_too_large;
        for request in [Signal::Drain, Signal::Abort] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send(request).await.is_err() {
                return;
            }
        }
        sender.closed().await;
    });
    Ok(receiver)
}
