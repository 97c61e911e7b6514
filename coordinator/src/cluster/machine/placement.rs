//! Which worker owns which shard.

use std::collections::BTreeMap;
use std::time::Duration;

use super::refusal::Refusal;
use super::state::State;

/// What a shard counts before anybody has said how large it is, so that many new ones spread.
const NEW_SHARD_BYTES: u64 = 64 << 10;

impl State {
    /// Gives every one of these shards an owner. Returns whether the map has changed.
    pub(crate) fn locate(&mut self, shards: &[String], now: Duration) -> Result<bool, Refusal> {
        let new: Vec<_> = shards.iter().filter(|shard| !self.cluster.shards.contains_key(*shard)).collect();
        if new.is_empty() {
            return Ok(false);
        }
        let mut loads: BTreeMap<String, u64> = self
            .live
            .iter()
            .filter(|(_, live)| live.is_owner && !live.is_draining && live.lease_until > now)
            .map(|(name, _)| (name.clone(), self.load(name)))
            .collect();
        for shard in new {
            let owner = loads.iter().min_by_key(|(_, bytes)| **bytes).map(|(name, _)| name.clone());
            let owner = owner.ok_or(Refusal::NoOwner)?;
            loads.entry(owner.clone()).and_modify(|bytes| *bytes += NEW_SHARD_BYTES);
            self.cluster.shards.insert(shard.clone(), owner);
        }
        self.map_has_changed();
        Ok(true)
    }

    /// Bytes of the shards of a worker, as far as they are known.
    fn load(&self, worker: &str) -> u64 {
        let live = self.live.get(worker);
        let own = self.cluster.shards.iter().filter(|(_, owner)| *owner == worker);
        let bytes = |shard: &String| live.and_then(|live| live.bytes.get(shard)).copied().unwrap_or_default();
        own.map(|(shard, _)| bytes(shard).max(NEW_SHARD_BYTES)).sum()
    }

    /// Takes everything from a worker that will not come back. Its shards get owners when the next
    /// rows for them come, and are filled from the files.
    pub(crate) fn forget_worker(&mut self, worker: &str, now: Duration) -> Result<(), Refusal> {
        if self.is_alive(worker, now) {
            return Err(Refusal::StillAlive(worker.to_owned()));
        }
        let is_known = self.live.contains_key(worker) || self.cluster.urls.contains_key(worker);
        if !is_known {
            return Err(Refusal::NoWorker(worker.to_owned()));
        }
        self.live.remove(worker);
        self.cluster.urls.remove(worker);
        self.cluster.shards.retain(|_, owner| owner != worker);
        if self.cluster.home.as_deref() == Some(worker) {
            self.cluster.home = None;
            self.cluster.home_was_lost = true;
        }
        self.let_go(|holder| holder.worker == worker);
        self.map_has_changed();
        Ok(())
    }
}
