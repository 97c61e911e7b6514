//! What the leader makes of a worker's report.

use std::collections::BTreeMap;
use std::time::Duration;

use shardex_catalog::Span;

use super::refusal::Refusal;
use super::state::{EXCLUSIONS_MAX, Kind, Live, Mount, State, Totals, Unit};
use super::{Timing, grant, lifecycle};

/// A worker's report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) worker: String,
    pub(crate) session: u64,
    pub(crate) url: String,
    pub(crate) mounts: Vec<Mount>,
    /// What it owns; `None` if it owns no stores.
    pub(crate) holdings: Option<Holdings>,
    pub(crate) free_slots: u32,
    pub(crate) units: Vec<Told>,
    pub(crate) is_draining: bool,
}

/// What a worker's folder holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holdings {
    pub(crate) shards: BTreeMap<String, u64>,
    pub(crate) is_home: bool,
    pub(crate) highest_fence: u64,
    pub(crate) placement: String,
}

/// What a worker says of a unit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) unit: u64,
    pub(crate) fence: u64,
    pub(crate) totals: Totals,
    pub(crate) set_aside: Vec<Span>,
    pub(crate) end: Option<End>,
}

/// How a unit ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Finished(Finished),
    Failed(String),
}

/// What a finished unit says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finished {
    pub(crate) unreadable_directories: u64,
    pub(crate) root: Option<(bool, bool)>,
    pub(crate) held: Option<String>,
}

/// A unit given to a worker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grant {
    pub(crate) job: u64,
    pub(crate) unit: Unit,
    pub(crate) fence: u64,
}

/// The leader's answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) granted: Vec<Grant>,
    pub(crate) dropped: Vec<u64>,
    pub(crate) split_wanted: Vec<u64>,
    pub(crate) split_done: Vec<u64>,
}

impl State {
    /// Takes a report. `jitter` from 0 to 1 spreads second attempts.
    pub(crate) fn report(
        &mut self,
        report: &Report,
        timing: &Timing,
        now: Duration,
        jitter: f64,
    ) -> Result<Reply, Refusal> {
        self.take_worker(report, timing, now)?;
        self.expire(timing, now);
        let mut reply = Reply::default();
        for told in &report.units {
            self.take_unit(report, told, &mut reply, timing, now, jitter);
        }
        lifecycle::advance(self);
        if !report.is_draining {
            grant::grant(self, report, &mut reply, now);
        }
        reply.split_wanted = grant::splits(self, report, now);
        Ok(reply)
    }

    /// Notes who reports, and adopts what nobody owns.
    fn take_worker(&mut self, report: &Report, timing: &Timing, now: Duration) -> Result<(), Refusal> {
        if let Some(holdings) = &report.holdings {
            self.check_fence(holdings, &report.worker)?;
            self.check_placement(holdings)?;
        }
        let live = Live {
            session: report.session,
            url: report.url.clone(),
            mounts: report.mounts.clone(),
            free_slots: report.free_slots,
            is_draining: report.is_draining,
            is_owner: report.holdings.is_some(),
            bytes: BTreeMap::new(),
            heard: now,
            lease_until: now + timing.lease,
        };
        let before = self.live.insert(report.worker.clone(), live);
        if before.is_some_and(|before| before.session != report.session) {
            // The process before is gone, and with it what it worked on.
            self.let_go(|holder| holder.worker == report.worker && holder.session != report.session);
        }
        if let Some(holdings) = &report.holdings {
            self.adopt(report, holdings);
        }
        Ok(())
    }

    /// A store that has seen a higher fence than this state ever gave: the state is an older copy.
    fn check_fence(&mut self, holdings: &Holdings, worker: &str) -> Result<(), Refusal> {
        if holdings.highest_fence <= self.cluster.last_fence {
            return Ok(());
        }
        let is_known = self.cluster.shards.values().any(|owner| owner == worker)
            || self.cluster.home.as_deref() == Some(worker);
        if is_known {
            return Err(Refusal::OlderState { worker: worker.to_owned() });
        }
        // An archive that was filled elsewhere.
        self.cluster.last_fence = holdings.highest_fence;
        Ok(())
    }

    fn check_placement(&mut self, holdings: &Holdings) -> Result<(), Refusal> {
        if holdings.placement.is_empty() {
            return Ok(());
        }
        match &self.cluster.placement {
            Some(known) if *known == holdings.placement => Ok(()),
            Some(_) => Err(Refusal::OtherPlacement),
            None => {
                self.cluster.placement = Some(holdings.placement.clone());
                Ok(())
            }
        }
    }

