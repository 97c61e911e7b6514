//! A job from its submission to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::refusal::Refusal;
use super::report::Finished;
use super::state::{
    ATTEMPTS_MAX, Job, JobSource, JobState, Kind, Options, Phase, Source, State, Totals, Unit,
};

/// What a job is asked to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    /// Name and domain; an empty domain is the one that the source had.
    pub(crate) sources: Vec<(String, String)>,
    pub(crate) options: Options,
    pub(crate) priority: i32,
}

/// What an operator does to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Pause,
    Resume,
    Cancel,
    Retry,
}

impl State {
    /// Takes an order; the job's number.
    pub(crate) fn submit(&mut self, order: &Order, now_ns: i64) -> Result<u64, Refusal> {
        let names: BTreeMap<_, _> =
            order.sources.iter().map(|(name, _)| (name.clone(), JobSource::default())).collect();
        if names.is_empty() || names.len() != order.sources.len() {
            return Err(Refusal::NoSources);
        }
        for (name, domain) in &order.sources {
            let known = self.cluster.sources.get(name).map(|source| source.domain.clone());
            if let Some(known) = known.filter(|known| !domain.is_empty() && known != domain) {
                return Err(Refusal::OtherDomain { name: name.clone(), known });
            }
        }
        for (name, domain) in &order.sources {
            let domain = if domain.is_empty() { "default" } else { domain };
            let source = || Source { domain: domain.to_owned(), marker: None };
            self.cluster.sources.entry(name.clone()).or_insert_with(source);
        }
        self.cluster.last_job += 1;
        let job = Job {
            job: self.cluster.last_job,
            sources: names,
            options: order.options.clone(),
            priority: order.priority,
            began_ns: now_ns,
            ..Job::default()
        };
        let number = job.job;
        self.jobs.insert(number, job);
        self.forget_jobs();
        advance(self);
        Ok(number)
    }

    /// Changes a job as its operator wishes.
    pub(crate) fn change(&mut self, job: u64, change: Change, now_ns: i64) -> Result<(), Refusal> {
        let found = self.jobs.get_mut(&job).ok_or(Refusal::NoJob(job))?;
        match (change, found.state) {
            (Change::Retry, _) if !found.dead.is_empty() => retry(found),
            (Change::Retry, _) => {}
            (_, state) if state.has_ended() => return Err(Refusal::Ended(job)),
            (Change::Pause, _) => {
                found.state = JobState::Paused;
                found.units.values_mut().for_each(|unit| unit.holder = None);
            }
            (Change::Resume, JobState::Paused) => found.state = JobState::Waiting,
            (Change::Resume, _) => {}
            (Change::Cancel, _) => {
                found.units.clear();
                found.state = JobState::Cancelled;
                found.ended_ns = Some(now_ns);
            }
        }
        advance(self);
        Ok(())
    }

    /// Notes the end of jobs that have just ended.
    pub(crate) fn note_ends(&mut self, now_ns: i64) {
        for job in self.jobs.values_mut() {
            if job.state.has_ended() && job.ended_ns.is_none() {
                job.ended_ns = Some(now_ns);
            }
        }
    }
}

fn retry(job: &mut Job) {
    for (number, mut unit) in std::mem::take(&mut job.dead) {
        unit.attempts = 0;
        unit.not_before = Duration::ZERO;
        job.units.insert(number, unit);
    }
    if job.state.has_ended() {
        job.state = JobState::Waiting;
        job.ended_ns = None;
        job.phase =
            if job.units.values().any(|unit| unit.kind == Kind::Heal) { Phase::Heal } else { Phase::Walk };
    }
}

/// A unit has finished.
pub(super) fn finished(job: &mut Job, unit: &Unit, finished: &Finished, totals: &Totals) {
    job.totals.add(totals);
    job.unreadable_directories += finished.unreadable_directories;
    if let (Some((was_listed, is_empty)), Some(source)) = (finished.root, job.sources.get_mut(&unit.source)) {
        *source = JobSource { root_was_listed: was_listed, root_is_empty: is_empty };
    }
    if let Some(why) = &finished.held {
        job.held.insert(unit.source.clone(), why.clone());
    }
}

/// A unit was given back. `again`: when it may be tried again, if this was an attempt.
pub(super) fn failed(job: &mut Job, unit: u64, why: &str, again: Option<Duration>) {
    let Some(found) = job.units.get_mut(&unit) else { return };
    found.holder = None;
    let Some(again) = again else { return };
    found.attempts += 1;
    found.failure = why.to_owned();
    found.not_before = again;
    if found.attempts >= ATTEMPTS_MAX
        && let Some(dead) = job.units.remove(&unit)
    {
        job.dead.insert(unit, dead);
    }
}

/// Starts jobs whose turn it is, and takes running ones further.
pub(super) fn advance(state: &mut State) {
    start_waiting(state);
    let running: Vec<u64> = state
        .jobs
        .values()
        .filter(|job| job.state == JobState::Running && job.units.is_empty())
        .map(|job| job.job)
        .collect();
    for number in running {
        next_phase(state, number);
    }
}

/// Jobs over one source go one after the other: by priority, then by number.
fn start_waiting(state: &mut State) {
    let mut waiting: Vec<_> = state
        .jobs
        .values()
        .filter(|job| job.state == JobState::Waiting)
        .map(|job| (-job.priority, job.job))
        .collect();
    waiting.sort_unstable();
    for (_, number) in waiting {
        let is_blocked = state.jobs.values().any(|other| {
            matches!(other.state, JobState::Running | JobState::Paused)
                && state.jobs[&number].sources.keys().any(|source| other.sources.contains_key(source))
        });
        if is_blocked {
            continue;
        }
        let is_new = state.jobs[&number].fence == 0;
        let heal = is_new.then(|| (state.next_fence(), Unit::whole(state.next_unit(), Kind::Heal, "")));
        let Some(job) = state.jobs.get_mut(&number) else { continue };
        job.state = JobState::Running;
        if let Some((fence, heal)) = heal {
            job.fence = fence;
            job.units.insert(heal.unit, heal);
        }
    }
}

/// What comes after the last unit of a phase.
fn next_phase(state: &mut State, number: u64) {
    let Some(job) = state.jobs.get(&number) else { return };
    // What was given up keeps its source from being finished: nobody knows what is gone of it.
    let is_sound =
        |source: &String| !job.dead.values().any(|dead| dead.source == *source || dead.source.is_empty());
    let (phase, kind, sources): (_, _, Vec<String>) = match job.phase {
        Phase::Heal => (Phase::Walk, Kind::Walk, job.sources.keys().cloned().collect()),
        Phase::Walk => {
            (Phase::Finish, Kind::Finish, job.sources.keys().filter(|s| is_sound(s)).cloned().collect())
        }
        Phase::Finish => (Phase::Finish, Kind::Finish, Vec::new()),
    };
    let has_healed = job.dead.values().all(|dead| dead.kind != Kind::Heal);
    let sources = if has_healed { sources } else { Vec::new() };
    let units: Vec<Unit> =
        sources.iter().map(|source| Unit::whole(state.next_unit(), kind, source)).collect();
    let Some(job) = state.jobs.get_mut(&number) else { return };
    if units.is_empty() {
        job.state = ended(job);
        return;
    }
    job.phase = phase;
    job.units.extend(units.into_iter().map(|unit| (unit.unit, unit)));
}

fn ended(job: &Job) -> JobState {
    if !job.dead.is_empty() || job.unreadable_directories > 0 {
        JobState::Incomplete
    } else if !job.held.is_empty() {
        JobState::Held
    } else {
        JobState::Complete
    }
}
