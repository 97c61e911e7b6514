//! Coordinators as workers and operators meet them: over the network.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use shardex_coordinator::cluster::{
    Client, ClientError, ClusterService, ClusterSettings, EtcdStore, StateKeeper, recover,
};
use shardex_daemon::SystemClock;
use shardex_daemon::net::{ChannelSettings, Server, ServerSettings};
use shardex_proto::v1::error_detail::Reason;
use shardex_proto::v1::unit_report::End;
use shardex_proto::v1::{
    HeldShard, Holdings, JobRequest, JobSource, LocateRequest, SourceMount, SubmitRequest, UnitFinished,
    UnitKind, UnitReport, WatchMapRequest, WorkerOrders, WorkerReport, WorkersRequest,
};
use shardex_seams::StateStore;
use shardex_shard_store::StateFile;
use support::Etcd;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

const LEASE: Duration = Duration::from_secs(2);
/// Longer than an etcd lease, which a killed leader leaves behind.
const PATIENCE: Duration = Duration::from_secs(60);

/// A coordinator in this process.
struct Coordinator {
    url: String,
    stop: watch::Sender<bool>,
    stop_server: mpsc::Sender<()>,
    running: JoinHandle<()>,
    serving: JoinHandle<()>,
}

impl Coordinator {
    async fn start(keeper: StateKeeper) -> Self {
        let settings = ClusterSettings {
            lease: LEASE,
            report_interval: Duration::from_millis(100),
            placement: None,
            schema_digest: b"table".to_vec(),
            chance: || 0.5,
        };
        let (stop, stopped) = watch::channel(false);
        let (service, running) = ClusterService::start(settings, keeper, Arc::new(SystemClock), stopped);
        let server = Server::bind(&ServerSettings::new("127.0.0.1:0")).await.expect("it binds");
        let url = format!("http://{}", server.address());
        let (stop_server, words) = mpsc::channel(2);
        let serving = tokio::spawn(async move {
            let served = server.serve(service.routes(), &ClusterService::NAMES, words).await;
            served.expect("it serves");
        });
        Self { url, stop, stop_server, running, serving }
    }

    async fn end(self) {
        self.stop.send_replace(true);
        self.running.await.expect("no panic");
        // Twice: streams need not be waited for.
        let _ = self.stop_server.send(()).await;
        let _ = self.stop_server.send(()).await;
        self.serving.await.expect("no panic");
    }
}

fn client(coordinators: &[&Coordinator]) -> Client {
    let settings = |coordinator: &&Coordinator| ChannelSettings {
        url: coordinator.url.clone(),
        ..ChannelSettings::default()
    };
    Client::new(coordinators.iter().map(settings).collect(), PATIENCE)
}

fn report(worker: &str, free_slots: u32, units: Vec<UnitReport>) -> WorkerReport {
    WorkerReport {
        worker: worker.to_owned(),
        session: 1,
        url: format!("http://{worker}"),
        sources: vec![SourceMount { name: "north".to_owned(), root_entries: 3, ..SourceMount::default() }],
        holdings: Some(Holdings::default()),
        free_slots,
        units,
        schema_digest: b"table".to_vec().into(),
        ..WorkerReport::default()
    }
}

fn submit() -> SubmitRequest {
    let source = JobSource { name: "north".to_owned(), ..JobSource::default() };
    SubmitRequest { sources: vec![source], ..SubmitRequest::default() }
}

/// Reports that everything that was granted is done.
fn done(reply: &WorkerOrders) -> Vec<UnitReport> {
    let finished = |unit: u64, fence: u64| UnitReport {
        unit,
        fence,
        end: Some(End::Finished(UnitFinished::default())),
        ..UnitReport::default()
    };
    reply.granted.iter().map(|grant| finished(grant.unit, grant.fence)).collect()
}

