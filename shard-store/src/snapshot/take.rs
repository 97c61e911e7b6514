//! Copying shards while they are written and read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use shardex_catalog::ShardId;
use shardex_seams::{History, StoreError};

use super::folder::{Folder, Latest, digest_of};
use crate::archive::{ArchiveError, ReadArchive, lock_folder};
use crate::error::{io_error, label, store_error};
use crate::manifest::Manifest;
use crate::moving::{log_of, remove};
use crate::schema::SHARD;
use crate::{history, private, sqlite};

const CACHE_BYTES: u64 = 1 << 20;
/// Pages copied between two looks at the cancel flag: some tens of milliseconds.
const PAGES_A_STEP: i32 = 4096;
/// A file that changed less than this before it was looked at may have changed since with the same time.
const SETTLED: Duration = Duration::from_secs(1);

/// How snapshots are taken.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotSettings {
    /// Copies of each shard that are kept, at least 1.
    pub keep: usize,
    /// Take the place of snapshots that do not come before the shard as it is.
    pub replace: bool,
    /// Nanoseconds since the Unix epoch.
    pub now_ns: i64,
}

/// What became of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A new copy of so many bytes.
    Copied(u64),
    /// It is as it was when the last one was taken, of so many bytes.
    Unchanged(u64),
    /// It has no content yet.
    Empty,
}

impl ReadArchive {
    /// Copies every shard that has changed since its last snapshot into a folder, each as it is at one moment. A shard's
    /// writer and readers go on. Tells `done` of each.
    ///
    /// # Errors
    /// [`ArchiveError`] if the folder holds other things or is full, or if it was cancelled. Snapshots are whole: what was
    /// told as done stays done. Any other error is that of one shard, and told.
    pub fn snapshot(
        &self,
        to: &Path,
        settings: SnapshotSettings,
        cancel: &AtomicBool,
        done: &mut dyn FnMut(&ShardId, Result<Taken, StoreError>),
    ) -> Result<(), ArchiveError> {
        let folder = Folder::new(to);
        let shards = self.shards()?;
        folder.prepare(&Manifest::new(self.placement()))?;
        for shard in &shards {
            let taking = Taking { archive: self, folder: &folder, settings, cancel };
            match taking.take(shard) {
                Err(ArchiveError::Store(error)) if !ends_all(&error, cancel) => done(shard, Err(error)),
                taken => done(shard, Ok(taken?)),
            }
        }
        Ok(())
    }
}

fn ends_all(error: &StoreError, cancel: &AtomicBool) -> bool {
    matches!(error, StoreError::Full { .. }) || cancel.load(Ordering::Relaxed)
}

struct Taking<'a> {
    archive: &'a ReadArchive,
    folder: &'a Folder,
    settings: SnapshotSettings,
    cancel: &'a AtomicBool,
}

