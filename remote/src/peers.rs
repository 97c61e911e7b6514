//! Finding the owner of a store and calling it.

use std::collections::HashMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shardex_catalog::{Fence, ShardId, StoreId};
use shardex_daemon::net::{self, ChannelSettings, KeepAlive, Peer};
use shardex_proto::Fault;
use shardex_proto::v1::store_client::StoreClient;
use shardex_proto::v1::{self, Writer};
use shardex_seams::{Ledger, Registry, ShardWriter, StoreError};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tonic::{Response, Status};

use crate::ledger::RemoteLedger;
use crate::local::LocalStores;
use crate::map::{Locator, Map};
use crate::registry::RemoteRegistry;
use crate::shards::RemoteShards;
use crate::status;

/// An owner that is gone must not hold up a reader for long.
const KEEP_ALIVE: KeepAlive = KeepAlive { every: Duration::from_secs(1), wait: Duration::from_secs(2) };
/// Time for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// First and longest pause before another try.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Time in which a worker that owns nothing yet must hear of a unit.
const IDLE_OWNER_MAX: Duration = Duration::from_secs(2);
/// Owners at which a unit begins at once.
const BEGINS_MAX: usize = 64;
/// Batches and records are bounded far below.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Channels to workers, by URL, kept.
pub struct Peers {
    settings: Box<dyn Fn(&str) -> ChannelSettings + Send + Sync>,
    kept: Mutex<HashMap<String, Peer>>,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").finish_non_exhaustive()
    }
}

impl Peers {
    /// Channels with the settings that each URL needs.
    #[must_use]
    pub fn new(settings: impl Fn(&str) -> ChannelSettings + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { settings: Box::new(settings), kept: Mutex::default() })
    }

    async fn client(&self, url: &str) -> Result<StoreClient<Peer>, net::Error> {
        let known = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned();
        let peer = match known {
            Some(peer) => peer,
            None => {
                let peer = net::connect_with(&(self.settings)(url), KEEP_ALIVE).await?;
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned(), peer.clone());
                peer
            }
        };
        let client = StoreClient::new(peer).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(client.max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    fn forget(&self, url: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(url);
    }
}

/// A method of the service.
pub(crate) type Method<R, T> = fn(crate::Client, R) -> Answer<T>;

/// Its answer.
type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

/// Calls owners, wherever they are.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) peers: Arc<Peers>,
    pub(crate) locator: Arc<dyn Locator>,
    /// How long to try what may succeed later.
    pub(crate) patience: Duration,
    /// Where calls run. Connections belong to the runtime on which they are made, and a unit's own
    /// ends with the unit.
    pub(crate) handle: Handle,
    /// The stores of this process, which need no call.
    pub(crate) local: Option<LocalStores>,
}

/// What one try gave.
enum Tried<T> {
    Done(T),
    Failed(StoreError),
    /// Perhaps later, perhaps elsewhere.
    Later(StoreError),
}

impl Caller {
    /// Calls the owner of a store until it answers, or patience is over.
    ///
    /// # Cancel safety
    /// Dropped, the call may or may not be made.
    pub(crate) async fn call<R: Clone + Send + Sync + 'static, T: Send + 'static>(
        &self,
        target: StoreId,
        request: R,
        method: Method<R, T>,
    ) -> Result<T, StoreError> {
        let caller = self.clone();
        let call = self.handle.spawn(async move { caller.try_owner(&target, request, method).await });
        call.await.unwrap_or(Err(StoreError::Closed))
    }

    /// As [`Caller::call`], of a thread that waits. It may be a reader's, or run a task of a runtime of its
    /// own, in which no other can be entered.
    pub(crate) fn call_blocking<R: Clone + Send + Sync + 'static, T: Send + 'static>(
        &self,
        target: StoreId,
        request: R,
        method: Method<R, T>,
    ) -> Result<T, StoreError> {
        let caller = self.clone();
        self.block(async move { caller.try_owner(&target, request, method).await })
    }

