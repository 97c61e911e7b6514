//! The folder of stores that a worker owns.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use shardex_catalog::{Cell, Placement, StoreId};
use shardex_proto::v1::{HeldShard, Holdings, LedgerShards, WorkerOrders};
use shardex_remote::{Gate, LedgerFileRows, Map, OwnedStores};
use shardex_seams::{Ledger, StoreError};
use shardex_shard_router::ledger_files_row;
use shardex_shard_store::{
    Archive, ArchiveSettings, LeafPool, LedgerFile, Membership, Moving, ReadArchive, RegistryFile, ShardPool,
    SourceRoots, Splitting, placement_from_text, placement_to_text,
};
use shardex_worker::agent::{Mount, Owner};

use super::directory::Directory;
use super::moves::arrived;
use super::splits::Done;

/// Connections to shards that are kept for the next query.
const IDLE_CONNECTIONS: usize = 64;

type Domains = Arc<RwLock<HashMap<String, String>>>;

/// Stores of an archive's folder, owned by this worker.
pub(super) struct Folder {
    archive: Archive,
    read: ReadArchive,
    shards: Arc<ShardPool>,
    leaves: Arc<LeafPool>,
    moving: Arc<Moving>,
    splitting: Arc<Splitting>,
    split: Arc<Done>,
    folder_id: String,
    session: u64,
    /// The last fence of which the leader has told: a state that knows none so high was put back from a backup.
    told_fence: AtomicU64,
    /// What the folder remembers of the cluster.
    membership: Mutex<Membership>,
    placement: String,
    /// Whether ledger and registry are the cluster's, or were.
    is_home: Arc<AtomicBool>,
    /// What the ledger rests on, while the leader asks for it.
    ledger: Mutex<Option<LedgerShards>>,
    gate: Arc<Gate>,
    directory: Arc<Directory>,
    domains: Domains,
    /// Where sources are mounted here, by name.
    roots: Arc<HashMap<String, PathBuf>>,
}

impl Folder {
    /// Opens the folder, or makes it; `placement` is the cluster's, empty while it has none.
    pub(super) async fn open(
        path: &Path,
        placement: &str,
        mounts: &[Mount],
        session: u64,
        gate: Arc<Gate>,
        directory: Arc<Directory>,
    ) -> anyhow::Result<Self> {
        let archive = Archive::create_or_open(path, &settings(placement)?)?;
        let roots =
            mounts.iter().map(|mount| (mount.name.clone(), mount.root.as_os_str().as_bytes().to_vec()));
        let writers = std::thread::available_parallelism().map_or(2, usize::from);
        let shards = archive.shards(writers, SourceRoots::new(roots))?;
        let is_home = !archive.ledger().positions().await?.is_empty();
        let placement = placement_to_text(archive.placement()).map_err(anyhow::Error::msg)?;
        let read = ReadArchive::open(path)?;
        let leaves = read.leaves(IDLE_CONNECTIONS);
        let moving = Arc::new(Moving::new(&archive, Arc::clone(&shards), Arc::clone(&leaves))?);
        moving.arrived()?.iter().for_each(|arrived| gate.expect(&arrived.store));
        let (pool, read_by) = (Arc::clone(&shards), Arc::clone(&leaves));
        let splitting = Arc::new(Splitting::new(&archive, pool, read_by, Arc::clone(&moving)));
        let folder_id = moving.folder_id()?;
        let membership = Mutex::new(moving.membership()?);
        let domains = super::super::reading::domains_of(archive.state()).await?;
        let domains = Arc::new(RwLock::new(domains));
        let roots = mounts.iter().map(|mount| (mount.name.to_string(), mount.root.clone()));
        let roots = Arc::new(roots.collect());
        Ok(Self {
            archive,
            read,
            shards,
            leaves,
            moving,
            splitting,
            split: Arc::default(),
            folder_id,
            session,
            told_fence: AtomicU64::new(0),
            membership,
            placement,
            is_home: Arc::new(AtomicBool::new(is_home)),
            ledger: Mutex::default(),
            gate,
            directory,
            domains,
            roots,
        })
    }

    /// The stores as the service takes them.
    pub(super) fn stores(&self) -> OwnedStores {
        OwnedStores {
            shards: Arc::clone(&self.shards) as _,
            registry: self.archive.registry(),
            ledger: self.archive.ledger(),
            leaf: Arc::clone(&self.leaves) as _,
            ledger_files: Arc::new(LedgerRows {
                read: self.read.clone(),
                domains: Arc::clone(&self.domains),
                roots: Arc::clone(&self.roots),
            }),
            parts: Arc::new(self.read.clone()),
            transfer: Arc::clone(&self.moving) as _,
            session: self.session,
        }
    }

    /// Where word is left of the units that run, and after a death of the files that readers are at.
    pub(super) fn breadcrumbs(&self) -> PathBuf {
        self.archive.temporary()
    }

    /// The stores that come and go, and whether ledger and registry here are the cluster's, as reports say it.
    pub(super) fn moving(&self) -> (Arc<Moving>, Arc<AtomicBool>) {
        (Arc::clone(&self.moving), Arc::clone(&self.is_home))
    }

    /// The shards that are split, with what is to be reported of them.
    pub(super) fn splitting(&self) -> (Arc<Splitting>, Arc<Done>) {
        (Arc::clone(&self.splitting), Arc::clone(&self.split))
    }

    /// Ledger and registry.
    pub(super) fn home(&self) -> (Arc<LedgerFile>, Arc<RegistryFile>) {
        (self.archive.ledger(), self.archive.registry())
    }

