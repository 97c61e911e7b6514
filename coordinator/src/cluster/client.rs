//! Asks the coordinator that leads, whichever it is.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shardex_daemon::net::{self, ChannelSettings, Peer};
use shardex_proto::Fault;
use shardex_proto::v1;
use shardex_proto::v1::coordinator_client::CoordinatorClient;
use shardex_proto::v1::error_detail::Reason;
use shardex_proto::v1::jobs_client::JobsClient;
use tonic::{Code, Response, Status, Streaming};

/// Time for one coordinator to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Time before all are asked again.
const PAUSE: Duration = Duration::from_millis(300);
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// No coordinator gave an answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The leader refuses, and says why.
    #[error("{}", .0.message)]
    Refused(Box<Fault>),
    /// Nobody leads, or nobody can be reached.
    #[error("no coordinator that leads answers ({0}): are the coordinators up, and their etcd?")]
    NoLeader(String),
}

/// The coordinators of a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    peers: Arc<Vec<(ChannelSettings, Mutex<Option<Peer>>)>>,
    /// The one that answered last.
    first: Arc<AtomicUsize>,
    /// How long to look for one that leads.
    patience: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A method of a service.
type Method<R, T> = fn(Peer, R) -> Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>;

macro_rules! calls {
    ($client:ident: $($(#[$doc:meta])* $name:ident($request:ty) -> $answer:ty;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`ClientError`].
            pub async fn $name(&self, request: $request) -> Result<$answer, ClientError> {
                self.ask(request, |peer, request| Box::pin(async move {
                    let client = $client::new(peer).max_decoding_message_size(MESSAGE_BYTES_MAX);
                    let mut client = client.max_encoding_message_size(MESSAGE_BYTES_MAX);
                    client.$name(request).await.map(Response::into_inner)
                }))
                .await
            }
        )*
    };
}

impl Client {
    /// Coordinators that are connected to when they are asked; a call looks for one that leads for
    /// `patience`.
    #[must_use]
    pub fn new(coordinators: Vec<ChannelSettings>, patience: Duration) -> Self {
        let peers = coordinators.into_iter().map(|settings| (settings, Mutex::new(None))).collect();
        Self { peers: Arc::new(peers), first: Arc::default(), patience }
    }

    calls! { CoordinatorClient:
        /// Says a worker's report.
        report(v1::WorkerReport) -> v1::WorkerOrders;
        /// The owners of shards; new ones get one.
        locate(v1::LocateRequest) -> v1::ShardMap;
        /// The map, and each later one.
        watch_map(v1::WatchMapRequest) -> Streaming<v1::ShardMap>;
    }

    calls! { JobsClient:
        /// Orders an ingest.
        submit(v1::SubmitRequest) -> v1::Job;
        /// The last jobs.
        list(v1::ListJobsRequest) -> v1::ListJobsReply;
        /// One job.
        show(v1::JobRequest) -> v1::Job;
        /// Gives out no further units of a job.
        pause(v1::JobRequest) -> v1::Job;
        /// Goes on with a job.
        resume(v1::JobRequest) -> v1::Job;
        /// Ends a job.
        cancel(v1::JobRequest) -> v1::Job;
        /// Tries again what was given up.
        retry(v1::JobRequest) -> v1::Job;
        /// All workers.
        workers(v1::WorkersRequest) -> v1::WorkersReply;
        /// Gives a worker up.
        forget_worker(v1::ForgetWorkerRequest) -> v1::WorkersReply;
        /// Has a worker's shards moved to others.
        drain_worker(v1::WorkerRequest) -> v1::WorkersReply;
        /// Takes that back.
        undrain_worker(v1::WorkerRequest) -> v1::WorkersReply;
        /// Makes a worker home.
        make_home(v1::WorkerRequest) -> v1::WorkersReply;
        /// Splits a shard.
        split_shard(v1::SplitShardRequest) -> v1::ShardStatus;
        /// Moves a shard.
        move_shard(v1::MoveShardRequest) -> v1::ShardStatus;
        /// Evens out what workers hold.
        rebalance(v1::RebalanceRequest) -> v1::RebalanceReply;
        /// All shards.
        shards(v1::ShardsRequest) -> v1::ShardsReply;
        /// Has the map made anew.
        recover(v1::RecoverRequest) -> v1::RecoverReply;
    }

    async fn ask<R: Clone, T>(&self, request: R, method: Method<R, T>) -> Result<T, ClientError> {
        let last = Mutex::new("none was named".to_owned());
        let answer = tokio::time::timeout(self.patience, self.look(request, method, &last)).await;
        answer.unwrap_or_else(|_| {
            Err(ClientError::NoLeader(last.into_inner().unwrap_or_else(PoisonError::into_inner)))
        })
    }

    /// Asks one after the other until one leads. `last` gets why the last one did not answer.
    async fn look<R: Clone, T>(
        &self,
        request: R,
        method: Method<R, T>,
        last: &Mutex<String>,
    ) -> Result<T, ClientError> {
        loop {
            let first = self.first.load(Ordering::Relaxed);
            for offset in 0..self.peers.len() {
                let number = (first + offset) % self.peers.len();
                match self.ask_one(number, request.clone(), method).await {
                    Ok(answer) => {
                        self.first.store(number, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Err(Asked::Refused(fault)) => return Err(ClientError::Refused(fault)),
                    Err(Asked::Next(text)) => *last.lock().unwrap_or_else(PoisonError::into_inner) = text,
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask_one<R, T>(&self, number: usize, request: R, method: Method<R, T>) -> Result<T, Asked> {
        let peer = self.peer(number).await.map_err(|error| Asked::Next(error.to_string()))?;
        let answer = tokio::time::timeout(ANSWER_MAX, method(peer, request)).await;
        let status = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(status)) => status,
            Err(_) => Status::deadline_exceeded("it does not answer"),
        };
        let fault = Fault::from(status);
        // A leader that refuses to lead is the one to hear.
        let is_elsewhere = fault.reason() != Reason::StoreFailed
            && matches!(
                fault.code,
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
            );
        if is_elsewhere {
            self.peers[number].1.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err(Asked::Next(fault.message))
        } else {
            Err(Asked::Refused(Box::new(fault)))
        }
    }

    async fn peer(&self, number: usize) -> Result<Peer, net::Error> {
        let (settings, kept) = &self.peers[number];
        let known = kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(peer) = known {
            return Ok(peer);
        }
        let peer = net::connect(settings).await?;
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(peer.clone());
        Ok(peer)
    }
}

/// Why one coordinator gave no answer.
enum Asked {
    /// It is not the one to ask.
    Next(String),
    /// It is, and refuses.
    Refused(Box<Fault>),
}