    /// Waits for work on the runtime of calls.
    pub(crate) fn block<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (to, answer) = std::sync::mpsc::sync_channel(1);
        self.handle.spawn(async move {
            // Nobody listens where the caller is gone.
            let _ = to.send(work.await);
        });
        answer.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// A map in which these shards have owners; without shards, the newest.
    pub(crate) async fn locate(&self, shards: Vec<ShardId>) -> Result<Arc<Map>, StoreError> {
        let locator = Arc::clone(&self.locator);
        let call = self.handle.spawn(async move { locator.locate(&shards).await });
        call.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(crate) async fn try_owner<R: Clone, T>(
        &self,
        target: &StoreId,
        request: R,
        method: Method<R, T>,
    ) -> Result<T, StoreError> {
        let mut give_up = pin!(tokio::time::sleep(self.patience));
        let mut pause = PAUSE;
        let mut map = self.locator.map();
        loop {
            let tried = match owner(&map, target) {
                Some((worker, url)) => self.once(worker, url, request.clone(), method).await,
                None => Tried::Later(nobody(target)),
            };
            let error = match tried {
                Tried::Done(answer) => return Ok(answer),
                Tried::Failed(error) => return Err(error),
                Tried::Later(error) => error,
            };
            tokio::select! {
                biased;
                () = &mut give_up => return Err(error),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
            let wanted = match target {
                StoreId::Shard(shard) => std::slice::from_ref(shard),
                StoreId::Home => &[],
            };
            // Without a leader, the owner may still be the one that is known.
            if let Ok(newer) = self.locator.locate(wanted).await {
                map = newer;
            }
        }
    }

    /// Calls a worker, whatever it owns.
    pub(crate) async fn call_worker<R: Clone, T>(
        &self,
        worker: &str,
        request: R,
        method: Method<R, T>,
    ) -> Result<T, StoreError> {
        let mut give_up = pin!(tokio::time::sleep(self.patience));
        loop {
            let map = self.locator.map();
            // A worker that was given up meanwhile owns nothing.
            let url = map
                .urls
                .get(worker)
                .ok_or_else(|| unreachable(worker, "it is no longer part of the cluster"))?;
            let error = match self.once(worker, url, request.clone(), method).await {
                Tried::Done(answer) => return Ok(answer),
                Tried::Failed(error) => return Err(error),
                Tried::Later(error) => error,
            };
            tokio::select! {
                biased;
                () = &mut give_up => return Err(error),
                () = tokio::time::sleep(PAUSE * 4) => {}
            }
            let _ = self.locator.locate(&[]).await;
        }
    }

    /// Begins a unit's session at the stores of one owner.
    async fn begin_at(&self, worker: &str, writer: Writer, owns_nothing: bool) -> Result<(), StoreError> {
        let begun = self.call_worker(worker, writer, |mut client, request| {
            Box::pin(async move { client.begin(request).await })
        });
        if owns_nothing {
            // It may be gone for good. If it is given a shard before it has heard of the unit, it refuses the unit's
            // rows, and the unit begins anew.
            let _ = tokio::time::timeout(IDLE_OWNER_MAX, begun).await;
            return Ok(());
        }
        begun.await.map(|v1::Done {}| ())
    }

    async fn once<R, T>(&self, worker: &str, url: &str, request: R, method: Method<R, T>) -> Tried<T> {
        let client = match self.peers.client(url).await {
            Ok(client) => client,
            Err(error) => return Tried::Later(unreachable(worker, &error.to_string())),
        };
        let fault = match tokio::time::timeout(ANSWER_MAX, method(client, request)).await {
            Ok(Ok(answer)) => return Tried::Done(answer.into_inner()),
            Ok(Err(status)) => Fault::from(status),
            Err(_) => {
                self.peers.forget(url);
                return Tried::Later(unreachable(worker, "it does not answer"));
            }
        };
        if status::may_retry(&fault) {
            self.peers.forget(url);
            Tried::Later(unreachable(worker, &fault.message))
        } else {
            Tried::Failed(status::back(fault, worker))
        }
    }
}

fn owner<'m>(map: &'m Map, target: &StoreId) -> Option<(&'m str, &'m str)> {
    let worker = map.owner(target)?;
    Some((worker, map.urls.get(worker)?))
}

fn nobody(target: &StoreId) -> StoreError {
    let store = match target {
        StoreId::Shard(shard) => format!("shard {shard}"),
        StoreId::Home => "the ledger".to_owned(),
    };
    StoreError::Away { store, detail: "no worker owns it; start one that owns stores".to_owned() }
}

pub(crate) fn unreachable(worker: &str, why: &str) -> StoreError {
    StoreError::Away { store: format!("worker {worker}"), detail: why.to_owned() }
}

/// All stores of a cluster, as one unit uses them.
pub struct RemoteStores {
    caller: Caller,
    writer: Writer,
}

/// Waits for the next of those that begin.
async fn begun(beginning: &mut JoinSet<Result<(), StoreError>>) -> Result<(), StoreError> {
    let next = beginning.join_next().await;
    next.map_or(Ok(()), |begun| begun.map_err(|_| StoreError::Closed)?)
}

impl RemoteStores {
    /// The stores for a unit with a fence. What may succeed later is tried for `patience`. Calls run on
    /// `handle`'s runtime, whatever runtime or thread makes them.
    #[must_use]
    pub fn new(
        peers: Arc<Peers>,
        locator: Arc<dyn Locator>,
        unit: u64,
        fence: Fence,
        patience: Duration,
        handle: Handle,
    ) -> Self {
        let caller = Caller { peers, locator, patience, handle, local: None };
        Self { caller, writer: Writer { unit, fence: fence.0 } }
    }

    /// Uses the stores of this process without a call where they are the ones that are meant.
    #[must_use]
    pub fn with_local(mut self, local: Option<LocalStores>) -> Self {
        self.caller.local = local;
        self
    }

    /// Begins the unit's session at every store, at many at once: most have to ask the leader first, who has given the fence
    /// just now.
    ///
    /// # Errors
    /// [`StoreError`] if one does not answer, or knows a higher fence: the unit must not read then.
    ///
    /// # Cancel safety
    /// Dropped, some stores may know the session; beginning again is harmless.
    pub async fn begin(&self) -> Result<(), StoreError> {
        let map = self.caller.locator.locate(&[]).await?;
        let mut beginning = JoinSet::new();
        for worker in map.owners() {
            if beginning.len() >= BEGINS_MAX {
                begun(&mut beginning).await?;
            }
            let (caller, writer) = (self.caller.clone(), self.writer);
            let (worker, owns_nothing) = (worker.to_owned(), map.owns_nothing(worker));
            beginning.spawn(async move { caller.begin_at(&worker, writer, owns_nothing).await });
        }
        while !beginning.is_empty() {
            begun(&mut beginning).await?;
        }
        Ok(())
    }

    /// The shards.
    #[must_use]
    pub fn shards(&self) -> Arc<dyn ShardWriter> {
        Arc::new(RemoteShards { caller: self.caller.clone(), writer: self.writer })
    }

    /// The registry.
    #[must_use]
    pub fn registry(&self) -> Arc<dyn Registry> {
        Arc::new(RemoteRegistry { caller: self.caller.clone(), writer: self.writer })
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(RemoteLedger { caller: self.caller.clone(), writer: self.writer })
    }
}
