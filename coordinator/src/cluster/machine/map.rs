//! Who owns which shard.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shardex_catalog::{ShardId, StoreId};

use super::lost::Lost;
use super::state::{Moment, State};
use super::{Move, Refusal, Split, WorkerName, text};

/// A new shard counts as much until its owner reports it.
pub(super) const SHARD_BYTES_MIN: u64 = 1 << 20;

/// The owners of shards, of ledger and registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Map {
    /// Grows with every change.
    pub(crate) version: u64,
    /// Whose folder has the ledger and the registry.
    pub(crate) home: Option<WorkerName>,
    /// The version that named a home with an empty ledger: what a worker has of an earlier time is not its own. 0: the home
    /// has what there was.
    #[serde(default)]
    pub(crate) home_begun: u64,
    /// Who was home before, until it has removed what it had: as long as there may be two ledgers, there are no more.
    #[serde(default)]
    pub(crate) home_left: Option<WorkerName>,
    #[serde(with = "text::map")]
    pub(crate) shards: BTreeMap<ShardId, WorkerName>,
    /// Stores on their way to another owner.
    #[serde(with = "text::map", default)]
    pub(crate) moves: BTreeMap<StoreId, Move>,
    /// Shards that are being split in two.
    #[serde(with = "text::map", default)]
    pub(crate) splits: BTreeMap<ShardId, Split>,
    /// Rows that are not there any more.
    #[serde(default)]
    pub(crate) lost: Lost,
    /// Where owners are reached.
    pub(crate) urls: BTreeMap<WorkerName, String>,
}

impl Map {
    /// Who owns a store, also while it changes hands.
    pub(crate) fn owner(&self, store: &StoreId) -> Option<&WorkerName> {
        match store {
            StoreId::Home => self.home.as_ref(),
            StoreId::Shard(shard) => self.shards.get(shard),
        }
    }

    /// How a shard moves.
    pub(crate) fn move_of(&self, shard: &ShardId) -> Option<&Move> {
        self.moves.get(&shard.into())
    }

    /// How ledger and registry move.
    pub(crate) fn home_move(&self) -> Option<&Move> {
        self.moves.get(&StoreId::Home)
    }

    /// The home as owners and routers are told: nobody's while it changes hands.
    pub(crate) fn serving_home(&self) -> Option<&WorkerName> {
        let is_nobodys = self.home_move().is_some_and(Move::is_released);
        self.home.as_ref().filter(|_| !is_nobodys)
    }
}

impl State {
    /// The owners of shards, which get one if they have none.
    pub(crate) fn locate(
        &mut self,
        shards: &[ShardId],
        now: Moment,
    ) -> Result<BTreeMap<ShardId, WorkerName>, Refusal> {
        self.is_whole(now)?;
        self.own(shards, now)?;
        let owner = |shard: &ShardId| Some((shard.clone(), self.durable.map.shards.get(shard)?.clone()));
        Ok(shards.iter().filter_map(owner).collect())
    }

