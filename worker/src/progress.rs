//! Live counts of an ingest, for whoever watches it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use shardex_catalog::{FileState, RelativePath, SourceName};

/// Counts that readers and sequencer raise and anybody may look at.
#[derive(Debug, Default)]
pub struct Progress {
    pub(crate) files: AtomicU64,
    pub(crate) opened: AtomicU64,
    pub(crate) unchanged: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) directories: AtomicU64,
    pub(crate) states: [AtomicU64; 8],
    /// Files counted ahead, plus 1; 0 while there is no estimate.
    pub(crate) counted: AtomicU64,
    pub(crate) phase: AtomicU64,
    current: Mutex<Option<(SourceName, RelativePath)>>,
    slowest: Mutex<Vec<SlowDirectory>>,
}

/// Directories that are remembered as slow.
const SLOWEST_MAX: usize = 8;

/// A directory that took long to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlowDirectory {
    pub(crate) directory: RelativePath,
    /// Of all readers together.
    pub(crate) time: Duration,
    pub(crate) files: u64,
}

/// Phases of an ingest, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Reading = 1,
    Writing,
    Deleting,
    Done,
}

/// Counts at one moment. Counts of a run that goes on are not exact against each other.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Files seen.
    pub files: u64,
    /// Files opened.
    pub opened: u64,
    /// Files that were known and had not changed.
    pub unchanged: u64,
    /// Sizes of the files seen, together.
    pub bytes: u64,
    /// Directories listed.
    pub directories: u64,
    /// Files seen by state.
    pub states: Vec<(FileState, u64)>,
    /// Estimated number of files in all; `None` while nothing is known.
    pub estimate: Option<u64>,
    /// What is being done.
    pub phase: &'static str,
    /// A directory that is being read. For the caller's terminal only.
    pub current: Option<(SourceName, RelativePath)>,
}

impl Progress {
    /// The counts now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let phase = match get(&self.phase) {
            0 => "checking",
            1 => "reading",
            2 => "writing",
            3 => "deleting",
            _ => "done",
        };
        Snapshot {
            files: get(&self.files),
            opened: get(&self.opened),
            unchanged: get(&self.unchanged),
            bytes: get(&self.bytes),
            directories: get(&self.directories),
            states: FileState::ALL.iter().map(|state| (*state, get(&self.states[*state as usize]))).collect(),
            estimate: get(&self.counted).checked_sub(1),
            phase,
            current: self.current.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// The directories that took the longest, that one first.
    pub(crate) fn slowest(&self) -> Vec<SlowDirectory> {
        self.slowest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes the time that a part of a directory took.
    pub(crate) fn took(&self, directory: &RelativePath, time: Duration, files: u64) {
        // As with the current directory, nobody waits.
        if let Ok(mut slowest) = self.slowest.try_lock() {
            note(&mut slowest, directory, time, files);
        }
    }

    /// Whether all that a walk covers was read, and the rest is on its way to the stores.
    pub(crate) fn is_writing(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == Phase::Writing as u64
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_state(&self, state: FileState, by: u64) {
        self.states[state as usize].fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn set_current(&self, source: &SourceName, directory: &RelativePath) {
        // Nobody waits for a look: whoever cannot have the lock at once leaves it.
        if let Ok(mut current) = self.current.try_lock() {
            *current = Some((source.clone(), directory.clone()));
        }
    }
}

/// Keeps the slowest, in order. A directory whose parts come apart may be forgotten in between: it counts anew. Pure.
fn note(slowest: &mut Vec<SlowDirectory>, directory: &RelativePath, time: Duration, files: u64) {
    let is_full = slowest.len() >= SLOWEST_MAX;
    if let Some(known) = slowest.iter_mut().find(|known| known.directory == *directory) {
        known.time += time;
        known.files += files;
    } else if !is_full || slowest.last().is_some_and(|last| last.time < time) {
        slowest.truncate(SLOWEST_MAX - 1);
        slowest.push(SlowDirectory { directory: directory.clone(), time, files });
    } else {
        return;
    }
    slowest.sort_by_key(|slow| std::cmp::Reverse(slow.time));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_directories_are_kept_and_their_parts_added() {
        let mut slowest = Vec::new();
        let path = |n: u64| RelativePath::new(format!("d{n}").as_bytes());
        for n in 0..100 {
            note(&mut slowest, &path(n), Duration::from_millis(n % 50), 1);
        }
        note(&mut slowest, &path(99), Duration::from_millis(10), 2);
        assert_eq!(slowest.len(), SLOWEST_MAX);
        let first = SlowDirectory { directory: path(99), time: Duration::from_millis(59), files: 3 };
        assert_eq!(slowest[0], first);
        assert!(slowest.is_sorted_by_key(|slow| std::cmp::Reverse(slow.time)));
    }
}
