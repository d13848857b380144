//! SIGINT and SIGTERM: the first lets a run finish what is in flight, the second aborts it.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::run::Signal;

/// SIGXFSZ, which has no name in tokio.
const FILE_TOO_LARGE: i32 = 25;

/// Listens from now on.
pub(crate) fn listen() -> std::io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(2);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // With a handler, writing past `ulimit -f` is an error like a full disk. Without one, it kills the process.
    let file_too_large = signal(SignalKind::from_raw(FILE_TOO_LARGE))?;
    tokio::spawn(async move {
        let _kept = file_too_large;
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
