//! Work that waits for a reader: directories depth-first, and chunks of files before them.
//!
//! One kind of thread does both: it reads files while there are any, else lists the next directory.
//! A thread that lists and finds the queue of chunks full reads its chunks itself. So no list of
//! all directories or files ever exists: what is held are the pending names of the directories on
//! the way down, and a bounded number of chunks.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shardex_catalog::{FileName, RelativePath, Span};

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
    /// Only sub-directories of this range are entered, and nothing else of the directory is looked at.
    pub(crate) within: Option<Arc<Span>>,
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
    /// What others walk.
    excluded: Vec<Span>,
    /// What others may walk: until it is known whether they do, the walk does not end.
    aside: Option<(Span, Children)>,
}

/// Sub-directories of one directory, or passes over it, that are not listed yet.
enum Frame {
    Children(Children),
    Passes { visit: Visit, next: u32, bits: u32 },
    Root(Option<Visit>),
}

/// Sub-directories of a directory, ascending by name.
struct Children {
    source: Arc<SourceContext>,
    parent: RelativePath,
    names: std::vec::IntoIter<FileName>,
    /// The name after the last one that was listed, empty for none: up to it, these are all there are.
    /// `None` for what one of several passes has found.
    to: Option<Box<[u8]>>,
}

/// Shared by all readers.
#[derive(Default)]
pub(crate) struct Frontier {
    pending: Mutex<Pending>,
    changed: Condvar,
    room: Condvar,
    stopped: Condvar,
}

impl Frontier {
    /// Adds the root of a source.
    pub(crate) fn add_root(&self, source: Arc<SourceContext>) {
        let visit = Visit { source, path: RelativePath::default(), pass: None, within: None };
        self.lock().frames.push(Frame::Root(Some(visit)));
        self.changed.notify_all();
    }

    /// Adds a part of a source's tree, without what others walk of it.
    pub(crate) fn add_span(&self, source: Arc<SourceContext>, span: Span, excluded: Vec<Span>) {
        let path = span.directory().clone();
        let within = span.names().is_some().then(|| Arc::new(span));
        let mut pending = self.lock();
        pending.frames.push(Frame::Root(Some(Visit { source, path, pass: None, within })));
        pending.excluded = excluded;
        drop(pending);
        self.changed.notify_all();
    }

    /// Adds the sub-directories that the listing of a directory has found.
    pub(crate) fn add_children(&self, visit: &Visit, is_all: bool, mut names: Vec<FileName>) {
        let mut pending = self.lock();
        if let Some(within) = &visit.within {
            names.retain(|name| within.holds_child(&visit.path, name.as_bytes()));
        }
        let excluded = &pending.excluded;
        if !excluded.is_empty() {
            names.retain(|name| !excluded.iter().any(|span| span.holds_child(&visit.path, name.as_bytes())));
        }
        if names.is_empty() {
            return;
        }
        let end = visit.within.as_ref().and_then(|within| within.names()).map_or(&[][..], |(_, to)| to);
        pending.frames.push(Frame::Children(Children {
            source: Arc::clone(&visit.source),
            parent: visit.path.clone(),
            names: names.into_iter(),
            to: is_all.then(|| end.into()),
        }));
        drop(pending);
        self.changed.notify_all();
    }

    /// Sets the later half of what is left of the highest directory aside, for others; they get it
    /// with [`Frontier::give_away`]. `None` while there is too little.
    pub(crate) fn set_aside(&self) -> Option<Span> {
        let mut pending = self.lock();
        if pending.aside.is_some() || pending.is_stopped {
            return None;
        }
        let frames = &mut pending.frames;
        let children = frames.iter_mut().find_map(|frame| match frame {
            Frame::Children(children) if children.to.is_some() && children.names.len() > 1 => Some(children),
            Frame::Children(_) | Frame::Passes { .. } | Frame::Root(_) => None,
        })?;
        let mut own: Vec<_> = children.names.by_ref().collect();
        let given = own.split_off(own.len() / 2);
        let first: Box<[u8]> = given.first()?.as_bytes().into();
        children.names = own.into_iter();
        let to = children.to.replace(first.clone()).unwrap_or_default();
        let span = Span::range(children.parent.clone(), &first, &to)?;
        let (source, parent) = (Arc::clone(&children.source), children.parent.clone());
        let aside = Children { source, parent, names: given.into_iter(), to: Some(to) };
        pending.aside = Some((span.clone(), aside));
        Some(span)
    }

