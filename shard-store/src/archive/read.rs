//! An archive that is read, perhaps while somebody writes to it.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shardex_catalog::{PartitionScheme, Placement, ShardId};
use shardex_seams::StoreError;

use super::ArchiveError;
use crate::error::io_error;
use crate::layout::Layout;
use crate::leaf::LeafPool;
use crate::ledger::LedgerReader;
use crate::manifest::Manifest;
use crate::schema::SHARD;
use crate::state::StateReader;
use crate::{rebuild, split, sqlite};

/// An archive open for reading; somebody may be writing to it.
#[derive(Clone, Debug)]
pub struct ReadArchive {
    layout: Layout,
    placement: Placement,
}

impl ReadArchive {
    /// Opens an archive for reading.
    ///
    /// # Errors
    /// [`ArchiveError`] if it is none.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let layout = Layout::new(path);
        let manifest = Manifest::read(&layout.manifest())?
            .ok_or_else(|| ArchiveError::NotAnArchive { path: path.to_owned() })?;
        let placement = manifest.placement(&layout.manifest())?;
        Ok(Self { layout, placement })
    }

    /// The leaves, with at most `idle` connections kept.
    #[must_use]
    pub fn leaves(&self, idle: usize) -> Arc<LeafPool> {
        Arc::new(LeafPool::new(self.layout.clone(), idle))
    }

    /// The ledger; `None` if there is none yet.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn ledger(&self) -> Result<Option<LedgerReader>, StoreError> {
        let path = self.layout.ledger();
        if path.exists() { LedgerReader::open(&path) } else { Ok(None) }
    }

    /// The coordinator's state; `None` if there is none yet.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn state(&self) -> Result<Option<StateReader>, StoreError> {
        let path = self.layout.jobs();
        if path.exists() { StateReader::open(&path) } else { Ok(None) }
    }

    /// The partition scheme.
    #[must_use]
    pub fn partition(&self) -> PartitionScheme {
        self.placement.scheme
    }

    /// Where studies go.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Every shard, ascending.
    ///
    /// # Errors
    /// [`StoreError`] if the folders cannot be listed, or while a shard is being split.
    pub fn shards(&self) -> Result<Vec<ShardId>, StoreError> {
        readable_shards(&self.layout)
    }

    /// Whether another process holds the writer's lock at this moment.
    ///
    /// # Errors
    /// [`ArchiveError`] if the lock cannot be looked at.
    pub fn is_being_written(&self) -> Result<bool, ArchiveError> {
        let path = self.layout.lock();
        let failed = |source| ArchiveError::Io { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The token drawn when the archive was last opened for writing; `None` if it never was.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn token(&self) -> Result<Option<i64>, StoreError> {
        rebuild::last_token(&self.layout.jobs())
    }

    /// Number of files with a row in a shard; files of shards that cannot be read are left out.
    ///
    /// # Errors
    /// [`StoreError`] if the folders cannot be listed.
    pub fn indexed_files(&self) -> Result<u64, StoreError> {
        let count = |shard: &ShardId| {
            let connection = sqlite::open_reader(&self.layout.shard(shard), &SHARD, 1 << 20).ok()??;
            let sql = "SELECT coalesce(sum(n_files), 0) FROM study_header";
            connection.query_row(sql, [], |row| row.get::<_, i64>(0)).ok()
        };
        Ok(self.shards()?.iter().filter_map(count).sum::<i64>().cast_unsigned())
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Every shard with the bytes of its files, ascending.
    ///
    /// # Errors
    /// [`ArchiveError`] if the folders cannot be listed.
    pub fn shard_sizes(&self) -> Result<Vec<(ShardId, u64)>, ArchiveError> {
        let failed = |source| ArchiveError::Io { path: self.layout.shards(), source };
        let shards = self.layout.list_shards().map_err(failed)?;
        Ok(shards
            .into_iter()
            .map(|id| (self.layout.shard(&id), id))
            .map(|(path, id)| (id, size_with_log(&path)))
            .collect())
    }

    /// Bytes of ledger, registry and job state.
    #[must_use]
    pub fn other_bytes(&self) -> u64 {
        [self.layout.ledger(), self.layout.registry(), self.layout.jobs()]
            .iter()
            .map(|path| size_with_log(path))
            .sum()
    }

    /// A private folder for temporary files of queries; may be on read-only media.
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.layout.temporary()
    }
}

/// Every shard, ascending, if none is about to be replaced by its halves.
pub(crate) fn readable_shards(layout: &Layout) -> Result<Vec<ShardId>, StoreError> {
    // Before the list: what is split after it has not changed the list.
    if split::has_unplaced(layout)? {
        return Err(StoreError::Query(
            "a shard is being split: ask again in a moment; if this stays, the split was interrupted, and any command \
             that writes to the archive ends it, as `shardex recover`"
                .into(),
        ));
    }
    layout.list_shards().map_err(|error| io_error(&layout.shards(), &error))
}

pub(crate) fn size_with_log(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    size(path) + size(Path::new(&log))
}
