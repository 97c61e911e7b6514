//! `shardex worker`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use clap::Args;
use shardex_catalog::{Fence, SourceName};
use shardex_coordinator::SourceSpecification;
use shardex_coordinator::cluster::{Client, ClientError};
use shardex_daemon::SystemClock;
use shardex_daemon::net::{Routes, Server};
use shardex_proto::v1::error_detail::Reason;
use shardex_proto::v1::{WorkerOrders, WorkerReport};
use shardex_remote::{Gate, LocalStores, Locator, Peers, RemoteStores, StoreFetcher, StoreService};
use shardex_shard_store::placement_from_text;
use shardex_worker::agent::{Agent, AgentSettings, Mount, Owner, Reports, UnitStores};
use shardex_worker::{BeforeRead, Stores};
use tokio::sync::{Notify, watch};

use super::directory::Directory;
use super::moves::Mover;
use super::owner::Folder;
use super::splits::Splitter;
use super::{random, run_role, say_listening, stopping};
use crate::args::Network;
use crate::commands::ingest::Digest;
use crate::commands::probe::ChildProbe;
use crate::exit::ExitCode;

/// How long a report looks for a coordinator that leads.
const REPORT_PATIENCE: Duration = Duration::from_secs(2);
/// How long a unit waits for a store that does not answer before it is given back.
const STORE_PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex worker --name w1 --listen 127.0.0.1:7601 --coordinator http://127.0.0.1:7500 \\
    --store ./store-1 --source pacs=/mnt/pacs
  shardex worker --name reader-7 --listen 127.0.0.1:7607 \\
    --coordinator http://10.0.0.2:7500,http://10.0.0.3:7500 \\
    --source pacs=/mnt/pacs --source research=/mnt/research

With --store it owns shards; the folder may be an archive that `shardex ingest` made, which the cluster then adopts.
With --source it reads. SIGTERM or Ctrl-C gives its units back, loses nothing, and ends it.")]
pub(crate) struct Worker {
    /// Its name, unique in the cluster. It stays the same when the worker is started again.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// URLs of the coordinators.
    #[arg(long, value_name = "URL", env = "SHARDEX_COORDINATOR", required = true, value_delimiter = ',')]
    coordinator: Vec<String>,
    /// Folder of the stores that it owns.
    #[arg(long, value_name = "DIR", required_unless_present = "sources")]
    store: Option<PathBuf>,
    /// A source as it is mounted here: NAME=PATH. May be repeated. Nothing outside is ever read.
    #[arg(long = "source", value_name = "NAME=PATH")]
    sources: Vec<OsString>,
    /// Units that it reads at once, each with the memory of an ingest; as many more may wait for the stores.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    slots: u16,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(worker: &Worker, before_read: Option<BeforeRead>) -> anyhow::Result<ExitCode> {
    let mounts = worker.sources.iter().map(mount).collect::<anyhow::Result<Vec<_>>>()?;
    SourceName::new(&worker.name).with_context(|| format!("--name `{}`", worker.name))?;
    run_role("worker", serve(worker, mounts, before_read))
}

fn mount(text: &OsString) -> anyhow::Result<Mount> {
    let given = SourceSpecification::parse(text)?;
    let name =
        given.name.with_context(|| format!("--source `{}`: write NAME=PATH", text.to_string_lossy()))?;
    let root = PathBuf::from(given.path);
    anyhow::ensure!(root.is_absolute(), "--source {name}: `{}` is not an absolute path", root.display());
    Ok(Mount { name, root })
}

