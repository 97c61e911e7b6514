//! Work that waits for a reader: directories depth-first, and chunks of files before them.
//!
//! One kind of thread does both: it reads files while there are any, else lists the next directory.
//! A thread that lists and finds the queue of chunks full reads its chunks itself. So no list of
//! all directories or files ever exists: what is held are the pending names of the directories on
//! the way down, and a bounded number of chunks.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use shardex_catalog::{FileName, RelativePath};

use crate::part::{Chunk, SourceContext};

/// Chunks that wait at most.
const CHUNKS_MAX: usize = 64;

/// A directory to be listed, or one pass over a giant one.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) source: Arc<SourceContext>,
    pub(crate) path: RelativePath,
    /// Pass and its number of bits; `None` for a first look.
    pub(crate) pass: Option<(u32, u32)>,
}

/// What a reader does next.
#[derive(Debug)]
pub(crate) enum Task {
    Read(Chunk),
    List(Visit),
}

#[derive(Default)]
struct Pending {
    chunks: VecDeque<Chunk>,
    frames: Vec<Frame>,
    /// Tasks that are being worked on, and may bring more.
    active: usize,
    is_stopped: bool,
}

/// Sub-directories of one directory, or passes over it, that are not listed yet.
enum Frame {
    Children { source: Arc<SourceContext>, parent: RelativePath, names: std::vec::IntoIter<FileName> },
    Passes { source: Arc<SourceContext>, path: RelativePath, next: u32, bits: u32 },
    Root(Option<Visit>),
}

/// Shared by all readers.
#[derive(Default)]
pub(crate) struct Frontier {
    pending: Mutex<Pending>,
    changed: Condvar,
    room: Condvar,
}

impl Frontier {
    /// Adds the root of a source.
    pub(crate) fn add_root(&self, source: Arc<SourceContext>) {
        let visit = Visit { source, path: RelativePath::default(), pass: None };
        self.lock().frames.push(Frame::Root(Some(visit)));
        self.changed.notify_all();
    }

    /// Adds the sub-directories of a directory that was listed.
    pub(crate) fn add_children(
        &self,
        source: &Arc<SourceContext>,
        parent: &RelativePath,
        names: Vec<FileName>,
    ) {
        if names.is_empty() {
            return;
        }
        let frame =
            Frame::Children { source: Arc::clone(source), parent: parent.clone(), names: names.into_iter() };
        self.lock().frames.push(frame);
        self.changed.notify_all();
    }

    /// Adds the passes over a giant directory after pass 0.
    pub(crate) fn add_passes(&self, source: &Arc<SourceContext>, path: &RelativePath, bits: u32) {
        let frame = Frame::Passes { source: Arc::clone(source), path: path.clone(), next: 1, bits };
        self.lock().frames.push(frame);
        self.changed.notify_all();
    }

    /// Adds a chunk, or gives it back where enough of them wait.
    pub(crate) fn offer(&self, chunk: Chunk) -> Option<Chunk> {
        let mut pending = self.lock();
        if pending.chunks.len() >= CHUNKS_MAX {
            return Some(chunk);
        }
        pending.chunks.push_back(chunk);
        drop(pending);
        self.changed.notify_one();
        None
    }

    /// Counts a feeder as a task, so that readers wait for what it brings. It ends with
    /// [`Frontier::done`].
    pub(crate) fn hold_open(&self) {
        self.lock().active += 1;
    }

    /// Adds a chunk; waits while enough of them are there. Dropped once stopped.
    pub(crate) fn push(&self, chunk: Chunk) {
        let mut pending = self.lock();
        while pending.chunks.len() >= CHUNKS_MAX && !pending.is_stopped {
            pending = self.room.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
        pending.chunks.push_back(chunk);
        drop(pending);
        self.changed.notify_one();
    }

    /// Takes over the task of a reader that was given up: what it left is worked off first, without
    /// regard to the bound, and its task is done.
    pub(crate) fn take_over(&self, chunks: Vec<Chunk>) {
        let mut pending = self.lock();
        for chunk in chunks {
            pending.chunks.push_front(chunk);
        }
        pending.active -= 1;
        drop(pending);
        self.changed.notify_all();
    }

    /// The next task; waits while others may still bring some. `None` at the end, or once stopped.
    /// Say [`Frontier::done`] after every task.
    pub(crate) fn next(&self) -> Option<Task> {
        let mut pending = self.lock();
        loop {
            if pending.is_stopped {
                return None;
            }
            let task = match pending.chunks.pop_front() {
                Some(chunk) => {
                    self.room.notify_one();
                    Some(Task::Read(chunk))
                }
                None => next_visit(&mut pending.frames).map(Task::List),
            };
            if task.is_some() {
                pending.active += 1;
                return task;
            }
            if pending.active == 0 {
                return None;
            }
            pending = self.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A task was worked off.
    pub(crate) fn done(&self) {
        let mut pending = self.lock();
        pending.active -= 1;
        let is_idle = pending.active == 0;
        drop(pending);
        if is_idle {
            self.changed.notify_all();
        }
    }

    /// Lets every reader end after the task it is at.
    pub(crate) fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
        self.room.notify_all();
    }

    /// Whether the run is over.
    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next directory of the deepest frame.
fn next_visit(frames: &mut Vec<Frame>) -> Option<Visit> {
    while let Some(frame) = frames.last_mut() {
        let visit = match frame {
            Frame::Children { source, parent, names } => names.next().map(|name| Visit {
                source: Arc::clone(source),
                path: parent.join(name.as_bytes()),
                pass: None,
            }),
            Frame::Passes { source, path, next, bits } if *next < 1 << *bits => {
                *next += 1;
                Some(Visit { source: Arc::clone(source), path: path.clone(), pass: Some((*next - 1, *bits)) })
            }
            Frame::Passes { .. } => None,
            Frame::Root(visit) => visit.take(),
        };
        if visit.is_some() {
            return visit;
        }
        frames.pop();
    }
    None
}
