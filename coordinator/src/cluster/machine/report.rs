//! What a worker says, and what it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shardex_catalog::{ShardId, SourceName, Span, StoreId};

use super::advance::Attempt;
use super::state::{Moment, State};
use super::{Arrived, Grant, Map, Memory, Mount, Refusal, SplitReport, Task, Totals, WorkerName};

/// What a worker is, holds and has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) worker: WorkerName,
    pub(crate) session: u64,
    pub(crate) url: String,
    pub(crate) mounts: BTreeMap<SourceName, Mount>,
    /// `None`: it owns no stores.
    pub(crate) holdings: Option<Holdings>,
    pub(crate) free_slots: u32,
    pub(crate) units: Vec<UnitReport>,
    pub(crate) is_draining: bool,
    pub(crate) map_version: u64,
    pub(crate) schema_digest: Vec<u8>,
    /// Units that its process before this one died with.
    pub(crate) suspects: BTreeSet<u64>,
}

/// What a worker's folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    pub(crate) shards: BTreeMap<ShardId, u64>,
    pub(crate) is_home: bool,
    /// Who may have its ledger and registry by now.
    pub(crate) home_leaves_to: Option<WorkerName>,
    pub(crate) placement: String,
    /// Tells the folder from any other.
    pub(crate) folder_id: String,
    /// Stores that were fetched from their owners, and are not in their places.
    pub(crate) arrived: Vec<Arrived>,
    /// Shards whose halves were made here.
    pub(crate) splits: Vec<SplitReport>,
    /// Splits that ledger and registry know, of the home.
    pub(crate) relabelled: Vec<SplitReport>,
    /// What the folder remembers of the cluster.
    pub(crate) memory: Memory,
    /// Of the home, once it was asked: the shards that its ledger rests on.
    pub(crate) ledger: Option<BTreeSet<ShardId>>,
}

impl Holdings {
    /// The move by which ledger and registry have arrived that are not in their places.
    pub(super) fn home_arrived(&self) -> Option<u64> {
        let arrived = self.arrived.iter().find(|arrived| arrived.store == StoreId::Home);
        arrived.map(|arrived| arrived.number)
    }
}

/// A unit as its holder sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnitReport {
    pub(crate) unit: u64,
    pub(crate) fence: u64,
    pub(crate) totals: Totals,
    /// Directories that took long.
    pub(crate) slowest: Vec<Slow>,
    pub(crate) set_aside: Vec<Span>,
    pub(crate) end: Option<End>,
}

/// A directory that took long to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slow {
    pub(crate) directory: Vec<u8>,
    pub(crate) milliseconds: u64,
    pub(crate) files: u64,
}

/// How a unit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything is recorded.
    Finished(Finished),
    /// It was given up: why.
    Failed(String),
    /// A store takes no more writes of it: why.
    Over(String),
}

/// What a finished unit leaves to be known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) unreadable_directories: u64,
    /// What a walk from the root saw: whether it was listed.
    pub(crate) root_was_listed: Option<bool>,
    pub(crate) root_is_empty: bool,
    /// Why a finish holds deletions.
    pub(crate) held: Option<String>,
}

/// What the worker is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) granted: Vec<Grant>,
    pub(crate) dropped: Vec<u64>,
    pub(crate) split_wanted: Vec<u64>,
    pub(crate) split_done: Vec<u64>,
    pub(crate) fences: Vec<(u64, u64)>,
    pub(crate) map: Option<Arc<Map>>,
    pub(crate) placement: String,
}

impl State {
    /// Takes a report. Taking it twice changes nothing more than the time of the lease.
    pub(crate) fn report(&mut self, report: &Report, now: Moment) -> Result<Reply, Refusal> {
        self.check(report)?;
        self.tick(now);
        self.join(report, now);
        let mut reply = Reply::default();
        for unit in &report.units {
            self.take_unit(report, unit, &mut reply, now);
        }
        self.let_go_of_stopped(report, now);
        self.take_arrived(report);
        self.take_installed(report);
        self.take_left(report);
        self.take_let_go(&report.worker, report.map_version);
        self.take_splits(report);
        self.advance_splits(now);
        self.advance(now);
        self.hand_out(report, now);
        reply.split_wanted = self.split_wanted(&report.worker, now);
        reply.split_wanted.retain(|unit| report.units.iter().any(|own| own.unit == *unit));
        reply.granted = self.grants_of(&report.worker, report.session);
        reply.fences = self.fences();
        reply.map = (report.map_version != self.durable.map.version).then(|| Arc::clone(&self.durable.map));
        reply.placement = self.durable.cluster.placement.clone().unwrap_or_default();
        Ok(reply)
    }

