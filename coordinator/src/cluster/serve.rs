//! The services `shardex.v1.Coordinator` and `shardex.v1.Jobs`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use shardex_proto::Fault;
use shardex_proto::v1;
use shardex_proto::v1::coordinator_server::{Coordinator, CoordinatorServer};
use shardex_proto::v1::error_detail::Reason;
use shardex_proto::v1::jobs_server::{Jobs, JobsServer};
use shardex_seams::{Clock, StateStore};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::convert;
use super::election;
use super::etcd::EtcdSettings;
use super::machine::{Limits, Map, Moment, Refusal, State};
use super::task::{Asking, Leading, Unanswered};

/// Bytes of a report: a hundred thousand shards fit.
const REQUEST_BYTES_MAX: usize = 16 << 20;
const JOBS_DEFAULT: u32 = 20;
/// Failed attempts of a unit, and lost holders, before it is given up.
const FAILURES_MAX: u32 = 5;
const LOSSES_MAX: u32 = 20;
/// Jobs that have ended and are remembered.
const ENDED_MAX: usize = 100;
/// Jobs that have not ended; a change of all of them fits into a transaction.
const OPEN_MAX: usize = 50;

/// Where the state is kept, and so who leads.
#[derive(Clone)]
pub enum StateKeeper {
    /// In a store of this machine: the only coordinator, which leads at once.
    Alone(Arc<dyn StateStore>),
    /// In etcd: the one that is elected leads.
    Etcd(EtcdSettings),
}

/// How a coordinator leads.
#[derive(Clone)]
pub struct ClusterSettings {
    /// How long what a worker holds is its own after a report.
    pub lease: Duration,
    /// Time between reports of a worker, at most; a few of them fit into a lease.
    pub report_interval: Duration,
    /// How studies are placed, for a cluster that does not know it yet.
    pub placement: Option<String>,
    /// Digest of the table of attributes; workers of another one are refused.
    pub schema_digest: Vec<u8>,
    /// Numbers from 0 to 1, by chance.
    pub chance: fn() -> f64,
}

/// A coordinator's services. They refuse all calls while it does not lead.
#[derive(Clone)]
pub struct ClusterService {
    leading: watch::Receiver<Option<Asking>>,
    map: watch::Receiver<Option<Arc<Map>>>,
    settings: Arc<ClusterSettings>,
}

impl ClusterService {
    /// Names of the services, as health and reflection know them.
    pub const NAMES: [&str; 2] = [v1::coordinator_server::SERVICE_NAME, v1::jobs_server::SERVICE_NAME];

    /// Begins to lead, or to stand by, until `stop` says so. Must be called on a runtime.
    #[must_use]
    pub fn start(
        settings: ClusterSettings,
        keeper: StateKeeper,
        clock: Arc<dyn Clock>,
        stop: watch::Receiver<bool>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (to_leading, leading) = watch::channel(None);
        let (to_map, map) = watch::channel(None);
        let settings = Arc::new(settings);
        let leader = {
            let (settings, clock) = (Arc::clone(&settings), Arc::clone(&clock));
            move |store, until| Leading {
                store,
                until,
                clock: Arc::clone(&clock),
                limits: limits(&settings),
                placement: settings.placement.clone(),
                chance: settings.chance,
                map: to_map.clone(),
            }
        };
        let running = tokio::spawn(election::run(keeper, clock, leader, to_leading, stop));
        (Self { leading, map, settings }, running)
    }

    /// As what a server serves.
    #[must_use]
    pub fn routes(self) -> Routes {
        let coordinator = CoordinatorServer::new(self.clone()).max_decoding_message_size(REQUEST_BYTES_MAX);
        Routes::new(coordinator).add_service(JobsServer::new(self))
    }

    async fn ask<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut State, Moment) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        answered(self.leader()?.ask(decide).await)
    }

    fn leader(&self) -> Result<Asking, Status> {
        let asking = self.leading.borrow().clone();
        asking.ok_or_else(|| not_leading().into())
    }

    /// Does something to a job, and shows it.
    async fn change(
        &self,
        request: Request<v1::JobRequest>,
        change: impl FnOnce(&mut State, u64, Moment) -> Result<(), Refusal> + Send + 'static,
    ) -> Result<Response<v1::Job>, Status> {
        let number = request.into_inner().job;
        self.ask(move |state, now| {
            change(state, number, now)?;
            job(state, number, now)
        })
        .await
    }
}

