//! Carries out what the map says of ledger and registry that come and go.
//!
//! It acts by the map that came with the last report, not by the newest that anybody has asked for: what this worker says
//! that it is, and what it does, must not be of two times (`home_moves` of the coordinator).

use std::sync::atomic::Ordering;

use shardex_catalog::StoreId;
use shardex_remote::Map;
use shardex_seams::StoreError;

use super::moves::{Mover, Step};

/// `arrived`: the number of the move for which both have come; `leaving`: that of the move for which their last pass began
/// here. Pure.
fn step(map: &Map, worker: &str, arrived: Option<u64>, leaving: Option<u64>) -> Step {
    let is_own = map.home.as_deref() == Some(worker);
    // A home that was named since begins with nothing.
    let is_same = |number: u64| is_own && map.home_begun < number;
    match (map.moves.get(&StoreId::Home), arrived) {
        (Some(known), Some(arrived)) if known.to == worker && known.number == arrived => {
            if is_own {
                Step::Install
            } else {
                Step::Report
            }
        }
        // Ordered again, both are fetched again. Nobody has them to give while they change hands.
        (Some(known), _) if known.to == worker && !is_own && map.home.is_some() => Step::Fetch(known.number),
        (Some(_), None) => Step::Nothing,
        // The state was lost when they were about to be put in their places.
        (None, Some(arrived)) if is_same(arrived) => Step::Install,
        (_, Some(_)) => Step::Discard,
        (None, None) => match leaving {
            Some(number) if is_same(number) => Step::Stay,
            Some(_) if map.home.is_some() => Step::Remove,
            _ => Step::Nothing,
        },
    }
}

impl Mover {
    /// Takes the step for ledger and registry, but fetching: gives them if they are to be fetched.
    pub(super) async fn look_at_home(
        &self,
        arrived: Option<u64>,
    ) -> Result<Option<(StoreId, u64)>, StoreError> {
        let map = self.gate.heard();
        if map.version == 0 {
            return Ok(None);
        }
        let leaving = self.moving.home_departure()?.map(|departure| departure.number);
        let step = step(&map, &self.worker, arrived, leaving);
        if step == Step::Install {
            return self.become_home(&map).await.map(|()| None);
        }
        let (is_removed, is_fetched) = (step == Step::Remove, matches!(step, Step::Fetch(_)));
        let waits = step == Step::Report;
        let to_fetch = self.carry_out(step, StoreId::Home).await?;
        let is_own = map.home.as_ref() == Some(&self.worker);
        // Whatever waited here is out of the way.
        if is_removed || is_own {
            self.is_home.store(is_own, Ordering::Relaxed);
        }
        if is_own {
            self.gate.has_begun(map.home_begun);
        }
        let comes = map.moves.get(&StoreId::Home).is_some_and(|known| known.to == self.worker && !is_own);
        if !waits && !is_fetched && !comes {
            self.gate.keep_expecting(|store| *store != StoreId::Home);
        }
        Ok(to_fetch)
    }

    /// Puts both in their places. From before that is decided this worker says that it is home, so that whoever makes a
    /// lost map anew takes no other for it.
    async fn become_home(&self, map: &Map) -> Result<(), StoreError> {
        self.gate.expect(&StoreId::Home);
        self.is_home.store(true, Ordering::Relaxed);
        if self.gate.heard().version != map.version {
            self.is_home.store(self.moving.is_home_decided(), Ordering::Relaxed);
            return Ok(());
        }
        let installed = self.carry_out(Step::Install, StoreId::Home).await;
        if installed.is_err() {
            self.is_home.store(self.moving.is_home_decided(), Ordering::Relaxed);
        } else {
            self.gate.has_begun(map.home_begun);
            self.gate.keep_expecting(|store| *store != StoreId::Home);
        }
        installed.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use shardex_remote::StoreMove;

    use super::*;

    fn map(home: &str, moves: Option<(&str, u64)>, home_begun: u64) -> Map {
        let moves = moves.map(|(to, number)| (StoreId::Home, StoreMove { to: to.to_owned(), number }));
        Map {
            version: 9,
            home: (!home.is_empty()).then(|| home.to_owned()),
            home_begun,
            moves: moves.into_iter().collect::<HashMap<_, _>>(),
            ..Map::default()
        }
    }

    #[test]
    fn both_are_fetched_reported_and_installed_and_removed_where_they_were() {
        let ordered = map("a", Some(("b", 5)), 0);
        assert_eq!(step(&ordered, "b", None, None), Step::Fetch(5));
        assert_eq!(step(&ordered, "b", Some(4), None), Step::Fetch(5), "they came for another move");
        assert_eq!(step(&ordered, "b", Some(5), None), Step::Report);
        assert_eq!(step(&ordered, "a", None, Some(5)), Step::Nothing);
        let released = map("", Some(("b", 5)), 0);
        assert_eq!(step(&released, "b", Some(5), None), Step::Report);
        assert_eq!(step(&released, "b", None, None), Step::Nothing, "nobody has them to give");
        assert_eq!(step(&released, "a", None, Some(5)), Step::Nothing);
        let named = map("b", Some(("b", 5)), 0);
        assert_eq!(step(&named, "b", Some(5), None), Step::Install);
        assert_eq!(step(&named, "b", None, None), Step::Nothing, "they are in their places");
        assert_eq!(step(&named, "a", None, Some(5)), Step::Nothing, "not before they are in their places");
        let done = map("b", None, 0);
        assert_eq!(step(&done, "a", None, Some(5)), Step::Remove);
        assert_eq!(step(&done, "a", None, None), Step::Nothing, "never removed without a mark");
        assert_eq!(step(&done, "b", None, None), Step::Nothing);
    }

    #[test]
    fn a_move_that_is_called_off_leaves_nothing_behind() {
        let stays = map("a", None, 0);
        assert_eq!(step(&stays, "a", None, Some(5)), Step::Stay);
        assert_eq!(step(&stays, "b", Some(5), None), Step::Discard);
        let another = map("a", Some(("c", 7)), 0);
        assert_eq!(step(&another, "b", Some(5), None), Step::Discard);
        assert_eq!(step(&another, "a", None, Some(5)), Step::Nothing);
    }

    #[test]
    fn a_home_that_begins_with_nothing_has_nothing_of_an_earlier_time() {
        let forgotten = map("", None, 0);
        assert_eq!(step(&forgotten, "a", None, Some(5)), Step::Nothing);
        let anew = map("a", None, 8);
        assert_eq!(step(&anew, "a", None, Some(5)), Step::Remove, "another one may have written since");
        assert_eq!(step(&anew, "a", Some(5), None), Step::Discard);
        assert_eq!(step(&map("a", None, 4), "a", None, Some(5)), Step::Stay, "it moved since it began");
    }

    #[test]
    fn what_is_about_to_be_in_its_place_gets_there_whatever_becomes_of_the_map() {
        assert_eq!(step(&map("b", None, 0), "b", Some(5), None), Step::Install);
    }
}
