//! A network between two processes that can be cut.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;

/// Time between two looks at whether bytes may pass.
const LOOK: Duration = Duration::from_millis(20);

/// Passes bytes to an address and back. While it is cut nothing passes, and nobody is told: connections stay, as
/// they do when a cable is pulled.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub url: String,
    is_cut: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
}

impl Proxy {
    /// In front of `address` (host and port), which need not listen yet.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start(address: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let (is_cut, is_over) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (cut, over, to) = (Arc::clone(&is_cut), Arc::clone(&is_over), address.to_owned());
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((from, _)) => connect(&from, &to, &cut, &over),
                    Err(_) => std::thread::sleep(LOOK),
                }
            }
        });
        Ok(Self { url, is_cut, is_over })
    }

    /// Lets nothing pass, or everything again.
    pub fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn connect(from: &TcpStream, to: &str, cut: &Arc<AtomicBool>, over: &Arc<AtomicBool>) {
    // Who cannot be reached refuses, by closing.
    let Ok(there) = TcpStream::connect(to) else { return };
    for (source, target) in [(from, &there), (&there, from)] {
        let (Ok(source), Ok(target)) = (source.try_clone(), target.try_clone()) else { return };
        let (cut, over) = (Arc::clone(cut), Arc::clone(over));
        std::thread::spawn(move || pass(source, target, &cut, &over));
    }
}

/// Passes bytes one way, until either side has closed.
fn pass(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool, over: &AtomicBool) {
    // The listener's flag is inherited on some systems.
    if from.set_nonblocking(false).is_err() || from.set_read_timeout(Some(LOOK)).is_err() {
        return;
    }
    let mut buffer = vec![0; 64 << 10];
    while !over.load(Ordering::Relaxed) {
        if cut.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                // Cut in between, they wait.
                while cut.load(Ordering::Relaxed) && !over.load(Ordering::Relaxed) {
                    std::thread::sleep(LOOK);
                }
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
}
