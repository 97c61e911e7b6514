//! All shards of an archive that this process writes: a few threads, each the only writer of the
//! shards that were given to it.

use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use hashbrown::HashMap;
use shardex_catalog::{Applied, DirectoryRange, Fence, FileName, Incarnation, RowBatch, ShardId};
use shardex_seams::{History, ShardWriter, StoreError, StoredName};

use crate::archive::SourceRoots;
use crate::error::{io_error, store_error};
use crate::layout::Layout;
use crate::schema::SHARD;
use crate::shard::ShardFile;
use crate::sqlite::{self, SqliteSettings};
use crate::template::{self, Template};
use crate::thread::Owner;
use crate::{history, private};

/// The embedded [`ShardWriter`].
pub struct ShardPool {
    layout: Layout,
    threads: Vec<Owner<OpenShards>>,
    /// Which thread has a shard, from its first use on: each gets as many as the others.
    given: Mutex<HashMap<ShardId, usize>>,
}

/// The shards that one thread has open, with a bound on their number.
struct OpenShards {
    layout: Layout,
    settings: SqliteSettings,
    roots: Arc<SourceRoots>,
    new: Arc<Template>,
    open: HashMap<ShardId, (u64, ShardFile)>,
    open_max: usize,
    uses: u64,
}

impl ShardPool {
    pub(crate) fn start(
        layout: Layout,
        settings: &SqliteSettings,
        writers: usize,
        roots: Arc<SourceRoots>,
    ) -> Result<Self, StoreError> {
        let writers = writers.max(1);
        let open_max = (settings.open_shards / writers).max(1);
        let new = Arc::new(Template::default());
        let threads = (0..writers).map(|n| {
            let shards = OpenShards {
                layout: layout.clone(),
                settings: settings.clone(),
                roots: Arc::clone(&roots),
                new: Arc::clone(&new),
                open: HashMap::new(),
                open_max,
                uses: 0,
            };
            Owner::start(&format!("shard-writer-{n}"), shards)
                .map_err(|error| io_error(layout.root(), &error))
        });
        let threads = threads.collect::<Result<_, _>>()?;
        Ok(Self { threads, layout: layout.clone(), given: Mutex::default() })
    }

    /// Empties the write-ahead logs of all open shards into their files, and takes the accounts of these.
    ///
    /// # Errors
    /// [`StoreError`] of the first that could not be emptied; its log stays, and nothing is lost.
    pub async fn truncate_logs(&self) -> Result<(), StoreError> {
        let mut emptied = Vec::new();
        for thread in &self.threads {
            let empty = |shards: &mut OpenShards| {
                let OpenShards { open, layout, .. } = shards;
                open.values().try_for_each(|(_, shard)| {
                    shard.truncate_log()?;
                    shard.account(layout);
                    Ok(())
                })
            };
            emptied.push(thread.begin(empty).await?);
        }
        for answer in emptied {
            answer.wait().await?;
        }
        Ok(())
    }

    /// Tells every shard where its sources are mounted now, durably.
    ///
    /// # Errors
    /// [`StoreError`] of the first shard that cannot be written.
    pub async fn move_roots(&self) -> Result<(), StoreError> {
        for shard in self.layout.list_shards().map_err(|error| io_error(&self.layout.shards(), &error))? {
            self.thread(&shard)
                .call(move |shards| shards.with_existing(&shard, (), |shard| shard.move_roots()))
                .await?;
        }
        Ok(())
    }

    /// Closes a shard; everything applied is durable then, and in its file as far as no reader is in the way.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be made durable.
    pub(crate) async fn close(&self, shard: ShardId) -> Result<(), StoreError> {
        self.thread(&shard)
            .call(move |shards| {
                let Some((_, mut open)) = shards.open.remove(&shard) else { return Ok(()) };
                open.barrier()?;
                open.truncate_log()
            })
            .await
    }

    /// Tells a shard where its sources are mounted here, durably.
    pub(crate) async fn move_root_of(&self, shard: ShardId) -> Result<(), StoreError> {
        self.thread(&shard)
            .call(move |shards| shards.with_existing(&shard, (), |open| open.move_roots()))
            .await
    }

    fn thread(&self, shard: &ShardId) -> &Owner<OpenShards> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let next = given.len() % self.threads.len();
        let at = given.get(shard).copied().unwrap_or_else(|| *given.entry(shard.clone()).insert(next).get());
        &self.threads[at]
    }
}

#[async_trait]
impl ShardWriter for ShardPool {
    async fn apply(&self, batch: RowBatch) -> Result<Applied, StoreError> {
        self.thread(&batch.shard)
            .call(move |shards| {
                let id = batch.shard.clone();
                shards.with(&id, |shard| shard.apply(&batch))
            })
            .await
    }

