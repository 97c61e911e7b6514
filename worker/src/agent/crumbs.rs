//! Units that a process of this worker died with, for the one after it.
//!
//! Each unit that runs has a folder with its number, which is taken away when it ends. What a process that died has left
//! makes its units suspect: the next one tells the leader, gets them back before anybody else dies of them, and leaves
//! the breadcrumbs of its readers in them. If it dies, too, the one after it has the files that they name read in child
//! processes first. So nothing is written for a file while nothing dies.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::suspects::{self, Suspect};

const UNIT: &str = "unit";

/// The folders of the units that run, and what was left in them before.
#[derive(Debug)]
pub(super) struct Crumbs {
    folder: Option<PathBuf>,
    slots: u32,
    /// The files, if that is known, at which readers of a unit were.
    suspects: Mutex<BTreeMap<u64, Vec<Suspect>>>,
    folders: Arc<Mutex<Folders>>,
}

/// The folders of slots, by number.
#[derive(Debug, Default)]
struct Folders {
    /// Those of units that run.
    used: BTreeSet<u32>,
    /// The units that others still name, since a process before this one.
    named: BTreeMap<u32, u64>,
}

impl Folders {
    /// A free one for a unit: the one that names it, else one that names nobody, lest a suspect be forgotten.
    fn free_for(&self, unit: u64, slots: u32) -> Option<u32> {
        let free = || (0..slots).filter(|number| !self.used.contains(number));
        let own = free().find(|number| self.named.get(number) == Some(&unit));
        own.or_else(|| free().find(|number| !self.named.contains_key(number))).or_else(|| free().next())
    }
}

/// The folder of a unit that runs. Dropped, the unit is suspect no longer: the process has outlived it.
#[derive(Debug)]
pub(super) struct Slot {
    number: u32,
    folder: PathBuf,
    folders: Arc<Mutex<Folders>>,
}

impl Crumbs {
    /// Reads what an earlier process has left for up to `slots` units; `None`: there is no place for any of it.
    pub(super) fn open(folder: Option<PathBuf>, slots: u32) -> Self {
        let mut suspects = BTreeMap::<u64, Vec<Suspect>>::new();
        let mut folders = Folders::default();
        for number in 0..slots {
            // What cannot be read convicts nobody.
            let left = folder.as_deref().and_then(|folder| left_in(&slot_folder(folder, number)).ok());
            if let Some((unit, left)) = left {
                suspects.entry(unit).or_default().extend(left);
                folders.named.insert(number, unit);
            }
        }
        Self { folder, slots, suspects: Mutex::new(suspects), folders: Arc::new(Mutex::new(folders)) }
    }

    /// The units that are suspect.
    pub(super) fn units(&self) -> Vec<u64> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Whether a process died with a unit, and at which files its readers were if they said so; `None`: it did not.
    pub(super) fn suspects_of(&self, unit: u64) -> Option<Vec<Suspect>> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner).get(&unit).cloned()
    }

    /// A unit has come to its end.
    pub(super) fn forget(&self, unit: u64) {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner).remove(&unit);
        let Some(folder) = self.folder.as_deref() else { return };
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        folders.named.retain(|number, named| {
            if *named == unit {
                clear(&slot_folder(folder, *number));
            }
            *named != unit
        });
    }

    /// A folder for a unit that begins. `None`: without one, a file that kills its reader is found only elsewhere.
    pub(super) fn begin(&self, unit: u64) -> Option<Slot> {
        let folder = self.folder.as_deref()?;
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let number = folders.free_for(unit, self.slots)?;
        let folder = slot_folder(folder, number);
        prepare(&folder, unit)
            .inspect_err(|error| tracing::warn!(%error, "there is no place for breadcrumbs"))
            .ok()?;
        folders.named.remove(&number);
        folders.used.insert(number);
        Some(Slot { number, folder, folders: Arc::clone(&self.folders) })
    }
}

impl Slot {
    /// Where the readers leave their breadcrumbs.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The unit opens no file any more: what kills the process from now on was another one.
    pub(super) fn has_read(&self) {
        let _ = std::fs::remove_file(self.folder.join(UNIT));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        clear(&self.folder);
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).used.remove(&self.number);
    }
}

/// What stays makes a unit suspect that is not: it costs breadcrumbs, and a child process for each of them.
fn clear(folder: &Path) {
    let _ = suspects::clear(folder);
    let _ = std::fs::remove_file(folder.join(UNIT));
}

fn slot_folder(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("unit-{number}"))
}

fn prepare(folder: &Path, unit: u64) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    suspects::clear(folder)?;
    std::fs::write(folder.join(UNIT), unit.to_string())
}

fn left_in(folder: &Path) -> io::Result<(u64, Vec<Suspect>)> {
    let text = std::fs::read_to_string(folder.join(UNIT))?;
    let unit = text.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok((unit, suspects::read(folder)?.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use shardex_catalog::{FileName, RelativePath, SourceName};

    use super::*;
    use crate::suspects::Breadcrumb;

    #[test]
    fn what_a_dead_process_was_at_is_known_to_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Crumbs::open(Some(folder.path().to_owned()), 2);
        let suspect = Suspect {
            source: SourceName::new("s").expect("a name"),
            directory: RelativePath::new(b"a"),
            name: FileName::new(b"x"),
        };
        let leave = |slot: &Slot| {
            Breadcrumb::create(slot.folder(), 0).expect("made").leave(&suspect).expect("left");
        };
        let dead = open();
        let slots = [dead.begin(7).expect("a slot"), dead.begin(8).expect("a slot")];
        assert!(dead.begin(9).is_none(), "two run at once");
        leave(&slots[0]);
        // It dies: nothing is dropped.
        std::mem::forget(slots);

        let next = open();
        assert_eq!(next.units(), [7, 8]);
        assert_eq!(next.suspects_of(7), Some(vec![suspect.clone()]));
        assert_eq!(next.suspects_of(8), Some(vec![]), "it left no word");
        assert_eq!(next.suspects_of(9), None);
        let slots = [next.begin(7).expect("a slot"), next.begin(8).expect("a slot")];
        leave(&slots[0]);
        drop(slots);
        assert_eq!(open().units(), Vec::<u64>::new(), "it has outlived both");
        next.forget(7);
        assert_eq!(next.units(), [8]);
        assert!(Crumbs::open(None, 2).begin(1).is_none());
    }

    #[test]
    fn only_units_that_read_are_suspect() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Crumbs::open(Some(folder.path().to_owned()), 2);
        let dead = open();
        let slots = [dead.begin(7).expect("a slot"), dead.begin(8).expect("a slot")];
        slots[0].has_read();
        std::mem::forget(slots);
        assert_eq!(open().units(), [8]);
    }

    #[test]
    fn a_suspect_is_not_forgotten_for_another_unit() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Crumbs::open(Some(folder.path().to_owned()), 2);
        std::mem::forget(open().begin(7).expect("a slot"));
        let next = open();
        let other = next.begin(8).expect("a slot");
        assert_eq!(open().units(), [7, 8]);
        drop(other);
        assert_eq!(open().units(), [7]);
        // It comes to its end elsewhere, or had no folder here.
        next.forget(7);
        assert_eq!(open().units(), Vec::<u64>::new());
    }
}
