//! Signals that ask for an end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Signals cannot be handled.
#[derive(Debug, thiserror::Error)]
#[error("signals cannot be handled: {0}")]
pub struct InstallError(#[from] std::io::Error);

/// Sets the returned flag at the first SIGINT or SIGTERM, and ends the process with 130 at the
/// second.
///
/// # Errors
/// [`InstallError`] if the system refuses.
pub fn stop_on_signals() -> Result<Arc<AtomicBool>, InstallError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Registered first, so that it sees the flag of the signal before, not of this one.
        flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