fn not_leading() -> Fault {
    Fault::new(Reason::NotLeader, "this coordinator does not lead: ask another one")
}

fn answered<T>(answer: Result<T, Unanswered>) -> Result<Response<T>, Status> {
    match answer {
        Ok(answer) => Ok(Response::new(answer)),
        Err(Unanswered::NotLeading) => Err(not_leading().into()),
        Err(Unanswered::Refused(refusal)) => Err(Fault::new(reason(&refusal), refusal.to_string()).into()),
    }
}

fn limits(settings: &ClusterSettings) -> Limits {
    Limits {
        lease: settings.lease,
        failures_max: FAILURES_MAX,
        losses_max: LOSSES_MAX,
        ended_max: ENDED_MAX,
        open_max: OPEN_MAX,
        schema_digest: settings.schema_digest.clone(),
    }
}

fn reason(refusal: &Refusal) -> Reason {
    match refusal {
        Refusal::NotFound(_) => Reason::NotFound,
        Refusal::NoOwners | Refusal::Recovering(_) => Reason::Busy,
        Refusal::BadRequest(_) => Reason::BadRequest,
        Refusal::Replaced(_) => Reason::Fenced,
        Refusal::OtherSchema => Reason::OtherProtocol,
        Refusal::Restored { .. } | Refusal::Lost { .. } => Reason::StoreFailed,
        Refusal::Refused(_) => Reason::Refused,
    }
}

fn nonsense(why: String) -> Status {
    Fault::new(Reason::BadRequest, why).into()
}

