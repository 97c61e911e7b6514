//! Ports for what tests start. Tests of other crates take this file, too: all have to keep out of each other's way.

use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that a system gives to whoever asks for any, as every connection does.
const PORTS: Range<u16> = 10_000..32_000;
/// Processes that follow each other begin so far apart.
const APART: u32 = 64;

/// A port that is free, and stays so while what listens on it is started again.
pub(crate) fn free_port() -> io::Result<u16> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let count = u32::try_from(PORTS.len()).map_err(io::Error::other)?;
    let first = std::process::id().wrapping_mul(APART) % count;
    for _ in PORTS {
        let at = (first + u32::from(TAKEN.fetch_add(1, Ordering::Relaxed))) % count;
        let port = PORTS.start + u16::try_from(at).map_err(io::Error::other)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other("no port is free for a test"))
}
