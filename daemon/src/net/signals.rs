//! Signals that ask a server to end.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::Error;

/// Gives a word for every SIGINT and SIGTERM from now on; they no longer end the process. The task
/// behind it ends when the receiver is dropped.
///
/// # Errors
/// [`Error::Serve`] if the system refuses.
pub fn stop_signals() -> Result<mpsc::Receiver<()>, Error> {
    let on = |kind| signal(kind).map_err(|error| Error::Serve(format!("signals cannot be handled: {error}")));
    let (mut interrupt, mut terminate) = (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = sender.closed() => return,
            }
            // Whoever has two words waiting needs no third.
            let _ = sender.try_send(());
        }
    });
    Ok(receiver)
}
