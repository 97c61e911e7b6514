//! A reader thread: reads chunks of files, lists directories.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use shardex_catalog::{DirectoryRange, DirectoryRecord, FileName, FileState, LedgerChange, Reason, ShardId};
use shardex_extract::Extractor;
use shardex_seams::{Clock, History, Ledger, StoreError};
use tokio::sync::mpsc;

use crate::frontier::{Frontier, Task, Visit};
use crate::hold::Findings;
use crate::list::{self, Kind, Listing};
use crate::pace::Pace;
use crate::part::{self, Chunk, Item, PARTS_TOGETHER, Part, ReadFile};
use crate::progress::Progress;
use crate::read::{FileReader, Look};
use crate::settings::Settings;
use crate::slot::{Slot, Work};
use crate::suspects::{Breadcrumb, Suspect, Verdict};
use crate::tree;

/// Fewer files than this are read by whoever listed them.
const INLINE_FILES_MAX: usize = 32;

/// What readers tell the sequencer.
#[derive(Debug)]
pub(crate) enum Event {
    /// Files that are not as recorded, and parts whose last file was looked at and that are not as
    /// recorded.
    Files { files: Vec<(Arc<Part>, Vec<ReadFile>)>, ended: Vec<Arc<Part>> },
    /// A change of the ledger that rests on no shard.
    Change(LedgerChange),
    /// A store failed: the run ends.
    Failed(StoreError),
    /// A reader ended.
    ReaderEnd,
}

/// What all readers share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) pace: Option<Pace>,
    pub(crate) is_full: bool,
    pub(crate) is_sample: bool,
    pub(crate) frontier: Arc<Frontier>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) histories: HashMap<ShardId, History>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) cancel: Arc<AtomicBool>,
    /// Readers with a number below this work; the others have ended.
    pub(crate) wanted: AtomicUsize,
    /// Processor time of all readers, nanoseconds.
    pub(crate) busy_ns: AtomicU64,
    pub(crate) part_numbers: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    pub(crate) directories_skipped: AtomicU64,
    /// What the readers are at.
    pub(crate) slots: Mutex<Vec<Arc<Slot>>>,
    /// Files that crash or hang whoever reads them.
    pub(crate) convicts: HashMap<Suspect, Verdict>,
    /// By number of the source.
    pub(crate) roots: Vec<RootFindings>,
}

/// What was seen of the root of a source.
#[derive(Debug, Default)]
pub(crate) struct RootFindings {
    /// It could be listed.
    pub(crate) was_listed: AtomicBool,
    /// Names in it.
    pub(crate) names: AtomicU64,
}

impl RootFindings {
    /// As the sweep takes them.
    pub(crate) fn findings(&self) -> Findings {
        Findings {
            root_was_listed: self.was_listed.load(Ordering::Relaxed),
            root_is_empty: self.names.load(Ordering::Relaxed) == 0,
            ..Findings::default()
        }
    }
}

impl Shared {
    /// What each reader is at.
    pub(crate) fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A new slot for a reader, in the place of one that it had before.
    pub(crate) fn take_slot(&self, number: usize) -> Arc<Slot> {
        let slot = Arc::new(Slot::new(number));
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|other| other.number != number);
        slots.push(Arc::clone(&slot));
        slot
    }
}

