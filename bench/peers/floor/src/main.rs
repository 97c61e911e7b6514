//! What reading a tree costs at least: `bench-floor DIR [read|stat] [THREADS]`.
//!
//! `read`: walk, open, fstat, read 8 KB, close. `stat`: walk, and stat every file. Nothing is parsed or kept.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};
use std::thread;

const PREFIX_BYTES: usize = 8192;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Read,
    Stat,
}

/// Directories that wait, and how many are being listed.
#[derive(Default)]
struct Queue {
    state: Mutex<(Vec<PathBuf>, usize)>,
    changed: Condvar,
}

impl Queue {
    /// The next directory; `None` when all are done.
    fn take(&self) -> Option<PathBuf> {
        let mut state = self.state.lock().ok()?;
        loop {
            if let Some(folder) = state.0.pop() {
                state.1 += 1;
                return Some(folder);
            }
            if state.1 == 0 {
                return None;
            }
            state = self.changed.wait(state).ok()?;
        }
    }

    fn add(&self, folder: PathBuf) {
        if let Ok(mut state) = self.state.lock() {
            state.0.push(folder);
        }
        self.changed.notify_one();
    }

    fn done(&self) {
        if let Ok(mut state) = self.state.lock() {
            state.1 -= 1;
        }
        self.changed.notify_all();
    }
}

fn work(queue: &Queue, mode: Mode) -> io::Result<u64> {
    let (mut files, mut buffer) = (0, vec![0; PREFIX_BYTES]);
    while let Some(folder) = queue.take() {
        let listed = list(queue, &folder, mode, &mut buffer);
        queue.done();
        files += listed?;
    }
    Ok(files)
}

fn list(queue: &Queue, folder: &Path, mode: Mode, buffer: &mut [u8]) -> io::Result<u64> {
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            queue.add(entry.path());
            continue;
        }
        match mode {
            Mode::Stat => drop(entry.metadata()?),
            Mode::Read => {
                let mut file = File::open(entry.path())?;
                file.metadata()?;
                let _: usize = file.read(buffer)?;
            }
        }
        files += 1;
    }
    Ok(files)
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let root =
        arguments.next().ok_or_else(|| io::Error::other("usage: bench-floor DIR [read|stat] [THREADS]"))?;
    let mode = if arguments.next().as_deref() == Some("stat") { Mode::Stat } else { Mode::Read };
    let threads = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(2_usize);
    let queue = Queue::default();
    queue.add(root.into());
    let files = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&queue, mode))).collect();
        workers.into_iter().try_fold(0, |sum, worker| {
            worker.join().map_err(|_| io::Error::other("a thread panicked"))?.map(|files| sum + files)
        })
    })?;
    println!("{{\"files\": {files}}}");
    Ok(())
}
