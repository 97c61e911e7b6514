//! The ledger file: one packed record for a range of a directory.

mod changes;
mod codec;
mod merge;
mod query;
mod relabel;
mod restore;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rusqlite::Connection;
use shardex_catalog::{
    Applied, DirectoryRange, DirectoryRecord, Fence, FileName, LedgerChange, ShardId, ShardSplit, SourceName,
};
use shardex_seams::{History, Ledger, StoreError, StoredName};

use crate::error::{io_error, store_error};
use crate::sqlite::{self, Format, SqliteSettings};
use crate::thread::Owner;
pub use query::LedgerRow;
use query::Shards;
pub(crate) use relabel::Relabeller;
pub(crate) use restore::Restorer;

pub(crate) const LEDGER: Format = Format {
    application_id: 0x5368_446C,
    migrations: &[|| {
        crate::rebuild::TOKEN_TABLE.to_owned()
            + "CREATE TABLE record(
           source TEXT NOT NULL,
           path BLOB NOT NULL,
           hash_from INTEGER NOT NULL,
           hash_to INTEGER NOT NULL,
           n_present INTEGER NOT NULL,
           n_missing INTEGER NOT NULL,
           body BLOB NOT NULL,
           UNIQUE(source, path, hash_from));
         CREATE INDEX record_missing ON record(source, path, hash_from) WHERE n_missing > 0;
         CREATE TABLE open_mark(
           source TEXT NOT NULL,
           path BLOB NOT NULL,
           hash_from INTEGER NOT NULL,
           hash_to INTEGER NOT NULL,
           fence INTEGER NOT NULL,
           PRIMARY KEY(source, path, hash_from, hash_to)) WITHOUT ROWID;
         CREATE TABLE unreadable(
           source TEXT NOT NULL,
           path BLOB NOT NULL,
           reason TEXT NOT NULL,
           PRIMARY KEY(source, path)) WITHOUT ROWID;
         CREATE TABLE shard(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
         CREATE TABLE position(
           shard INTEGER NOT NULL REFERENCES shard(id),
           incarnation INTEGER NOT NULL,
           sequence INTEGER NOT NULL,
           PRIMARY KEY(shard, incarnation)) WITHOUT ROWID;
         CREATE TABLE barrier(n INTEGER NOT NULL);
         INSERT INTO barrier VALUES (0);\n"
    }],
};

const CACHE_BYTES: u64 = 8 << 20;
const READER_CACHE_BYTES: u64 = 1 << 20;
const IDLE_READERS_MAX: usize = 64;

/// The embedded [`Ledger`].
pub struct LedgerFile {
    /// Before the owner, so that the connection that can remove the log is the last that is closed.
    reader: LedgerReader,
    settings: SqliteSettings,
    /// `None` while the file is exchanged.
    owner: Owner<Option<Opened>>,
}

struct Opened {
    path: PathBuf,
    connection: Connection,
    settings: SqliteSettings,
    shards: Arc<Shards>,
}

/// Reads a ledger, beside whoever writes it.
pub struct LedgerReader {
    path: PathBuf,
    shards: Arc<Shards>,
    idle: Mutex<Idle>,
}

/// Connections that wait for the next reader.
#[derive(Default)]
struct Idle {
    connections: Vec<Connection>,
    /// How often the file was exchanged: a connection of before is of no use.
    exchanges: u64,
}

impl LedgerFile {
    pub(crate) fn open(path: &Path, settings: &SqliteSettings) -> Result<Self, StoreError> {
        let shards = Arc::new(Shards::default());
        let opened = Some(Opened::open(path, settings, &shards)?);
        let reader = LedgerReader { path: path.to_owned(), shards, idle: Mutex::default() };
        let owner = Owner::start("ledger", opened).map_err(|error| io_error(path, &error))?;
        Ok(Self { reader, settings: settings.clone(), owner })
    }

    /// Waits until what was asked of it before is done.
    pub(crate) async fn rest(&self) -> Result<(), StoreError> {
        self.owner.call(|_| Ok(())).await
    }

