//! A disk that forgets: what of a folder is there for certain after each sync, and what a power cut may
//! leave of the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use shardex_tests::Random;

use super::trace::Event;

/// What a disk writes whole or not at all.
const SECTOR: u64 = 4096;

/// What becomes of writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsynced {
    /// All are gone.
    Lost,
    /// Each is there, gone, or there in some sectors only; of each folder's entries, the first few are there.
    Some,
    /// All are there: what a killed process leaves.
    Kept,
}

type Id = usize;

#[derive(Debug, Default)]
struct Node {
    is_folder: bool,
    /// Of a file, on the disk for certain.
    content: Vec<u8>,
    /// Of a file as its writer sees it.
    size: u64,
    /// Of a folder, on the disk for certain.
    entries: BTreeMap<String, Id>,
    /// Not synced, with the number of the event.
    pending: Vec<(usize, Change)>,
}

#[derive(Clone, Debug)]
enum Change {
    Write {
        at: u64,
        bytes: Vec<u8>,
    },
    Resize(u64),
    /// Names that are set or, without a file, removed, at once.
    Entries(Vec<(String, Option<Id>)>),
}

/// The disk below one folder.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    /// As the process sees it.
    now: BTreeMap<PathBuf, Id>,
    events: usize,
}

impl Disk {
    /// A disk that holds `root` as it is, if it is there; the folder around it is on the disk.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn holding(root: &Path) -> Result<Self> {
        let around = root.parent().context("a folder lies in another")?;
        let nodes = vec![Node { is_folder: true, ..Node::default() }];
        let now = BTreeMap::from([(around.to_owned(), 0)]);
        let mut disk = Self { root: root.to_owned(), nodes, now, events: 0 };
        if root.exists() {
            disk.load(root)?;
        }
        for id in 0..disk.nodes.len() {
            disk.settle(id, usize::MAX);
        }
        disk.events = 0;
        Ok(disk)
    }

    fn load(&mut self, path: &Path) -> Result<()> {
        // A restart empties shared memory.
        if path.to_string_lossy().ends_with("-shm") {
            return Ok(());
        }
        let is_folder = path.is_dir();
        self.take(&Event::Create { path: path.to_owned(), is_folder })?;
        if !is_folder {
            return self.take(&Event::Write { path: path.to_owned(), at: None, bytes: std::fs::read(path)? });
        }
        for entry in std::fs::read_dir(path)? {
            self.load(&entry?.path())?;
        }
        Ok(())
    }

    /// Goes on by one event.
    ///
    /// # Errors
    /// If the event concerns a file that is not known.
    pub(crate) fn take(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Create { path, is_folder } if !self.now.contains_key(path) => {
                self.nodes.push(Node { is_folder: *is_folder, ..Node::default() });
                self.link(&[(path, Some(self.nodes.len() - 1))])?;
            }
            Event::Create { .. } => {}
            Event::Write { path, at, bytes } => {
                let node = self.node(path)?;
                let at = at.unwrap_or(node.size);
                node.size = node.size.max(at + bytes.len() as u64);
                let bytes = bytes.clone();
                self.change(path, Change::Write { at, bytes })?;
            }
            Event::Resize { path, size } => {
                self.take_existing(path)?;
                self.node(path)?.size = *size;
                self.change(path, Change::Resize(*size))?;
            }
            Event::Rename { from, to } => {
                let id = *self.now.get(from).context("a file that is renamed")?;
                self.link(&[(from, None), (to, Some(id))])?;
            }
            Event::Remove { path } => self.link(&[(path, None)])?,
            Event::Synced { path, began } => {
                let id = *self.now.get(path).context("a file that is synced")?;
                self.settle(id, *began);
            }
        }
        self.events += 1;
        Ok(())
    }

    /// Opening with O_TRUNC makes what is not there.
    fn take_existing(&mut self, path: &Path) -> Result<()> {
        if self.now.contains_key(path) {
            return Ok(());
        }
        self.nodes.push(Node::default());
        self.link(&[(path, Some(self.nodes.len() - 1))])
    }

    fn node(&mut self, path: &Path) -> Result<&mut Node> {
        let id = self.now.get(path).with_context(|| format!("a file that is written: {}", path.display()))?;
        Ok(&mut self.nodes[*id])
    }

    fn change(&mut self, path: &Path, change: Change) -> Result<()> {
        let number = self.events;
        self.node(path)?.pending.push((number, change));
        Ok(())
    }

    /// Sets names of one folder.
    fn link(&mut self, links: &[(&Path, Option<Id>)]) -> Result<()> {
        let folder = links[0].0.parent().context("a folder")?.to_owned();
        let mut entries = Vec::new();
        for (path, id) in links {
            anyhow::ensure!(path.parent() == Some(&folder), "a file was moved to another folder");
            entries.push((path.file_name().context("a name")?.to_string_lossy().into_owned(), *id));
            match id {
                Some(id) => self.now.insert((*path).to_owned(), *id),
                None => self.now.remove(*path),
            };
        }
        self.change(&folder, Change::Entries(entries))
    }

    /// What was pending of a node before event `until` is on the disk.
    fn settle(&mut self, id: Id, until: usize) {
        let node = &mut self.nodes[id];
        let later = node.pending.iter().position(|(at, _)| *at >= until).unwrap_or(node.pending.len());
        let settled: Vec<_> = node.pending.drain(..later).collect();
        for (_, change) in settled {
            apply(&change, &mut node.content, &mut node.entries, &mut |_| true);
        }
    }

    /// Writes what a power cut leaves of the root into `to`, which must not exist.
    ///
    /// # Errors
    /// If there is no room.
    pub(crate) fn crash(&self, to: &Path, unsynced: Unsynced, random: &mut Random) -> Result<()> {
        let (_, entries) = self.remains(0, unsynced, random);
        let name = self.root.file_name().context("a name")?.to_string_lossy();
        match entries.get(name.as_ref()) {
            Some(id) => self.write(*id, to, unsynced, random),
            None => Ok(()),
        }
    }

    fn write(&self, id: Id, to: &Path, unsynced: Unsynced, random: &mut Random) -> Result<()> {
        let (content, entries) = self.remains(id, unsynced, random);
        if !self.nodes[id].is_folder {
            return Ok(std::fs::write(to, content)?);
        }
        std::fs::DirBuilder::new().mode(0o700).create(to)?;
        let is_kept = |name: &&String| !name.ends_with("-shm");
        let names: BTreeSet<&String> = entries.keys().filter(is_kept).collect();
        names.into_iter().try_for_each(|name| self.write(entries[name], &to.join(name), unsynced, random))
    }

    fn remains(&self, id: Id, unsynced: Unsynced, random: &mut Random) -> (Vec<u8>, BTreeMap<String, Id>) {
        let node = &self.nodes[id];
        let (mut content, mut entries) = (node.content.clone(), node.entries.clone());
        let first = match unsynced {
            Unsynced::Lost => 0,
            Unsynced::Kept => node.pending.len(),
            // Entries reach the disk in their order; writes of a file in any.
            Unsynced::Some if node.is_folder => random.below(node.pending.len() + 1),
            Unsynced::Some => node.pending.len(),
        };
        for (_, change) in &node.pending[..first] {
            let fate = if unsynced == Unsynced::Some && !node.is_folder { random.below(3) } else { 0 };
            match fate {
                0 => apply(change, &mut content, &mut entries, &mut |_| true),
                1 => apply(change, &mut content, &mut entries, &mut |_| random.below(2) == 0),
                _ => {}
            }
        }
        (content, entries)
    }
}

/// Carries out a change, as far as `reaches` says of each sector that it reaches the disk.
fn apply(
    change: &Change,
    content: &mut Vec<u8>,
    entries: &mut BTreeMap<String, Id>,
    reaches: &mut impl FnMut(u64) -> bool,
) {
    let index = |at: u64| usize::try_from(at).expect("a small file");
    match change {
        Change::Write { at, bytes } => {
            let end = at + bytes.len() as u64;
            let mut from = *at;
            while from < end {
                let to = end.min((from / SECTOR + 1) * SECTOR);
                if reaches(from / SECTOR) {
                    content.resize(content.len().max(index(to)), 0);
                    content[index(from)..index(to)].copy_from_slice(&bytes[index(from - at)..index(to - at)]);
                }
                from = to;
            }
        }
        Change::Resize(size) => {
            if reaches(0) {
                content.resize(index(*size), 0);
            }
        }
        Change::Entries(names) => {
            for (name, id) in names {
                match id {
                    Some(id) => entries.insert(name.clone(), *id),
                    None => entries.remove(name),
                };
            }
        }
    }
}