impl Taking<'_> {
    fn take(&self, shard: &ShardId) -> Result<Taken, ArchiveError> {
        let path = self.archive.layout().shard(shard);
        let place = self.folder.of_shard(shard);
        for folder in [place.parent().expect("a shard has a partition"), &place] {
            private::create_folder(folder).map_err(|error| io_error(folder, &error))?;
        }
        // Another process may copy the same shard.
        let _lock = lock_folder(&place, &place.join("lock"))?;
        let last = self.folder.latest(shard)?;
        let stamp = stamp_of(&path, self.settings.now_ns).map_err(|error| io_error(&path, &error))?;
        if let Some(last) = last.as_ref().filter(|last| self.is_current(shard, last, stamp)) {
            return Ok(Taken::Unchanged(last.bytes));
        }
        let Some(source) = sqlite::open_reader(&path, &SHARD, CACHE_BYTES)? else { return Ok(Taken::Empty) };
        let new = place.join("new");
        let copied = self.copy(&source, &path, &new).and_then(|lives| {
            if let Some(last) = last.as_ref().filter(|last| !self.settings.replace && !follows(&lives, last))
            {
                return Err(foreign(shard, last));
            }
            let (digest, bytes) = check(&new).map_err(|error| of_shard(error, &path))?;
            Ok((lives, digest, bytes))
        });
        let (lives, digest, bytes) = copied.inspect_err(|_| {
            let _ = remove(&new);
        })?;
        let mut latest = Latest::new(digest, bytes, self.settings.now_ns);
        latest.stamp = stamp;
        latest.lives = lives.0.iter().map(|(incarnation, batch)| (incarnation.0, *batch)).collect();
        self.keep(shard, &new, latest, last)?;
        Ok(Taken::Copied(bytes))
    }

    fn is_current(&self, shard: &ShardId, last: &Latest, stamp: Option<(u64, i64)>) -> bool {
        let copy = fs::metadata(self.folder.copy(shard, &last.digest));
        let is_there = copy.is_ok_and(|copy| copy.len() == last.bytes);
        is_there && stamp.is_some() && last.stamp == stamp
    }

    /// Copies a shard as it is at one moment, which is that of the lives that it returns.
    fn copy(&self, source: &Connection, path: &Path, new: &Path) -> Result<History, StoreError> {
        remove(new).and_then(|()| private::create_file(new)).map_err(|error| io_error(new, &error))?;
        let failed = |error| store_error(path, error);
        let moment = source.unchecked_transaction().map_err(failed)?;
        let lives = history::read(&moment).map_err(failed)?;
        let failed = |error| store_error(new, error);
        let mut target = sqlite::open_alone(new).map_err(failed)?;
        // It counts once it was checked and synced as a whole.
        target.pragma_update(None, "journal_mode", "OFF").map_err(failed)?;
        target.pragma_update(None, "synchronous", "OFF").map_err(failed)?;
        let backup = Backup::new(&moment, &mut target).map_err(failed)?;
        loop {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(StoreError::Query("interrupted".into()));
            }
            match backup.step(PAGES_A_STEP).map_err(failed)? {
                StepResult::Done => return Ok(lives),
                StepResult::More => {}
                _ => {
                    return Err(StoreError::Query("SQLite does not let the shard be read: try again".into()));
                }
            }
        }
    }

    /// Has a copy that is sound be the last one, and removes those that are not kept.
    fn keep(
        &self,
        shard: &ShardId,
        new: &Path,
        mut latest: Latest,
        last: Option<Latest>,
    ) -> Result<(), StoreError> {
        let copy = self.folder.copy(shard, &latest.digest);
        let placed = fs::rename(new, &copy).and_then(|()| private::sync_parent(&copy));
        placed.map_err(|error| io_error(&copy, &error))?;
        let older = last.into_iter().flat_map(|last| [vec![last.digest], last.older].concat());
        latest.older = older.filter(|digest| *digest != latest.digest).collect();
        let gone = latest.older.split_off(latest.older.len().min(self.settings.keep.max(1) - 1));
        self.folder.set_latest(shard, &latest)?;
        for digest in gone {
            let path = self.folder.copy(shard, &digest);
            remove(&path).map_err(|error| io_error(&path, &error))?;
        }
        Ok(())
    }
}

/// Whether a snapshot is of a shard that became the one with these lives.
fn follows(lives: &History, last: &Latest) -> bool {
    let has = |(incarnation, batch): &(u64, u64)| {
        lives.0.iter().any(|(own, newest)| own.0 == *incarnation && newest >= batch)
    };
    last.lives.iter().all(has)
}

fn foreign(shard: &ShardId, last: &Latest) -> StoreError {
    StoreError::Query(format!(
        "its last snapshot, of {} bytes, is not of this shard as it was: the folder is another archive's, or the shard was \
         lost or put back since; name another folder, or say --replace (shard {shard})",
        last.bytes
    ))
}

/// What is wrong with a copy is wrong with what was copied.
fn of_shard(error: StoreError, path: &Path) -> StoreError {
    match error {
        StoreError::Corrupt { detail, .. } => StoreError::Corrupt { file: label(path), detail },
        other => other,
    }
}

/// Digest and length of a copy in which SQLite finds nothing wrong, after it is durable.
fn check(new: &Path) -> Result<(String, u64), StoreError> {
    sqlite::check_pages(new, &SHARD)?;
    let digest = File::open(new).and_then(|file| {
        file.sync_all()?;
        digest_of(file, |_| Ok(()))
    });
    digest.map_err(|error| io_error(new, &error))
}

/// Size and modification time of a file without a log that has not changed just now.
fn stamp_of(path: &Path, now_ns: i64) -> io::Result<Option<(u64, i64)>> {
    if fs::metadata(log_of(path)).is_ok_and(|log| log.len() > 0) {
        return Ok(None);
    }
    let metadata = fs::metadata(path)?;
    let mtime_ns = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
    let settled = i64::try_from(SETTLED.as_nanos()).unwrap_or(i64::MAX);
    Ok((mtime_ns < now_ns.saturating_sub(settled)).then_some((metadata.len(), mtime_ns)))
}
