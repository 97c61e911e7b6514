//! Ledger and registry, which go from one worker to another as shards do (`moves`), and what is otherwise with them.

use shardex_catalog::StoreId;

use super::map::{SHARD_BYTES_MIN, place};
use super::state::{Moment, State};
use super::{Map, Move, Refusal, Report, WorkerName};

impl State {
    /// Orders that ledger and registry go to a worker.
    pub(crate) fn make_home(&mut self, to: &WorkerName, now: Moment) -> Result<(), Refusal> {
        let map = &self.durable.map;
        let Some(home) = &map.home else {
            return Err(Refusal::Refused("no worker is home yet: the first job makes one home".to_owned()));
        };
        match map.home_move() {
            Some(known) if known.to == *to => return Ok(()),
            Some(known) => {
                return Err(Refusal::Refused(format!(
                    "ledger and registry are on their way to worker `{}`: wait for it",
                    known.to
                )));
            }
            None if home == to => return Ok(()),
            None => {}
        }
        if self.splits_pause() {
            return Err(Refusal::Refused(
                "a shard is being split, of which ledger and registry must learn: wait for it".to_owned(),
            ));
        }
        self.order_move(StoreId::Home, to, now)
    }

    /// Lets ledger and registry leave a worker that is drained, for the one that would get the next shard. A split that is
    /// under way ends first.
    pub(super) fn empty_drained_home(&mut self, now: Moment) {
        let map = &self.durable.map;
        let is_drained = map.home.as_ref().is_some_and(|home| self.durable.cluster.drained.contains(home));
        if !is_drained || map.home_move().is_some() || self.splits_pause() {
            return;
        }
        if let Some(to) = place(&mut self.loads(now), SHARD_BYTES_MIN) {
            // Who gets them was chosen among those who may.
            let _ = self.order_move(StoreId::Home, &to, now);
        }
    }

    /// Whether a move that has not named the new home yet cannot go on, and the old one stays home: its receiver is
    /// silent, or has no longer what had arrived.
    pub(super) fn home_stays(&self, known: &Move, now: Moment) -> bool {
        let Some(live) = self.live.workers.get(&known.to) else { return known.named.is_none() };
        let has_lost = live.session.is_some() && live.home_arrived != Some(known.number);
        known.named.is_none() && (live.expires <= now.elapsed || (known.released.is_some() && has_lost))
    }

    /// Ends the move once the new home has put both in their places, as its report tells: it has heard that it is home,
    /// and nothing waits there any more. Then the old one may remove what it has.
    pub(super) fn take_installed(&mut self, report: &Report) {
        let Some(holdings) = &report.holdings else { return };
        let is_named = self.durable.map.home_move().is_some_and(|known| {
            known.to == report.worker && known.named.is_some_and(|named| report.map_version >= named)
        });
        if is_named && holdings.home_arrived().is_none() {
            let map = self.durable.map_mut();
            map.moves.remove(&StoreId::Home);
            map.version += 1;
        }
    }
}

impl Map {
    /// Names the new home, in the version that is being made.
    pub(super) fn name_home(&mut self, to: WorkerName) {
        let version = self.version;
        if let Some(known) = self.moves.get_mut(&StoreId::Home) {
            known.named = Some(version);
        }
        self.home = Some(to);
        self.home_begun = 0;
    }
}

#[cfg(test)]
mod tests {
}
