//! `shardex router`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use shardex_catalog::Cell;
use shardex_coordinator::cluster::{Client, ClientError};
use shardex_daemon::SystemClock;
use shardex_daemon::net::Server;
use shardex_proto::v1::{self, WatchMapRequest};
use shardex_remote::{LedgerFileRows, Locator, Map, Peers, RemoteLeaf};
use shardex_seams::StoreError;
use shardex_shard_router::{LedgerFiles, QueryService, ServiceSettings, Settings};
use shardex_shard_store::{placement_from_text, view_columns};

use super::directory::Directory;
use super::{run_role, say_listening, stopping};
use crate::args::Network;
use crate::exit::ExitCode;
use crate::reports::{About, FromStores, KnownJob, KnownSource, Writing};

/// How long a question looks for a coordinator that leads.
const LEADER_PATIENCE: Duration = Duration::from_secs(5);
/// How long a question waits for a shard that does not answer.
const SHARD_PATIENCE: Duration = Duration::from_secs(3);
/// The last jobs that a status shows.
const JOBS: u32 = 20;
/// Time before the map is watched again.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex router --listen 127.0.0.1:7400 --coordinator http://127.0.0.1:7500
  shardex sql \"SELECT count(*) FROM studies\" --router http://127.0.0.1:7400

It answers for the whole cluster what `shardex serve` answers for one archive. Any number may run.")]
pub(crate) struct Router {
    /// URLs of the coordinators.
    #[arg(long, value_name = "URL", env = "SHARDEX_COORDINATOR", required = true, value_delimiter = ',')]
    coordinator: Vec<String>,
    /// Queries that run at once; more are refused.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    max_queries: u16,
    /// Rows of one view that a query may read, unless it says otherwise.
    #[arg(long, value_name = "N", default_value_t = 5_000_000)]
    max_rows: u64,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(router: &Router) -> anyhow::Result<ExitCode> {
    run_role("router", serve(router))
}

async fn serve(router: &Router) -> anyhow::Result<()> {
    let network = &router.network;
    let server_settings = network.server();
    let server = Server::bind(&server_settings).await?;
    let channels = router.coordinator.iter().map(|url| network.channel(url)).collect();
    let client = Client::new(channels, LEADER_PATIENCE);
    let (directory, leader) = (Directory::new(client.clone()), client.clone());
    tokio::spawn(watch(client, Arc::clone(&directory)));
    let channel = network.clone();
    let peers = Peers::new(move |url| channel.channel(url));
    let handle = tokio::runtime::Handle::current();
    let locator = directory as Arc<dyn Locator>;
    let leader = FromLeader { client: leader, handle: handle.clone() };
    let clock = Arc::new(SystemClock);
    let leaf = RemoteLeaf::new(peers, locator, handle, SHARD_PATIENCE, Arc::clone(&clock) as _);
    let leaf = Arc::new(leaf);
    let mut settings = Settings::new(clock, view_columns);
    settings.rows_max = router.max_rows;
    let reports = FromStores::new(Arc::clone(&leaf) as _, Arc::new(leader));
    let answers =
        shardex_shard_router::Router::new(Arc::clone(&leaf) as _, Arc::new(AtHome(leaf)), settings)?;
    let answers = answers.with_reports(Arc::new(reports));
    let bounds = ServiceSettings { queries_max: router.max_queries.into(), ..ServiceSettings::default() };
    let service = QueryService::new(Arc::new(answers), &bounds, server.ending());
    let (_, stopping) = stopping()?;
    say_listening(&server, server_settings.tls.is_some())?;
    server.serve(service.routes(), &[QueryService::NAME], stopping.after(std::future::ready(()))).await?;
    Ok(())
}

/// Takes every map that the leader gives, for as long as this process runs.
async fn watch(client: Client, directory: Arc<Directory>) {
    loop {
        match client.watch_map(WatchMapRequest {}).await {
            Ok(mut maps) => {
                while let Ok(Some(map)) = maps.message().await {
                    directory.take(Map::from_wire(&map));
                }
            }
            Err(error) => tracing::warn!(%error, "the map of the cluster cannot be watched"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Files that are not indexed, from the ledger of the cluster's home.
struct AtHome(Arc<RemoteLeaf>);

impl LedgerFiles for AtHome {
    fn rows(&self, row: &mut dyn FnMut(Vec<Cell>) -> bool) -> Result<(), StoreError> {
        LedgerFileRows::rows(&*self.0, row)
    }
}

/// What the leader knows of jobs and sources.
struct FromLeader {
    client: Client,
    handle: tokio::runtime::Handle,
}

impl Writing for FromLeader {
    fn about(&self) -> Result<About, StoreError> {
        let away = |error: ClientError| StoreError::Away {
            store: "the coordinator".to_owned(),
            detail: error.to_string(),
        };
        let asked = self.handle.block_on(async {
            let jobs = self.client.list(v1::ListJobsRequest { limit: JOBS }).await?;
            let one = v1::ShardsRequest { after: String::new(), limit: 1 };
            Ok((jobs.jobs, self.client.shards(one).await?.placement))
        });
        let (jobs, placement) = asked.map_err(away)?;
        let sources: BTreeMap<_, _> = jobs
            .iter()
            .flat_map(|job| &job.sources)
            .map(|source| (source.name.clone(), source.domain.clone()))
            .collect();
        let known = |(name, domain)| KnownSource { name, domain, root: None };
        Ok(About {
            partition: placement_from_text(&placement).ok().map(|placement| placement.scheme),
            sources: sources.into_iter().map(known).collect(),
            // Oldest first, as an archive has them.
            jobs: jobs.into_iter().rev().map(job).collect(),
        })
    }
}

fn job(job: v1::Job) -> KnownJob {
    KnownJob {
        outcome: job.ended_ns.map(|_| job.state),
        files: job.totals.map_or(0, |totals| totals.files),
        began_ns: job.began_ns,
        ended_ns: job.ended_ns,
    }
}
