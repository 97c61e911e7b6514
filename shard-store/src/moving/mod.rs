//! Stores that leave for another machine, and arrive from one, as files.
//!
//! `moving/` in the archive's folder holds what has come of a store so far (`<partition>~<bucket>.sqlite` and its
//! `-wal`; `ledger.sqlite` and `registry.sqlite` with theirs), `….arrived` once that is all of it, and `….leaving` for a
//! store whose last pass has begun here: without that mark nothing is ever removed. The marks of ledger and registry are
//! `home.…`; two more say what the next opening is to complete (`home`).

mod blocks;
mod home;
mod incoming;
mod place;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shardex_catalog::{ShardId, StoreFile, StoreId};
use shardex_seams::{Block, Departure, Lengths, Sinks, StoreError, StoreSink, StoreSource};

use crate::archive::Archive;
use crate::error::io_error;
use crate::layout::Layout;
use crate::leaf::LeafPool;
use crate::pool::ShardPool;
use crate::schema::SHARD;
use crate::{history, private, sqlite};
use blocks::each_block;
use home::HomeFiles;
pub(crate) use home::{complete_home, home_is_leaving};
use incoming::Incoming;
pub(crate) use place::{beside, log_of, remove, write_whole};
use place::{place_file, read_mark, remove_database, write_mark};

const ARRIVED: &str = "arrived";
const LEAVING: &str = "leaving";

/// The stores of an archive that come and go.
pub struct Moving {
    layout: Layout,
    pool: Arc<ShardPool>,
    leaves: Arc<LeafPool>,
    home: HomeFiles,
    /// Database files that were read here. To close one would end the locks that SQLite has on it in this
    /// process (POSIX, fcntl(2)), so they stay open until the store is gone.
    read: Mutex<HashMap<StoreFile, Arc<File>>>,
}

/// A store that has come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedStore {
    /// Which.
    pub store: StoreId,
    /// The move that it came by.
    pub number: u64,
    /// The process that stopped writing for it.
    pub from_session: u64,
}

#[derive(Serialize, Deserialize)]
struct Arrival {
    number: u64,
    from_session: u64,
}

#[derive(Serialize, Deserialize)]
struct Leaving {
    number: u64,
    to: String,
}

impl Moving {
    /// The stores of an archive, whose shards this process writes and reads by these.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be made.
    pub fn new(archive: &Archive, pool: Arc<ShardPool>, leaves: Arc<LeafPool>) -> Result<Self, StoreError> {
        let layout = archive.layout().clone();
        let folder = layout.moving();
        private::create_folder(&folder).map_err(|error| io_error(&folder, &error))?;
        Ok(Self { layout, pool, leaves, home: HomeFiles::new(archive), read: Mutex::default() })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What has arrived and was neither installed whole nor discarded.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be read.
    pub fn arrived(&self) -> Result<Vec<ArrivedStore>, StoreError> {
        let mut arrived = Vec::new();
        for kind in [ARRIVED, home::DECIDED] {
            for store in self.marked(kind)? {
                // `None`: it has just been renamed.
                let mark = read_mark::<Arrival>(&self.layout.moving_mark(&store, kind))?;
                arrived.extend(mark.map(|mark| {
                    let Arrival { number, from_session } = mark;
                    ArrivedStore { store, number, from_session }
                }));
            }
        }
        Ok(arrived)
    }

    /// Stores whose last pass has begun here.
    ///
    /// # Errors
    /// As [`Moving::arrived`].
    pub fn leaving(&self) -> Result<Vec<StoreId>, StoreError> {
        self.marked(LEAVING)
    }

    /// Where ledger and registry were to go when their last pass began here, until nothing is left of them.
    ///
    /// # Errors
    /// As [`Moving::arrived`].
    pub fn home_departure(&self) -> Result<Option<Departure>, StoreError> {
        for kind in [LEAVING, home::LEFT] {
            if let Some(mark) = read_mark(&self.layout.moving_mark(&StoreId::Home, kind))? {
                let Leaving { number, to } = mark;
                return Ok(Some(Departure { store: StoreId::Home, to, number }));
            }
        }
        Ok(None)
    }

    /// Whether ledger and registry that have come will be in their places, whatever comes.
    #[must_use]
    pub fn is_home_decided(&self) -> bool {
        home::is_decided(&self.layout)
    }

    /// Takes the files of a store in; what came before, of this or an earlier try, is used. Blocks the thread.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be opened.
    pub fn sinks(&self, store: &StoreId) -> Result<Sinks, StoreError> {
        // What is there is about to change.
        let mark = self.layout.moving_mark(store, ARRIVED);
        remove(&mark).map_err(|error| io_error(&mark, &error))?;
        let sink = |file: StoreFile| {
            let sink = Incoming::open(&self.layout, &file)?;
            Ok((file, Box::new(sink) as Box<dyn StoreSink>))
        };
        store.files().into_iter().map(sink).collect()
    }

    /// Makes what has come of a store durable, after the last pass, and notes that it has arrived for a move. Blocks
    /// the thread.
    ///
    /// # Errors
    /// [`StoreError`]; or what has come is no such store.
    pub fn arrive(&self, store: &StoreId, number: u64, from_session: u64) -> Result<(), StoreError> {
        for file in store.files() {
            let path = self.layout.moving_file(&file, "sqlite");
            let synced =
                [path.clone(), log_of(&path)].iter().try_for_each(|path| File::open(path)?.sync_all());
            synced.map_err(|error| io_error(&path, &error))?;
        }
        match store {
            StoreId::Home => home::check(&self.layout)?,
            StoreId::Shard(shard) => self.check_shard(shard)?,
        }
        write_mark(&self.layout.moving_mark(store, ARRIVED), &Arrival { number, from_session })
    }

    /// It opens, is of a format that we know, and says which lives it had.
    fn check_shard(&self, shard: &ShardId) -> Result<(), StoreError> {
        let path = self.layout.moving_file(&StoreFile::Shard(shard.clone()), "sqlite");
        if let Some(connection) = sqlite::open_reader(&path, &SHARD, 1 << 20)? {
            history::read(&connection).map_err(|error| crate::error::store_error(&path, error))?;
        }
        Ok(())
    }

    /// Makes an arrived store one of the archive, in place of whatever is there. May be repeated after a crash.
    ///
    /// # Errors
    /// [`StoreError`]; it may be tried again.
    pub async fn install(&self, store: &StoreId) -> Result<(), StoreError> {
        match store {
            StoreId::Home => self.home.install(&self.layout, || self.forget(store)).await,
            StoreId::Shard(shard) => self.install_shard(shard).await,
        }
    }

    async fn install_shard(&self, shard: &ShardId) -> Result<(), StoreError> {
        self.pool.close(shard.clone()).await?;
        self.leaves.forget(shard);
        self.forget(&shard.into());
        let placed = place_shard(&self.layout, shard);
        placed.map_err(|error| io_error(&self.layout.shard(shard), &error))?;
        self.pool.move_root_of(shard.clone()).await
    }

    /// Removes what came of a store that will not be ours.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be removed.
    pub fn discard(&self, store: &StoreId) -> Result<(), StoreError> {
        // The mark first: what is left without it is of no use but to spare the next fetch some blocks.
        let mark = self.layout.moving_mark(store, ARRIVED);
        remove(&mark).map_err(|error| io_error(&mark, &error))?;
        for file in store.files() {
            let path = self.layout.moving_file(&file, "sqlite");
            remove_database(&path).map_err(|error| io_error(&path, &error))?;
        }
        Ok(())
    }

    /// Removes a store that another worker owns by now, if its last pass began here.
    ///
    /// # Errors
    /// [`StoreError`]; it may be tried again.
    pub async fn remove_left(&self, store: &StoreId) -> Result<(), StoreError> {
        match store {
            StoreId::Home => self.home.begin_anew(&self.layout, || self.forget(store)).await,
            StoreId::Shard(shard) => self.remove_shard(shard).await,
        }
    }

    async fn remove_shard(&self, shard: &ShardId) -> Result<(), StoreError> {
        let mark = self.layout.moving_mark(&shard.into(), LEAVING);
        if !mark.exists() {
            return Ok(());
        }
        self.pool.close(shard.clone()).await?;
        self.leaves.forget(shard);
        let path = self.layout.shard(shard);
        let removed = remove_database(&path).and_then(|()| remove(&mark));
        self.forget(&shard.into());
        removed.map_err(|error| io_error(&path, &error))
    }

    /// Notes that a store stays after all.
    ///
    /// # Errors
    /// [`StoreError`] if that cannot be noted.
    pub fn stays(&self, store: &StoreId) -> Result<(), StoreError> {
        let mark = self.layout.moving_mark(store, LEAVING);
        remove(&mark).map_err(|error| io_error(&mark, &error))
    }

    /// Forgets the files of a store whose places others have taken.
    pub(crate) fn forget(&self, store: &StoreId) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.retain(|file, _| file.store() != *store);
    }

