//! Who owns what.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use shardex_catalog::{KeyPrefix, ShardId, ShardSplit, StoreId};
use shardex_proto::v1;
use shardex_seams::StoreError;

/// The leader's map of stores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// Grows with every change.
    pub version: u64,
    /// The worker with ledger and registry; `None` while there is none, or while they change hands.
    pub home: Option<String>,
    /// The version that made a worker home with nothing in its ledger; 0 if it has what there was.
    pub home_begun: u64,
    /// Owner by shard; empty while it changes hands.
    pub shards: HashMap<ShardId, String>,
    /// Stores on their way to another owner.
    pub moves: HashMap<StoreId, StoreMove>,
    /// Shards that are being split.
    pub splits: HashMap<ShardId, MapSplit>,
    /// Shards that lack rows, which were lost with a worker that was given up.
    pub lost: BTreeSet<ShardId>,
    /// URL by worker.
    pub urls: HashMap<String, String>,
}

/// Where a store goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreMove {
    /// The worker that fetches it.
    pub to: String,
    /// Tells this move from any other.
    pub number: u64,
}

/// How a shard is split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapSplit {
    /// The worker that makes its halves.
    pub owner: String,
    /// What is split, and into what.
    pub split: ShardSplit,
    /// Tells this split from any other.
    pub number: u64,
    /// How far it is.
    pub stage: v1::SplitStage,
}

impl Map {
    /// The map as it travels; what is no shard's name is left out.
    #[must_use]
    pub fn from_wire(map: &v1::ShardMap) -> Self {
        let shard = |owned: &v1::ShardOwner| Some((ShardId::new(&owned.shard).ok()?, owned.owner.clone()));
        Self {
            version: map.version,
            home: (!map.home.is_empty()).then(|| map.home.clone()),
            home_begun: map.home_begun,
            shards: map.shards.iter().filter_map(shard).collect(),
            moves: map.shards.iter().filter_map(moving).chain(home_moving(map)).collect(),
            splits: map.shards.iter().filter_map(splitting).collect(),
            lost: map.lost.iter().filter_map(|shard| ShardId::new(shard).ok()).collect(),
            urls: map.workers.iter().map(|worker| (worker.worker.clone(), worker.url.clone())).collect(),
        }
    }

    /// The owner of a store; `None` while there is none, or while it changes hands.
    #[must_use]
    pub fn owner(&self, store: &StoreId) -> Option<&str> {
        let owner = match store {
            StoreId::Home => self.home.as_ref(),
            StoreId::Shard(shard) => self.shards.get(shard),
        };
        owner.map(String::as_str).filter(|owner| !owner.is_empty())
    }

    /// All workers that own something, or may.
    #[must_use]
    pub fn owners(&self) -> BTreeSet<&str> {
        let owners = self.shards.values().chain(&self.home).chain(self.urls.keys());
        owners.map(String::as_str).filter(|owner| !owner.is_empty()).collect()
    }

    /// Whether a worker owns nothing.
    #[must_use]
    pub fn owns_nothing(&self, worker: &str) -> bool {
        self.home.as_deref() != Some(worker) && !self.shards.values().any(|owner| owner == worker)
    }
}

fn moving(owned: &v1::ShardOwner) -> Option<(StoreId, StoreMove)> {
    let to = Some(&owned.moves_to).filter(|to| !to.is_empty())?.clone();
    Some((ShardId::new(&owned.shard).ok()?.into(), StoreMove { to, number: owned.r#move }))
}

fn home_moving(map: &v1::ShardMap) -> Option<(StoreId, StoreMove)> {
    let to = Some(&map.home_moves_to).filter(|to| !to.is_empty())?.clone();
    Some((StoreId::Home, StoreMove { to, number: map.home_move }))
}

fn splitting(owned: &v1::ShardOwner) -> Option<(ShardId, MapSplit)> {
    let known = owned.split.as_ref()?;
    let from = ShardId::new(&owned.shard).ok()?;
    let (to, moved) = (ShardId::new(&known.to).ok()?, KeyPrefix::new(&known.moved)?);
    let (owner, number, stage) = (known.owner.clone(), known.number, known.stage());
    Some((from.clone(), MapSplit { owner, split: ShardSplit { from, to, moved }, number, stage }))
}

/// Knows the map, and asks the leader for more.
#[async_trait]
pub trait Locator: Send + Sync {
    /// The map as it was last heard of.
    fn map(&self) -> Arc<Map>;

    /// A map in which these shards have owners; without shards, the newest.
    ///
    /// # Errors
    /// [`StoreError`] if no leader answers.
    async fn locate(&self, shards: &[ShardId]) -> Result<Arc<Map>, StoreError>;
}
