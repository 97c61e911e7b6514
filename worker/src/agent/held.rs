//! The units that this worker holds, and what becomes of them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shardex_catalog::{Fence, Placement, Span};
use shardex_proto::v1::unit_report::End;
use shardex_proto::v1::{self, UnitFinished, UnitGrant, UnitKind, UnitReport, UnitTotals, WorkerOrders};
use tokio::sync::Notify;

use super::crumbs::Crumbs;
use super::options::{settings, source_in, span_in, span_out};
use super::{AgentSettings, UnitStores};
use crate::ingest::{Control, SourceRoot};
use crate::outcome::{Ended, Outcome};
use crate::progress::{Progress, SlowDirectory};
use crate::unit::{RootSeen, Task, Unit, UnitOutcome, run_unit};

/// Units by number and fence: the same unit may come back under a higher one.
type Key = (u64, u64);

/// Why a unit has no outcome.
struct GivenUp {
    /// Without paths.
    why: String,
    /// It is at no fault: a store takes no more writes of it.
    begins_anew: bool,
}

impl From<String> for GivenUp {
    fn from(why: String) -> Self {
        Self { why, begins_anew: false }
    }
}

/// A unit that is worked on, or has ended and was not acknowledged yet.
struct Held {
    control: Control,
    kind: UnitKind,
    aside: Option<Span>,
    /// What became of it.
    result: Option<Result<UnitOutcome, GivenUp>>,
    /// Nobody wants to know.
    is_dropped: bool,
}

impl Held {
    /// Lets it end. What is set aside is walked by nobody here: it may be others' already.
    fn stop(&self) {
        self.control.cancel.store(true, Ordering::SeqCst);
        self.control.rest.stop();
    }
}

#[derive(Default)]
struct Units(Mutex<BTreeMap<Key, Held>>);

impl Units {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The units of a worker.
pub(super) struct Table {
    settings: Arc<AgentSettings>,
    stores: Arc<dyn UnitStores>,
    units: Arc<Units>,
    crumbs: Arc<Crumbs>,
    wake: Arc<Notify>,
}

impl Table {
    pub(super) fn new(settings: Arc<AgentSettings>, stores: Arc<dyn UnitStores>, wake: Arc<Notify>) -> Self {
        let crumbs = Crumbs::open(settings.breadcrumbs.clone(), settings.slots.saturating_mul(2));
        Self { settings, stores, units: Arc::default(), crumbs: Arc::new(crumbs), wake }
    }

    /// Units that a process before this one died with.
    pub(super) fn suspects(&self) -> Vec<u64> {
        self.crumbs.units()
    }

    /// Units that may begin. One that has read everything waits for the stores only: another one reads beside it.
    pub(super) fn free_slots(&self) -> u32 {
        let units = self.units.lock();
        let is_writing = units
            .values()
            .filter(|held| held.result.is_none())
            .map(|held| held.control.progress.is_writing());
        free_slots(self.settings.slots, is_writing)
    }

    /// Whether no unit runs.
    pub(super) fn has_ended(&self) -> bool {
        self.units.lock().values().all(|held| held.result.is_some())
    }

    /// Tells every unit to stop; each is given back when it has.
    pub(super) fn stop_all(&self) {
        for held in self.units.lock().values() {
            held.stop();
        }
    }

    /// As [`Table::stop_all`], and nobody wants to know: the lease is over.
    pub(super) fn lose_all(&self) {
        self.stop_all();
        self.units.lock().values_mut().for_each(|held| held.is_dropped = true);
        self.forget();
    }

    /// What is to be said of each unit.
    pub(super) fn reports(&self) -> Vec<UnitReport> {
        let units = self.units.lock();
        let wanted = units.iter().filter(|(_, held)| !held.is_dropped);
        wanted.map(|((unit, fence), held)| report(*unit, *fence, held)).collect()
    }

    /// Takes an answer.
    pub(super) fn take(&self, reply: &WorkerOrders, is_draining: bool) {
        self.change(&reply.dropped, |held| {
            held.is_dropped = true;
            held.stop();
        });
        self.change(&reply.split_done, |held| {
            held.aside = None;
            held.control.rest.give_away();
        });
        let mut is_new = false;
        self.change(&reply.split_wanted, |held| {
            if held.aside.is_none() && held.result.is_none() {
                held.aside = held.control.rest.set_aside();
                is_new |= held.aside.is_some();
            }
        });
        if is_new {
            self.wake.notify_one();
        }
        self.forget();
        for grant in reply.granted.iter().filter(|_| !is_draining) {
            self.start(grant, &reply.placement);
        }
    }

