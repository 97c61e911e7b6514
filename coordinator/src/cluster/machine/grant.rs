//! Who gets which unit, and why not.

use std::time::Duration;

use shardex_catalog::{Domain, SourceName};

use super::job::{JobSource, Options};
use super::live::LiveWorker;
use super::mount::{Identity, Usable};
use super::state::{Moment, State};
use super::unit::Hold;
use super::{Job, Phase, Task, Unit, WorkerName};

/// What keeps a whole job from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    /// It is paused, or ends.
    Phase,
    /// It is not its time of the day: when that begins.
    Hours(String),
    /// Another one over one of its sources goes first.
    Job(u64),
}

/// A unit that a worker holds from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) job: u64,
    pub(crate) unit: u64,
    pub(crate) fence: u64,
    /// The lowest fence of the job.
    pub(crate) job_fence: u64,
    pub(crate) task: Task,
    pub(crate) domain: Option<Domain>,
    pub(crate) options: Options,
    pub(crate) root_was_listed: bool,
    pub(crate) root_is_empty: bool,
    pub(crate) identity_changed: bool,
}

impl State {
    /// Gives a worker up to `slots` units. Its mounts and its session are those of its last report.
    pub(super) fn grant(&mut self, worker: &WorkerName, slots: u32, now: Moment) {
        for _ in 0..slots {
            let Some((job, unit)) = self.next_unit_for(worker, now) else { return };
            self.give(worker, job, unit);
        }
    }

    /// The first unit that a worker may take.
    fn next_unit_for(&mut self, worker: &WorkerName, now: Moment) -> Option<(u64, u64)> {
        let live = self.live.workers.get(worker).filter(|live| !live.is_draining)?.clone();
        let cluster = &self.durable.cluster;
        let all_wait = cluster.recovering.is_some() || self.splits_pause() || self.lost_units_are_held();
        if all_wait || cluster.drained.contains(worker) {
            return None;
        }
        for number in self.durable.open_jobs() {
            if self.blocked_by(number, now).is_some() {
                continue;
            }
            let job = self.durable.jobs.get(&number)?;
            if job.units.values().all(|unit| unit.hold.is_some()) {
                continue;
            }
            let found = job.units.iter().find(|(unit, what)| {
                what.hold.is_none()
                    && !self.is_backing_off(**unit, now)
                    && !self.is_for_another(**unit, worker, now)
                    && self.obstacle(job, what, worker, &live).is_none()
            });
            let found = found.map(|(unit, _)| *unit);
            if found.is_some() && !self.ensure_home(now) {
                return None;
            }
            if let Some(unit) = found {
                return Some((number, unit));
            }
        }
        None
    }

    /// Whether a process of another worker died with a unit: what killed it would kill this one, too.
    fn is_for_another(&self, unit: u64, worker: &WorkerName, now: Moment) -> bool {
        let mut others = self.live.workers.iter().filter(|(name, live)| {
            *name != worker
                && live.is_alive(now.elapsed)
                && !live.is_draining
                && live.suspects.contains(&unit)
        });
        let own = self.live.workers.get(worker).is_some_and(|live| live.suspects.contains(&unit));
        !own && others.any(|(name, _)| !self.durable.cluster.drained.contains(name))
    }

    pub(super) fn is_backing_off(&self, unit: u64, now: Moment) -> bool {
        self.live.not_before.get(&unit).is_some_and(|moment| now.elapsed < *moment)
    }

    /// What a job waits for: jobs over one source go one after the other, and one that has begun goes first,
    /// even while it waits for its hours.
    pub(super) fn blocked_by(&self, number: u64, now: Moment) -> Option<Blocked> {
        let job = self.durable.jobs.get(&number)?;
        if job.phase != Phase::Open {
            return Some(Blocked::Phase);
        }
        if let Some(begin) = job.hours_begin_at(now) {
            return Some(Blocked::Hours(begin));
        }
        let order = self.durable.open_jobs();
        let own = order.iter().position(|other| *other == number)?;
        let blocks = |at: usize, other: &Job| {
            let goes_first = match (other.has_begun, job.has_begun) {
                (true, false) => true,
                (false, true) => false,
                (true, true) => at < own,
                (false, false) => at < own && other.phase == Phase::Open && other.is_in_hours(now),
            };
            at != own && goes_first && other.shares_source(job)
        };
        let mut others = order.iter().enumerate();
        others
            .find(|(at, other)| self.durable.jobs.get(other).is_some_and(|other| blocks(*at, other)))
            .map(|(_, n)| Blocked::Job(*n))
    }