    async fn barrier(&self, shard: ShardId) -> Result<(), StoreError> {
        self.thread(&shard).call(move |shards| shards.barrier(&shard)).await
    }

    async fn shards(&self) -> Result<Vec<ShardId>, StoreError> {
        self.layout.list_shards().map_err(|error| io_error(&self.layout.shards(), &error))
    }

    async fn history(&self, shard: ShardId) -> Result<History, StoreError> {
        self.thread(&shard).call(move |shards| shards.history(&shard)).await
    }

    async fn names(&self, shard: ShardId, range: DirectoryRange) -> Result<Vec<FileName>, StoreError> {
        self.thread(&shard)
            .call(move |shards| shards.with_existing(&shard, Vec::new(), |shard| shard.names(&range)))
            .await
    }

    async fn files_after(
        &self,
        shard: ShardId,
        after: Option<StoredName>,
        limit: u32,
    ) -> Result<Vec<StoredName>, StoreError> {
        self.thread(&shard)
            .call(move |shards| {
                shards.with_existing(&shard, Vec::new(), |shard| shard.files_after(after.as_ref(), limit))
            })
            .await
    }

    async fn moved(
        &self,
        shard: ShardId,
        range: DirectoryRange,
        names: Vec<FileName>,
        fence: Fence,
    ) -> Result<u64, StoreError> {
        self.thread(&shard)
            .call(move |shards| shards.with_existing(&shard, 0, |shard| shard.moved(&range, &names, fence)))
            .await
    }
}

impl OpenShards {
    fn with<T>(
        &mut self,
        id: &ShardId,
        act: impl FnOnce(&mut ShardFile) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.uses += 1;
        let uses = self.uses;
        if let Some((used, shard)) = self.open.get_mut(id) {
            *used = uses;
            return act(shard);
        }
        self.make_room()?;
        let shard = self.open_shard(id)?;
        let (_, shard) = self.open.entry(id.clone()).insert((uses, shard)).into_mut();
        act(shard)
    }

    /// As [`OpenShards::with`], but a shard that is not there is not created.
    fn with_existing<T>(
        &mut self,
        id: &ShardId,
        absent: T,
        act: impl FnOnce(&mut ShardFile) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.layout.shard(id).exists() { self.with(id, act) } else { Ok(absent) }
    }

    fn history(&self, id: &ShardId) -> Result<History, StoreError> {
        if let Some((_, shard)) = self.open.get(id) {
            return shard.history();
        }
        let path = self.layout.shard(id);
        if !path.exists() {
            return Ok(History::default());
        }
        match sqlite::open_reader(&path, &SHARD, 1 << 20)? {
            Some(connection) => history::read(&connection).map_err(|error| store_error(&path, error)),
            None => Ok(History::default()),
        }
    }

    fn open_shard(&self, id: &ShardId) -> Result<ShardFile, StoreError> {
        let path = self.layout.shard(id);
        let folder = path.parent().expect("a shard lies in its partition's folder");
        private::create_folder(folder).map_err(|error| io_error(folder, &error))?;
        let is_new = self.new.place(&path, &SHARD, &self.settings)?;
        // One budget for all: it is the same for a shard whether one or sixty-four are open.
        let cache_bytes = self.settings.cache_bytes / self.settings.open_shards.max(1) as u64;
        let cache_bytes = cache_bytes.max(512 << 10);
        let incarnation = Incarnation(random_u64());
        let roots = Arc::clone(&self.roots);
        ShardFile::open(id.clone(), &path, &self.settings, cache_bytes, incarnation, roots).inspect_err(
            |_| {
                // On a full disk it could not be asked either, for want of a place for SQLite's index of its log.
                if is_new {
                    template::take_away(&path);
                }
            },
        )
    }

    fn make_room(&mut self) -> Result<(), StoreError> {
        while self.open.len() >= self.open_max {
            let oldest = self.open.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| id.clone());
            let Some((_, (_, shard))) = oldest.and_then(|id| self.open.remove_entry(&id)) else { break };
            // The next barrier will not find it open, so what it has applied must be durable now.
            let mut shard = shard;
            shard.barrier()?;
            shard.truncate_log()?;
        }
        Ok(())
    }

    /// A shard that is not open was made durable when it was closed.
    fn barrier(&mut self, id: &ShardId) -> Result<(), StoreError> {
        self.open.get_mut(id).map_or(Ok(()), |(_, shard)| shard.barrier())
    }
}

pub(crate) fn random_u64() -> u64 {
    // Every RandomState has its own random keys, from the system.
    std::hash::RandomState::new().build_hasher().finish()
}