async fn serve(worker: &Worker, mounts: Vec<Mount>, before_read: Option<BeforeRead>) -> anyhow::Result<()> {
    let network = &worker.network;
    let server_settings = network.server();
    let server = Server::bind(&server_settings).await?;
    let url = network.url(server.address());
    let clock = Arc::new(SystemClock);
    let channels = worker.coordinator.iter().map(|url| network.channel(url)).collect();
    let client = Client::new(channels, REPORT_PATIENCE);
    let directory = Directory::new(client.clone());
    let gate = Arc::new(Gate::new(&worker.name, Arc::clone(&clock) as _));
    let session = random();
    let (stop, stopping) = stopping()?;
    let folder = match &worker.store {
        Some(path) => {
            let placement = placement(&client, worker, session, stop.clone()).await?;
            let folder =
                Folder::open(path, &placement, &mounts, session, Arc::clone(&gate), Arc::clone(&directory))
                    .await?;
            Some(Arc::new(folder))
        }
        None => None,
    };
    let settings = AgentSettings {
        name: worker.name.clone(),
        session,
        url: if worker.store.is_some() { url } else { String::new() },
        mounts: mounts.clone(),
        slots: if mounts.is_empty() { 0 } else { worker.slots.into() },
        schema_digest: shardex_proto::schema_digest(),
        probe: Some(Arc::new(ChildProbe::new(Digest::Header)?)),
        before_read,
        breadcrumbs: folder.as_ref().map(|folder| folder.breadcrumbs()),
        parse_placement: placement_from_text,
    };
    let (routes, names): (_, &[&str]) = match &folder {
        Some(folder) => {
            (StoreService::new(folder.stores(), Arc::clone(&gate)).routes(), &[StoreService::NAME])
        }
        None => (Routes::default(), &[]),
    };
    let channel = network.clone();
    let local = folder.as_ref().map(|folder| LocalStores::new(folder.stores(), Arc::clone(&gate)));
    let peers = Peers::new(move |url| channel.channel(url));
    let handle = tokio::runtime::Handle::current();
    let locator = Arc::clone(&directory) as Arc<dyn Locator>;
    let fetcher =
        Arc::new(StoreFetcher::new(&worker.name, Arc::clone(&peers), locator, handle, REPORT_PATIENCE));
    let stores = RemoteUnits {
        local,
        peers: Arc::clone(&peers),
        directory: Arc::clone(&directory),
        clock: Arc::clone(&clock),
        handle: tokio::runtime::Handle::current(),
    };
    let owner = folder.clone().map(|folder| folder as Arc<dyn Owner>);
    let agent = Agent::new(settings, Arc::new(Leader(client)), owner, Arc::new(stores), clock);
    if let Some(folder) = &folder {
        let splitter = splitter(worker, folder, peers, &gate, Arc::clone(&directory) as _, agent.waker());
        tokio::spawn(splitter.run());
        let ((moving, is_home), gate, wake) = (folder.moving(), Arc::clone(&gate), agent.waker());
        let mover = Mover { worker: worker.name.clone(), moving, fetcher, gate, directory, is_home, wake };
        tokio::spawn(mover.run());
    }
    tokio::spawn(fetch_tables(gate, agent.waker()));
    say_listening(&server, server_settings.tls.is_some())?;
    let running = tokio::spawn(agent.run(stop));
    let drained = async move {
        // It ends because it was told to.
        let _ = running.await;
    };
    server.serve(routes, names, stopping.after(drained)).await?;
    if let Some(folder) = folder {
        folder.close().await?;
    }
    Ok(())
}

fn splitter(
    worker: &Worker,
    folder: &Folder,
    peers: Arc<Peers>,
    gate: &Arc<Gate>,
    locator: Arc<dyn Locator>,
    wake: Arc<Notify>,
) -> Splitter {
    let (splitting, done) = folder.splitting();
    let (ledger, registry) = folder.home();
    // It only reads, for which no unit begins.
    let (unit, fence) = (0, Fence(0));
    let handle = tokio::runtime::Handle::current();
    let shards = RemoteStores::new(peers, locator, unit, fence, STORE_PATIENCE, handle).shards();
    Splitter {
        worker: worker.name.clone(),
        splitting,
        done,
        ledger,
        registry,
        shards,
        gate: Arc::clone(gate),
        wake,
    }
}

/// Lets the worker report whenever a unit waits to begin for a newer table of fences.
async fn fetch_tables(gate: Arc<Gate>, wake: Arc<Notify>) {
    loop {
        gate.table_is_wanted().await;
        wake.notify_one();
    }
}

/// How the cluster places studies; waits until a coordinator says it.
async fn placement(
    client: &Client,
    worker: &Worker,
    session: u64,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<String> {
    let request = WorkerReport {
        worker: worker.name.clone(),
        session,
        schema_digest: shardex_proto::schema_digest().into(),
        ..WorkerReport::default()
    };
    loop {
        match client.report(request.clone()).await {
            Ok(reply) => return Ok(reply.placement),
            // A leader that refuses to lead will do so once its state is mended.
            Err(ClientError::Refused(fault)) if fault.reason() != Reason::StoreFailed => {
                return Err(ClientError::Refused(fault).into());
            }
            Err(error) => tracing::warn!(%error, "waiting for a coordinator"),
        }
        tokio::select! {
            () = tokio::time::sleep(REPORT_PATIENCE) => {}
            _ = stop.wait_for(|stop| *stop) => anyhow::bail!("stopped before a coordinator answered"),
        }
    }
}

struct Leader(Client);

#[async_trait]
impl Reports for Leader {
    async fn report(&self, request: WorkerReport) -> Result<WorkerOrders, String> {
        self.0.report(request).await.map_err(|error| error.to_string())
    }
}

/// The stores of the cluster, for a unit; those of this process are used without a call.
struct RemoteUnits {
    local: Option<LocalStores>,
    peers: Arc<Peers>,
    directory: Arc<Directory>,
    clock: Arc<SystemClock>,
    handle: tokio::runtime::Handle,
}

#[async_trait]
impl UnitStores for RemoteUnits {
    async fn begin(&self, unit: u64, fence: Fence) -> Result<Stores, String> {
        let locator = Arc::clone(&self.directory) as _;
        let stores = RemoteStores::new(
            Arc::clone(&self.peers),
            locator,
            unit,
            fence,
            STORE_PATIENCE,
            self.handle.clone(),
        )
        .with_local(self.local.clone());
        stores.begin().await.map_err(|error| error.to_string())?;
        Ok(Stores {
            shards: stores.shards(),
            registry: stores.registry(),
            ledger: stores.ledger(),
            clock: Arc::clone(&self.clock) as _,
        })
    }
}