/// Works until a job has ended; the kinds of its units in their order, and its state.
async fn work(client: &Client, job: u64) -> (Vec<UnitKind>, String) {
    let mut kinds = Vec::new();
    let mut units = Vec::new();
    for _ in 0..100 {
        let reply = client.report(report("w", 1, units)).await.expect("a reply");
        kinds.extend(reply.granted.iter().map(|grant| grant.kind()));
        units = done(&reply);
        let shown = client.show(JobRequest { job }).await.expect("a job");
        if shown.ended_ns.is_some() {
            return (kinds, shown.state);
        }
    }
    panic!("job {job} does not end")
}

const STAGES: [UnitKind; 3] = [UnitKind::Heal, UnitKind::Walk, UnitKind::Finish];

fn alone(folder: &tempfile::TempDir) -> StateKeeper {
    let store = StateFile::open(&folder.path().join("state.sqlite")).expect("it opens");
    StateKeeper::Alone(Arc::new(store))
}

#[tokio::test]
async fn a_single_coordinator_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Coordinator::start(alone(&folder)).await;
    let asking = client(&[&first]);
    let job = asking.submit(submit()).await.expect("a job").job;
    let given = asking.report(report("w", 1, Vec::new())).await.expect("a reply");
    assert_eq!((given.granted.len(), given.granted[0].kind()), (1, UnitKind::Heal));
    first.end().await;

    let second = Coordinator::start(alone(&folder)).await;
    let asking = client(&[&second]);
    let again = asking.report(report("w", 1, Vec::new())).await.expect("a reply");
    assert_eq!(again.granted, given.granted, "who holds a unit keeps it, under its fence");
    let (kinds, state) = work(&asking, job).await;
    assert_eq!((&kinds[..], &*state), (&STAGES[..], "complete"));
    second.end().await;
}

#[tokio::test]
async fn the_map_is_told_when_it_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let coordinator = Coordinator::start(alone(&folder)).await;
    let asking = client(&[&coordinator]);
    let mut maps = asking.watch_map(WatchMapRequest {}).await.expect("a stream");
    assert_eq!(maps.message().await.expect("a map").expect("a map").home, "");
    let refused = asking.locate(LocateRequest { shards: vec!["2019/0".to_owned()] }).await;
    assert!(matches!(refused, Err(ClientError::Refused(_))), "nobody owns stores yet: {refused:?}");
    let mut of_archive = report("w", 0, Vec::new());
    let held = HeldShard { shard: "2018/0".to_owned(), bytes: 1 << 30 };
    of_archive.holdings =
        Some(Holdings { shards: vec![held], is_home: true, highest_fence: 41, ..Holdings::default() });
    let adopted = asking.report(of_archive).await.expect("a reply");
    assert_eq!(adopted.map.expect("a newer map").home, "w");
    assert_eq!(adopted.last_fence, 41, "fences go on above those of the archive");
    let empty = asking.report(report("v", 0, Vec::new())).await.expect("a reply");
    assert_eq!(empty.map.expect("a newer map").shards.len(), 1);
    let located = asking.locate(LocateRequest { shards: vec!["2019/0".to_owned()] }).await.expect("a map");
    let owner = located.shards.iter().find(|shard| shard.shard == "2019/0").expect("it has an owner");
    assert_eq!(owner.owner, "v", "least bytes first");
    while maps.message().await.expect("a map").expect("a map").version < located.version {}
    coordinator.end().await;
}

