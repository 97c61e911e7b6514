//! What a reader is at, so that a reader which hangs can be given up without losing its work.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::frontier::Visit;
use crate::part::Chunk;

/// Something a reader does that storage can make it wait for.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// It reads the files of a chunk.
    Read(Arc<Chunk>),
    /// It lists a directory.
    List(Visit),
}

#[derive(Debug, Default)]
struct Held {
    work: Option<Work>,
    rest: VecDeque<Chunk>,
    /// A listing of which some parts are not looked at yet.
    unfinished: Option<Visit>,
    is_abandoned: bool,
}

/// Shared by a reader and whoever watches it.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Number of the reader.
    pub(crate) number: usize,
    beats: AtomicU64,
    item: AtomicUsize,
    held: Mutex<Held>,
}

/// What a reader was at when it was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) work: Work,
    pub(crate) item: usize,
    pub(crate) beat: u64,
}

impl Slot {
    pub(crate) fn new(number: usize) -> Self {
        Self { number, beats: AtomicU64::new(0), item: AtomicUsize::new(0), held: Mutex::default() }
    }

    /// The reader begins something.
    pub(crate) fn begin(&self, work: Work) {
        self.item.store(0, Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Relaxed);
        self.lock().work = Some(work);
    }

    /// The reader goes on to an item of its chunk.
    pub(crate) fn at(&self, item: usize) {
        self.item.store(item, Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// The reader has ended what it began. False if it was given up meanwhile: what it did is done by
    /// another, and it must end without a word.
    #[must_use]
    pub(crate) fn end(&self) -> bool {
        let mut held = self.lock();
        held.work = None;
        !held.is_abandoned
    }

    /// Keeps a chunk for later.
    pub(crate) fn keep(&self, chunk: Chunk) {
        self.lock().rest.push_back(chunk);
    }

    /// A listing is being worked off part by part; `None` once that is done.
    pub(crate) fn set_unfinished(&self, visit: Option<Visit>) {
        self.lock().unfinished = visit;
    }

    /// The next of the chunks that were kept.
    pub(crate) fn next_kept(&self) -> Option<Chunk> {
        self.lock().rest.pop_front()
    }

    /// What the reader is at; `None` if nothing can make it wait.
    pub(crate) fn sight(&self) -> Option<Sight> {
        let held = self.lock();
        let work = held.work.clone()?;
        let (item, beat) = (self.item.load(Ordering::Relaxed), self.beats.load(Ordering::Relaxed));
        Some(Sight { work, item, beat })
    }

    /// Gives the reader up if it is still where it was seen. Returns the chunks that it kept, and
    /// the listing that it had not worked off.
    pub(crate) fn abandon(&self, sight: &Sight) -> Option<(VecDeque<Chunk>, Option<Visit>)> {
        let mut held = self.lock();
        let is_there = held.work.is_some() && self.beats.load(Ordering::Relaxed) == sight.beat;
        if !is_there || held.is_abandoned {
            return None;
        }
        held.is_abandoned = true;
        Some((std::mem::take(&mut held.rest), held.unfinished.take()))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
