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
use super::machine::{Change, Refusal, State};
use super::task::{Asking, Leading, Moment, Unanswered};

/// Bytes of a report: a hundred thousand shards fit.
const REQUEST_BYTES_MAX: usize = 16 << 20;
const JOBS_DEFAULT: u32 = 20;

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
    /// Time between reports of a worker; a few of them fit into a lease.
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
    map: watch::Receiver<Arc<v1::ShardMap>>,
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
        let (to_map, map) = watch::channel(Arc::default());
        let settings = Arc::new(settings);
        let leader = {
            let settings = Arc::clone(&settings);
            move |store| Leading {
                store,
                clock: Arc::clone(&clock),
                lease: settings.lease,
                placement: settings.placement.clone(),
                chance: settings.chance,
                map: to_map.clone(),
            }
        };
        let running = tokio::spawn(election::run(keeper, leader, to_leading, stop));
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
        decide: impl FnOnce(&mut State, &Moment) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let not_leading = || Fault::new(Reason::NotLeader, "this coordinator does not lead: ask another one");
        let asking = self.leading.borrow().clone();
        let asking = asking.ok_or_else(not_leading)?;
        match asking.ask(decide).await {
            Ok(answer) => Ok(Response::new(answer)),
            Err(Unanswered::NotLeading) => Err(not_leading().into()),
            Err(Unanswered::Refused(refusal)) => {
                Err(Fault::new(reason(&refusal), refusal.to_string()).into())
            }
        }
    }

    async fn change(
        &self,
        request: Request<v1::JobRequest>,
        change: Change,
    ) -> Result<Response<v1::Job>, Status> {
        let number = request.into_inner().job;
        self.ask(move |state, moment| {
            state.change(number, change, moment.now_ns)?;
            job(state, number)
        })
        .await
    }
}

fn reason(refusal: &Refusal) -> Reason {
    match refusal {
        Refusal::NoJob(_) | Refusal::NoWorker(_) => Reason::NotFound,
        Refusal::NoOwner => Reason::Busy,
        _ => Reason::Refused,
    }
}

fn nonsense(why: &'static str) -> Status {
    Fault::new(Reason::BadRequest, why).into()
}

fn job(state: &State, number: u64) -> Result<v1::Job, Refusal> {
    state.jobs.get(&number).map(convert::job_out).ok_or(Refusal::NoJob(number))
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[tonic::async_trait]
impl Coordinator for ClusterService {
    async fn report(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportReply>, Status> {
        let request = request.into_inner();
        if request.schema_digest[..] != self.settings.schema_digest[..] {
            let text =
                "the worker's table of attributes is not the coordinator's: run the same version of shardex";
            return Err(Fault::new(Reason::OtherProtocol, text).into());
        }
        let known_map = request.map_version;
        let report = convert::report_in(request).map_err(nonsense)?;
        let settings = Arc::clone(&self.settings);
        self.ask(move |state, moment| {
            let reply = state.report(&report, &moment.timing, moment.now, moment.jitter)?;
            Ok(v1::ReportReply {
                lease_ms: millis(settings.lease),
                report_interval_ms: millis(settings.report_interval),
                granted: reply.granted.iter().map(|grant| convert::grant_out(state, grant)).collect(),
                dropped: reply.dropped,
                split_wanted: reply.split_wanted,
                split_done: reply.split_done,
                fences: convert::fences(state),
                map: (known_map != state.cluster.map_version).then(|| convert::map(state)),
                last_fence: state.cluster.last_fence,
                domains: convert::domains(state),
                placement: state.cluster.placement.clone().unwrap_or_default(),
            })
        })
        .await
    }

    async fn locate(&self, request: Request<v1::LocateRequest>) -> Result<Response<v1::ShardMap>, Status> {
        let shards = request.into_inner().shards;
        let is_sound =
            shards.len() <= 1000 && shards.iter().all(|shard| shardex_catalog::ShardId::new(shard).is_ok());
        if !is_sound {
            return Err(nonsense("at most 1,000 shards, each `<partition>/<bucket>`"));
        }
        self.ask(move |state, moment| {
            state.locate(&shards, moment.now)?;
            Ok(convert::map(state))
        })
        .await
    }

    type WatchMapStream = Pin<Box<dyn Stream<Item = Result<v1::ShardMap, Status>> + Send>>;

    async fn watch_map(
        &self,
        _request: Request<v1::WatchMapRequest>,
    ) -> Result<Response<Self::WatchMapStream>, Status> {
        // Asked once, so that who does not lead says so.
        self.ask(|_, _| Ok(())).await?;
        let leading = self.leading.clone();
        let maps = WatchStream::new(self.map.clone())
            .map_while(move |map| leading.borrow().is_some().then(|| Ok((*map).clone())));
        Ok(Response::new(Box::pin(maps)))
    }
}

#[tonic::async_trait]
impl Jobs for ClusterService {
    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::Job>, Status> {
        let order = convert::order_in(request.into_inner()).map_err(nonsense)?;
        self.ask(move |state, moment| {
            let number = state.submit(&order, moment.now_ns)?;
            job(state, number)
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
        self.ask(move |state, _| {
            let jobs = state.jobs.values().rev().take(limit as usize).map(convert::job_out).collect();
            Ok(v1::ListJobsReply { jobs })
        })
        .await
    }

    async fn show(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::Job>, Status> {
        let number = request.into_inner().job;
        self.ask(move |state, _| job(state, number)).await
    }

    async fn pause(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::Job>, Status> {
        self.change(request, Change::Pause).await
    }

    async fn resume(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::Job>, Status> {
        self.change(request, Change::Resume).await
    }

    async fn cancel(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::Job>, Status> {
        self.change(request, Change::Cancel).await
    }

    async fn retry(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::Job>, Status> {
        self.change(request, Change::Retry).await
    }

    async fn workers(&self, _: Request<v1::WorkersRequest>) -> Result<Response<v1::WorkersReply>, Status> {
        self.ask(|state, moment| Ok(convert::workers_out(state, moment.now))).await
    }

    async fn forget_worker(
        &self,
        request: Request<v1::ForgetWorkerRequest>,
    ) -> Result<Response<v1::WorkersReply>, Status> {
        let worker = request.into_inner().worker;
        self.ask(move |state, moment| {
            state.forget_worker(&worker, moment.now)?;
            Ok(convert::workers_out(state, moment.now))
        })
        .await
    }

    async fn shards(&self, request: Request<v1::ShardsRequest>) -> Result<Response<v1::ShardsReply>, Status> {
        let request = request.into_inner();
        self.ask(move |state, moment| {
            Ok(convert::shards_out(state, &request.after, request.limit, moment.now))
        })
        .await
    }
}