    /// Closes the file, so that another one can take its place. Whoever writes it is told that it is closed; nobody
    /// may begin to read it.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.owner
            .call(|slot| {
                drop(slot.take());
                Ok(())
            })
            .await?;
        let mut idle = self.reader.idle();
        idle.connections.clear();
        idle.exchanges += 1;
        Ok(())
    }

    /// Opens what is in its place.
    pub(crate) async fn reopen(&self) -> Result<(), StoreError> {
        let (path, settings) = (self.reader.path.clone(), self.settings.clone());
        let shards = Arc::clone(&self.reader.shards);
        self.owner
            .call(move |slot| {
                *slot = Some(Opened::open(&path, &settings, &shards)?);
                Ok(())
            })
            .await
    }

    /// Empties the write-ahead log into the file.
    pub(crate) async fn truncate_log(&self) -> Result<(), StoreError> {
        self.run(|opened| sqlite::truncate_log(&opened.connection)).await
    }

    /// Lets the entries of files that a split has taken to its new shard name it. May be done again.
    ///
    /// # Errors
    /// [`StoreError`]; none of these is changed then.
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be done.
    pub async fn relabel(&self, split: ShardSplit, files: Vec<StoredName>) -> Result<(), StoreError> {
        self.run(move |opened| {
            let shards = Arc::clone(&opened.shards);
            let transaction = opened.connection.transaction()?;
            let result =
                relabel::page(&transaction, &shards, &split, &files).and_then(|()| transaction.commit());
            if result.is_err() {
                opened.shards.refresh(&opened.connection)?;
            }
            result
        })
        .await
    }

    /// Notes what rests on the two shards of a split after all its files were relabelled, given what lives they have;
    /// durably, with the relabelling.
    ///
    /// # Errors
    /// [`StoreError`]; it is to be done again then, with the relabelling.
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be done.
    pub async fn finish_split(
        &self,
        split: ShardSplit,
        stays: History,
        goes: History,
    ) -> Result<(), StoreError> {
        self.run(move |opened| {
            let shards = Arc::clone(&opened.shards);
            let result =
                sqlite::durably(&mut opened.connection, opened.settings.synchronous, |transaction| {
                    relabel::finish(transaction, &shards, &split, &stays, &goes)
                });
            if result.is_err() {
                opened.shards.refresh(&opened.connection)?;
            }
            result
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Opened) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.owner
            .call(move |slot| {
                let opened = slot.as_mut().ok_or(StoreError::Closed)?;
                let path = opened.path.clone();
                act(opened).map_err(|error| store_error(&path, error))
            })
            .await
    }
}

impl Opened {
    fn open(path: &Path, settings: &SqliteSettings, shards: &Arc<Shards>) -> Result<Self, StoreError> {
        let connection = sqlite::open_writer(path, &LEDGER, settings, CACHE_BYTES)?;
        shards.refresh(&connection).map_err(|error| store_error(path, error))?;
        let (path, shards) = (path.to_owned(), Arc::clone(shards));
        Ok(Self { path, connection, settings: settings.clone(), shards })
    }
}

/// The shards that committed records rest on.
pub(crate) fn shards_rested_on(path: &Path) -> Result<Vec<ShardId>, StoreError> {
    let Some(connection) = sqlite::open_reader(path, &LEDGER, READER_CACHE_BYTES)? else {
        return Ok(Vec::new());
    };
    let shards = Shards::default();
    let positions = shards.refresh(&connection).and_then(|()| query::positions(&connection, &shards));
    let mut names: Vec<_> =
        positions.map_err(|error| store_error(path, error))?.into_iter().map(|(shard, _)| shard).collect();
    names.dedup();
    Ok(names)
}

