//! What operators order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::job::{JobSource, Submit};
use super::mount::Identity;
use super::state::{KnownSource, Moment, State};
use super::{Job, Phase, Refusal, Task, Totals, Unit};

/// Sources of a job.
const SOURCES_MAX: usize = 1000;
/// Slower, a reader that waits for its turn would look like one that hangs.
const PACE_MIN: u32 = 10;
const REQUEST_ID_MAX: usize = 64;
/// Patterns of a job.
const PATTERNS_MAX: usize = 1000;
const WINDOWS_MAX: usize = 24;

impl State {
    /// Takes an order; gives the job's number.
    pub(crate) fn submit(&mut self, order: Submit, now: Moment) -> Result<u64, Refusal> {
        check(&order)?;
        let same = |job: &&Arc<Job>| !order.request_id.is_empty() && job.request_id == order.request_id;
        if let Some(known) = self.durable.jobs.values().find(same) {
            return Ok(known.number);
        }
        if self.durable.open_jobs().len() >= self.limits.open_max {
            return Err(Refusal::Refused(format!(
                "{} jobs have not ended yet: wait, or cancel some",
                self.limits.open_max
            )));
        }
        let mut sources = Vec::new();
        for (name, domain) in order.sources {
            let known = self.durable.cluster.sources.get(&name).map(|known| known.domain.clone());
            let domain = match (known, domain) {
                (Some(known), Some(given)) if known != given => {
                    return Err(Refusal::Refused(format!(
                        "source `{name}` belongs to domain `{known}`, not `{given}`: a source's domain is fixed"
                    )));
                }
                (Some(known), _) => known,
                (None, given) => given.unwrap_or_default(),
            };
            sources.push(JobSource::waiting(name, domain));
        }
        let heal = self.durable.next_unit();
        let cluster = self.durable.cluster_mut();
        for source in &sources {
            let unseen = KnownSource { domain: source.domain.clone(), identity: Identity::Unseen };
            cluster.sources.entry(source.name.clone()).or_insert(unseen);
        }
        cluster.last_job += 1;
        let number = cluster.last_job;
        let job = Job {
            number,
            sources,
            options: order.options,
            priority: order.priority,
            windows: order.windows,
            request_id: order.request_id,
            phase: Phase::Open,
            has_begun: false,
            fence: None,
            began_ns: now.wall_ns,
            ended_ns: None,
            totals: Totals::default(),
            units: BTreeMap::from([(heal, Unit::new(Task::Heal))]),
            dead: BTreeMap::new(),
            held: BTreeMap::new(),
            unreadable_directories: 0,
        };
        self.durable.jobs.insert(number, job.into());
        Ok(number)
    }

    /// Stops giving out units of a job, and takes back those that are given out.
    pub(crate) fn pause(&mut self, number: u64) -> Result<(), Refusal> {
        match self.phase(number)? {
            Phase::Paused => Ok(()),
            Phase::Open => {
                self.stop_units(number, Phase::Paused);
                Ok(())
            }
            Phase::Cancelling | Phase::Ended(_) => Err(ended(number)),
        }
    }

    /// Goes on with a paused job.
    pub(crate) fn resume(&mut self, number: u64) -> Result<(), Refusal> {
        match self.phase(number)? {
            Phase::Open => Ok(()),
            Phase::Paused => {
                if let Some(job) = self.durable.job_mut(number) {
                    job.phase = Phase::Open;
                }
                Ok(())
            }
            Phase::Cancelling | Phase::Ended(_) => Err(ended(number)),
        }
    }

    /// Ends a job as soon as nobody works on it.
    pub(crate) fn cancel(&mut self, number: u64, now: Moment) -> Result<(), Refusal> {
        match self.phase(number)? {
            Phase::Cancelling | Phase::Ended(super::Ending::Cancelled) => Ok(()),
            Phase::Open | Phase::Paused => {
                self.stop_units(number, Phase::Cancelling);
                self.advance(now);
                Ok(())
            }
            Phase::Ended(_) => Err(ended(number)),
        }
    }

    /// Gives out again what was given up.
    pub(crate) fn retry(&mut self, number: u64) -> Result<(), Refusal> {
        let phase = self.phase(number)?;
        if matches!(phase, Phase::Cancelling | Phase::Ended(super::Ending::Cancelled)) {
            return Err(ended(number));
        }
        let Some(job) = self.durable.job_mut(number) else { return Ok(()) };
        if job.dead.is_empty() {
            return Err(Refusal::Refused(format!(
                "job {number} has given up no unit: there is nothing to try again"
            )));
        }
        for (unit, what) in std::mem::take(&mut job.dead) {
            job.units.insert(unit, Unit::new(what.task));
        }
        if matches!(phase, Phase::Ended(_)) {
            job.phase = Phase::Open;
            job.ended_ns = None;
            // It queues again: others over its sources may have begun since.
            job.has_begun = false;
        }
        Ok(())
    }

    fn phase(&self, number: u64) -> Result<Phase, Refusal> {
        let job = self.durable.jobs.get(&number);
        job.map(|job| job.phase).ok_or_else(|| {
            Refusal::NotFound(format!("no job {number} is known: `shardex job list` shows the last ones"))
        })
    }

    pub(super) fn stop_units(&mut self, number: u64, phase: Phase) {
        let Some(job) = self.durable.job_mut(number) else { return };
        job.phase = phase;
        stop(job);
    }

    /// Has every unit given back, to be given out again under a new fence.
    pub(super) fn stop_all_units(&mut self) {
        let jobs =
            self.durable.jobs.values().filter(|job| job.units.values().any(|unit| unit.hold.is_some()));
        let numbers: Vec<_> = jobs.map(|job| job.number).collect();
        numbers.into_iter().for_each(|number| {
            if let Some(job) = self.durable.job_mut(number) {
                stop(job);
            }
        });
    }
}

fn stop(job: &mut Job) {
    for hold in job.units.values_mut().filter_map(|unit| unit.hold.as_mut()) {
        hold.is_stopping = true;
    }
}

fn ended(number: u64) -> Refusal {
    Refusal::Refused(format!("job {number} has ended or is being cancelled: submit another"))
}

fn check(order: &Submit) -> Result<(), Refusal> {
    let wrong = |text: &str| Err(Refusal::BadRequest(text.to_owned()));
    if order.sources.is_empty() || order.sources.len() > SOURCES_MAX {
        return wrong("a job has 1 to 1,000 sources");
    }
    let names: BTreeSet<_> = order.sources.iter().map(|(name, _)| name).collect();
    if names.len() != order.sources.len() {
        return wrong("a source is named twice");
    }
    if order.options.include.len() + order.options.exclude.len() > PATTERNS_MAX {
        return wrong("a job has at most 1,000 patterns");
    }
    if !matches!(order.options.digest.as_str(), "" | "header" | "full" | "none") {
        return wrong("`digest` is `header`, `full` or `none`");
    }
    if order.options.workers_max == Some(0) || order.options.readers == Some(0) {
        return wrong("`workers_max` and `readers` are at least 1");
    }
    if order.options.files_per_second.is_some_and(|pace| pace < PACE_MIN) {
        return wrong("`files_per_second` is at least 10");
    }
    if order.options.patience_seconds == Some(0) {
        return wrong("`patience_seconds` is at least 1");
    }
    if order.windows.len() > WINDOWS_MAX {
        return wrong("a job has at most 24 windows");
    }
    if order.request_id.len() > REQUEST_ID_MAX {
        return wrong("`request_id` has at most 64 bytes");
    }
    Ok(())
}