    fn marked(&self, kind: &str) -> Result<Vec<StoreId>, StoreError> {
        let folder = self.layout.moving();
        let failed = |error: io::Error| io_error(&folder, &error);
        let mut stores = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let store = name.to_str().and_then(|name| name.strip_suffix(kind)?.strip_suffix('.'));
            stores.extend(store.and_then(|store| StoreId::new(&store.replacen('~', "/", 1)).ok()));
        }
        stores.sort();
        Ok(stores)
    }

    fn file(&self, file: &StoreFile) -> io::Result<Arc<File>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(file) {
            return Ok(Arc::clone(known));
        }
        let opened = Arc::new(File::open(self.layout.file(file))?);
        read.insert(file.clone(), Arc::clone(&opened));
        Ok(opened)
    }
}

#[async_trait]
impl StoreSource for Moving {
    async fn settle(&self, departure: Departure) -> Result<(), StoreError> {
        let Departure { store, to, number } = departure;
        match &store {
            StoreId::Home => self.home.rest().await?,
            StoreId::Shard(shard) => self.pool.close(shard.clone()).await?,
        }
        write_mark(&self.layout.moving_mark(&store, LEAVING), &Leaving { number, to })
    }

    fn blocks(
        &self,
        file: &StoreFile,
        have: &[u8],
        with_log: bool,
        to: &mut dyn FnMut(Block) -> bool,
    ) -> Result<Lengths, StoreError> {
        let path = self.layout.file(file);
        let failed = |error: io::Error| io_error(&path, &error);
        let file = self.file(file).map_err(failed)?;
        let Some(main) = each_block(&file, false, have, to).map_err(failed)? else {
            return Ok(Lengths::default());
        };
        let log = log_of(&path);
        let log = match File::open(&log) {
            Ok(file) if with_log => each_block(&file, true, &[], to).map_err(failed)?.unwrap_or_default(),
            Ok(_) => 0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(io_error(&log, &error)),
        };
        Ok(Lengths { main, log })
    }
}

fn place_shard(layout: &Layout, shard: &ShardId) -> io::Result<()> {
    let store = StoreId::from(shard);
    let mark = layout.moving_mark(&store, ARRIVED);
    if !mark.exists() {
        return Ok(());
    }
    place_file(layout, &StoreFile::Shard(shard.clone()))?;
    remove(&layout.moving_mark(&store, LEAVING))?;
    remove(&mark)?;
    private::sync_parent(&mark)
}
