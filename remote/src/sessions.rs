//! Which unit may write, with which fence. Pure.

use std::collections::HashMap;

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
    /// Nothing was heard of the leader yet.
    NoTable,
}

/// The sessions of a store. In memory only: a store that is started again asks everybody to begin
/// again, and knows from the table who may.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: Option<Table>,
    begun: HashMap<u64, u64>,
}

impl Sessions {
    /// Takes the leader's word. Sessions that it knows to be over are forgotten.
    pub(crate) fn set_table(&mut self, table: Table) {
        self.begun.retain(|unit, fence| {
            *fence > table.last_fence || table.fences.get(unit).is_some_and(|held| held == fence)
        });
        self.table = Some(table);
    }

    /// Begins a session.
    pub(crate) fn begin(&mut self, unit: u64, fence: u64) -> Result<(), NoBegin> {
        let table = self.table.as_ref().ok_or(NoBegin::NoTable)?;
        let is_held = table.fences.get(&unit) == Some(&fence);
        let is_newer = fence > table.last_fence;
        let is_highest = self.begun.get(&unit).is_none_or(|begun| *begun <= fence);
        if !(is_highest && (is_held || is_newer)) {
            return Err(NoBegin::Fenced);
        }
        self.begun.insert(unit, fence);
        Ok(())
    }

    /// Whether a unit may write.
    pub(crate) fn may_write(&self, unit: u64, fence: u64) -> bool {
        self.begun.get(&unit) == Some(&fence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(fences: &[(u64, u64)], last_fence: u64) -> Table {
        Table { fences: fences.iter().copied().collect(), last_fence }
    }

    #[test]
    fn a_successor_ends_the_session_before() {
        let mut store = Sessions::default();
        assert_eq!(store.begin(1, 5), Err(NoBegin::NoTable));
        store.set_table(table(&[(1, 5)], 5));
        assert!(!store.may_write(1, 5), "nobody writes who has not begun");
        assert_eq!(store.begin(1, 5), Ok(()));
        assert!(store.may_write(1, 5));
        assert_eq!(store.begin(1, 9), Ok(()), "given after the table was made");
        assert!(store.may_write(1, 9) && !store.may_write(1, 5));
        assert_eq!(store.begin(1, 5), Err(NoBegin::Fenced), "the zombie begins again");
    }

    #[test]
    fn a_store_that_was_started_again_knows_the_zombie_by_the_table() {
        let mut store = Sessions::default();
        store.set_table(table(&[(1, 9)], 9));
        assert_eq!(store.begin(1, 5), Err(NoBegin::Fenced));
        let mut store = Sessions::default();
        store.set_table(table(&[], 9));
        assert_eq!(store.begin(1, 5), Err(NoBegin::Fenced), "its unit has long finished");
    }

    #[test]
    fn what_the_leader_took_away_is_over() {
        let mut store = Sessions::default();
        store.set_table(table(&[(1, 5), (2, 6)], 6));
        assert_eq!((store.begin(1, 5), store.begin(2, 6), store.begin(3, 7)), (Ok(()), Ok(()), Ok(())));
        store.set_table(table(&[(2, 6)], 6));
        assert!(!store.may_write(1, 5) && store.may_write(2, 6));
        assert!(store.may_write(3, 7), "the table is older than this session");
    }
}