    /// Changes every held unit of these numbers.
    fn change(&self, units: &[u64], mut change: impl FnMut(&mut Held)) {
        let mut table = self.units.lock();
        for unit in units {
            table.range_mut((*unit, 0)..=(*unit, u64::MAX)).for_each(|(_, held)| change(held));
        }
    }

    fn forget(&self) {
        self.units.lock().retain(|_, held| !(held.is_dropped && held.result.is_some()));
    }

    fn start(&self, grant: &UnitGrant, placement: &str) {
        let key = (grant.unit, grant.fence);
        let control = Control::default();
        {
            let mut units = self.units.lock();
            if units.contains_key(&key) {
                return;
            }
            let held = Held {
                control: control.clone(),
                kind: grant.kind(),
                aside: None,
                result: None,
                is_dropped: false,
            };
            units.insert(key, held);
        }
        let (settings, stores) = (Arc::clone(&self.settings), Arc::clone(&self.stores));
        let (units, crumbs, wake) =
            (Arc::clone(&self.units), Arc::clone(&self.crumbs), Arc::clone(&self.wake));
        let (grant, placement) = (grant.clone(), placement.to_owned());
        tokio::spawn(async move {
            let result = work(&settings, &*stores, &crumbs, (&grant, &placement), control, &wake).await;
            match &result {
                Ok(_) => crumbs.forget(grant.unit),
                Err(GivenUp { why, begins_anew: true }) => {
                    tracing::info!(unit = grant.unit, why, "a unit is over here, or begins anew");
                }
                Err(GivenUp { why, .. }) => tracing::warn!(unit = grant.unit, why, "a unit was given up"),
            }
            if let Some(held) = units.lock().get_mut(&key) {
                held.result = Some(result);
            }
            wake.notify_one();
        });
    }
}

/// Slots that are free beside running units, of each of which it is known whether it has read everything: as many of these
/// as there are slots take none.
fn free_slots(slots: u32, is_writing: impl Iterator<Item = bool>) -> u32 {
    let (mut reading, mut writing) = (0_u32, 0_u32);
    is_writing.for_each(|is_writing| *if is_writing { &mut writing } else { &mut reading } += 1);
    slots.saturating_sub(reading + writing.saturating_sub(slots))
}

/// Works a unit off.
async fn work(
    settings: &AgentSettings,
    stores: &dyn UnitStores,
    crumbs: &Crumbs,
    (grant, placement): (&UnitGrant, &str),
    control: Control,
    wake: &Notify,
) -> Result<UnitOutcome, GivenUp> {
    let placement: Placement = (settings.parse_placement)(placement)?;
    let unit =
        Unit { task: task(settings, grant)?, fence: Fence(grant.fence), since: Fence(grant.job_fence) };
    let mut how = self::settings(grant.options.as_ref().unwrap_or(&Default::default()), placement)?;
    how.probe = settings.probe.clone();
    how.before_read = settings.before_read.clone();
    let suspects = crumbs.suspects_of(grant.unit);
    how.after_a_death = suspects.is_some();
    how.suspects = suspects.unwrap_or_default();
    let slot = crumbs.begin(grant.unit).map(Arc::new);
    // What is found out of a suspect rests on its breadcrumbs until it is recorded.
    let to_forget = slot.clone().filter(|_| !how.after_a_death);
    let has_read = Arc::clone(&control.has_read);
    how.breadcrumbs = slot.as_ref().map(|slot| slot.folder().to_owned());
    how.count_ahead = matches!(&unit.task, Task::Walk { span, excluded, .. }
        if span.directory().is_root() && span.names().is_none() && excluded.is_empty());
    let stores = stores.begin(grant.unit, unit.fence).await?;
    let mut worked = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        run_unit(unit, how, stores, &control)
    });
    let worked = tokio::select! {
        worked = &mut worked => worked,
        () = has_read.notified() => {
            to_forget.inspect(|slot| slot.has_read());
            wake.notify_one();
            worked.await
        }
    };
    worked
        .map_err(|_| "the unit crashed".to_owned())?
        .map_err(|error| GivenUp { why: error.without_paths(), begins_anew: error.is_over() })
}

