//! A network between processes that can be cut.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    wire: Arc<Wire>,
}

/// What may pass.
#[derive(Debug, Default)]
struct Wire {
    /// Nothing of anybody.
    is_cut: AtomicBool,
    /// Nothing of these processes.
    cut_off: Mutex<BTreeSet<u32>>,
    is_over: AtomicBool,
}

impl Wire {
    fn is_cut(&self, process: Option<u32>) -> bool {
        let is_cut_off = |process| self.cut_off().contains(&process);
        self.is_cut.load(Ordering::Relaxed) || process.is_some_and(is_cut_off)
    }

    fn cut_off(&self) -> std::sync::MutexGuard<'_, BTreeSet<u32>> {
        self.cut_off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
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
        let wire = Arc::<Wire>::default();
        let (passing, to) = (Arc::clone(&wire), address.to_owned());
        std::thread::spawn(move || {
            while !passing.is_over() {
                match listener.accept() {
                    Ok((from, _)) => connect(&from, &to, &passing),
                    Err(_) => std::thread::sleep(LOOK),
                }
            }
        });
        Ok(Self { url, wire })
    }

    /// Lets nothing pass, or everything again.
    pub fn cut(&self, is_cut: bool) {
        self.wire.is_cut.store(is_cut, Ordering::Relaxed);
    }

    /// Lets nothing pass between a process and who is behind this, or everything again.
    pub fn cut_off(&self, process: u32, is_cut: bool) {
        let mut cut_off = self.wire.cut_off();
        if is_cut {
            cut_off.insert(process)
        } else {
            cut_off.remove(&process)
        };
    }

    /// Whether this system tells which process has made a connection.
    ///
    /// # Errors
    /// If there is no port.
    pub fn knows_processes() -> Result<bool> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let _here = TcpStream::connect(listener.local_addr()?)?;
        Ok(process_of(&listener.accept()?.0) == Some(std::process::id()))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.is_over.store(true, Ordering::Relaxed);
    }
}

fn connect(from: &TcpStream, to: &str, wire: &Arc<Wire>) {
    // Who cannot be reached refuses, by closing.
    let Ok(there) = TcpStream::connect(to) else { return };
    let process = process_of(from);
    for (source, target) in [(from, &there), (&there, from)] {
        let (Ok(source), Ok(target)) = (source.try_clone(), target.try_clone()) else { return };
        let wire = Arc::clone(wire);
        std::thread::spawn(move || pass(source, target, process, &wire));
    }
}

/// The process at the other end of a connection of this machine: the one that has its socket open (proc(5)).
fn process_of(connection: &TcpStream) -> Option<u32> {
    let local = format!("0100007F:{:04X}", connection.peer_addr().ok()?.port());
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let fields = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let line = table.lines().map(fields).find(|fields| fields.get(1) == Some(&local))?;
    let socket = format!("socket:[{}]", line.get(9)?);
    let has_it = |process: &u32| {
        let Ok(open) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return false };
        open.flatten()
            .any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == OsStr::new(&socket)))
    };
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(has_it)
}

/// Passes bytes one way, until either side has closed.
fn pass(mut from: TcpStream, mut to: TcpStream, process: Option<u32>, wire: &Wire) {
    // The listener's flag is inherited on some systems.
    if from.set_nonblocking(false).is_err() || from.set_read_timeout(Some(LOOK)).is_err() {
        return;
    }
    let mut buffer = vec![0; 64 << 10];
    while !wire.is_over() {
        if wire.is_cut(process) {
            std::thread::sleep(LOOK);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                // Cut in between, they wait.
                while wire.is_cut(process) && !wire.is_over() {
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
