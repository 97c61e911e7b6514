//! `shardex router`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use shardex_catalog::Cell;
use shardex_coordinator::cluster::Client;
use shardex_daemon::SystemClock;
use shardex_daemon::net::Server;
use shardex_proto::v1::WatchMapRequest;
use shardex_remote::{LedgerFileRows, Locator, Map, Peers, RemoteLeaf};
use shardex_seams::StoreError;
use shardex_shard_router::{
    LedgerFiles, QueryService, ReportRequest, Reports, RowSink, ServiceSettings, Settings,
};
use shardex_shard_store::view_columns;

use super::directory::Directory;
use super::{run_role, say_listening, stopping};
use crate::args::Network;
use crate::exit::ExitCode;

/// How long a question looks for a coordinator that leads.
const LEADER_PATIENCE: Duration = Duration::from_secs(5);
/// How long a question waits for a shard that does not answer.
const SHARD_PATIENCE: Duration = Duration::from_secs(3);
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
    let directory = Directory::new(client.clone());
    tokio::spawn(watch(client, Arc::clone(&directory)));
    let channel = network.clone();
    let peers = Peers::new(move |url| channel.channel(url));
    let handle = tokio::runtime::Handle::current();
    let locator = directory as Arc<dyn Locator>;
    let leaf = Arc::new(RemoteLeaf::new(peers, locator, handle, SHARD_PATIENCE));
    let mut settings = Settings::new(Arc::new(SystemClock), view_columns);
    settings.rows_max = router.max_rows;
    let answers =
        shardex_shard_router::Router::new(Arc::clone(&leaf) as _, Arc::new(AtHome(leaf)), settings)?;
    let answers = answers.with_reports(Arc::new(NoReports));
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

/// What is made from the files of one archive's folder.
struct NoReports;

impl Reports for NoReports {
    fn report(
        &self,
        _request: &ReportRequest,
        _cancel: &Arc<AtomicBool>,
        _sink: &mut dyn RowSink,
    ) -> Result<(), StoreError> {
        Err(StoreError::Query(
            "a cluster's router answers `search`, `sql`, `files`, `tree`, `show` and `report conflicts`; ask other \
             things of each worker's folder with --archive, or put them as SQL"
                .to_owned(),
        ))
    }
}