fn job(state: &State, number: u64, now: Moment) -> Result<v1::Job, Refusal> {
    Ok(convert::job_out(state.job_view(number, now)?))
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[tonic::async_trait]
impl Coordinator for ClusterService {
    async fn report(&self, request: Request<v1::WorkerReport>) -> Result<Response<v1::WorkerOrders>, Status> {
        let report = convert::report_in(request.into_inner()).map_err(nonsense)?;
        let settings = Arc::clone(&self.settings);
        self.ask(move |state, now| {
            let reply = state.report(&report, now)?;
            Ok(v1::WorkerOrders {
                lease_ms: millis(settings.lease),
                report_interval_ms: millis(state.next_report(settings.report_interval, now)),
                last_fence: state.durable.cluster.last_fence,
                domains: convert::domains(state),
                cluster_id: state.durable.cluster.id.clone(),
                is_recovering: state.durable.cluster.recovering.is_some(),
                ..convert::reply_out(reply)
            })
        })
        .await
    }

    async fn locate(&self, request: Request<v1::LocateRequest>) -> Result<Response<v1::ShardMap>, Status> {
        let shards = convert::shards_in(&request.into_inner()).map_err(nonsense)?;
        self.ask(move |state, now| {
            state.locate(&shards, now)?;
            Ok(convert::map_out(&state.durable.map))
        })
        .await
    }

    type WatchMapStream = Pin<Box<dyn Stream<Item = Result<v1::ShardMap, Status>> + Send>>;

    async fn watch_map(
        &self,
        _request: Request<v1::WatchMapRequest>,
    ) -> Result<Response<Self::WatchMapStream>, Status> {
        // Asked once, so that who does not lead says so.
        self.ask(|state, now| state.is_whole(now)).await?;
        let maps =
            WatchStream::new(self.map.clone()).map_while(|map| map.map(|map| Ok(convert::map_out(&map))));
        Ok(Response::new(Box::pin(maps)))
    }
}

#[tonic::async_trait]
impl Jobs for ClusterService {
    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::Job>, Status> {
        let order = convert::order_in(request.into_inner()).map_err(nonsense)?;
        self.ask(move |state, now| {
            let number = state.submit(order, now)?;
            job(state, number, now)
        })
        .await
    }

    async fn list(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsReply>, Status> {
        let limit = match request.into_inner().limit {
            0 => JOBS_DEFAULT,
            limit => limit,
        };
        self.ask(move |state, now| {
            let jobs = state.job_views(limit as usize, now).into_iter().map(convert::job_out).collect();
            Ok(v1::ListJobsReply { jobs })
        })
        .await
    }

    async fn show(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::Job>, Status> {
        self.change(request, |_, _, _| Ok(())).await
    }

    async fn pause(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::Job>, Status> {
        self.change(request, |state, job, _| state.pause(job)).await
    }

    async fn resume(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::Job>, Status> {
        self.change(request, |state, job, _| state.resume(job)).await
    }

    async fn cancel(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::Job>, Status> {
        self.change(request, |state, job, now| state.cancel(job, now)).await
    }

    async fn retry(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::Job>, Status> {
        self.change(request, |state, job, _| state.retry(job)).await
    }

    async fn workers(&self, _: Request<v1::WorkersRequest>) -> Result<Response<v1::WorkersReply>, Status> {
        self.ask(|state, now| Ok(convert::workers_out(state, now))).await
    }

    async fn forget_worker(
        &self,
        request: Request<v1::ForgetWorkerRequest>,
    ) -> Result<Response<v1::WorkersReply>, Status> {
        let worker = convert::worker_in(&request.into_inner().worker).map_err(nonsense)?;
        self.ask(move |state, now| {
            state.forget_worker(&worker, now)?;
            Ok(convert::workers_out(state, now))
        })
        .await
    }

    async fn drain_worker(
        &self,
        request: Request<v1::WorkerRequest>,
    ) -> Result<Response<v1::WorkersReply>, Status> {
        let worker = convert::worker_in(&request.into_inner().worker).map_err(nonsense)?;
        self.ask(move |state, now| {
            state.drain_worker(&worker, now)?;
            Ok(convert::workers_out(state, now))
        })
        .await
    }

    async fn undrain_worker(
        &self,
        request: Request<v1::WorkerRequest>,
    ) -> Result<Response<v1::WorkersReply>, Status> {
        let worker = convert::worker_in(&request.into_inner().worker).map_err(nonsense)?;
        self.ask(move |state, now| {
            state.undrain_worker(&worker)?;
            Ok(convert::workers_out(state, now))
        })
        .await
    }

    async fn make_home(
        &self,
        request: Request<v1::WorkerRequest>,
    ) -> Result<Response<v1::WorkersReply>, Status> {
        let worker = convert::worker_in(&request.into_inner().worker).map_err(nonsense)?;
        self.ask(move |state, now| {
            state.make_home(&worker, now)?;
            Ok(convert::workers_out(state, now))
        })
        .await
    }

    async fn move_shard(
        &self,
        request: Request<v1::MoveShardRequest>,
    ) -> Result<Response<v1::ShardStatus>, Status> {
        let request = request.into_inner();
        let shard = convert::shard_in(&request.shard).map_err(nonsense)?;
        let to = convert::worker_in(&request.to).map_err(nonsense)?;
        self.ask(move |state, now| {
            state.move_shard(&shard, &to, now)?;
            Ok(state.shard_view(&shard, now).map(convert::shard_out).unwrap_or_default())
        })
        .await
    }

    async fn split_shard(
        &self,
        request: Request<v1::SplitShardRequest>,
    ) -> Result<Response<v1::ShardStatus>, Status> {
        let shard = convert::shard_in(&request.into_inner().shard).map_err(nonsense)?;
        self.ask(move |state, now| {
            state.split_shard(&shard, now)?;
            Ok(state.shard_view(&shard, now).map(convert::shard_out).unwrap_or_default())
        })
        .await
    }

    async fn rebalance(
        &self,
        _: Request<v1::RebalanceRequest>,
    ) -> Result<Response<v1::RebalanceReply>, Status> {
        self.ask(|state, now| {
            let moves = u32::try_from(state.rebalance(now)?).unwrap_or(u32::MAX);
            Ok(v1::RebalanceReply { moves })
        })
        .await
    }

    async fn shards(&self, request: Request<v1::ShardsRequest>) -> Result<Response<v1::ShardsReply>, Status> {
        let request = request.into_inner();
        self.ask(move |state, now| Ok(convert::shards_out(state, &request.after, request.limit, now))).await
    }

    async fn recover(
        &self,
        request: Request<v1::RecoverRequest>,
    ) -> Result<Response<v1::RecoverReply>, Status> {
        let accepts_lost = request.into_inner().accept_lost_shards;
        let recover = move |state: &mut State, now: Moment| {
            state.recover(accepts_lost, now);
            let shards = u32::try_from(state.durable.map.shards.len()).unwrap_or(u32::MAX);
            Ok(v1::RecoverReply { waits_for: state.recovery_waits(now).unwrap_or_default(), shards })
        };
        answered(self.leader()?.mend(recover).await)
    }
}