    /// What was set aside is others' now.
    pub(crate) fn give_away(&self) {
        let mut pending = self.lock();
        if let Some((span, _)) = pending.aside.take() {
            span.add_to(&mut pending.excluded);
        }
        drop(pending);
        self.changed.notify_all();
    }

    /// Adds the passes over a giant directory after pass 0.
    pub(crate) fn add_passes(&self, visit: &Visit, bits: u32) {
        self.lock().frames.push(Frame::Passes { visit: visit.clone(), next: 1, bits });
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
            if pending.active == 0 && pending.aside.is_none() {
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
        self.stopped.notify_all();
    }

    /// Waits for the end of the run, at most for `time`. Whether it is over.
    pub(crate) fn wait_for_stop(&self, time: Duration) -> bool {
        let waited = self.stopped.wait_timeout_while(self.lock(), time, |pending| !pending.is_stopped);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_stopped
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
            Frame::Children(children) => children.names.next().map(|name| Visit {
                source: Arc::clone(&children.source),
                path: children.parent.join(name.as_bytes()),
                pass: None,
                within: None,
            }),
            Frame::Passes { visit, next, bits } if *next < 1 << *bits => {
                *next += 1;
                Some(Visit { pass: Some((*next - 1, *bits)), ..visit.clone() })
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use shardex_catalog::{Domain, SourceName};

    use super::*;

    fn source(root: &std::path::Path) -> Arc<SourceContext> {
        let directory = crate::tree::open_root(root).expect("opened");
        let device = rustix::fs::fstat(directory.as_fd()).expect("stat").st_dev;
        Arc::new(SourceContext {
            number: 0,
            name: SourceName::new("s").expect("a name"),
            domain: Domain::default(),
            path: root.to_owned(),
            root: directory,
            device,
            has_open_marks: false,
            skips_stubs: false,
        })
    }

    fn names(names: &[&str]) -> Vec<FileName> {
        names.iter().map(|name| FileName::new(name.as_bytes())).collect()
    }

    /// Lists the root, then gives the paths that are left.
    fn walked(frontier: &Frontier, children: &[&str]) -> Vec<String> {
        let mut paths = Vec::new();
        while let Some(task) = frontier.next() {
            let Task::List(visit) = task else { panic!("no files here") };
            if visit.path.is_root() {
                frontier.add_children(&visit, true, names(children));
            } else {
                paths.push(String::from_utf8_lossy(visit.path.as_bytes()).into_owned());
            }
            frontier.done();
        }
        paths
    }

    #[test]
    fn what_is_given_away_is_walked_by_others_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let children = ["a", "b", "c", "d", "e"];
        let holder = Frontier::default();
        holder.add_span(source(folder.path()), Span::whole(RelativePath::default()), Vec::new());
        let Some(Task::List(root)) = holder.next() else { panic!("the root comes first") };
        holder.add_children(&root, true, names(&children));
        holder.done();
        let first = holder.set_aside().expect("five are enough");
        assert_eq!(holder.set_aside(), None, "one thing at a time");
        holder.give_away();
        assert_eq!(walked(&holder, &[]), ["a", "b"]);

        let other = Frontier::default();
        other.add_span(source(folder.path()), first.clone(), Vec::new());
        assert_eq!(
            walked(&other, &children),
            ["c", "d", "e"],
            "the range knows its directory's later children"
        );

        let successor = Frontier::default();
        successor.add_span(source(folder.path()), Span::whole(RelativePath::default()), vec![first]);
        assert_eq!(walked(&successor, &["a", "aa", "b", "bz", "c", "zz"]), ["a", "aa", "b", "bz"]);
    }

    #[test]
    fn a_walk_waits_for_what_is_set_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let frontier = Arc::new(Frontier::default());
        frontier.add_root(source(folder.path()));
        let Some(Task::List(root)) = frontier.next() else { panic!("the root comes first") };
        frontier.add_children(&root, true, names(&["a", "b"]));
        let aside = frontier.set_aside().expect("two are enough");
        frontier.done();
        let waiting = Arc::clone(&frontier);
        let (to, paths) = std::sync::mpsc::sync_channel(1);
        let rest = std::thread::spawn(move || to.send(walked(&waiting, &[])));
        assert_eq!(aside.names(), Some((&b"b"[..], &b""[..])));
        assert!(
            paths.recv_timeout(std::time::Duration::from_millis(50)).is_err(),
            "nobody knows yet whose `b` is"
        );
        frontier.give_away();
        assert_eq!(paths.recv(), Ok(vec!["a".to_owned()]));
        assert!(rest.join().is_ok());
    }
}
