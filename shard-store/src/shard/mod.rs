//! One shard file, open for writing.

mod counts;
mod directories;
mod headers;
mod read;
mod rows;
mod twins;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashSet;
use rusqlite::{Connection, TransactionBehavior};
use shardex_catalog::{Applied, DirectoryRange, Fence, FileName, Incarnation, RowBatch, ShardId};
use shardex_seams::{History, StoreError, StoredName};

use crate::account;
use crate::archive::SourceRoots;
use crate::error::store_error;
use crate::history::{self, Life};
use crate::layout::Layout;
use crate::schema::SHARD;
use crate::sqlite::{self, SqliteSettings, Synchronous};
use counts::Counts;
pub(crate) use directories::{PathValue, path_bytes};
use headers::HeaderCache;
pub(crate) use read::files_after;

/// The one writer of a shard file.
pub(crate) struct ShardFile {
    id: ShardId,
    path: PathBuf,
    connection: Connection,
    life: Life,
    usual: Synchronous,
    headers: HeaderCache,
    roots: Arc<SourceRoots>,
}

impl ShardFile {
    /// Opens a shard for writing, or creates it: a new life begins.
    pub(crate) fn open(
        id: ShardId,
        path: &Path,
        settings: &SqliteSettings,
        cache_bytes: u64,
        incarnation: Incarnation,
        roots: Arc<SourceRoots>,
    ) -> Result<Self, StoreError> {
        let connection = sqlite::open_writer(path, &SHARD, settings, cache_bytes)?;
        // A row's directory is entered in its transaction, and counting its headers at the end fails if one
        // is not there; asking for both again with every row is a tenth of what storing it costs.
        connection.pragma_update(None, "foreign_keys", false).map_err(|error| store_error(path, error))?;
        let life = Life::begin(&connection, incarnation).map_err(|error| store_error(path, error))?;
        Ok(Self {
            id,
            path: path.to_owned(),
            connection,
            life,
            usual: settings.synchronous,
            headers: HeaderCache::default(),
            roots,
        })
    }

    /// Applies a batch in one transaction.
    pub(crate) fn apply(&mut self, batch: &RowBatch) -> Result<Applied, StoreError> {
        debug_assert_eq!(batch.shard, self.id);
        let result = self.apply_in_transaction(batch);
        match &result {
            Ok(applied) => {
                self.life.committed(*applied);
                self.headers.promote();
            }
            // What was looked up or inserted in a transaction that is gone must not be believed:
            // a row that points at another header shows another patient.
            Err(_) => self.headers.clear(),
        }
        result
    }

    /// Makes everything applied before durable.
    pub(crate) fn barrier(&mut self) -> Result<(), StoreError> {
        let life = &self.life;
        sqlite::durably(&mut self.connection, self.usual, |transaction| life.touch(transaction))
            .map_err(|error| store_error(&self.path, error))
    }

    /// Writes down where sources are mounted now, durably.
    pub(crate) fn move_roots(&mut self) -> Result<(), StoreError> {
        let roots = &self.roots;
        sqlite::durably(&mut self.connection, self.usual, |transaction| {
            directories::move_roots(transaction, roots)
        })
        .map_err(|error| store_error(&self.path, error))
    }

    /// The lives of the file.
    pub(crate) fn history(&self) -> Result<History, StoreError> {
        self.read(history::read)
    }

    /// Names in a range of a directory, ascending.
    pub(crate) fn names(&self, range: &DirectoryRange) -> Result<Vec<FileName>, StoreError> {
        self.read(|connection| read::names(connection, range))
    }

    /// Files after one, ascending.
    pub(crate) fn files_after(
        &self,
        after: Option<&StoredName>,
        limit: u32,
    ) -> Result<Vec<StoredName>, StoreError> {
        self.read(|connection| read::files_after(connection, after, limit))
    }

    /// How many of the files have a twin that `fence` wrote.
    pub(crate) fn moved(
        &self,
        range: &DirectoryRange,
        names: &[FileName],
        fence: Fence,
    ) -> Result<u64, StoreError> {
        self.read(|connection| read::moved(connection, range, names, fence))
    }

    /// Empties the write-ahead log; the file alone is the shard then.
    pub(crate) fn truncate_log(&self) -> Result<(), StoreError> {
        self.read(sqlite::truncate_log)
    }

    /// Says beside the file what it holds, once its log is empty.
    pub(crate) fn account(&self, layout: &Layout) {
        account::renew_by(&self.connection, layout, &self.id);
    }

    fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        query(&self.connection).map_err(|error| store_error(&self.path, error))
    }

    fn apply_in_transaction(&mut self, batch: &RowBatch) -> Result<Applied, StoreError> {
        let fail = |error| store_error(&self.path, error);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let mut directories = Vec::with_capacity(batch.directories.len());
        for range in &batch.directories {
            let id = directories::enter(&transaction, range, batch.fence, &self.roots).map_err(fail)?;
            directories.push(id.ok_or_else(|| StoreError::Fenced { shard: self.id.to_string() })?);
        }
        let mut counts = Counts::default();
        let mut unsettled = HashSet::new();
        let stored = rows::Stored {
            directories: &directories,
            fence: batch.fence,
            headers: &mut self.headers,
            counts: &mut counts,
            unsettled: &mut unsettled,
        };
        rows::apply(&transaction, &batch.operations, stored).map_err(fail)?;
        // Once a batch: where thousands of files claim one UID, once a row would never end.
        for uid in &unsettled {
            twins::settle(&transaction, uid, &mut counts).map_err(fail)?;
        }
        if counts.store(&transaction).map_err(fail)? == counts::Stored::HeadersDeleted {
            self.headers.clear();
        }
        let applied = self.life.advance(&transaction, batch.fence).map_err(fail)?;
        transaction.commit().map_err(fail)?;
        Ok(applied)
    }
}