    /// Why a worker may not take a unit of a job that may run.
    pub(super) fn obstacle(
        &self,
        job: &Job,
        unit: &Unit,
        worker: &WorkerName,
        live: &LiveWorker,
    ) -> Option<&'static str> {
        let source = unit.task.source()?;
        let Some(mount) = live.mounts.get(source) else { return Some("no worker has its source mounted") };
        if let Usable::No(why) = mount.is_usable(self.identity(source)) {
            return Some(why);
        }
        let is_full = job.options.workers_max.is_some_and(|most| {
            let mut others: Vec<_> = job
                .running_walks()
                .filter(|(_, other)| other.task.source() == Some(source))
                .filter_map(|(_, other)| other.hold.as_ref().map(|hold| &hold.worker))
                .filter(|holder| *holder != worker)
                .collect();
            others.sort();
            others.dedup();
            u32::try_from(others.len()).unwrap_or(u32::MAX) >= most
        });
        is_full.then_some("as many workers read its source as may")
    }

    pub(super) fn identity(&self, source: &SourceName) -> &Identity {
        self.durable.cluster.sources.get(source).map_or(&Identity::Unseen, |known| &known.identity)
    }

    /// Gives a unit away under a new fence.
    fn give(&mut self, worker: &WorkerName, job: u64, unit: u64) {
        let Some(live) = self.live.workers.get(worker) else { return };
        let Some(session) = live.session else { return };
        let mounts = live.mounts.clone();
        let fence = self.durable.next_fence();
        let hold = Hold { worker: worker.clone(), session, fence, is_stopping: false };
        let Some(known) = self.durable.job_mut(job) else { return };
        known.has_begun = true;
        known.fence.get_or_insert(fence);
        let accepts = known.options.accept_deletions;
        let Some(what) = known.units.get_mut(&unit) else { return };
        what.hold = Some(hold);
        let source = what.task.source().cloned();
        self.live.not_before.remove(&unit);
        if let Some(source) = source
            && let Some(mount) = mounts.get(&source)
        {
            self.note_identity(job, &source, mount.marker.as_deref(), accepts);
        }
    }

    /// Notes what the root of a source is when somebody begins to read it.
    fn note_identity(&mut self, job: u64, source: &SourceName, marker: Option<&str>, accepts: bool) {
        let found = Identity::Seen(marker.map(str::to_owned));
        if *self.identity(source) == found {
            return;
        }
        // Another identity is kept out until somebody accepts what it deletes.
        let is_new = *self.identity(source) == Identity::Unseen || accepts;
        if is_new {
            if let Some(known) = self.durable.cluster_mut().sources.get_mut(source) {
                known.identity = found;
            }
        } else if let Some(of_job) = self.durable.job_mut(job).and_then(|job| job.source_mut(source)) {
            of_job.identity_changed = true;
        }
    }

    /// The units that a worker's process holds, as it is told.
    pub(super) fn grants_of(&self, worker: &WorkerName, session: u64) -> Vec<Grant> {
        let jobs = self.durable.jobs.values().filter(|job| job.is_open());
        let units = jobs.flat_map(|job| job.units.iter().map(move |(number, unit)| (job, *number, unit)));
        let held = units.filter_map(|(job, number, unit)| {
            let hold = unit.hold.as_ref()?;
            let is_own = hold.worker == *worker && hold.session == session && !hold.is_stopping;
            is_own.then(|| grant_of(job, number, unit, hold.fence))
        });
        held.collect()
    }

    /// Units that anybody holds, with their fences.
    pub(super) fn fences(&self) -> Vec<(u64, u64)> {
        let jobs = self.durable.jobs.values().filter(|job| job.is_open());
        let units = jobs.flat_map(|job| job.units.iter());
        units.filter_map(|(number, unit)| Some((*number, unit.hold.as_ref()?.fence))).collect()
    }
}

fn grant_of(job: &Job, number: u64, unit: &Unit, fence: u64) -> Grant {
    let source: Option<&JobSource> = unit.task.source().and_then(|name| job.source(name));
    Grant {
        job: job.number,
        unit: number,
        fence,
        job_fence: job.fence.unwrap_or(fence),
        task: unit.task.clone(),
        domain: source.map(|source| source.domain.clone()),
        options: job.options.clone(),
        root_was_listed: source.is_some_and(|source| source.root_was_listed),
        root_is_empty: source.is_some_and(|source| source.root_is_empty),
        identity_changed: source.is_some_and(|source| source.identity_changed),
    }
}

/// Time before the next attempt: doubles, up to five minutes, and is spread by half around.
pub(super) fn backoff(failures: u32, random: u64) -> Duration {
    const FIRST_MS: u64 = 1000;
    const LONGEST_MS: u64 = 300_000;
    let doubled = FIRST_MS.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST_MS);
    Duration::from_millis(doubled / 2 + random % doubled)
}
