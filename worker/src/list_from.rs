//! Files that a list names, in the place of a walk.

use std::ffi::OsStr;
use std::io::BufRead;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use shardex_catalog::{DirectoryRange, DirectoryRecord, FileName, LedgerChange, Reason, RelativePath};
use shardex_seams::StoreError;
use tokio::sync::mpsc;

use crate::list::Kind;
use crate::part::{self, Part, SourceContext};
use crate::reader::{Event, Shared};
use crate::tree;

/// Longest path in a list, bytes.
const PATH_MAX: u64 = 1 << 16;
/// Neighbours of one directory that are read together.
const GROUP_MAX: usize = 4096;
/// Paths outside every source for which it is found out whether a link leads into one.
const LINKS_TRIED_MAX: u32 = 64;

/// Source, directory, and names in it.
type Group = (usize, RelativePath, Vec<FileName>);

/// Reads a list to its end and queues what it names, neighbours of one directory together.
pub(crate) fn run(
    shared: &Shared,
    sources: &[Arc<SourceContext>],
    mut list: Box<dyn BufRead + Send + Sync>,
    delimiter: u8,
    events: &mpsc::Sender<Event>,
) {
    let mut group: Option<Group> = None;
    let mut parent: Option<(usize, RelativePath)> = None;
    let mut roots = Roots::new(sources);
    while !shared.cancel.load(Ordering::Relaxed) {
        let mut line = Vec::new();
        match std::io::Read::take(&mut list, PATH_MAX).read_until(delimiter, &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(_) => {
                shared.unreadable.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
        if line.last() == Some(&delimiter) {
            line.pop();
        }
        let Some((source, path, name)) = roots.locate(&line) else {
            if !line.is_empty() {
                // A path outside every source is counted as something that could not be read.
                shared.unreadable.fetch_add(1, Ordering::Relaxed);
            }
            continue;
        };
        let fits = group.as_ref().is_some_and(|(known, directory, names)| {
            *known == source && *directory == path && names.len() < GROUP_MAX
        });
        if !fits {
            flush(shared, sources, group.take(), events);
            if parent.as_ref().is_none_or(|(known, directory)| *known != source || *directory != path) {
                tell_ancestors(&sources[source], &path, parent.as_ref().map(|(_, path)| path), events);
                parent = Some((source, path.clone()));
            }
            group = Some((source, path, Vec::new()));
        }
        if let Some((_, _, names)) = &mut group {
            names.push(name);
        }
    }
    flush(shared, sources, group, events);
    shared.frontier.done();
}

/// Where sources begin, by every name that a list uses for it.
struct Roots {
    /// Path and number of a source; the canonical ones first.
    roots: Vec<(Vec<u8>, usize)>,
    links_tried: u32,
}

impl Roots {
    fn new(sources: &[Arc<SourceContext>]) -> Self {
        let root = |source: &Arc<SourceContext>| {
            let path = source.path.as_os_str().as_bytes();
            (path.strip_suffix(b"/").unwrap_or(path).to_vec(), source.number)
        };
        Self { roots: sources.iter().map(root).collect(), links_tried: 0 }
    }

    /// The source that a path lies in, its directory and its name.
    fn locate(&mut self, line: &[u8]) -> Option<(usize, RelativePath, FileName)> {
        let line = line.strip_prefix(b"./").unwrap_or(line);
        let (source, relative) = if line.starts_with(b"/") {
            self.below(line).or_else(|| {
                self.learn(line)?;
                self.below(line)
            })?
        } else {
            // Links give one source several roots.
            let (_, only) = self.roots.first()?;
            if self.roots.iter().any(|(_, other)| other != only) {
                return None;
            }
            (*only, line)
        };
        let is_plain = |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
        if !relative.split(|byte| *byte == b'/').all(is_plain) {
            return None;
        }
        let at = relative.iter().rposition(|byte| *byte == b'/');
        let (directory, name) = at.map_or((&b""[..], relative), |at| (&relative[..at], &relative[at + 1..]));
        Some((source, RelativePath::new(directory), FileName::new(name)))
    }

    fn below<'l>(&self, line: &'l [u8]) -> Option<(usize, &'l [u8])> {
        self.roots.iter().find_map(|(root, source)| {
            let rest = line.strip_prefix(&root[..])?.strip_prefix(b"/")?;
            Some((*source, rest))
        })
    }

    /// Whether a directory above a path is a source's root by another name: a list is made with the
    /// names that a person uses, links among them.
    fn learn(&mut self, line: &[u8]) -> Option<()> {
        if self.links_tried == LINKS_TRIED_MAX {
            return None;
        }
        self.links_tried += 1;
        let mut slashes = (1..line.len()).filter(|at| line[*at] == b'/');
        let (root, source) = slashes.find_map(|at| {
            let canonical = Path::new(OsStr::from_bytes(&line[..at])).canonicalize().ok()?;
            let is_root = |(root, _): &&(Vec<u8>, usize)| *root == canonical.as_os_str().as_bytes();
            self.roots.iter().find(is_root).map(|(_, source)| (line[..at].to_vec(), *source))
        })?;
        self.roots.push((root, source));
        Some(())
    }
}

/// Lets every directory above know its child, so that a whole walk notices when that is gone. What
/// is shared with the directory of before has been told.
fn tell_ancestors(
    source: &SourceContext,
    path: &RelativePath,
    before: Option<&RelativePath>,
    events: &mpsc::Sender<Event>,
) {
    let bytes = path.as_bytes();
    let ends =
        (0..bytes.len()).filter(|at| bytes[*at] == b'/').chain((!bytes.is_empty()).then_some(bytes.len()));
    for end in ends {
        let told = before.is_some_and(|before| {
            let before = before.as_bytes();
            before.starts_with(&bytes[..end]) && before.get(end).is_none_or(|byte| *byte == b'/')
        });
        if told {
            continue;
        }
        let start = bytes[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let above = RelativePath::new(&bytes[..start.saturating_sub(1)]);
        let range = DirectoryRange::whole(source.name.clone(), above);
        let record = DirectoryRecord {
            extract_version: shardex_extract::VERSION,
            children: vec![FileName::new(&bytes[start..end])],
            ..DirectoryRecord::default()
        };
        let _ = events.blocking_send(Event::Change(LedgerChange::Merge { range, record, keep_open: true }));
    }
}

fn flush(
    shared: &Shared,
    sources: &[Arc<SourceContext>],
    group: Option<Group>,
    events: &mpsc::Sender<Event>,
) {
    let Some((source, path, names)) = group else { return };
    if let Err(error) = queue(shared, &sources[source], path, names, events) {
        let _ = events.blocking_send(Event::Failed(error));
        shared.frontier.stop();
    }
}

fn queue(
    shared: &Shared,
    source: &Arc<SourceContext>,
    path: RelativePath,
    mut names: Vec<FileName>,
    events: &mpsc::Sender<Event>,
) -> Result<(), StoreError> {
    let range = DirectoryRange::whole(source.name.clone(), path.clone());
    let Ok(directory) = tree::open_directory(source.root.as_fd(), path.as_bytes()) else {
        shared.unreadable.fetch_add(1, Ordering::Relaxed);
        let change = LedgerChange::Unreadable { range, reason: Reason::ReadError };
        let _ = events.blocking_send(Event::Change(change));
        return Ok(());
    };
    names.sort_unstable();
    names.dedup();
    let kinds = names.into_iter().map(|name| (name, Kind::File, false)).collect();
    let previous = shared.ledger.record(&range)?.unwrap_or_default();
    let was_open = source.has_open_marks && shared.ledger.is_open(&range)?;
    let (items, _) = part::join(kinds, &previous, 0);
    let part = Part {
        number: shared.part_numbers.fetch_add(1, Ordering::Relaxed),
        source: Arc::clone(source),
        dirty: part::dirty_shards(&previous, &shared.histories),
        range,
        gone: Vec::new(),
        children: Vec::new(),
        previous,
        was_open,
        is_merged: true,
        has_changed: AtomicBool::new(false),
        chunks_left: AtomicUsize::new(0),
    };
    for chunk in part::chunks(&Arc::new(directory), [Arc::new(part)].into(), items) {
        shared.frontier.push(chunk);
    }
    Ok(())
}
