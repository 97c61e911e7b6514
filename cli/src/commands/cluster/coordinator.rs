//! `shardex coordinator`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use shardex_catalog::{Institutions, PartitionScheme, Placement, SITES_MAX_DEFAULT};
use shardex_coordinator::cluster::{
    ClusterService, ClusterSettings, EtcdSettings, EtcdStore, StateKeeper, recover,
};
use shardex_daemon::SystemClock;
use shardex_daemon::net::Server;
use shardex_seams::StateStore;
use shardex_shard_store::{StateFolder, placement_to_text};

use super::{chance, run_role, say_listening, stopping};
use crate::args::Network;
use crate::exit::ExitCode;
use crate::output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex coordinator --listen 127.0.0.1:7500 --state ./state
  shardex coordinator --listen 10.0.0.2:7500 --token-file tokens \\
    --etcd http://10.0.0.2:2379,http://10.0.0.3:2379,http://10.0.0.4:2379

With --state it is the only one, and keeps its state in a folder. With --etcd any number may run: one is elected to
lead, the others take over when it is gone.")]
pub(crate) struct Coordinator {
    /// Folder for the state of the only coordinator of a cluster.
    #[arg(long, value_name = "DIR", required_unless_present = "etcd", conflicts_with = "etcd")]
    state: Option<PathBuf>,
    /// Members of etcd, which keeps the state of all coordinators of a cluster.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    etcd: Vec<String>,
    /// What all keys in etcd begin with; one for each cluster.
    #[arg(long, value_name = "TEXT", default_value = "/shardex/default")]
    prefix: String,
    /// User of etcd, as NAME:FILE with its password in a file.
    #[arg(long, value_name = "NAME:FILE", requires = "etcd")]
    etcd_user: Option<String>,
    /// Root of the certificates of etcd's members, PEM.
    #[arg(long, value_name = "FILE", requires = "etcd")]
    etcd_ca: Option<PathBuf>,
    /// Own certificate for etcd, PEM, where its members ask for one.
    #[arg(long, value_name = "FILE", requires = "etcd_key")]
    etcd_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "etcd_cert")]
    etcd_key: Option<PathBuf>,
    /// What studies are partitioned by, as `ingest --partition` says. Fixed when the cluster begins; without it, as
    /// the first worker's archive is [default: date:year].
    #[arg(long, value_name = "SCHEME")]
    partition: Option<PartitionScheme>,
    /// Mapping of institutions to sites, for partitions by institution.
    #[arg(long, value_name = "FILE", requires = "partition")]
    institution_map: Option<PathBuf>,
    /// Seconds for which what a worker holds is its own after it reported.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(2..=3600))]
    lease_seconds: u32,
    /// Make a state that was put back from a backup usable, and end, where no coordinator runs that `shardex recover
    /// --coordinator` could ask. Coordinators refuse to lead before.
    #[arg(long)]
    recover_state: bool,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(coordinator: &Coordinator) -> anyhow::Result<ExitCode> {
    let lease = Duration::from_secs(coordinator.lease_seconds.into());
    let settings = ClusterSettings {
        lease,
        // A few reports may be lost before a lease is.
        report_interval: (lease / 6).min(Duration::from_secs(3)),
        placement: placement(coordinator)?,
        schema_digest: shardex_proto::schema_digest(),
        chance,
    };
    // Its lock is held to the end.
    let folder = coordinator.state.as_deref().map(StateFolder::create_or_open).transpose()?;
    let keeper = match &folder {
        Some(folder) => StateKeeper::Alone(folder.state()),
        None => StateKeeper::Etcd(etcd(coordinator)?),
    };
    if coordinator.recover_state {
        return run_role("coordinator", recover_state(keeper));
    }
    run_role("coordinator", serve(coordinator, settings, keeper))
}

async fn recover_state(keeper: StateKeeper) -> anyhow::Result<()> {
    let store: Arc<dyn StateStore> = match keeper {
        StateKeeper::Alone(store) => store,
        StateKeeper::Etcd(settings) => Arc::new(EtcdStore::connect(&settings).await?),
    };
    recover(&*store).await?;
    output::say(
        "the state is usable again: a coordinator may lead, and makes the map anew from what the workers hold",
    );
    Ok(())
}

fn etcd(coordinator: &Coordinator) -> anyhow::Result<EtcdSettings> {
    let user = coordinator.etcd_user.as_deref().map(|user| {
        let (name, file) =
            user.split_once(':').ok_or_else(|| anyhow::anyhow!("--etcd-user `{user}`: write NAME:FILE"))?;
        let password = std::fs::read_to_string(file)?;
        anyhow::Ok((name.to_owned(), password.trim_end().to_owned()))
    });
    Ok(EtcdSettings {
        urls: coordinator.etcd.clone(),
        prefix: coordinator.prefix.clone(),
        name: coordinator.network.advertise.clone().unwrap_or_else(|| coordinator.network.listen.clone()),
        user: user.transpose()?,
        tls_ca: coordinator.etcd_ca.clone(),
        tls_identity: coordinator.etcd_cert.clone().zip(coordinator.etcd_key.clone()),
    })
}

fn placement(coordinator: &Coordinator) -> anyhow::Result<Option<String>> {
    let Some(scheme) = coordinator.partition else { return Ok(None) };
    let rules = coordinator.institution_map.as_deref().map(super::super::institutions::read_mapping);
    let institutions = Institutions::new(rules.transpose()?.unwrap_or_default(), SITES_MAX_DEFAULT)?;
    placement_to_text(&Placement { scheme, institutions }).map(Some).map_err(anyhow::Error::msg)
}

async fn serve(
    coordinator: &Coordinator,
    settings: ClusterSettings,
    keeper: StateKeeper,
) -> anyhow::Result<()> {
    let server_settings = coordinator.network.server();
    let server = Server::bind(&server_settings).await?;
    let (stop, stopping) = stopping()?;
    let (service, running) = ClusterService::start(settings, keeper, Arc::new(SystemClock), stop);
    say_listening(&server, server_settings.tls.is_some())?;
    let ended = async move {
        // It ends because it was told to.
        let _ = running.await;
    };
    server.serve(service.routes(), &ClusterService::NAMES, stopping.after(ended)).await?;
    Ok(())
}
