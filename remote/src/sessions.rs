//! Which unit may write, with which fence: what the leader's last table says. No IO, no clock.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, RwLock};

/// What the leader said last: the units that are held with their fences, and the last fence given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) fences: HashMap<u64, u64>,
    pub(crate) last_fence: u64,
}

/// Why a unit may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoBegin {
    /// Somebody else holds the unit, or nobody any more.
    Fenced,
    /// Nothing was heard of the leader since the fence was given.
    OldTable,
}

/// The right to write once. Whoever begins waits for its end.
#[derive(Debug)]
pub(crate) struct Permit {
    _writing: OwnedRwLockReadGuard<()>,
}

/// Is held shared by the writes of one session while they are being applied.
pub(crate) type Writing = Arc<RwLock<()>>;

/// The sessions of a store. In memory only: a store that is started again asks everybody to begin
/// again, and knows from the table who may.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: Option<Table>,
    begun: HashMap<u64, (u64, Writing)>,
    /// Sessions that are over and may still be writing.
    ending: Vec<Writing>,
}

impl Sessions {
    /// Takes the leader's word, which ends every session that it does not name. An older word than the
    /// last, of a leader that was, is passed over: fences only grow.
    pub(crate) fn set_table(&mut self, table: Table) {
        if self.table.as_ref().is_some_and(|last| table.last_fence < last.last_fence) {
            return;
        }
        let ended = self.begun.extract_if(|unit, (fence, _)| table.fences.get(unit) != Some(fence));
        self.ending.extend(ended.map(|(_, (_, writing))| writing));
        self.forget_ended();
        self.table = Some(table);
    }

    /// Begins a session that the table names. It may read when nobody holds what this gives: the
    /// writes of sessions that are over, of this unit or of one that read the same directories before.
    pub(crate) fn begin(&mut self, unit: u64, fence: u64) -> Result<Vec<Writing>, NoBegin> {
        let table = self.table.as_ref().ok_or(NoBegin::OldTable)?;
        if table.fences.get(&unit) != Some(&fence) {
            return Err(if fence > table.last_fence { NoBegin::OldTable } else { NoBegin::Fenced });
        }
        // A session with another fence was ended by the table.
        self.begun.entry(unit).or_insert_with(|| (fence, Writing::default()));
        self.forget_ended();
        Ok(self.ending.clone())
    }

    /// Lets a unit write once, if its session is not over.
    pub(crate) fn enter(&self, unit: u64, fence: u64) -> Option<Permit> {
        let (_, writing) = self.begun.get(&unit).filter(|(begun, _)| *begun == fence)?;
        // Only the locks of sessions that are over are ever taken for oneself.
        let writing = Arc::clone(writing).try_read_owned().ok()?;
        Some(Permit { _writing: writing })
    }

    /// What the writes of sessions that are over hold while they are being applied.
    pub(crate) fn ending(&self) -> Vec<Writing> {
        self.ending.clone()
    }

    fn forget_ended(&mut self) {
        self.ending.retain(|writing| writing.try_write().is_err());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(fences: &[(u64, u64)], last_fence: u64) -> Table {
        Table { fences: fences.iter().copied().collect(), last_fence }
    }

    fn begin(store: &mut Sessions, unit: u64, fence: u64) -> Result<usize, NoBegin> {
        store.begin(unit, fence).map(|ending| ending.len())
    }

    #[test]
    fn a_successor_ends_the_session_before() {
        let mut store = Sessions::default();
        assert_eq!(begin(&mut store, 1, 5), Err(NoBegin::OldTable));
        store.set_table(table(&[(1, 5)], 5));
        assert!(store.enter(1, 5).is_none(), "nobody writes who has not begun");
        assert_eq!(begin(&mut store, 1, 5), Ok(0));
        assert!(store.enter(1, 5).is_some() && store.enter(1, 4).is_none() && store.enter(1, 6).is_none());
        assert_eq!(begin(&mut store, 1, 9), Err(NoBegin::OldTable), "given after the table was made");
        store.set_table(table(&[(1, 9)], 9));
        assert_eq!(begin(&mut store, 1, 9), Ok(0));
        assert!(store.enter(1, 9).is_some() && store.enter(1, 5).is_none());
        assert_eq!(begin(&mut store, 1, 5), Err(NoBegin::Fenced), "the zombie begins again");
        store.set_table(table(&[(1, 5)], 5));
        assert!(store.enter(1, 9).is_some(), "a leader that was deposed has no say");
    }

    #[test]
    fn a_store_that_was_started_again_knows_the_zombie_by_the_table() {
        let mut store = Sessions::default();
        store.set_table(table(&[(1, 9)], 9));
        assert_eq!(begin(&mut store, 1, 5), Err(NoBegin::Fenced));
        let mut store = Sessions::default();
        store.set_table(table(&[], 9));
        assert_eq!(begin(&mut store, 1, 5), Err(NoBegin::Fenced), "its unit has long finished");
    }

    #[test]
    fn what_the_leader_took_away_is_over() {
        let mut store = Sessions::default();
        store.set_table(table(&[(1, 5), (2, 6)], 6));
        assert_eq!((begin(&mut store, 1, 5), begin(&mut store, 2, 6)), (Ok(0), Ok(0)));
        // The job of unit 1 was cancelled; unit 3 of another job reads the same directories.
        store.set_table(table(&[(2, 6), (3, 7)], 7));
        assert_eq!(begin(&mut store, 3, 7), Ok(0));
        assert!(store.enter(1, 5).is_none() && store.enter(2, 6).is_some());
    }

    #[test]
    fn whoever_begins_waits_for_writes_of_sessions_that_are_over() {
        let mut store = Sessions::default();
        store.set_table(table(&[(1, 5), (2, 6)], 6));
        assert_eq!((begin(&mut store, 1, 5), begin(&mut store, 2, 6)), (Ok(0), Ok(0)));
        let (zombie, _living) = (store.enter(1, 5), store.enter(2, 6));
        assert!(zombie.is_some());
        store.set_table(table(&[(1, 9), (2, 6), (3, 10)], 10));
        // Said again after it was given up, it still waits, and so does another unit.
        for (unit, fence) in [(1, 9), (1, 9), (3, 10)] {
            assert_eq!(begin(&mut store, unit, fence), Ok(1), "{unit}");
        }
        assert!(store.enter(1, 5).is_none());
        drop(zombie);
        assert_eq!(begin(&mut store, 1, 9), Ok(0));
        assert!(store.enter(1, 9).is_some());
    }
}
