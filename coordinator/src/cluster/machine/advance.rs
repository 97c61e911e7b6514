//! What follows when units end: the next stage of a source, the end of a job, another attempt.

use shardex_catalog::{RelativePath, SourceName, Span};

use super::grant::backoff;
use super::job::Stage;
use super::state::{Moment, State};
use super::unit::Unit;
use super::{Ending, Job, Phase, Task, WorkerName};

/// How an attempt ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt<'a> {
    /// The holder says that it failed: why.
    Failed(&'a str),
    /// The holder is gone.
    Lost,
    /// A store has forgotten the holder, as if that were gone: why.
    Over(&'a str),
    /// The holder gave it back, or was told to let go.
    GivenBack,
}

const FAILURE_CHARS_MAX: usize = 300;

impl State {
    /// What time alone changes: leases end, jobs go on.
    pub(crate) fn tick(&mut self, now: Moment) {
        let silent = self.live.workers.iter().filter(|(_, live)| live.expires <= now.elapsed);
        let silent: Vec<_> = silent.map(|(name, _)| name.clone()).collect();
        for worker in silent {
            self.release_all(&worker, now);
        }
        let lease_ms = u32::try_from(self.limits.lease.as_millis()).unwrap_or(u32::MAX);
        if now.elapsed >= self.settled && self.durable.cluster.lease_ms != lease_ms {
            self.durable.cluster_mut().lease_ms = lease_ms;
        }
        self.end_recovery(now);
        self.end_hours(now);
        self.advance_moves(now);
        self.advance_splits(now);
        self.advance(now);
    }

    /// Takes all units from a worker.
    pub(super) fn release_all(&mut self, worker: &WorkerName, now: Moment) {
        self.release_where(now, |unit| unit.hold.as_ref().is_some_and(|hold| hold.worker == *worker));
    }

    /// Takes units away whose holder is lost.
    pub(super) fn release_where(&mut self, now: Moment, is_lost: impl Fn(&Unit) -> bool) {
        let units = self
            .durable
            .jobs
            .values()
            .flat_map(|job| job.units.iter().map(|(unit, what)| (job.number, *unit, what)));
        let lost: Vec<_> = units
            .filter(|(_, _, what)| is_lost(what))
            .map(|(job, unit, what)| (job, unit, what.hold.as_ref().is_some_and(|hold| hold.is_stopping)))
            .collect();
        for (job, unit, is_stopping) in lost {
            let attempt = if is_stopping { Attempt::GivenBack } else { Attempt::Lost };
            self.let_go(job, unit, attempt, now);
        }
    }

    /// A unit is nobody's any more, and waits for another attempt if there may be one.
    pub(super) fn let_go(&mut self, job: u64, unit: u64, attempt: Attempt<'_>, now: Moment) {
        let limits = (self.limits.failures_max, self.limits.losses_max);
        let Some(job) = self.durable.job_mut(job) else { return };
        let Some(what) = job.units.get_mut(&unit) else { return };
        what.hold = None;
        let short = |why: &str| why.chars().take(FAILURE_CHARS_MAX).collect();
        let tried = match attempt {
            Attempt::GivenBack => None,
            Attempt::Failed(why) => {
                what.failures += 1;
                what.failure = short(why);
                Some(what.failures)
            }
            Attempt::Over(why) => {
                what.losses += 1;
                what.failure = short(why);
                // A moment, for the store to hear of it.
                Some(1)
            }
            Attempt::Lost => {
                what.losses += 1;
                "its holder went silent".clone_into(&mut what.failure);
                None
            }
        };
        let is_dead = what.failures >= limits.0 || what.losses >= limits.1;
        if is_dead && let Some(what) = job.units.remove(&unit) {
            job.dead.insert(unit, what);
            self.live.forget(unit);
        }
        self.live.rest(unit);
        if let Some(failures) = tried.filter(|_| !is_dead) {
            self.live.not_before.insert(unit, now.elapsed + backoff(failures, now.random));
        }
    }

    /// Moves every open job as far as it goes by itself.
    pub(super) fn advance(&mut self, now: Moment) {
        let open: Vec<_> =
            self.durable.jobs.values().filter(|job| job.is_open()).map(|job| job.number).collect();
        for number in open {
            self.advance_job(number, now);
        }
        self.forget_old_jobs();
    }

    fn advance_job(&mut self, number: u64, now: Moment) {
        let Some(job) = self.durable.jobs.get(&number) else { return };
        if job.phase == Phase::Cancelling {
            self.drop_idle_units(number);
            if self.durable.jobs.get(&number).is_some_and(|job| job.units.is_empty()) {
                self.end_job(number, Ending::Cancelled, now);
            }
            return;
        }
        if job.rests_on_lost(&self.durable.cluster) {
            self.begin_anew(number);
            return;
        }
        if job.is_healing() {
            if job.units.is_empty() {
                self.end_job(number, Ending::Incomplete, now);
            }
            return;
        }
        let steps: Vec<_> = job
            .sources
            .iter()
            .filter_map(|source| Some((source.name.clone(), next_task(job, source.stage, &source.name)?)))
            .collect();
        for (source, (stage, task)) in steps {
            let unit = task.map(|task| (self.durable.next_unit(), Unit::new(task)));
            let Some(job) = self.durable.job_mut(number) else { return };
            if let Some(source) = job.source_mut(&source) {
                source.stage = stage;
            }
            job.units.extend(unit);
        }
        if let Some(ending) = self.durable.jobs.get(&number).and_then(|job| ending(job)) {
            self.end_job(number, ending, now);
        }
    }

    /// Has a job compare the shards with the new ledger and read everything again, once nobody works on it any more: what
    /// its units recorded is gone, and rows that they would have removed are no longer known.
    fn begin_anew(&mut self, number: u64) {
        let Some(job) = self.durable.jobs.get(&number) else { return };
        if job.units.values().any(|unit| unit.hold.is_some()) {
            return;
        }
        let old: Vec<_> = job.units.keys().chain(job.dead.keys()).copied().collect();
        old.into_iter().for_each(|unit| self.live.forget(unit));
        let heal = self.durable.next_unit();
        if let Some(job) = self.durable.job_mut(number) {
            job.begin_anew(heal);
        }
    }

    /// Removes units that nobody works on from a job that is cancelled; what was done of them counts, because it is
    /// recorded.
    fn drop_idle_units(&mut self, number: u64) {
        let Some(job) = self.durable.jobs.get(&number) else { return };
        let idle = job.units.iter().filter(|(_, unit)| unit.hold.is_none());
        let idle: Vec<_> = idle.map(|(unit, what)| (*unit, what.task.source().cloned())).collect();
        for (unit, source) in idle {
            let Some(job) = self.durable.job_mut(number) else { return };
            job.units.remove(&unit);
            if let Some(done) = self.live.progress.get(&unit) {
                job.totals.add(done);
                if let Some(source) = source.and_then(|name| job.source_mut(&name)) {
                    source.totals.add(done);
                }
            }
            self.live.forget(unit);
        }
    }

    fn end_job(&mut self, number: u64, ending: Ending, now: Moment) {
        if let Some(job) = self.durable.job_mut(number) {
            job.phase = Phase::Ended(ending);
            job.ended_ns = Some(now.wall_ns);
        }
        if ending != Ending::Cancelled {
            self.was_read(number);
        }
    }

    fn forget_old_jobs(&mut self) {
        let ended: Vec<_> = self
            .durable
            .jobs
            .values()
            .filter(|job| !job.is_open())
            .map(|job| (job.ended_ns, job.number))
            .collect();
        let surplus = ended.len().saturating_sub(self.limits.ended_max);
        let mut ended = ended;
        ended.sort_unstable();
        for (_, number) in ended.into_iter().take(surplus) {
            self.durable.jobs.remove(&number);
        }
    }
}

/// The next stage of a source whose units have ended, with the unit that it begins with. Pure.
fn next_task(job: &Job, stage: Stage, source: &SourceName) -> Option<(Stage, Option<Task>)> {
    if job.units_of(source).next().is_some() {
        return None;
    }
    let source = source.clone();
    match stage {
        Stage::Waiting => {
            let root = Span::whole(RelativePath::default());
            Some((Stage::Walking, Some(Task::Walk { source, root, exclusions: Vec::new() })))
        }
        Stage::Walking => Some((Stage::Finishing, Some(Task::Finish { source }))),
        Stage::Finishing => Some((Stage::Done, None)),
        Stage::Done => None,
    }
}

/// How a job ended, if it has. Pure.
fn ending(job: &Job) -> Option<Ending> {
    if !job.units.is_empty() {
        return None;
    }
    Some(if !job.dead.is_empty() || job.unreadable_directories > 0 {
        Ending::Incomplete
    } else if !job.held.is_empty() {
        Ending::Held
    } else {
        Ending::Complete
    })
}