impl LedgerReader {
    /// Opens a ledger for reading.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        let Some(connection) = sqlite::open_reader(path, &LEDGER, READER_CACHE_BYTES)? else {
            return Ok(None);
        };
        let shards = Arc::new(Shards::default());
        shards.refresh(&connection).map_err(|error| store_error(path, error))?;
        let idle = Mutex::new(Idle { connections: vec![connection], exchanges: 0 });
        Ok(Some(Self { path: path.to_owned(), shards, idle }))
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let (connection, exchanges) = {
            let mut idle = self.idle();
            (idle.connections.pop(), idle.exchanges)
        };
        let connection = match connection {
            Some(connection) => connection,
            None => {
                sqlite::open_reader(&self.path, &LEDGER, READER_CACHE_BYTES)?.ok_or(StoreError::Closed)?
            }
        };
        let result = act(&connection).map_err(|error| store_error(&self.path, error));
        let mut idle = self.idle();
        if idle.exchanges == exchanges && idle.connections.len() < IDLE_READERS_MAX {
            idle.connections.push(connection);
        }
        result
    }

    /// What is recorded of a range of a directory.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn record(&self, range: &DirectoryRange) -> Result<Option<DirectoryRecord>, StoreError> {
        self.with(|connection| query::record(connection, &self.shards, range))
    }

    /// Streams every entry of every record, in order of source and path, until `row` returns false.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn rows(&self, row: &mut dyn FnMut(LedgerRow<'_>) -> bool) -> Result<(), StoreError> {
        self.with(|connection| query::rows(connection, &self.shards, row))
    }

    /// Directories that could not be listed: source, path, reason.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn unreadable(&self) -> Result<Vec<(String, Vec<u8>, String)>, StoreError> {
        self.with(query::unreadable)
    }

    /// The batches that records rest on, by shard.
    pub(crate) fn positions(&self) -> Result<Vec<(ShardId, Applied)>, StoreError> {
        self.with(|connection| query::positions(connection, &self.shards))
    }

    /// Number of open marks: directories that an interrupted run left half-recorded.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn open_marks(&self) -> Result<u64, StoreError> {
        self.with(query::open_marks)
    }
}

#[async_trait]
impl Ledger for LedgerFile {
    fn record(&self, range: &DirectoryRange) -> Result<Option<DirectoryRecord>, StoreError> {
        self.reader.record(range)
    }

    fn shards_of(
        &self,
        range: &DirectoryRange,
        names: &[FileName],
    ) -> Result<Vec<Option<ShardId>>, StoreError> {
        self.reader.with(|connection| query::shards_of(connection, &self.reader.shards, range, names))
    }

    fn is_open(&self, range: &DirectoryRange) -> Result<bool, StoreError> {
        self.reader.with(|connection| query::is_open(connection, range))
    }

    async fn open(&self, ranges: Vec<DirectoryRange>, fence: Fence) -> Result<(), StoreError> {
        self.run(move |opened| {
            sqlite::durably(&mut opened.connection, opened.settings.synchronous, |transaction| {
                changes::open(transaction, &ranges, fence)
            })
        })
        .await
    }

    async fn commit(&self, changes: Vec<LedgerChange>) -> Result<(), StoreError> {
        self.run(move |opened| {
            let shards = Arc::clone(&opened.shards);
            let transaction = opened.connection.transaction()?;
            let result = changes
                .iter()
                .try_for_each(|change| changes::carry_out(&transaction, &shards, change))
                .and_then(|()| transaction.commit());
            if result.is_err() {
                // Numbers that were given in the transaction are gone with it.
                opened.shards.refresh(&opened.connection)?;
            }
            result
        })
        .await
    }

    async fn open_before(
        &self,
        source: SourceName,
        fence: Fence,
        limit: u32,
    ) -> Result<Vec<DirectoryRange>, StoreError> {
        self.run(move |opened| query::open_before(&opened.connection, &source, fence, limit)).await
    }

    async fn with_missing(
        &self,
        source: SourceName,
        after: Option<DirectoryRange>,
        limit: u32,
    ) -> Result<Vec<DirectoryRange>, StoreError> {
        self.run(move |opened| query::with_missing(&opened.connection, &source, after.as_ref(), limit)).await
    }

    async fn present_and_missing(&self, source: SourceName) -> Result<(u64, u64), StoreError> {
        self.run(move |opened| query::present_and_missing(&opened.connection, &source)).await
    }

    async fn positions(&self) -> Result<Vec<(ShardId, Applied)>, StoreError> {
        self.run(|opened| query::positions(&opened.connection, &opened.shards)).await
    }
}