    fn adopt(&mut self, report: &Report, holdings: &Holdings) {
        let mut has_changed = false;
        let may_be_home =
            holdings.is_home || self.cluster.home_was_lost || !self.others_own_shards(&report.worker);
        if self.cluster.home.is_none() && may_be_home {
            self.cluster.home = Some(report.worker.clone());
            self.cluster.home_was_lost = false;
            has_changed = true;
        }
        for (shard, bytes) in &holdings.shards {
            let owner = self.cluster.shards.entry(shard.clone()).or_insert_with(|| {
                has_changed = true;
                report.worker.clone()
            });
            if *owner == report.worker
                && let Some(live) = self.live.get_mut(&report.worker)
            {
                live.bytes.insert(shard.clone(), *bytes);
            }
        }
        if self.cluster.urls.get(&report.worker) != Some(&report.url) {
            self.cluster.urls.insert(report.worker.clone(), report.url.clone());
            has_changed = true;
        }
        if has_changed {
            self.map_has_changed();
        }
    }

    /// Shards without a home belong to an archive whose home has not reported yet.
    fn others_own_shards(&self, worker: &str) -> bool {
        self.cluster.shards.values().any(|owner| owner != worker)
    }

    fn take_unit(
        &mut self,
        report: &Report,
        told: &Told,
        reply: &mut Reply,
        timing: &Timing,
        now: Duration,
        jitter: f64,
    ) {
        let holds = |unit: &Unit| {
            unit.holder.as_ref().is_some_and(|holder| {
                holder.worker == report.worker
                    && holder.session == report.session
                    && holder.fence == told.fence
            })
        };
        let job = self.jobs.values().find(|job| job.units.get(&told.unit).is_some_and(holds));
        let Some((job, unit)) = job.map(|job| (job.job, told.unit)) else {
            reply.dropped.push(told.unit);
            return;
        };
        if !told.set_aside.is_empty() && self.split(job, unit, &told.set_aside) {
            reply.split_done.push(unit);
        }
        let Some(job) = self.jobs.get_mut(&job) else { return };
        match &told.end {
            None => {
                if let Some(unit) = job.units.get_mut(&unit) {
                    unit.progress = told.totals.clone();
                }
            }
            Some(End::Finished(finished)) => {
                reply.dropped.push(unit);
                if let Some(unit) = job.units.remove(&unit) {
                    lifecycle::finished(job, &unit, finished, &told.totals);
                }
            }
            Some(End::Failed(why)) => {
                reply.dropped.push(unit);
                // Who drains gives back what is sound.
                let counts = !report.is_draining;
                lifecycle::failed(job, unit, why, counts.then(|| now + timing.backoff(jitter)));
            }
        }
    }

    /// Makes units of what a holder has set aside. Done again, it changes nothing. False if the
    /// holder must keep it.
    fn split(&mut self, job: u64, unit: u64, set_aside: &[Span]) -> bool {
        let mut children = Vec::new();
        for span in set_aside {
            let Some(parent) = self.jobs.get_mut(&job).and_then(|job| job.units.get_mut(&unit)) else {
                return false;
            };
            let is_done = parent.exclusions.iter().any(|known| known.covers(span));
            if is_done {
                continue;
            }
            if parent.kind != Kind::Walk || !parent.root.covers(span) {
                return false;
            }
            let mut exclusions = parent.exclusions.clone();
            span.clone().add_to(&mut exclusions);
            if exclusions.len() > EXCLUSIONS_MAX {
                return false;
            }
            parent.exclusions = exclusions;
            children.push((parent.source.clone(), span.clone()));
        }
        for (source, span) in children {
            let child = Unit::new(self.next_unit(), Kind::Walk, &source, span);
            if let Some(job) = self.jobs.get_mut(&job) {
                job.units.insert(child.unit, child);
            }
        }
        true
    }

    /// Takes units back from workers whose leases are over.
    pub(crate) fn expire(&mut self, timing: &Timing, now: Duration) {
        let live = self.live.clone();
        // Of a worker that this leader has not heard of, an earlier one may have given the lease.
        let is_over = |worker: &str| match live.get(worker) {
            Some(live) => live.lease_until <= now,
            None => timing.began + timing.lease <= now,
        };
        self.let_go(|holder| is_over(&holder.worker));
    }

    pub(super) fn let_go(&mut self, is_lost: impl Fn(&super::state::Holder) -> bool) {
        for unit in self.jobs.values_mut().flat_map(|job| job.units.values_mut()) {
            if unit.holder.as_ref().is_some_and(&is_lost) {
                unit.holder = None;
            }
        }
    }
}
