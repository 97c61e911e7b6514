//! The state and its parts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shardex_catalog::{Domain, SourceName};

use super::live::{Live, LiveWorker};
use super::mount::Identity;
use super::recovery::Recovering;
use super::{Job, Map, WorkerName, text};

/// When something happens, and a number drawn at random for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// [`shardex_seams::Clock::elapsed`].
    pub(crate) elapsed: Duration,
    /// Nanoseconds since the Unix epoch.
    pub(crate) wall_ns: i64,
    /// Spreads retries.
    pub(crate) random: u64,
}

/// Bounds and times.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// How long a worker keeps what it holds after a report.
    pub(crate) lease: Duration,
    /// Failed attempts of a unit before it is given up.
    pub(crate) failures_max: u32,
    /// Lost holders of a unit before it is given up.
    pub(crate) losses_max: u32,
    /// Jobs that have ended and are remembered.
    pub(crate) ended_max: usize,
    /// Jobs that have not ended.
    pub(crate) open_max: usize,
    /// What rows of this release look like.
    pub(crate) schema_digest: Vec<u8>,
}

/// A source that jobs have read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownSource {
    /// Its domain, for ever.
    #[serde(with = "text")]
    pub(crate) domain: Domain,
    /// What its root was.
    pub(crate) identity: Identity,
}

/// What concerns the cluster as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cluster {
    /// No fence above it was ever given.
    pub(crate) last_fence: u64,
    pub(crate) last_unit: u64,
    pub(crate) last_job: u64,
    /// How studies are placed, once an archive or a setting has said it.
    pub(crate) placement: Option<String>,
    /// The longest lease that a worker may still count on.
    pub(crate) lease_ms: u32,
    pub(crate) workers: BTreeSet<WorkerName>,
    /// Given up by the operator: what they hold may lie elsewhere by now.
    #[serde(default)]
    pub(crate) forgotten: BTreeSet<WorkerName>,
    /// The folder that each worker's stores lie in.
    #[serde(default)]
    pub(crate) folders: BTreeMap<WorkerName, String>,
    /// The operator wants them empty: they get neither units nor shards.
    #[serde(default)]
    pub(crate) drained: BTreeSet<WorkerName>,
    #[serde(with = "text::map")]
    pub(crate) sources: BTreeMap<SourceName, KnownSource>,
    /// Its name, drawn when it began: the folders of its workers remember it. Empty until the first reports.
    #[serde(default)]
    pub(crate) id: String,
    /// The map is being made anew from what workers hold.
    #[serde(default)]
    pub(crate) recovering: Option<Recovering>,
    /// The last fence that was given when a ledger was lost: what jobs with a fence up to it have recorded is gone.
    #[serde(default)]
    pub(crate) ledger_lost: u64,
}

/// What must outlive the process. Cheap to clone; a change copies the part that it changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) map: Arc<Map>,
    pub(crate) jobs: BTreeMap<u64, Arc<Job>>,
}

impl Durable {
    pub(crate) fn cluster_mut(&mut self) -> &mut Cluster {
        Arc::make_mut(&mut self.cluster)
    }

    pub(crate) fn map_mut(&mut self) -> &mut Map {
        Arc::make_mut(&mut self.map)
    }

    pub(crate) fn job_mut(&mut self, number: u64) -> Option<&mut Job> {
        self.jobs.get_mut(&number).map(Arc::make_mut)
    }

    /// A fence above all before.
    pub(crate) fn next_fence(&mut self) -> u64 {
        let cluster = self.cluster_mut();
        cluster.last_fence += 1;
        cluster.last_fence
    }

    pub(crate) fn next_unit(&mut self) -> u64 {
        let cluster = self.cluster_mut();
        cluster.last_unit += 1;
        cluster.last_unit
    }

    /// The job that has a unit.
    pub(crate) fn job_of(&self, unit: u64) -> Option<u64> {
        self.jobs.values().find(|job| job.units.contains_key(&unit)).map(|job| job.number)
    }

    /// Jobs that have not ended, in the order in which they go.
    pub(crate) fn open_jobs(&self) -> Vec<u64> {
        let mut jobs: Vec<_> = self.jobs.values().filter(|job| job.is_open()).collect();
        jobs.sort_by_key(|job| (std::cmp::Reverse(job.priority), job.number));
        jobs.into_iter().map(|job| job.number).collect()
    }
}

/// All that the coordinator knows.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) durable: Durable,
    pub(crate) live: Live,
    pub(crate) limits: Limits,
    /// When leases of earlier leaders are over.
    pub(crate) settled: Duration,
    /// The operator may have the map made anew: this leader refused to lead.
    pub(crate) may_recover: bool,
}

impl State {
    /// The state of a leader that begins: it waits for every known worker as long as a lease that an
    /// earlier leader gave may last, so that no unit of a silent one is given away too early.
    pub(crate) fn begin(mut durable: Durable, limits: Limits, placement: Option<&str>, now: Moment) -> Self {
        let lease_ms = u32::try_from(limits.lease.as_millis()).unwrap_or(u32::MAX);
        let wait = Duration::from_millis(durable.cluster.lease_ms.max(lease_ms).into());
        if durable.cluster.lease_ms < lease_ms {
            durable.cluster_mut().lease_ms = lease_ms;
        }
        if durable.cluster.placement.is_none() && placement.is_some() {
            durable.cluster_mut().placement = placement.map(str::to_owned);
        }
        let settled = now.elapsed + wait;
        let mut state = Self { durable, live: Live::default(), limits, settled, may_recover: false };
        state.expect_workers(settled);
        state
    }

    /// Goes on with what the store holds.
    pub(crate) fn reload(&mut self, durable: Durable, now: Moment) {
        self.durable = durable;
        self.expect_workers(now.elapsed + self.limits.lease);
    }

    /// Every worker that is known, or holds a unit, has until a moment to report.
    fn expect_workers(&mut self, until: Duration) {
        let units = self.durable.jobs.values().flat_map(|job| job.units.values());
        let holders = units.filter_map(|unit| unit.hold.as_ref()).map(|hold| &hold.worker);
        for worker in self.durable.cluster.workers.iter().chain(holders) {
            if !self.live.workers.contains_key(worker) {
                self.live.workers.insert(worker.clone(), LiveWorker::expected(until));
            }
        }
    }
}
