//! How much of the archive an answer covers.

use std::collections::{BTreeMap, BTreeSet};

use shardex_catalog::ShardId;
use shardex_seams::StoreError;

/// A shard without its part in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedShard {
    /// The shard.
    pub shard: ShardId,
    /// Why it failed, for whoever runs the archive: may name its files.
    pub reason: String,
    /// The same for others.
    pub reason_for_peers: String,
}

/// What an answer rests on. `total` = `pruned` + `answered` + failed ones, where any view is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completeness {
    /// Shards of the archive.
    pub total: usize,
    /// Shards that were left out: they hold nothing that the query could match, or enough rows were
    /// there before them.
    pub pruned: usize,
    /// Shards that gave all their rows.
    pub answered: usize,
    /// Shards whose rows are missing; always empty unless a partial answer was allowed.
    pub failed: Vec<FailedShard>,
    /// Rows that travelled from shards to the merge.
    pub rows_pulled: u64,
}

impl Completeness {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }
}

/// Gathers, view by view, what became of each shard.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: BTreeSet<ShardId>,
    pub(crate) failed: BTreeMap<ShardId, StoreError>,
    pub(crate) rows_pulled: u64,
}

impl Tally {
    /// The sum over all views; a shard that failed for one of them counts as failed.
    pub(crate) fn finish(self, total: usize) -> Completeness {
        let answered = self.answered.iter().filter(|shard| !self.failed.contains_key(*shard)).count();
        Completeness {
            total,
            pruned: total.saturating_sub(answered + self.failed.len()),
            answered,
            failed: self.failed.into_iter().map(failed_shard).collect(),
            rows_pulled: self.rows_pulled,
        }
    }
}

fn failed_shard((shard, error): (ShardId, StoreError)) -> FailedShard {
    FailedShard { shard, reason: error.to_string(), reason_for_peers: error.without_files() }
}
