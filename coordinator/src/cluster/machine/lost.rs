//! Rows that were lost with a worker that was given up, and are not read again yet: an answer without them is not whole,
//! and whoever asks is to know that.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use shardex_catalog::{ShardId, SourceName};

use super::state::State;
use super::text;

/// What lacks rows, and what has to be read before it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lost {
    /// The shards that lack rows.
    #[serde(with = "text::set")]
    pub(crate) shards: BTreeSet<ShardId>,
    /// The sources that no job has read since.
    #[serde(with = "text::set")]
    sources: BTreeSet<SourceName>,
    /// A job with a fence up to this one began before, and may have passed over what was still there then.
    since: u64,
}

impl State {
    /// Notes that shards have lost rows, of whichever source. Takes part in a change of the map.
    pub(super) fn note_lost(&mut self, shards: impl IntoIterator<Item = ShardId>) {
        let mut shards = shards.into_iter().peekable();
        if shards.peek().is_none() {
            return;
        }
        let cluster = &self.durable.cluster;
        let (sources, since) = (cluster.sources.keys().cloned().collect(), cluster.last_fence);
        let lost = &mut self.durable.map_mut().lost;
        lost.shards.extend(shards);
        (lost.sources, lost.since) = (sources, since);
    }

    /// Has every job that has begun begin anew. Nobody goes on sending rows by claims of the registry that is gone, and
    /// nobody records in an empty ledger without a look at the rows that lie in the shards.
    pub(super) fn ledger_is_lost(&mut self) {
        let cluster = self.durable.cluster_mut();
        cluster.ledger_lost = cluster.last_fence;
        self.stop_all_units();
    }

    /// Whether somebody still holds a unit that was given out before the ledger was lost. No other is given out until all
    /// have let go: what they send is marked in no ledger, so that it has to come before a heal looks. (A store lets a
    /// unit begin once it has ended all that were held before.)
    pub(super) fn lost_units_are_held(&self) -> bool {
        let lost = self.durable.cluster.ledger_lost;
        let mut holds = self
            .durable
            .jobs
            .values()
            .flat_map(|job| job.units.values())
            .filter_map(|unit| unit.hold.as_ref());
        lost > 0 && holds.any(|hold| hold.fence <= lost)
    }

    /// Takes note of a job that has ended: every file of its sources was read again that lacked its rows.
    pub(super) fn was_read(&mut self, job: u64) {
        let lost = &self.durable.map.lost;
        let Some(job) = self.durable.jobs.get(&job) else { return };
        let began_since = job.fence.is_some_and(|fence| fence > lost.since);
        if lost.shards.is_empty() || !began_since || !job.dead.is_empty() {
            return;
        }
        let read: Vec<_> = job.sources.iter().map(|source| source.name.clone()).collect();
        let map = self.durable.map_mut();
        map.lost.sources.retain(|source| !read.contains(source));
        if map.lost.sources.is_empty() {
            map.lost = Lost::default();
            map.version += 1;
        }
    }
}