    /// Whether ledger and registry have come, and are not in their places, or that is not known.
    fn home_waits(&self) -> bool {
        let arrived = self.moving.arrived();
        arrived.map_or(true, |arrived| arrived.iter().any(|one| one.store == StoreId::Home))
    }

    fn membership(&self) -> Membership {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes what the leader says of the cluster durable, and looks up what it asks for.
    async fn remember(&self, reply: &WorkerOrders) -> Result<(), StoreError> {
        let known = self.membership();
        let mut new = known.clone();
        if !reply.cluster_id.is_empty() {
            new.cluster.clone_from(&reply.cluster_id);
        }
        new.map_version = new.map_version.max(reply.map.as_ref().map_or(0, |map| map.version));
        new.domains = reply.domains.clone().into_iter().collect();
        if new != known {
            let (moving, written) = (Arc::clone(&self.moving), new.clone());
            let write = tokio::task::spawn_blocking(move || moving.remember(&written)).await;
            write.unwrap_or(Err(StoreError::Closed))?;
            *self.membership.lock().unwrap_or_else(PoisonError::into_inner) = new;
        }
        let ledger = if reply.is_recovering {
            let positions = self.archive.ledger().positions().await?;
            let shards = positions.iter().map(|(shard, _)| shard.to_string()).collect();
            Some(LedgerShards { shards })
        } else {
            None
        };
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = ledger;
        Ok(())
    }

    /// Empties the logs into their files: the end of a worker.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        self.archive.truncate_logs(&self.shards).await
    }
}

fn settings(placement: &str) -> anyhow::Result<ArchiveSettings> {
    if placement.is_empty() {
        return Ok(ArchiveSettings { is_in_cluster: true, ..ArchiveSettings::default() });
    }
    let Placement { scheme, institutions } = placement_from_text(placement).map_err(anyhow::Error::msg)?;
    let rules = institutions.rules().to_vec();
    Ok(ArchiveSettings {
        partition: Some(scheme),
        institutions_max: scheme.institution.then(|| institutions.sites_max()),
        institutions: (!rules.is_empty()).then_some(rules),
        is_in_cluster: true,
        ..ArchiveSettings::default()
    })
}

#[async_trait]
impl Owner for Folder {
    fn holdings(&self) -> Result<Holdings, String> {
        self.moving.is_in_place(&self.folder_id).map_err(|error| {
            format!(
                "{error}. Stop this worker, give it up with `shardex workers forget`, and start it on an empty folder"
            )
        })?;
        let Membership { cluster, map_version, domains } = self.membership();
        let sizes = self.read.shard_sizes().map_err(|error| error.to_string())?;
        let departure = self.moving.home_departure().map_err(|error| error.to_string())?;
        let held =
            |(shard, bytes): (shardex_catalog::ShardId, u64)| HeldShard { shard: shard.to_string(), bytes };
        Ok(Holdings {
            shards: sizes.into_iter().map(held).collect(),
            is_home: self.is_home.load(Ordering::Relaxed),
            home_leaves_to: departure.map(|departure| departure.to).unwrap_or_default(),
            highest_fence: self.archive.highest_fence().0.max(self.told_fence.load(Ordering::Relaxed)),
            placement: self.placement.clone(),
            arrived: arrived(&self.moving).map_err(|error| error.to_string())?,
            folder_id: self.folder_id.clone(),
            splits: self.split.splits(&self.splitting).map_err(|error| error.to_string())?,
            relabelled: self.split.relabelled(),
            cluster_id: cluster,
            seen_map_version: map_version,
            domains: domains.into_iter().collect(),
            ledger: self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
    }

    async fn take(&self, reply: &WorkerOrders, until: Duration) -> bool {
        // Before anything is served by it: a state that knows less later is not the cluster's.
        if let Err(error) = self.remember(reply).await {
            tracing::error!(%error, "what the leader said cannot be remembered, and is passed over");
            return false;
        }
        self.told_fence.fetch_max(reply.last_fence, Ordering::Relaxed);
        let map = reply.map.as_ref().map(Map::from_wire);
        if let Some(map) = &map {
            self.directory.take(map.clone());
            // What is not in its place yet is not here.
            if map.owner(&StoreId::Home) == Some(self.gate.worker()) && !self.home_waits() {
                self.is_home.store(true, Ordering::Relaxed);
            }
        }
        *self.domains.write().unwrap_or_else(PoisonError::into_inner) = reply.domains.clone();
        let fences = reply.fences.iter().map(|held| (held.unit, held.fence)).collect();
        self.gate.take(fences, reply.last_fence, map, until);
        true
    }
}

/// What the ledger knows of files without rows.
struct LedgerRows {
    read: ReadArchive,
    domains: Domains,
    roots: Arc<HashMap<String, PathBuf>>,
}

impl LedgerFileRows for LedgerRows {
    fn rows(&self, row: &mut dyn FnMut(Vec<Cell>) -> bool) -> Result<(), StoreError> {
        let Some(ledger) = self.read.ledger()? else { return Ok(()) };
        let domains = self.domains.read().unwrap_or_else(PoisonError::into_inner).clone();
        ledger.rows(&mut |found| {
            let domain = domains.get(found.source).map_or("default", String::as_str);
            let root = self.roots.get(found.source).map(|root| root.as_os_str().as_bytes());
            ledger_files_row(domain, found.source, root, found.directory, found.entry).is_none_or(&mut *row)
        })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn rows_of_the_ledger_are_as_wide_on_the_wire() {
        assert_eq!(shardex_remote::LEDGER_FILES_WIDTH, shardex_shard_router::LEDGER_FILES_COLUMNS.len());
    }
}
