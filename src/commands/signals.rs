//! SIGINT and SIGTERM: the first asks a run to finish what it has begun, the second to let go.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::run::Signal;

/// Listens from now on.
pub(super) fn listen() -> std::io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(2);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
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