    fn check(&self, report: &Report) -> Result<(), Refusal> {
        let worker = &report.worker;
        let cluster = &self.durable.cluster;
        if self.live.workers.get(worker).is_some_and(|live| live.replaced.contains(&report.session)) {
            return Err(Refusal::Replaced(worker.clone()));
        }
        let ours = &self.limits.schema_digest;
        if *ours != report.schema_digest {
            return Err(Refusal::OtherSchema);
        }
        let Some(holdings) = &report.holdings else { return Ok(()) };
        if report.url.is_empty() {
            return Err(Refusal::BadRequest("`url` is required of a worker that owns stores".into()));
        }
        self.check_memory(worker, &holdings.memory)?;
        let known = cluster.folders.get(worker).filter(|known| **known != holdings.folder_id);
        let map = &self.durable.map;
        let owns = map.home.as_ref() == Some(worker) || map.shards.values().any(|owner| owner == worker);
        if known.is_some() && owns {
            return Err(Refusal::Refused(format!(
                "the folder of worker `{worker}` is not the one that it had, and what it owns is not there: \
                 put that back, or give it up with `shardex workers forget {worker}`"
            )));
        }
        let has_something = holdings.is_home || !holdings.shards.is_empty();
        if cluster.forgotten.contains(worker) && has_something {
            return Err(Refusal::Refused(format!(
                "worker `{worker}` was given up, and others own its shards: start it on an empty folder"
            )));
        }
        let theirs = &holdings.placement;
        if cluster.placement.as_ref().is_some_and(|ours| !theirs.is_empty() && ours != theirs) {
            return Err(Refusal::Refused(format!(
                "the archive of worker `{worker}` places studies in another way than the cluster: both must say the \
                 same in `[placement]` of archive.toml"
            )));
        }
        let brings_home = holdings.is_home && holdings.home_leaves_to.is_none();
        if let Some(home) = self.durable.map.home.as_ref().filter(|home| brings_home && *home != worker) {
            return Err(Refusal::Refused(format!(
                "the archive of worker `{worker}` has a ledger, but worker `{home}` is home: one archive per cluster; \
                 start it on an empty folder"
            )));
        }
        Ok(())
    }

    /// Notes what the worker is.
    fn join(&mut self, report: &Report, now: Moment) {
        let worker = &report.worker;
        if let Some(holdings) = &report.holdings {
            self.remember(worker, holdings, now);
        }
        if let Some(holdings) = &report.holdings
            && self.durable.cluster.folders.get(worker) != Some(&holdings.folder_id)
        {
            self.durable.cluster_mut().folders.insert(worker.clone(), holdings.folder_id.clone());
        }
        self.release_where(now, |unit| {
            unit.hold.as_ref().is_some_and(|hold| hold.worker == *worker && hold.session != report.session)
        });
        let live = self.live.workers.entry(worker.clone()).or_default();
        live.take_session(report.session);
        live.expires = now.elapsed + self.limits.lease;
        live.heard = now.elapsed;
        live.url.clone_from(&report.url);
        live.mounts.clone_from(&report.mounts);
        live.is_owner = report.holdings.is_some();
        live.is_draining = report.is_draining;
        live.suspects.clone_from(&report.suspects);
        live.shards.clear();
        let Some(holdings) = &report.holdings else { return };
        live.shards.clone_from(&holdings.shards);
        live.ledger.clone_from(&holdings.ledger);
        live.map_version = report.map_version;
        live.is_home = holdings.is_home;
        live.home_leaves_to.clone_from(&holdings.home_leaves_to);
        live.home_arrived = holdings.home_arrived();
        if self.durable.cluster.placement.is_none() && !holdings.placement.is_empty() {
            self.durable.cluster_mut().placement = Some(holdings.placement.clone());
        }
        let brings_home = holdings.is_home && holdings.home_leaves_to.is_none();
        self.adopt(worker, &report.url, brings_home, &holdings.shards);
    }

