//! Indexed files as they are on disk now: there, unchanged, and with the content that was digested.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use shardex_catalog::{ContentDigest, DigestMode, name_hash};
use shardex_shard_store::check::{CheckedEntry, Finding, Kind, StoredRow};
use shardex_worker::tree;

use super::found::Found;
use super::sources::Roots;

/// Threads that wait for the storage.
const THREADS: usize = 8;
const BATCH_FILES: usize = 256;

/// Which files' content is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampling {
    /// All.
    All,
    /// Those whose path hashes to 0 among so many.
    OneIn(u32),
    /// None.
    Nothing,
}

impl Sampling {
    /// About `wanted` of `total` files; the same ones at every run.
    pub(super) fn about(wanted: u64, total: u64) -> Self {
        match (wanted, total) {
            (0, _) => Self::Nothing,
            (wanted, total) if wanted >= total => Self::All,
            (wanted, total) => Self::OneIn(u32::try_from(total / wanted).unwrap_or(u32::MAX)),
        }
    }

    fn takes(self, directory: &[u8], name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::OneIn(n) => (name_hash(name) ^ name_hash(directory).rotate_left(7)).is_multiple_of(n),
        }
    }
}

struct Item {
    name: Vec<u8>,
    row: StoredRow,
    is_held: bool,
    is_read: bool,
}

/// Files of one directory.
struct Batch {
    source: String,
    directory: Vec<u8>,
    items: Vec<Item>,
}

/// Takes entries and looks at their files, several at once.
pub(super) struct Disk {
    roots: Arc<Roots>,
    sampling: Sampling,
    batch: Batch,
    queue: Option<SyncSender<Batch>>,
    threads: Vec<JoinHandle<()>>,
    files: u64,
    digests: Arc<AtomicU64>,
}

impl Disk {
    pub(super) fn start(
        roots: Roots,
        sampling: Sampling,
        found: Arc<Found>,
        cancel: Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        let (queue, batches) = sync_channel::<Batch>(2 * THREADS);
        let (batches, roots, digests) = (Arc::new(Mutex::new(batches)), Arc::new(roots), Arc::default());
        let mut threads = Vec::new();
        for _ in 0..THREADS {
            let worker = Worker {
                batches: Arc::clone(&batches),
                roots: Arc::clone(&roots),
                found: Arc::clone(&found),
                cancel: Arc::clone(&cancel),
                digests: Arc::clone(&digests),
            };
            threads.push(std::thread::Builder::new().name("verify".to_owned()).spawn(move || worker.run())?);
        }
        let batch = Batch { source: String::new(), directory: Vec::new(), items: Vec::new() };
        Ok(Self { roots, sampling, batch, queue: Some(queue), threads, files: 0, digests })
    }

    /// Takes an entry whose row was found.
    pub(super) fn take(&mut self, checked: CheckedEntry<'_>) {
        self.files += 1;
        if self.roots.get(checked.source).is_none_or(Option::is_none) {
            return;
        }
        let is_same = self.batch.source == checked.source && self.batch.directory == checked.directory;
        if !is_same || self.batch.items.len() >= BATCH_FILES {
            self.send();
            self.batch.source = checked.source.to_owned();
            self.batch.directory = checked.directory.to_vec();
        }
        let name = checked.entry.name.as_bytes();
        self.batch.items.push(Item {
            name: name.to_vec(),
            row: checked.row,
            is_held: checked.entry.missing,
            is_read: checked.row.digest.is_some() && self.sampling.takes(checked.directory, name),
        });
    }

    /// Waits for the rest. Returns the numbers of files and of digests that were checked.
    pub(super) fn end(mut self) -> (u64, u64) {
        self.send();
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A panic of the thread was reported by the panic hook already.
            let _ = thread.join();
        }
        (self.files, self.digests.load(Ordering::Relaxed))
    }

    fn send(&mut self) {
        let items = std::mem::take(&mut self.batch.items);
        if let Some(queue) = self.queue.as_ref().filter(|_| !items.is_empty()) {
            let (source, directory) = (self.batch.source.clone(), self.batch.directory.clone());
            // Without threads left nobody listens; their panics were reported.
            let _ = queue.send(Batch { source, directory, items });
        }
    }
}