/// Works until there is nothing left, the run is cancelled, or fewer readers are wanted. A reader that
/// was given up ends without a word: another has taken its place.
pub(crate) fn run(shared: &Shared, slot: &Arc<Slot>, events: mpsc::Sender<Event>) {
    let number = slot.number;
    let folder = shared.settings.breadcrumbs.as_deref().filter(|_| shared.settings.after_a_death);
    let files = FileReader {
        extractor: Extractor::new(shared.settings.extract.clone()),
        extract_settings: &shared.settings.extract,
        retry_quarantined: shared.settings.retry_quarantined,
        clock: &*shared.clock,
        pace: shared.pace.as_ref(),
        before_read: shared.settings.before_read.as_ref(),
        convicts: &shared.convicts,
        breadcrumb: folder.and_then(|folder| Breadcrumb::create(folder, number).ok()),
    };
    let mut reader = Reader { shared, slot, events, files, busy_before_ns: thread_cpu_ns() };
    while number < shared.wanted.load(Ordering::Relaxed) {
        let Some(task) = shared.frontier.next() else { break };
        let is_here = match task {
            Task::Read(chunk) => reader.read(chunk),
            Task::List(visit) => reader.visit(visit),
        };
        if !is_here {
            return;
        }
        shared.frontier.done();
        reader.count_busy();
    }
    reader.send(Event::ReaderEnd);
}

/// What became of a look at a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    /// It was worked off, or queued.
    Done,
    /// The reader was given up meanwhile.
    GivenUp,
}

/// Names of one part of a directory; of files, with what they are and whether they are left out.
#[derive(Clone, Default)]
struct Names {
    files: Vec<(FileName, Kind, bool)>,
    children: Vec<FileName>,
}

struct Reader<'a> {
    shared: &'a Shared,
    slot: &'a Slot,
    events: mpsc::Sender<Event>,
    files: FileReader<'a>,
    busy_before_ns: u64,
}

