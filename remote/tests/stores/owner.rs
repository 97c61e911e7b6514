//! An owner with a real archive behind a real server on loopback, and a clock that stands still.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shardex_catalog::{
    Applied, Cell, DirectoryRange, Domain, Fence, FileName, FileRow, FileStamp, Header, Operation,
    RelativePath, RowBatch, ShardId, SourceName, Value, Values, Warnings, attribute_by_keyword,
};
use shardex_daemon::net::{ChannelSettings, Server, ServerSettings};
use shardex_remote::{
    Gate, LedgerFileRows, LocalStores, Locator, Map, OwnedStores, Peers, RemoteStores, StoreService,
};
use shardex_seams::{Clock, History, ShardWriter, StoreError, StoredName};
use shardex_shard_store::{Archive, ArchiveSettings, Moving, ReadArchive, SourceRoots};
use tokio::sync::{Semaphore, mpsc};

/// Every call is given up after this time.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);

/// A clock that the test moves.
#[derive(Default)]
pub(crate) struct Hand(Mutex<Duration>);

impl Hand {
    pub(crate) fn turn(&self, by: Duration) {
        *self.0.lock().expect("not poisoned") += by;
    }
}

impl Clock for Hand {
    fn wall_ns(&self) -> i64 {
        0
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock().expect("not poisoned")
    }
}

/// A map that the test draws, and how often somebody wanted a newer one.
pub(crate) struct Drawn(pub(crate) Mutex<Arc<Map>>, pub(crate) AtomicU64);

#[async_trait]
impl Locator for Drawn {
    fn map(&self) -> Arc<Map> {
        Arc::clone(&self.0.lock().expect("not poisoned"))
    }

    async fn locate(&self, _: &[ShardId]) -> Result<Arc<Map>, StoreError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(self.map())
    }
}

/// Shards whose batches wait for the test.
pub(crate) struct Held {
    pub(crate) shards: Arc<dyn ShardWriter>,
    pub(crate) batches: Semaphore,
    pub(crate) arrived: Semaphore,
}

#[async_trait]
impl ShardWriter for Held {
    async fn apply(&self, batch: RowBatch) -> Result<Applied, StoreError> {
        self.arrived.add_permits(1);
        self.batches.acquire().await.expect("open").forget();
        self.shards.apply(batch).await
    }

    async fn barrier(&self, shard: ShardId) -> Result<(), StoreError> {
        self.shards.barrier(shard).await
    }

    async fn shards(&self) -> Result<Vec<ShardId>, StoreError> {
        self.shards.shards().await
    }

    async fn history(&self, shard: ShardId) -> Result<History, StoreError> {
        self.shards.history(shard).await
    }

    async fn names(&self, shard: ShardId, range: DirectoryRange) -> Result<Vec<FileName>, StoreError> {
        self.shards.names(shard, range).await
    }

    async fn files_after(
        &self,
        shard: ShardId,
        after: Option<StoredName>,
        limit: u32,
    ) -> Result<Vec<StoredName>, StoreError> {
        self.shards.files_after(shard, after, limit).await
    }

    async fn moved(
        &self,
        shard: ShardId,
        range: DirectoryRange,
        names: Vec<FileName>,
        fence: Fence,
    ) -> Result<u64, StoreError> {
        self.shards.moved(shard, range, names, fence).await
    }
}

struct OneFile;

impl LedgerFileRows for OneFile {
    fn rows(&self, row: &mut dyn FnMut(Vec<Cell>) -> bool) -> Result<(), StoreError> {
        row((0..9).map(Cell::Integer).collect());
        Ok(())
    }
}

pub(crate) struct Owner {
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<Hand>,
    pub(crate) held: Arc<Held>,
    pub(crate) locator: Arc<Drawn>,
    pub(crate) peers: Arc<Peers>,
    url: String,
    /// For units of the same process.
    local: Option<LocalStores>,
    _stop: mpsc::Sender<()>,
    _archive: Archive,
    _folder: tempfile::TempDir,
}

impl Owner {
    /// Worker `w`, which owns the home and [`shard`], with a lease of ten seconds.
    pub(crate) async fn start() -> Self {
        Self { local: None, ..Self::start_alone().await }
    }