    fn take_unit(&mut self, report: &Report, said: &UnitReport, reply: &mut Reply, now: Moment) {
        let Some((job, is_stopping)) = self.held_as(report, said) else {
            // Unless it is named under its right fence, too.
            let holds = |other: &UnitReport| other.unit == said.unit && self.held_as(report, other).is_some();
            if !report.units.iter().any(holds) {
                reply.dropped.push(said.unit);
            }
            return;
        };
        if !said.set_aside.is_empty() && self.split(job, said.unit, &said.set_aside) {
            reply.split_done.push(said.unit);
        }
        match &said.end {
            None => {
                self.live.progress.insert(said.unit, said.totals.clone());
                self.live.slowest.insert(said.unit, said.slowest.clone());
                if is_stopping {
                    reply.dropped.push(said.unit);
                }
                return;
            }
            Some(End::Finished(finished)) => self.finish(job, said, finished),
            Some(End::Failed(_) | End::Over(_)) if report.is_draining || is_stopping => {
                self.let_go(job, said.unit, Attempt::GivenBack, now);
            }
            Some(End::Failed(why)) => self.let_go(job, said.unit, Attempt::Failed(why), now),
            Some(End::Over(why)) => self.let_go(job, said.unit, Attempt::Over(why), now),
        }
        reply.dropped.push(said.unit);
    }

    /// The job of a reported unit, if the reporter holds it so; and whether it is to let go.
    fn held_as(&self, report: &Report, said: &UnitReport) -> Option<(u64, bool)> {
        let job = self.durable.job_of(said.unit)?;
        let unit = self.durable.jobs.get(&job)?.units.get(&said.unit)?;
        let is_held = unit.is_held(&report.worker, report.session, said.fence);
        is_held.then(|| (job, unit.hold.as_ref().is_some_and(|hold| hold.is_stopping)))
    }

    /// A unit is done: its counts go to the job, and it is gone.
    fn finish(&mut self, job: u64, said: &UnitReport, finished: &Finished) {
        let counted = self.live.progress.get(&said.unit).and_then(|so_far| so_far.estimate);
        self.live.forget(said.unit);
        let Some(job) = self.durable.job_mut(job) else { return };
        let Some(unit) = job.units.remove(&said.unit) else { return };
        let mut totals = said.totals.clone();
        // The walk of a root has counted ahead for those that took parts of it, too.
        totals.estimate = totals.estimate.or(counted);
        job.totals.add(&totals);
        if let Some(source) = unit.task.source().and_then(|name| job.source_mut(name)) {
            source.totals.add(&totals);
        }
        job.unreadable_directories =
            job.unreadable_directories.saturating_add(finished.unreadable_directories);
        let Some(source) = unit.task.source() else { return };
        if let (Task::Walk { .. }, Some(was_listed), Some(source)) =
            (&unit.task, finished.root_was_listed, job.source_mut(source))
        {
            source.root_was_listed = was_listed;
            source.root_is_empty = finished.root_is_empty;
        }
        if let (Task::Finish { .. }, Some(why)) = (&unit.task, &finished.held) {
            job.held.insert(source.clone(), why.clone());
        }
    }

    /// What its holder was told to stop and no longer names is nobody's.
    fn let_go_of_stopped(&mut self, report: &Report, now: Moment) {
        let named: BTreeSet<_> = report.units.iter().map(|said| (said.unit, said.fence)).collect();
        let units = self
            .durable
            .jobs
            .values()
            .flat_map(|job| job.units.iter().map(|(unit, what)| (job.number, *unit, what)));
        let gone: Vec<_> = units
            .filter(|(_, unit, what)| {
                what.hold.as_ref().is_some_and(|hold| {
                    hold.worker == report.worker && hold.is_stopping && !named.contains(&(*unit, hold.fence))
                })
            })
            .map(|(job, unit, _)| (job, unit))
            .collect();
        for (job, unit) in gone {
            self.let_go(job, unit, Attempt::GivenBack, now);
        }
    }

    /// Gives the worker units for the slots that are really free: those of grants that it has not
    /// heard of are taken.
    fn hand_out(&mut self, report: &Report, now: Moment) {
        let unheard = self.grants_of(&report.worker, report.session).into_iter().filter(|grant| {
            !report.units.iter().any(|said| said.unit == grant.unit && said.fence == grant.fence)
        });
        let unheard = u32::try_from(unheard.count()).unwrap_or(u32::MAX);
        let slots = if report.is_draining { 0 } else { report.free_slots.saturating_sub(unheard) };
        let before = self.durable.cluster.last_fence;
        self.grant(&report.worker, slots, now);
        // Every grant has a fence of its own.
        let given = u32::try_from(self.durable.cluster.last_fence - before).unwrap_or(u32::MAX);
        if let Some(live) = self.live.workers.get_mut(&report.worker) {
            live.idle = slots.saturating_sub(given);
        }
    }
}