#[tokio::test]
async fn a_stand_by_takes_over_and_keeps_units() {
    let Some(etcd) = Etcd::start(1).await else { return };
    let first = Coordinator::start(StateKeeper::Etcd(etcd.settings("first"))).await;
    let asking = client(&[&first]);
    let job = asking.submit(submit()).await.expect("a job").job;
    let given = asking.report(report("w", 1, Vec::new())).await.expect("a reply");
    let second = Coordinator::start(StateKeeper::Etcd(etcd.settings("second"))).await;
    let hurried = Client::new(
        vec![ChannelSettings { url: second.url.clone(), ..ChannelSettings::default() }],
        Duration::from_secs(1),
    );
    let refused = hurried.workers(WorkersRequest {}).await.expect_err("it stands by");
    assert!(refused.to_string().contains("does not lead"), "{refused}");

    let mut maps = asking.watch_map(WatchMapRequest {}).await.expect("a stream");
    assert!(maps.message().await.expect("a map").is_some());
    let asking = client(&[&first, &second]);
    first.stop.send_replace(true);
    while let Ok(Some(_)) = maps.message().await {}
    first.end().await;
    let again = asking.report(report("w", 1, Vec::new())).await.expect("a reply");
    assert_eq!(again.granted, given.granted);
    let other = asking.report(report("v", 5, Vec::new())).await.expect("a reply");
    assert!(other.granted.is_empty(), "the unit has a holder");
    let (kinds, state) = work(&asking, job).await;
    assert_eq!((&kinds[..], &*state), (&STAGES[..], "complete"));
    second.end().await;
}

#[tokio::test]
async fn a_leader_without_etcd_answers_nobody() {
    let Some(etcd) = Etcd::start(1).await else { return };
    let leader = Coordinator::start(StateKeeper::Etcd(etcd.settings("a"))).await;
    let asking = client(&[&leader]);
    asking.submit(submit()).await.expect("a job");
    etcd.signal(0, "-STOP");
    let hurried = Client::new(
        vec![ChannelSettings { url: leader.url.clone(), ..ChannelSettings::default() }],
        Duration::from_secs(5),
    );
    let refused = hurried.submit(submit()).await.expect_err("nothing can be stored");
    assert!(matches!(refused, ClientError::NoLeader(_)), "{refused}");
    etcd.signal(0, "-CONT");
    let job = asking.submit(submit()).await.expect("it leads again").job;
    let (kinds, state) = work(&asking, job).await;
    assert!(kinds.ends_with(&STAGES) && state == "complete", "{kinds:?} {state}");
    leader.end().await;
}

#[tokio::test]
async fn an_older_state_is_refused_until_it_is_recovered() {
    let Some(etcd) = Etcd::start(1).await else { return };
    let leader = Coordinator::start(StateKeeper::Etcd(etcd.settings("a"))).await;
    let asking = client(&[&leader]);
    asking.report(report("w", 0, Vec::new())).await.expect("a reply");
    let mut ahead = report("w", 0, Vec::new());
    ahead.holdings = Some(Holdings { highest_fence: 1000, ..Holdings::default() });
    let refused = asking.report(ahead.clone()).await.expect_err("the state is older than the store");
    assert!(refused.to_string().contains("shardex recover --coordinator"), "{refused}");
    let all = asking.workers(WorkersRequest {}).await.expect_err("it refuses to lead");
    let ClientError::Refused(fault) = all else { panic!("{all}") };
    assert_eq!(fault.reason(), Reason::StoreFailed);

    let store: Arc<dyn StateStore> =
        Arc::new(EtcdStore::connect(&etcd.settings("tool")).await.expect("it connects"));
    recover(&*store).await.expect("it recovers");
    let mut reply = Err(refused);
    for _ in 0..50 {
        reply = asking.report(ahead.clone()).await;
        if reply.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(reply.expect("it leads again").last_fence > 1000);
    leader.end().await;
}

#[tokio::test]
async fn a_paused_member_of_etcd_is_passed_over() {
    let Some(etcd) = Etcd::start(3).await else { return };
    let leader = Coordinator::start(StateKeeper::Etcd(etcd.settings("a"))).await;
    let asking = client(&[&leader]);
    for member in 0..3 {
        etcd.signal(member, "-STOP");
        let job = asking.submit(submit()).await.expect("two members are enough").job;
        let (kinds, state) = work(&asking, job).await;
        // An order whose answer was lost may have been taken twice; the second goes after the first.
        assert!(kinds.ends_with(&STAGES) && state == "complete", "{kinds:?} {state}");
        etcd.signal(member, "-CONT");
    }
    leader.end().await;
}
