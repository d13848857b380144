//! SIGINT and SIGTERM: the first asks a run to finish what it has begun, the second to let go.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::run::Signal;

/// SIGXFSZ, which has no name in tokio.
const FILE_TOO_LARGE: i32 = 25;

/// Listens from now on.
pub(super) fn listen() -> std::io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(2);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // A file that may not grow (`ulimit -f`) is then an error like a full disk, and no end without a word.
    let file_too_large = signal(SignalKind::from_raw(FILE_TOO_LARGE))?;
    tokio::spawn(async move {
        let _kept = file_too_large;
        for ask in [Signal::Drain, Signal::Abort] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send(ask).await.is_err() {
                return;
            }
        }
        sender.closed().await;
    });
    Ok(receiver)
}
