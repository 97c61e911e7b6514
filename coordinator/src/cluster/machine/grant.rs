//! Who gets which unit, and who is asked to give a part of one.

use std::time::Duration;

use super::report::{Grant, Reply, Report};
use super::state::{EXCLUSIONS_MAX, Holder, Job, JobState, Kind, Mount, Source, State, Unit};

/// Gives waiting units to a worker with free slots: by priority, then by number.
pub(super) fn grant(state: &mut State, report: &Report, reply: &mut Reply, now: Duration) {
    // Without a home there is no ledger to write to.
    if state.cluster.home.is_none() {
        return;
    }
    for _ in 0..report.free_slots.min(64) {
        let Some((job, unit)) = next(state, report, now) else { return };
        let fence = state.next_fence();
        let Some(found) = state.jobs.get_mut(&job).and_then(|job| job.units.get_mut(&unit)) else { return };
        found.holder = Some(Holder { worker: report.worker.clone(), session: report.session, fence });
        let granted = found.clone();
        note_marker(state, report, &granted.source);
        if let Some(live) = state.live.get_mut(&report.worker) {
            live.free_slots = live.free_slots.saturating_sub(1);
        }
        reply.granted.push(Grant { job, unit: granted, fence });
    }
}

fn next(state: &State, report: &Report, now: Duration) -> Option<(u64, u64)> {
    let mut jobs: Vec<&Job> = state.jobs.values().filter(|job| job.state == JobState::Running).collect();
    jobs.sort_by_key(|job| (-job.priority, job.job));
    jobs.into_iter().find_map(|job| {
        let fits = |unit: &&Unit| {
            unit.holder.is_none()
                && unit.not_before <= now
                && may_take(state, job, unit, &report.mounts, &report.worker)
        };
        job.units.values().find(fits).map(|unit| (job.job, unit.unit))
    })
}

/// Whether a worker with these mounts may work on a unit.
fn may_take(state: &State, job: &Job, unit: &Unit, mounts: &[Mount], worker: &str) -> bool {
    if unit.kind == Kind::Heal {
        return true;
    }
    let Some(mount) = mounts.iter().find(|mount| mount.name == unit.source) else { return false };
    let source = state.cluster.sources.get(&unit.source);
    let holders: std::collections::BTreeSet<&str> = job
        .units
        .values()
        .filter(|other| other.source == unit.source)
        .filter_map(|other| Some(other.holder.as_ref()?.worker.as_str()))
        .collect();
    let most = job.options.workers_max.map_or(usize::MAX, |most| most.max(1) as usize);
    why_not(mount, source).is_none() && (holders.contains(worker) || holders.len() < most)
}

/// Why a mount is not taken for the source; `None` if it is.
pub(crate) fn why_not(mount: &Mount, source: Option<&Source>) -> Option<&'static str> {
    if mount.root_entries == 0 {
        return Some("its root is empty or cannot be listed: is it mounted?");
    }
    let known = source.and_then(|source| source.marker.as_ref());
    match known {
        Some(known) if mount.marker.as_ref() != Some(known) => Some(
            "the file .shardex-source in its root is not the one that the source had: is the right one mounted?",
        ),
        _ => None,
    }
}

/// A marker counts from the first time that it is seen.
fn note_marker(state: &mut State, report: &Report, source: &str) {
    let marker =
        report.mounts.iter().find(|mount| mount.name == source).and_then(|mount| mount.marker.clone());
    if let Some(known) = state.cluster.sources.get_mut(source)
        && known.marker.is_none()
    {
        known.marker = marker;
    }
}

/// Units of this worker of which a part is wanted: others are idle, and nothing waits for them.
pub(super) fn splits(state: &State, report: &Report, now: Duration) -> Vec<u64> {
    let mut wanted = Vec::new();
    for job in state.jobs.values().filter(|job| job.state == JobState::Running) {
        let waiting = job.units.values().filter(|unit| unit.holder.is_none()).count();
        let own = job.units.values().filter(|unit| {
            unit.kind == Kind::Walk
                && unit.exclusions.len() < EXCLUSIONS_MAX
                && unit.holder.as_ref().is_some_and(|holder| holder.worker == report.worker)
        });
        for unit in own {
            let idle = state.live.iter().filter(|(name, live)| {
                live.free_slots > 0
                    && !live.is_draining
                    && live.lease_until > now
                    && may_take(state, job, unit, &live.mounts, name)
            });
            if idle.count() > waiting {
                wanted.push(unit.unit);
            }
        }
    }
    wanted
}