    /// Gives owners to the shards of these that have none.
    fn own(&mut self, shards: &[ShardId], now: Moment) -> Result<(), Refusal> {
        let new: Vec<_> =
            shards.iter().filter(|shard| !self.durable.map.shards.contains_key(*shard)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut loads = self.loads(now);
        let known = self.live.workers.values().flat_map(|worker| worker.shards.values());
        let (count, bytes) =
            known.fold((0_u64, 0_u64), |(count, sum), bytes| (count + 1, sum.saturating_add(*bytes)));
        let expected = bytes.checked_div(count).unwrap_or_default().max(SHARD_BYTES_MIN);
        for shard in new {
            let owner = place(&mut loads, expected).ok_or(Refusal::NoOwners)?;
            let map = self.durable.map_mut();
            map.shards.insert(shard.clone(), owner);
            map.version += 1;
        }
        Ok(())
    }

    /// Bytes of every worker that may get shards: those that it reports, and an estimate of those that
    /// were given to it since.
    pub(super) fn loads(&self, now: Moment) -> BTreeMap<WorkerName, u64> {
        let takers = self.live.workers.keys().filter(|name| self.may_get_shards(name, now));
        let mut loads: BTreeMap<_, _> = takers.map(|name| (name.clone(), 0_u64)).collect();
        let map = &self.durable.map;
        for (shard, owner) in &map.shards {
            let goes_to = map.move_of(shard).map_or(owner, |known| &known.to);
            let Some(load) = loads.get_mut(goes_to) else { continue };
            let bytes = self.live.workers.get(owner).and_then(|live| live.shards.get(shard));
            *load = load.saturating_add(bytes.copied().unwrap_or(SHARD_BYTES_MIN));
        }
        loads
    }

    /// Takes what a worker holds and nobody owns as its own.
    pub(super) fn adopt(
        &mut self,
        worker: &WorkerName,
        url: &str,
        brings_home: bool,
        shards: &BTreeMap<ShardId, u64>,
    ) {
        let map = &self.durable.map;
        let takes_home = brings_home && map.home.is_none();
        let unowned: Vec<_> =
            shards.keys().filter(|shard| !map.shards.contains_key(*shard)).cloned().collect();
        if !takes_home && unowned.is_empty() && map.urls.get(worker).is_some_and(|known| known == url) {
            return;
        }
        let map = self.durable.map_mut();
        if takes_home {
            map.home = Some(worker.clone());
            map.home_begun = 0;
        }
        map.shards.extend(unowned.into_iter().map(|shard| (shard, worker.clone())));
        map.urls.insert(worker.clone(), url.to_owned());
        map.version += 1;
    }

    /// Makes a worker home if none is: the first with a ledger was taken when it reported, so any
    /// owner will do. While the map is made anew, the one with the ledger may not have reported yet.
    pub(super) fn ensure_home(&mut self, now: Moment) -> bool {
        if self.durable.map.home.is_some() {
            return true;
        }
        if self.durable.cluster.recovering.is_some() {
            return false;
        }
        let mut owners = self.live.workers.keys();
        let Some(home) = owners.find(|name| self.may_get_shards(name, now)).cloned() else { return false };
        let map = self.durable.map_mut();
        map.home = Some(home);
        map.version += 1;
        map.home_begun = map.version;
        true
    }

    /// Takes everything away from a worker that will not come back.
    pub(crate) fn forget_worker(&mut self, worker: &WorkerName, now: Moment) -> Result<(), Refusal> {
        let is_known =
            self.durable.cluster.workers.contains(worker) || self.live.workers.contains_key(worker);
        if !is_known {
            return Err(Refusal::NotFound(format!(
                "no worker `{worker}` is known: `shardex workers list` shows all"
            )));
        }
        if self.live.workers.get(worker).is_some_and(|live| now.elapsed < live.expires) {
            return Err(Refusal::Refused(format!(
                "worker `{worker}` reports, or its lease is not over: stop it and wait for `silent` first"
            )));
        }
        self.release_all(worker, now);
        if self.durable.map.home.as_ref() == Some(worker) {
            self.ledger_is_lost();
        }
        self.live.workers.remove(worker);
        let cluster = self.durable.cluster_mut();
        cluster.workers.remove(worker);
        cluster.drained.remove(worker);
        cluster.folders.remove(worker);
        cluster.forgotten.insert(worker.clone());
        let map = self.durable.map_mut();
        let lost: Vec<_> =
            map.shards.iter().filter(|(_, owner)| *owner == worker).map(|(shard, _)| shard.clone()).collect();
        // Without the ledger the next job removes all rows, and reads all files again.
        let is_home = map.home.as_ref() == Some(worker);
        let lacking = if is_home { map.shards.keys().cloned().collect() } else { lost.clone() };
        // What it was to get stays with its owner, which has not removed it yet.
        map.moves.retain(|_, known| known.to != *worker);
        lost.iter().for_each(|shard| {
            map.shards.remove(shard);
            map.moves.remove(&shard.into());
        });
        map.urls.remove(worker);
        if map.home.take_if(|home| home == worker).is_some() {
            map.moves.remove(&StoreId::Home);
        }
        map.home_left.take_if(|left| left == worker);
        map.version += 1;
        self.note_lost(lacking);
        self.forget_splits(&lost);
        // Without an owner alive they get one when somebody asks for them.
        match self.own(&lost, now) {
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// The worker that gets the next shard: the one with the least bytes, which grow by what the shard is
/// expected to have. Pure.
pub(super) fn place(loads: &mut BTreeMap<WorkerName, u64>, expected: u64) -> Option<WorkerName> {
    let (name, load) = loads.iter_mut().min_by_key(|(_, load)| **load)?;
    *load = load.saturating_add(expected);
    Some(name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_stay_close() {
        let name = |text: &str| WorkerName::new(text).expect("a name");
        let mut loads = BTreeMap::from([(name("a"), 0), (name("b"), 500), (name("c"), 90)]);
        for _ in 0..300 {
            place(&mut loads, 10);
        }
        let (least, most) = (loads.values().min().expect("three"), loads.values().max().expect("three"));
        assert!(most * 10 <= least * 12, "{loads:?}");
        assert_eq!(place(&mut BTreeMap::new(), 1), None);
    }
}