    /// As [`Owner::start`], with units of its own process.
    pub(crate) async fn start_alone() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("archive");
        let archive = Archive::create_or_open(&path, &ArchiveSettings::default()).expect("made");
        let shards = archive.shards(1, SourceRoots::new([(source(), b"/mnt".to_vec())])).expect("started");
        let pool = Arc::clone(&shards);
        let held = Arc::new(Held { shards, batches: Semaphore::new(1000), arrived: Semaphore::new(0) });
        let clock = Arc::new(Hand::default());
        let gate = Arc::new(Gate::new("w", Arc::clone(&clock) as Arc<dyn Clock>));
        let read = ReadArchive::open(&path).expect("an archive");
        let leaves = read.leaves(4);
        let moving = Moving::new(&archive, pool, Arc::clone(&leaves)).expect("made");
        let stores = OwnedStores {
            shards: Arc::clone(&held) as Arc<dyn ShardWriter>,
            registry: archive.registry(),
            ledger: archive.ledger(),
            leaf: leaves,
            ledger_files: Arc::new(OneFile),
            parts: Arc::new(read),
            transfer: Arc::new(moving),
            session: 7,
        };
        let server = Server::bind(&ServerSettings::new("127.0.0.1:0")).await.expect("bound");
        let url = format!("http://{}", server.address());
        let (stop, stopped) = mpsc::channel(1);
        let routes = StoreService::new(stores.clone(), Arc::clone(&gate)).routes();
        tokio::spawn(server.serve(routes, &[StoreService::NAME], stopped));
        let locator = Arc::new(Drawn(Mutex::new(Arc::new(map(&url, "w"))), AtomicU64::new(0)));
        let peers = Peers::new(|url| ChannelSettings { url: url.to_owned(), ..ChannelSettings::default() });
        let local = Some(LocalStores::new(stores, Arc::clone(&gate)));
        let (_stop, _archive, _folder) = (stop, archive, folder);
        let owner = Self { gate, clock, held, locator, peers, url, local, _stop, _archive, _folder };
        owner.take(&[]);
        owner
    }

    /// Owners whose units are of other processes, and of their own.
    pub(crate) async fn start_both() -> [Self; 2] {
        [Self::start().await, Self::start_alone().await]
    }

    /// The leader answers: these units are held, and the lease holds for ten seconds.
    pub(crate) fn take(&self, fences: &[(u64, u64)]) {
        let last = fences.iter().map(|(_, fence)| *fence).max().unwrap_or_default();
        let until = self.clock.elapsed() + Duration::from_secs(10);
        self.gate.take(fences.iter().copied().collect(), last, Some(map(&self.url, "w")), until);
    }

    /// The stores for a unit with a fence.
    pub(crate) fn unit(&self, unit: u64, fence: u64) -> RemoteStores {
        let locator = Arc::clone(&self.locator) as Arc<dyn Locator>;
        RemoteStores::new(
            Arc::clone(&self.peers),
            locator,
            unit,
            Fence(fence),
            PATIENCE,
            tokio::runtime::Handle::current(),
        )
        .with_local(self.local.clone())
    }

    /// Says that somebody else owns everything, at a place where nobody listens.
    pub(crate) fn lose(&self) {
        *self.locator.0.lock().expect("not poisoned") = Arc::new(map("http://127.0.0.1:1", "gone"));
    }
}

fn map(url: &str, owner: &str) -> Map {
    Map {
        version: 1,
        home: Some(owner.to_owned()),
        shards: HashMap::from([(shard(), owner.to_owned())]),
        urls: HashMap::from([(owner.to_owned(), url.to_owned())]),
        ..Map::default()
    }
}

pub(crate) fn source() -> SourceName {
    SourceName::new("site").expect("a name")
}

pub(crate) fn shard() -> ShardId {
    ShardId::new("2019-00000000/0").expect("an id")
}

pub(crate) fn directory() -> DirectoryRange {
    DirectoryRange::whole(source(), RelativePath::new(b"a/b"))
}

/// A batch of files of one series, with texts of `text_bytes`.
pub(crate) fn batch(fence: u64, files: u32, text_bytes: usize) -> RowBatch {
    let values = |entries: &[(&str, &str)]| {
        let id = |keyword: &str| attribute_by_keyword(keyword).expect("a keyword");
        Values::new(entries.iter().map(|(k, v)| (id(k), Value::from(*v))).collect(), Vec::new())
    };
    let study = Header::study(
        Domain::default(),
        values(&[("StudyInstanceUID", "1.2"), ("PatientID", "P1"), ("StudyDate", "20190304")]),
    );
    let series = Header::below(&study, values(&[("SeriesInstanceUID", "1.2.3"), ("Modality", "CT")]));
    let stack = Header::below(&series, values(&[("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2")]));
    let text = "1".repeat(text_bytes);
    let row = |n: u32| FileRow {
        name: FileName::new(format!("{n:06}.dcm").as_bytes()),
        stamp: FileStamp { size: 100, mtime_ns: 5, ctime_ns: 6 },
        digest: None,
        warnings: Warnings::default(),
        sop_instance_uid: format!("1.2.3.{n}").into(),
        stack: Arc::clone(&stack),
        values: values(&[("ContentTime", &text)]),
    };
    let operations = (0..files).map(|n| Operation::Upsert { directory: 0, row: row(n) }).collect();
    RowBatch { shard: shard(), fence: Fence(fence), directories: vec![directory()], operations }
}