struct Worker {
    batches: Arc<Mutex<Receiver<Batch>>>,
    roots: Arc<Roots>,
    found: Arc<Found>,
    cancel: Arc<AtomicBool>,
    digests: Arc<AtomicU64>,
}

impl Worker {
    fn run(&self) {
        loop {
            let batch = self.batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(batch) = batch else { return };
            let Some(Some(root)) = self.roots.get(&batch.source) else { continue };
            let directory =
                tree::open_root(root).and_then(|root| tree::open_directory(root.as_fd(), &batch.directory));
            for item in &batch.items {
                if self.cancel.load(Ordering::Relaxed) {
                    break;
                }
                let looked = match &directory {
                    Ok(directory) => self.look(directory.as_fd(), item),
                    Err(error) => Some(fault(error, item)),
                };
                if let Some((kind, detail)) = looked {
                    let path = if batch.directory.is_empty() {
                        item.name.clone()
                    } else {
                        [&batch.directory[..], b"/", &item.name].concat()
                    };
                    let place = batch.source.clone();
                    self.found.add(Finding { kind, place, path: Some(path), detail });
                }
            }
        }
    }

    fn look(&self, directory: BorrowedFd<'_>, item: &Item) -> Option<(Kind, String)> {
        let stat = match tree::stat_name(directory, &item.name) {
            Ok(stat) => stat,
            Err(error) => return Some(fault(&error, item)),
        };
        if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
            return Some((Kind::FileChanged, "it is no regular file any more".to_owned()));
        }
        let stamp = tree::stamp(&stat);
        if (stamp.size, stamp.mtime_ns) != (item.row.size, item.row.mtime_ns) {
            let detail = format!("it has {} bytes, its row says {}", stamp.size, item.row.size);
            let detail = if stamp.size == item.row.size { "its time has changed".to_owned() } else { detail };
            return Some((Kind::FileChanged, detail));
        }
        let expected = item.row.digest.filter(|_| item.is_read)?;
        self.digests.fetch_add(1, Ordering::Relaxed);
        match has_digest(directory, item, expected) {
            Ok(true) => None,
            Ok(false) => Some((Kind::ContentDiffers, "its digest is not that of its row".to_owned())),
            Err(error) => Some((Kind::FileUnreadable, error.to_string())),
        }
    }
}

/// What it means that a file, or its directory, cannot be looked at.
fn fault(error: &std::io::Error, item: &Item) -> (Kind, String) {
    if !matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) {
        return (Kind::FileUnreadable, error.to_string());
    }
    let known = if item.is_held { "it is known to be gone, its deletion is held" } else { "it is gone" };
    (Kind::FileMissing, known.to_owned())
}

/// Whether a file has a digest, of its header or in full: a row does not say which was taken.
fn has_digest(directory: BorrowedFd<'_>, item: &Item, expected: ContentDigest) -> std::io::Result<bool> {
    let file = std::fs::File::from(tree::open_file(directory, &item.name)?);
    for mode in [DigestMode::Header, DigestMode::Full] {
        if shardex_extract::content_digest(&file, item.row.size, mode)? == Some(expected) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_as_many_as_wanted() {
        assert_eq!(Sampling::about(0, 10), Sampling::Nothing);
        assert_eq!(Sampling::about(10, 10), Sampling::All);
        let sampling = Sampling::about(100, 10_000);
        let taken = (0..10_000).filter(|n| sampling.takes(b"dir", format!("im{n}.dcm").as_bytes())).count();
        assert!((50..200).contains(&taken), "{taken}");
    }
}
