//! What is known from reports only, and is gone with the process: nothing here needs to be durable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use shardex_catalog::{ShardId, SourceName};

use super::{Mount, Slow, Totals, WorkerName};

/// Processes that had a worker's name before and are remembered.
const REPLACED_MAX: usize = 8;

/// A worker as it reports.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveWorker {
    /// Its process; `None` until it has reported to this leader.
    pub(crate) session: Option<u64>,
    /// Processes whose place it took.
    pub(crate) replaced: VecDeque<u64>,
    /// When its lease ends.
    pub(crate) expires: Duration,
    /// When it reported last.
    pub(crate) heard: Duration,
    pub(crate) url: String,
    pub(crate) mounts: BTreeMap<SourceName, Mount>,
    /// It owns stores.
    pub(crate) is_owner: bool,
    /// Its shards with their sizes.
    pub(crate) shards: BTreeMap<ShardId, u64>,
    /// Units that it could take and was not given.
    pub(crate) idle: u32,
    pub(crate) is_draining: bool,
    /// Units that a process before its own died with.
    pub(crate) suspects: BTreeSet<u64>,
    /// The shards that its ledger rests on, if it was asked for them.
    pub(crate) ledger: Option<BTreeSet<ShardId>>,
    /// The map that it had taken.
    pub(crate) map_version: u64,
    /// It has a ledger and a registry.
    pub(crate) is_home: bool,
    /// Who may have these by now.
    pub(crate) home_leaves_to: Option<WorkerName>,
    /// The move by which both have arrived, and wait beside its own.
    pub(crate) home_arrived: Option<u64>,
}

impl LiveWorker {
    /// One that is expected to report until a moment.
    pub(crate) fn expected(until: Duration) -> Self {
        Self { expires: until, ..Self::default() }
    }

    /// Whether it has reported and its lease holds.
    pub(crate) fn is_alive(&self, now: Duration) -> bool {
        self.session.is_some() && now < self.expires
    }

    /// Notes its process.
    pub(crate) fn take_session(&mut self, session: u64) {
        if let Some(before) = self.session.replace(session).filter(|before| *before != session) {
            self.replaced.push_back(before);
            if self.replaced.len() > REPLACED_MAX {
                self.replaced.pop_front();
            }
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    pub(crate) workers: BTreeMap<WorkerName, LiveWorker>,
    /// What units have done so far that run, or ran until their last holder let go.
    pub(crate) progress: BTreeMap<u64, Totals>,
    /// Directories of running units that took long.
    pub(crate) slowest: BTreeMap<u64, Vec<Slow>>,
    /// When failed units may be tried again.
    pub(crate) not_before: BTreeMap<u64, Duration>,
    /// Why the last split of a shard was given up.
    pub(crate) split_failures: BTreeMap<ShardId, String>,
    /// How often a unit was asked to set something aside since it last did.
    pub(crate) asked: BTreeMap<u64, u32>,
}

impl Live {
    /// Nobody works on a unit any more; what was done of it is shown until somebody does again.
    pub(crate) fn rest(&mut self, unit: u64) {
        self.slowest.remove(&unit);
        self.not_before.remove(&unit);
        self.asked.remove(&unit);
    }

    /// Forgets a unit.
    pub(crate) fn forget(&mut self, unit: u64) {
        self.rest(unit);
        self.progress.remove(&unit);
    }
}
