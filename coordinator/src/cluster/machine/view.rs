//! What operators see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shardex_catalog::{ShardId, SourceName};

use super::grant::Blocked;
use super::live::LiveWorker;
use super::mount::Usable;
use super::state::{Moment, State};
use super::{Job, Mount, Phase, Refusal, Slow, Totals, Unit, WorkerName};

/// Slow directories that a job shows.
const SLOWEST_MAX: usize = 5;

/// A job as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct JobView {
    pub(crate) job: Arc<Job>,
    /// `waiting`, `running` and so on.
    pub(crate) state: &'static str,
    /// What keeps all of it from running.
    pub(crate) waits_for: String,
    /// Of finished units, and so far of running ones.
    pub(crate) totals: Totals,
    /// The same by source, in the job's order.
    pub(crate) by_source: Vec<Totals>,
    pub(crate) units: Vec<UnitView>,
    /// Directories of running units that took the longest.
    pub(crate) slowest: Vec<(SourceName, Slow)>,
}

/// A unit as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct UnitView {
    pub(crate) unit: u64,
    pub(crate) what: Unit,
    pub(crate) totals: Totals,
    /// Why nobody works on it.
    pub(crate) waits_for: String,
}

/// Whether a worker works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerState {
    Alive,
    Silent,
    /// It ends.
    Draining,
    /// The operator wants it empty.
    Drained,
}

/// A shard as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct ShardView {
    pub(crate) shard: ShardId,
    pub(crate) owner: WorkerName,
    pub(crate) bytes: u64,
    pub(crate) is_served: bool,
    pub(crate) moves_to: Option<WorkerName>,
    pub(crate) splits_to: Option<ShardId>,
    pub(crate) split_stage: &'static str,
    pub(crate) split_failure: String,
}

/// A worker as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct WorkerView {
    pub(crate) name: WorkerName,
    pub(crate) url: String,
    pub(crate) state: WorkerState,
    pub(crate) mounts: BTreeMap<SourceName, Mount>,
    /// Mounts that are not read, with the reason.
    pub(crate) refused: BTreeMap<SourceName, &'static str>,
    pub(crate) units: u32,
    pub(crate) shards: u32,
    pub(crate) bytes: u64,
    pub(crate) is_home: bool,
    pub(crate) home_moves_to: Option<WorkerName>,
    /// Time since its last report; `None` if it has not reported to this leader.
    pub(crate) silent: Option<Duration>,
}

impl State {
    /// A job.
    pub(crate) fn job_view(&self, number: u64, now: Moment) -> Result<JobView, Refusal> {
        let job = self.durable.jobs.get(&number);
        let job = job.ok_or_else(|| {
            Refusal::NotFound(format!("no job {number} is known: `shardex job list` shows the last ones"))
        })?;
        let mut totals = job.totals.clone();
        let mut by_source: Vec<_> = job.sources.iter().map(|source| source.totals.clone()).collect();
        let mut slowest = Vec::new();
        let mut units = Vec::with_capacity(job.units.len());
        for (unit, what) in &job.units {
            let so_far = self.live.progress.get(unit).cloned().unwrap_or_default();
            totals.add(&so_far);
            if let Some(name) = what.task.source() {
                let at = job.sources.iter().position(|source| source.name == *name);
                if let Some(of_source) = at.and_then(|at| by_source.get_mut(at)) {
                    of_source.add(&so_far);
                }
                let slow = self.live.slowest.get(unit).into_iter().flatten();
                slowest.extend(slow.map(|slow| (name.clone(), slow.clone())));
            }
            let waits_for =
                if what.hold.is_some() { String::new() } else { self.waits_for(job, *unit, what, now) };
            units.push(UnitView { unit: *unit, what: what.clone(), totals: so_far, waits_for });
        }
        slowest.sort_by_key(|(_, slow)| std::cmp::Reverse(slow.milliseconds));
        slowest.truncate(SLOWEST_MAX);
        let (state, waits_for) = (job_state(job, now), self.job_waits_for(job, now).unwrap_or_default());
        Ok(JobView { job: Arc::clone(job), state, waits_for, totals, by_source, units, slowest })
    }

    /// The last jobs, latest first.
    pub(crate) fn job_views(&self, limit: usize, now: Moment) -> Vec<JobView> {
        self.durable
            .jobs
            .keys()
            .rev()
            .take(limit)
            .filter_map(|number| self.job_view(*number, now).ok())
            .collect()
    }

    /// What keeps all of a job from running, as text.
    fn job_waits_for(&self, job: &Job, now: Moment) -> Option<String> {
        if job.phase == Phase::Open && self.lost_units_are_held() {
            return Some("workers to let go of what they read for the ledger that was lost".to_owned());
        }
        Some(match self.blocked_by(job.number, now)? {
            Blocked::Phase if job.phase == Phase::Paused => format!("`shardex job resume {}`", job.number),
            Blocked::Phase => return None,
            Blocked::Hours(begin) => begin,
            Blocked::Job(other) => format!("job {other} over the same source"),
        })
    }

