//! Finding the owner of a store and calling it.

use std::collections::HashMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shardex_catalog::{ShardId, StoreId};
use shardex_daemon::net::{self, ChannelSettings, KeepAlive, Peer};
use shardex_proto::Fault;
use shardex_proto::v1::store_client::StoreClient;
use shardex_seams::StoreError;
use tokio::runtime::Handle;
use tonic::{Response, Status};

use crate::absent::{Absent, Effort};
use crate::local::LocalStores;
use crate::map::{Locator, Map};
use crate::status;

/// An owner that is gone must not hold up a reader for long.
const KEEP_ALIVE: KeepAlive = KeepAlive { every: Duration::from_secs(1), wait: Duration::from_secs(2) };
/// Time for a connection, its handshakes included.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Time for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// First and longest pause before another try.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
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
                let settings = (self.settings)(url);
                let connected = tokio::time::timeout(CONNECT_MAX, net::connect_with(&settings, KEEP_ALIVE));
                let silent = || net::Error::Unreachable {
                    url: settings.url.clone(),
                    detail: format!("no connection within {} s", CONNECT_MAX.as_secs()),
                };
                let peer = connected.await.unwrap_or_else(|_| Err(silent()))?;
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
    /// Owners that were waited for in vain, where those who ask many shards shall not wait for each.
    pub(crate) absent: Option<Arc<Absent>>,
}

/// What one try gave.
enum Tried<T> {
    Done(T),
    Failed(StoreError),
    /// Perhaps later, perhaps elsewhere.
    Later(StoreError),
    /// Perhaps later, as anything that this worker is asked: why it does not serve.
    Silent(String),
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
            let owner = owner(&map, target);
            let tried = match owner {
                Some((worker, url)) => self.visit(worker, url, request.clone(), method).await,
                None => Tried::Later(nobody(target)),
            };
            let (error, silence) = match tried {
                Tried::Done(answer) => return Ok(answer),
                Tried::Failed(error) => return Err(error),
                Tried::Later(error) => (error, None),
                Tried::Silent(why) => (unreachable(owner.unwrap_or_default().0, &why), Some(why)),
            };
            tokio::select! {
                biased;
                () = &mut give_up => {
                    if let (Some((_, url)), Some(why), Some(absent)) = (owner, silence, &self.absent) {
                        absent.missed(url, why);
                    }
                    return Err(error);
                }
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
                Tried::Silent(why) => unreachable(worker, &why),
            };
            tokio::select! {
                biased;
                () = &mut give_up => return Err(error),
                () = tokio::time::sleep(PAUSE * 4) => {}
            }
            let _ = self.locator.locate(&[]).await;
        }
    }

    /// [`Caller::once`], if the worker was not waited for in vain just now.
    async fn visit<R, T>(&self, worker: &str, url: &str, request: R, method: Method<R, T>) -> Tried<T> {
        let Some(absent) = &self.absent else {
            return self.once(worker, url, request, method).await;
        };
        let effort = absent.effort(url);
        if let Effort::None(why) = effort {
            return Tried::Failed(unreachable(worker, &why));
        }
        match self.once(worker, url, request, method).await {
            Tried::Silent(why) if effort == Effort::Once => {
                let error = unreachable(worker, &why);
                absent.missed(url, why);
                Tried::Failed(error)
            }
            Tried::Silent(why) => Tried::Silent(why),
            answered => {
                absent.answered(url);
                answered
            }
        }
    }

    async fn once<R, T>(&self, worker: &str, url: &str, request: R, method: Method<R, T>) -> Tried<T> {
        let client = match self.peers.client(url).await {
            Ok(client) => client,
            Err(error) => return Tried::Silent(error.to_string()),
        };
        let fault = match tokio::time::timeout(ANSWER_MAX, method(client, request)).await {
            Ok(Ok(answer)) => return Tried::Done(answer.into_inner()),
            Ok(Err(status)) => Fault::from(status),
            Err(_) => {
                self.peers.forget(url);
                return Tried::Silent("it does not answer".to_owned());
            }
        };
        if status::may_retry(&fault) {
            self.peers.forget(url);
            if status::is_of_one_store(&fault) {
                Tried::Later(unreachable(worker, &fault.message))
            } else {
                Tried::Silent(fault.message)
            }
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