fn task(settings: &AgentSettings, grant: &UnitGrant) -> Result<Task, String> {
    if grant.kind() == UnitKind::Heal {
        return Ok(Task::Heal);
    }
    let (name, domain) = source_in(grant)?;
    let mount = settings.mounts.iter().find(|mount| mount.name == name);
    let mount = mount.ok_or_else(|| format!("source `{name}` is not mounted here"))?;
    let source = SourceRoot {
        name,
        domain,
        root: mount.root.clone(),
        identity_changed: grant.identity_changed,
        skips_stubs: false,
    };
    match grant.kind() {
        UnitKind::Walk => {
            let span = span_in(&grant.root.clone().unwrap_or_default())?;
            let excluded = grant.exclusions.iter().map(span_in).collect::<Result<_, _>>()?;
            Ok(Task::Walk { source, span, excluded })
        }
        UnitKind::Finish => {
            let root = RootSeen { was_listed: grant.root_was_listed, is_empty: grant.root_is_empty };
            Ok(Task::Finish { source, root })
        }
        UnitKind::Heal | UnitKind::Unspecified => Err("a unit of a kind that is not known here".to_owned()),
    }
}

fn report(unit: u64, fence: u64, held: &Held) -> UnitReport {
    let outcome = held.result.as_ref().and_then(|result| result.as_ref().ok());
    let totals = match outcome.and_then(|done| done.outcome.as_ref()) {
        Some(outcome) => totals_of(outcome),
        None => totals_so_far(&held.control.progress),
    };
    UnitReport {
        unit,
        fence,
        totals: Some(totals),
        set_aside: held.aside.iter().map(span_out).collect(),
        end: held.result.as_ref().map(|result| end(result, held.kind)),
        begins_anew: matches!(&held.result, Some(Err(given_up)) if given_up.begins_anew),
    }
}

fn end(result: &Result<UnitOutcome, GivenUp>, kind: UnitKind) -> End {
    let done = match result {
        Ok(done) => done,
        Err(given_up) => return End::Failed(given_up.why.clone()),
    };
    let mut finished = UnitFinished {
        root_was_listed: done.root.map(|root| root.was_listed),
        root_is_empty: done.root.is_some_and(|root| root.is_empty),
        ..UnitFinished::default()
    };
    match done.outcome.as_ref().map(|outcome| &outcome.ended) {
        None | Some(Ended::Complete) => {}
        Some(Ended::Interrupted) => return End::Failed("it was given back".to_owned()),
        Some(Ended::Held(sources)) => finished.held = sources.first().map(|held| held.why.to_owned()),
        Some(Ended::Incomplete { failed_shards, .. }) if !failed_shards.is_empty() => {
            // Their rows are lost: the whole is tried again, and what is recorded is skipped.
            let (shard, _) = &failed_shards[0];
            let what = if kind == UnitKind::Finish { "finished" } else { "written" };
            return End::Failed(format!(
                "{} shards could not be {what}, shard {shard} first",
                failed_shards.len()
            ));
        }
        Some(Ended::Incomplete { unreadable_directories, .. }) => {
            finished.unreadable_directories = *unreadable_directories;
        }
    }
    End::Finished(finished)
}

fn totals_so_far(progress: &Progress) -> UnitTotals {
    let now = progress.snapshot();
    UnitTotals {
        files: now.files,
        opened: now.opened,
        unchanged: now.unchanged,
        directories: now.directories,
        bytes: now.bytes,
        states: now.states.iter().map(|(state, count)| (state.to_string(), *count)).collect(),
        estimate: now.estimate,
        slowest: progress.slowest().into_iter().map(slow).collect(),
        ..UnitTotals::default()
    }
}

fn totals_of(outcome: &Outcome) -> UnitTotals {
    UnitTotals {
        files: outcome.files,
        opened: outcome.opened,
        unchanged: outcome.unchanged,
        directories: outcome.directories,
        bytes: outcome.bytes,
        states: outcome.states.iter().map(|(state, count)| (state.to_string(), *count)).collect(),
        new_files: outcome.new,
        changed: outcome.changed,
        returned: outcome.returned,
        missing: outcome.missing,
        deleted: outcome.deleted,
        moved: outcome.moved,
        estimate: None,
        slowest: Vec::new(),
    }
}

fn slow(slow: SlowDirectory) -> v1::SlowDirectory {
    v1::SlowDirectory {
        source: String::new(),
        directory: slow.directory.as_bytes().to_vec().into(),
        milliseconds: u64::try_from(slow.time.as_millis()).unwrap_or(u64::MAX),
        files: slow.files,
    }
}

#[cfg(test)]
mod tests {
    use super::free_slots;

    #[test]
    fn units_that_only_write_take_no_slot_up_to_a_bound() {
        for (slots, is_writing, free) in [
            (0, &[][..], 0),
            (1, &[], 1),
            (1, &[false], 0),
            (1, &[true], 1),
            (1, &[true, false], 0),
            (1, &[true, true], 0),
            (2, &[true, true], 2),
            (2, &[true, true, true], 1),
            (2, &[true, false], 1),
        ] {
            assert_eq!(free_slots(slots, is_writing.iter().copied()), free, "{slots} {is_writing:?}");
        }
    }
}