impl Reader<'_> {
    fn send(&self, event: Event) {
        // The sequencer has ended only if the run has: what it would do with this no longer counts.
        let _ = self.events.blocking_send(event);
    }

    fn count_busy(&mut self) {
        let now = thread_cpu_ns();
        self.shared.busy_ns.fetch_add(now - self.busy_before_ns, Ordering::Relaxed);
        self.busy_before_ns = now;
    }

    /// Lists a directory and queues its files. False if the reader was given up.
    fn visit(&mut self, visit: Visit) -> bool {
        let shared = self.shared;
        shared.progress.set_current(&visit.source.name, &visit.path);
        self.slot.begin(Work::List(visit.clone()));
        let visit = &visit;
        let listed = match visit.pass {
            None => self.list_first(visit),
            Some((pass, bits)) => tree::open_directory(visit.source.root.as_fd(), visit.path.as_bytes())
                .and_then(|directory| {
                    let listing = list::list_pass(directory.as_fd(), pass, bits, usize::MAX)?;
                    Ok(Some((directory, listing, bits)))
                }),
        };
        if !self.slot.end() {
            return false;
        }
        match listed {
            Ok(Some((directory, listing, bits))) => {
                let range = pass_range(visit, bits);
                match self.take_listing(visit, directory, listing, &range) {
                    Ok(Looked::Done) => {}
                    Ok(Looked::GivenUp) => return false,
                    Err(error) => {
                        self.send(Event::Failed(error));
                        shared.frontier.stop();
                    }
                }
            }
            Ok(None) => {}
            Err(error) => self.unreadable(visit, &error),
        }
        true
    }

    /// A first look at a directory; `None` if it is not to be entered.
    fn list_first(&self, visit: &Visit) -> io::Result<Option<(std::os::fd::OwnedFd, Listing, u32)>> {
        let shared = self.shared;
        let directory = tree::open_directory(visit.source.root.as_fd(), visit.path.as_bytes())?;
        let stat = rustix::fs::fstat(&directory)?;
        let is_elsewhere = shared.settings.one_file_system && stat.st_dev != visit.source.device;
        if is_elsewhere || shared.settings.avoid == Some((stat.st_dev, stat.st_ino)) {
            shared.directories_skipped.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        let (listing, bits) = list::list(directory.as_fd(), shared.settings.names_max)?;
        if visit.within.is_none() {
            shared.progress.directories.fetch_add(1, Ordering::Relaxed);
            if visit.path.is_root() {
                let root = &shared.roots[visit.source.number];
                root.names.store(listing.total as u64, Ordering::Relaxed);
                root.was_listed.store(true, Ordering::Relaxed);
            }
        }
        if bits > 0 {
            shared.frontier.add_passes(visit, bits);
        }
        Ok(Some((directory, listing, bits)))
    }

    fn unreadable(&self, visit: &Visit, error: &io::Error) {
        if error.kind() == io::ErrorKind::NotFound && !visit.path.is_root() {
            // Gone since its parent was listed; the next run sees it gone from a listing.
            return;
        }
        let shared = self.shared;
        shared.unreadable.fetch_add(1, Ordering::Relaxed);
        let reason = match error.kind() {
            io::ErrorKind::PermissionDenied => Reason::PermissionDenied,
            _ => Reason::ReadError,
        };
        let range = DirectoryRange::whole(visit.source.name.clone(), visit.path.clone());
        self.send(Event::Change(LedgerChange::Unreadable { range, reason }));
    }

    /// Cuts a listing into parts, compares each with its record and queues its files.
    fn take_listing(
        &mut self,
        visit: &Visit,
        directory: std::os::fd::OwnedFd,
        listing: Listing,
        range: &DirectoryRange,
    ) -> Result<Looked, StoreError> {
        let children = self.enterable(visit, listing.directories);
        self.shared.frontier.add_children(visit, range.is_whole(), children.clone());
        if visit.within.is_some() {
            return Ok(Looked::Done);
        }
        let directory = Arc::new(directory);
        let ranges = part::part_ranges(range, listing.files.len() + children.len());
        let mut parts = vec![Names::default(); ranges.len()];
        for (name, kind, excluded) in self.lookable(visit, listing.files) {
            parts[part::part_of(&ranges, name.as_bytes())].files.push((name, kind, excluded));
        }
        for child in children {
            parts[part::part_of(&ranges, child.as_bytes())].children.push(child);
        }
        let mut rest = ranges.into_iter().zip(parts).peekable();
        let is_large = rest.len() > PARTS_TOGETHER;
        while rest.peek().is_some() {
            let together: Vec<_> = rest.by_ref().take(PARTS_TOGETHER).collect();
            self.take_parts(visit, &directory, together)?;
            if is_large {
                // What is known of a giant directory never stands in memory as a whole.
                self.slot.set_unfinished(rest.peek().is_some().then(|| visit.clone()));
                if !self.read_kept() {
                    return Ok(Looked::GivenUp);
                }
            }
        }
        Ok(if self.read_kept() { Looked::Done } else { Looked::GivenUp })
    }

    /// The files to look at, with whether the filters leave them out.
    fn lookable(&self, visit: &Visit, files: Vec<(FileName, Kind)>) -> Vec<(FileName, Kind, bool)> {
        let filters = &self.shared.settings.filters;
        let passes_all = filters.passes_all_files();
        let is_excluded = |name: &FileName| {
            let path = visit.path.join(name.as_bytes());
            filters.excludes_file(path.as_bytes(), name.as_bytes())
        };
        let files = files.into_iter().map(|(name, kind)| {
            let excluded = !passes_all && is_excluded(&name);
            (name, kind, excluded)
        });
        if self.shared.is_sample {
            files.filter(|(_, kind, excluded)| *kind == Kind::File && !excluded).take(1).collect()
        } else {
            files.collect()
        }
    }

    fn enterable(&self, visit: &Visit, directories: Vec<FileName>) -> Vec<FileName> {
        let filters = &self.shared.settings.filters;
        let before = directories.len();
        let mut children = directories;
        children.retain(|name| {
            let path = visit.path.join(name.as_bytes());
            !filters.excludes_directory(path.as_bytes(), name.as_bytes())
        });
        self.shared.directories_skipped.fetch_add((before - children.len()) as u64, Ordering::Relaxed);
        children
    }

    /// Compares parts with their records and queues their files.
    fn take_parts(
        &mut self,
        visit: &Visit,
        directory: &Arc<std::os::fd::OwnedFd>,
        together: Vec<(DirectoryRange, Names)>,
    ) -> Result<(), StoreError> {
        let mut parts = Vec::with_capacity(together.len());
        let mut items = Vec::new();
        for (range, names) in together {
            if let Some((part, own)) = self.take_part(visit, range, names, parts.len())? {
                parts.push(Arc::new(part));
                items.extend(own);
            }
        }
        if parts.is_empty() {
            return Ok(());
        }
        for chunk in part::chunks(directory, parts.into(), items) {
            // Handing over a few files costs more than reading them.
            let is_small = chunk.items.len() < INLINE_FILES_MAX;
            let kept = if is_small { Some(chunk) } else { self.shared.frontier.offer(chunk) };
            if let Some(chunk) = kept {
                self.slot.keep(chunk);
            }
        }
        Ok(())
    }

    fn take_part(
        &self,
        visit: &Visit,
        range: DirectoryRange,
        names: Names,
        number: usize,
    ) -> Result<Option<(Part, Vec<Item>)>, StoreError> {
        let shared = self.shared;
        let Names { files: names, children } = names;
        let previous = shared.ledger.record(&range)?;
        let was_open = visit.source.has_open_marks && shared.ledger.is_open(&range)?;
        if previous.is_none() && names.is_empty() && children.is_empty() && !was_open {
            return Ok(None);
        }
        let is_new = previous.is_none();
        let previous = previous.unwrap_or_default();
        let (items, gone) = part::join(names, &previous, number);
        let gone = if shared.is_full { gone } else { Vec::new() };
        let children = if shared.is_full { children } else { merged(&previous.children, children) };
        let has_changed = is_new || was_open || !gone.is_empty() || previous.children != children;
        if shared.is_full {
            self.tell_vanished_children(visit, &previous, &children);
        }
        let part = Part {
            number: shared.part_numbers.fetch_add(1, Ordering::Relaxed),
            source: Arc::clone(&visit.source),
            dirty: part::dirty_shards(&previous, &shared.histories),
            range,
            previous,
            gone,
            children,
            was_open,
            is_merged: false,
            has_changed: AtomicBool::new(has_changed),
            chunks_left: AtomicUsize::new(0),
        };
        Ok(Some((part, items)))
    }

    /// Reads what it kept of a directory, or hands it over once there is room. False if the reader was
    /// given up.
    fn read_kept(&mut self) -> bool {
        while let Some(chunk) = self.slot.next_kept() {
            let is_small = chunk.items.len() < INLINE_FILES_MAX;
            let kept = if is_small { Some(chunk) } else { self.shared.frontier.offer(chunk) };
            if let Some(chunk) = kept
                && !self.read(chunk)
            {
                return false;
            }
        }
        true
    }

    fn tell_vanished_children(&self, visit: &Visit, previous: &DirectoryRecord, children: &[FileName]) {
        for child in &previous.children {
            if children.binary_search(child).is_err() {
                let range =
                    DirectoryRange::whole(visit.source.name.clone(), visit.path.join(child.as_bytes()));
                self.send(Event::Change(LedgerChange::Vanished { range }));
            }
        }
    }

    /// Reads a chunk. False if the reader was given up meanwhile.
    fn read(&mut self, chunk: Chunk) -> bool {
        let chunk = Arc::new(chunk);
        self.slot.begin(Work::Read(Arc::clone(&chunk)));
        let began = self.shared.clock.elapsed();
        let progress = &self.shared.progress;
        let mut files: BTreeMap<usize, Vec<ReadFile>> = BTreeMap::new();
        let about = chunk.items.len() / chunk.touched.len().max(1);
        let mut states = Vec::with_capacity(chunk.items.len());
        let (mut unchanged, mut opened, mut bytes) = ([0_u64; 8], 0, 0);
        for (at, item) in chunk.items.iter().enumerate() {
            self.slot.at(at);
            if self.shared.cancel.load(Ordering::Relaxed) {
                // The part stays unfinished, so that nothing is concluded from it.
                return self.slot.end();
            }
            match self.files.look(&chunk, item) {
                Look::Unchanged => {
                    let known = item.known.map(|at| &chunk.part(item).previous.entries[at as usize]);
                    unchanged[known.map_or(FileState::Skipped, |entry| entry.state) as usize] += 1;
                    bytes += known.map_or(0, |entry| entry.stamp.size);
                }
                // The next listing will tell.
                Look::Gone => {}
                Look::Read { file, was_opened } => {
                    opened += u64::from(was_opened);
                    bytes += file.entry.stamp.size;
                    states.push(file.entry.state);
                    files.entry(item.part).or_insert_with(|| Vec::with_capacity(about)).push(file);
                }
            }
        }
        if !self.slot.end() {
            return false;
        }
        let read = states.len() as u64;
        states.into_iter().for_each(|state| progress.count_state(state, 1));
        for (state, count) in FileState::ALL.iter().zip(unchanged).filter(|(_, count)| *count > 0) {
            progress.count_state(*state, count);
        }
        let unchanged: u64 = unchanged.iter().sum();
        progress.files.fetch_add(read + unchanged, Ordering::Relaxed);
        progress.unchanged.fetch_add(unchanged, Ordering::Relaxed);
        progress.opened.fetch_add(opened, Ordering::Relaxed);
        progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(part) = chunk.parts.first() {
            let time = self.shared.clock.elapsed().saturating_sub(began);
            progress.took(&part.range.path, time, read + unchanged);
        }
        self.finish_chunk(&chunk, files);
        true
    }

    /// Tells what was read, by place of the part in the chunk.
    fn finish_chunk(&self, chunk: &Chunk, read: BTreeMap<usize, Vec<ReadFile>>) {
        let files: Vec<_> =
            read.into_iter().map(|(part, files)| (Arc::clone(&chunk.parts[part]), files)).collect();
        files.iter().for_each(|(part, _)| part.has_changed.store(true, Ordering::Relaxed));
        // A part's last chunk may end it only after the files of its other chunks are sent: those of which this is the
        // last one end with its own files.
        let touched = chunk.touched.iter().map(|part| &chunk.parts[*part]);
        let (last, others): (Vec<_>, Vec<_>) =
            touched.partition(|part| part.chunks_left.load(Ordering::Acquire) == 1);
        self.tell(files, ended(&last));
        self.tell(Vec::new(), ended(&others));
    }

    fn tell(&self, files: Vec<(Arc<Part>, Vec<ReadFile>)>, ended: Vec<Arc<Part>>) {
        if !files.is_empty() || !ended.is_empty() {
            self.send(Event::Files { files, ended });
        }
    }
}

/// A chunk of each of these parts is done: the parts that are whole now, and not as recorded.
fn ended(parts: &[&Arc<Part>]) -> Vec<Arc<Part>> {
    let whole = parts.iter().filter(|part| part.chunks_left.fetch_sub(1, Ordering::AcqRel) == 1);
    whole.filter(|part| part.has_changed.load(Ordering::Relaxed)).map(|part| Arc::clone(part)).collect()
}

/// Children of a partial look: those known before, and those seen now.
fn merged(known: &[FileName], seen: Vec<FileName>) -> Vec<FileName> {
    let mut children = seen;
    children.extend_from_slice(known);
    children.sort_unstable();
    children.dedup();
    children
}

fn pass_range(visit: &Visit, bits: u32) -> DirectoryRange {
    let whole = DirectoryRange::whole(visit.source.name.clone(), visit.path.clone());
    if bits == 0 {
        return whole;
    }
    let (pass, width) = (visit.pass.map_or(0, |(pass, _)| pass), 32 - bits);
    DirectoryRange { hash_from: pass << width, hash_to: (pass << width) | ((1 << width) - 1), ..whole }
}

fn thread_cpu_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
