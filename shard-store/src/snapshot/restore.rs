//! Putting shards back.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use shardex_catalog::{KeyPrefix, ShardId, covered};
use shardex_seams::StoreError;

use super::folder::{Folder, Latest, digest_of};
use crate::archive::{ArchiveError, lock, prepare_folder, readable_shards};
use crate::error::{io_error, label, store_error};
use crate::layout::Layout;
use crate::manifest::Manifest;
use crate::membership::is_workers;
use crate::registry::studies_of_shard;
use crate::schema::SHARD;
use crate::{private, sqlite, template};

/// Why a shard is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// It is not there.
    Gone,
    /// SQLite finds something wrong with it.
    Damaged,
    /// It was named.
    Named,
}

/// A shard that was, or would be, put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Which.
    pub shard: ShardId,
    /// Why.
    pub missed: Missed,
    /// Size of the snapshot.
    pub bytes: u64,
    /// When the snapshot was taken, in nanoseconds since the Unix epoch.
    pub taken_ns: i64,
}

/// Puts shards back from their last snapshots: those that are named, whatever is there, or all that are gone or damaged.
/// An archive that is not there is made. Open it for writing afterwards: ledger and registry are made to agree then, or made
/// from the shards, and the next ingest reads what the snapshots lack. Tells `done` of each; with `is_dry` nothing is
/// changed.
///
/// # Errors
/// [`ArchiveError`] if somebody writes to the archive, a snapshot is damaged or does not fit, or if it was cancelled. A shard
/// that was not told as done is as it was.
pub fn restore(
    archive: &Path,
    from: &Path,
    named: &[ShardId],
    is_dry: bool,
    cancel: &AtomicBool,
    done: &mut dyn FnMut(Restored),
) -> Result<(), ArchiveError> {
    let (folder, layout) = (Folder::new(from), Layout::new(archive));
    let manifest = folder.manifest()?.ok_or_else(|| ArchiveError::NotSnapshots { path: from.to_owned() })?;
    let known = Manifest::read(&layout.manifest())?;
    if known.as_ref().is_some_and(|known| !known.is_alike(&manifest)) {
        return Err(ArchiveError::OtherSnapshots { path: from.to_owned() });
    }
    if is_workers(archive) && named.is_empty() {
        let detail = "this is the store of a worker: name the shards that the map of its cluster gives it";
        return Err(StoreError::Query(detail.into()).into());
    }
    let all: BTreeSet<_> = readable_shards(&layout)?.into_iter().chain(folder.list()?).collect();
    // The lock is held until all is in place.
    let _lock = if is_dry { None } else { Some(begin(&layout, known.is_some())?) };
    let wanted = if named.is_empty() { folder.list()? } else { named.to_vec() };
    for shard in wanted {
        if cancel.load(Ordering::Relaxed) {
            return Err(StoreError::Query("interrupted".into()).into());
        }
        let Some(missed) = missed(&layout, &shard, !named.is_empty())? else { continue };
        let latest = folder.latest(&shard)?.ok_or_else(|| {
            StoreError::Query(format!("there is no snapshot of a shard `{shard}` in this folder"))
        })?;
        fits(&folder.copy(&shard, &latest.digest), &shard, &all)?;
        if !is_dry {
            put_back(&layout, &folder, &shard, &latest)?;
        }
        done(Restored { shard, missed, bytes: latest.bytes, taken_ns: latest.taken_ns });
    }
    if known.is_none() && !is_dry {
        // Last, so that a folder with a manifest is an archive.
        manifest.write(&layout.manifest())?;
    }
    Ok(())
}

fn begin(layout: &Layout, is_known: bool) -> Result<File, ArchiveError> {
    if !is_known {
        prepare_folder(layout.root())?;
    }
    let lock = lock(layout)?;
    private::create_folder(&layout.shards()).map_err(|error| io_error(&layout.shards(), &error))?;
    Ok(lock)
}

/// Why a shard is to be put back, if it is.
fn missed(layout: &Layout, shard: &ShardId, is_named: bool) -> Result<Option<Missed>, StoreError> {
    let path = layout.shard(shard);
    if !path.try_exists().map_err(|error| io_error(&path, &error))? {
        return Ok(Some(Missed::Gone));
    }
    if is_named {
        return Ok(Some(Missed::Named));
    }
    match sqlite::check_pages(&path, &SHARD) {
        Ok(()) => Ok(None),
        Err(StoreError::Corrupt { .. }) => Ok(Some(Missed::Damaged)),
        Err(error) => Err(error),
    }
}

/// Refuses a copy with studies that are in another shard since a split.
fn fits(copy: &Path, shard: &ShardId, all: &BTreeSet<ShardId>) -> Result<(), StoreError> {
    let Some(covered) = covered(shard, all).filter(|covered| *covered != KeyPrefix::default()) else {
        return Ok(());
    };
    let connection = sqlite::open_still(copy, &SHARD)?;
    let studies = studies_of_shard(&connection).map_err(|error| store_error(copy, error))?;
    if studies.into_iter().all(|study| covered.contains(study)) {
        return Ok(());
    }
    Err(StoreError::Query(format!(
        "the snapshot of shard `{shard}` was taken before the shard was split: without it, an ingest reads the shard's \
         files again"
    )))
}

fn put_back(layout: &Layout, folder: &Folder, shard: &ShardId, latest: &Latest) -> Result<(), StoreError> {
    let (copy, path) = (folder.copy(shard, &latest.digest), layout.shard(shard));
    let partition = path.parent().expect("a shard lies in its partition's folder");
    private::create_folder(partition).map_err(|error| io_error(partition, &error))?;
    let from = File::open(&copy).map_err(|error| io_error(&copy, &error))?;
    let mut found = None;
    let placed = template::place_by(&path, |to| {
        let (digest, bytes) = digest_of(&from, |part| to.write_all(part))?;
        let is_sound = (digest == latest.digest) && (bytes == latest.bytes);
        found = Some(is_sound);
        if is_sound { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    });
    placed.map_err(|error| match found {
        Some(false) => StoreError::Query(format!(
            "the snapshot of shard `{shard}`, `{}`, is damaged: it has not the digest that is its name; an older copy \
             beside it may be sound, and an ingest reads the shard's files again without one",
            label(&copy)
        )),
        _ => io_error(&path, &error),
    })
}