    fn waits_for(&self, job: &Job, unit: u64, what: &Unit, now: Moment) -> String {
        if let Some(blocked) = self.job_waits_for(job, now) {
            return blocked;
        }
        if self.splits_pause() {
            return "a shard is being split".into();
        }
        if self.is_backing_off(unit, now) {
            return "the next attempt".into();
        }
        let alive: Vec<_> = self
            .live
            .workers
            .iter()
            .filter(|(_, live)| live.is_alive(now.elapsed) && !live.is_draining)
            .collect();
        if alive.is_empty() {
            return "no worker is alive".into();
        }
        if self.durable.map.home.is_none() && !alive.iter().any(|(_, live)| live.is_owner) {
            return "no worker owns stores yet: start one with --store".into();
        }
        let obstacles = alive
            .iter()
            .map(|(name, live)| self.obstacle(job, what, name, live).map(|why| (why, name, *live)));
        let mut first = None;
        for obstacle in obstacles {
            let Some((why, name, live)) = obstacle else { return "a worker with a free slot".into() };
            let has_mount = what.task.source().is_some_and(|source| live.mounts.contains_key(source));
            // A refused mount says more than a missing one.
            if first.is_none() || has_mount {
                first = Some(if has_mount { format!("{why} (worker `{name}`)") } else { why.to_owned() });
            }
        }
        first.unwrap_or_default()
    }

    /// All workers.
    pub(crate) fn worker_views(&self, now: Moment) -> Vec<WorkerView> {
        let mut names: Vec<_> = self.durable.cluster.workers.iter().chain(self.live.workers.keys()).collect();
        names.sort();
        names.dedup();
        let unseen = LiveWorker::default();
        names
            .into_iter()
            .map(|name| self.worker_view(name, self.live.workers.get(name).unwrap_or(&unseen), now))
            .collect()
    }

    fn worker_view(&self, name: &WorkerName, live: &LiveWorker, now: Moment) -> WorkerView {
        let is_drained = self.durable.cluster.drained.contains(name);
        let state = match (live.is_alive(now.elapsed), live.is_draining) {
            (true, true) => WorkerState::Draining,
            (true, false) if is_drained => WorkerState::Drained,
            (true, false) => WorkerState::Alive,
            (false, _) => WorkerState::Silent,
        };
        let units = self.durable.jobs.values().flat_map(|job| job.units.values());
        let held = units.filter(|unit| unit.hold.as_ref().is_some_and(|hold| hold.worker == *name)).count();
        let map = &self.durable.map;
        let owned = map.shards.iter().filter(|(_, owner)| *owner == name);
        let (shards, bytes) = owned.fold((0_u32, 0_u64), |(shards, bytes), (shard, _)| {
            (shards + 1, bytes.saturating_add(live.shards.get(shard).copied().unwrap_or_default()))
        });
        let refused =
            live.mounts.iter().filter_map(|(source, mount)| match mount.is_usable(self.identity(source)) {
                Usable::No(why) => Some((source.clone(), why)),
                Usable::Yes | Usable::WithoutDeletions => None,
            });
        WorkerView {
            name: name.clone(),
            url: if live.url.is_empty() {
                map.urls.get(name).cloned().unwrap_or_default()
            } else {
                live.url.clone()
            },
            state,
            mounts: live.mounts.clone(),
            refused: refused.collect(),
            units: u32::try_from(held).unwrap_or(u32::MAX),
            shards,
            bytes,
            is_home: map.home.as_ref() == Some(name),
            home_moves_to: map
                .home_move()
                .filter(|known| map.home.as_ref() == Some(name) && known.to != *name)
                .map(|known| known.to.clone()),
            silent: live.session.map(|_| now.elapsed.saturating_sub(live.heard)),
        }
    }

    /// Shards after a name, at most `limit`.
    pub(crate) fn shards_after(&self, after: &str, limit: usize, now: Moment) -> Vec<ShardView> {
        let shards = self.durable.map.shards.keys().filter(|shard| shard.as_str() > after);
        shards.take(limit).filter_map(|shard| self.shard_view(shard, now)).collect()
    }

    /// One shard.
    pub(crate) fn shard_view(&self, shard: &ShardId, now: Moment) -> Option<ShardView> {
        let map = &self.durable.map;
        let owner = map.shards.get(shard)?;
        let live = self.live.workers.get(owner);
        Some(ShardView {
            shard: shard.clone(),
            owner: owner.clone(),
            bytes: live.and_then(|live| live.shards.get(shard)).copied().unwrap_or_default(),
            is_served: live.is_some_and(|live| live.is_alive(now.elapsed)),
            moves_to: map.move_of(shard).map(|known| known.to.clone()),
            splits_to: map.splits.get(shard).map(|split| split.to.clone()),
            split_stage: map.splits.get(shard).map_or("", |split| split.stage.name()),
            split_failure: self.live.split_failures.get(shard).cloned().unwrap_or_default(),
        })
    }
}

/// `waiting`, `running` and so on.
fn job_state(job: &Job, now: Moment) -> &'static str {
    match job.phase {
        Phase::Open if job.has_begun && job.is_in_hours(now) => "running",
        Phase::Open => "waiting",
        Phase::Paused => "paused",
        Phase::Cancelling => "cancelling",
        Phase::Ended(ending) => ending.name(),
    }
}
