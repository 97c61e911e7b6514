//! Stores that go from one worker to another, and why nobody serves one while another does.
//!
//! The new owner fetches the files while the old one serves them; the last pass stops the old one's writes.
//! Once all has arrived the store is *released*: the map names no owner. When the old owner has heard
//! that, or its lease is over, the new one is named. So reads are refused for two reports, and at no time
//! do two serve.
//!
//! Ledger and registry move as a shard does, and two things are otherwise (`home_moves`), because nothing can take their
//! place: the old home removes them only once the new one has said that it has put them in their places, and a
//! new one that is lost before it was named leaves them where they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shardex_catalog::{ShardId, StoreId};

use super::state::{Moment, State};
use super::{Refusal, Report, WorkerName};

/// A store on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Move {
    /// Who gets it.
    pub(crate) to: WorkerName,
    /// The version of the map that ordered it: tells it from any other move.
    pub(crate) number: u64,
    /// The version of the map that named no owner. `None`: its owner still serves it.
    pub(crate) released: Option<u64>,
    /// Of ledger and registry: the version of the map that named the new home, which puts them in their places.
    #[serde(default)]
    pub(crate) named: Option<u64>,
}

impl Move {
    fn new(to: &WorkerName, number: u64) -> Self {
        Self { to: to.clone(), number, released: None, named: None }
    }

    /// Whether nobody owns it.
    pub(crate) fn is_released(&self) -> bool {
        self.released.is_some() && self.named.is_none()
    }
}

/// What a worker has fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) store: StoreId,
    pub(crate) number: u64,
    /// The process of the old owner that stopped writing for it.
    pub(crate) from_session: u64,
}

impl State {
    /// Orders that a shard goes to a worker.
    pub(crate) fn move_shard(
        &mut self,
        shard: &ShardId,
        to: &WorkerName,
        now: Moment,
    ) -> Result<(), Refusal> {
        let map = &self.durable.map;
        let Some(owner) = map.shards.get(shard) else {
            return Err(Refusal::NotFound(format!(
                "no shard `{shard}` is known: `shardex shards list` shows all"
            )));
        };
        match map.move_of(shard) {
            Some(known) if known.to == *to => return Ok(()),
            Some(known) => {
                return Err(Refusal::Refused(format!(
                    "shard `{shard}` is on its way to worker `{}`: wait for it",
                    known.to
                )));
            }
            None if owner == to => return Ok(()),
            None => {}
        }
        if self.is_split(shard) {
            return Err(Refusal::Refused(format!("shard `{shard}` is being split: wait for it")));
        }
        self.order_move(shard.into(), to, now)
    }

    /// Orders a move that nothing else stands in the way of.
    pub(super) fn order_move(&mut self, store: StoreId, to: &WorkerName, now: Moment) -> Result<(), Refusal> {
        if !self.may_get_shards(to, now) {
            return Err(Refusal::Refused(format!(
                "worker `{to}` is not alive, owns no stores, or is being drained: `shardex workers list` tells"
            )));
        }
        let map = self.durable.map_mut();
        map.version += 1;
        let number = map.version;
        map.moves.insert(store, Move::new(to, number));
        Ok(())
    }

    /// Whether a worker may get shards now.
    pub(super) fn may_get_shards(&self, worker: &WorkerName, now: Moment) -> bool {
        let is_drained = self.durable.cluster.drained.contains(worker);
        let live = self.live.workers.get(worker);
        !is_drained
            && live.is_some_and(|live| live.is_owner && !live.is_draining && live.is_alive(now.elapsed))
    }

    /// Orders that everything a worker owns goes to others, and that it gets nothing new.
    pub(crate) fn drain_worker(&mut self, worker: &WorkerName, now: Moment) -> Result<(), Refusal> {
        if !self.live.workers.contains_key(worker) {
            return Err(Refusal::NotFound(format!(
                "no worker `{worker}` is known: `shardex workers list` shows all"
            )));
        }
        if !self.durable.cluster.drained.contains(worker) {
            self.durable.cluster_mut().drained.insert(worker.clone());
        }
        // What was on its way to it stays where it is, unless it has left already.
        let map = &self.durable.map;
        let coming = map.moves.values().any(|known| known.to == *worker && known.released.is_none());
        if coming {
            let map = self.durable.map_mut();
            map.moves.retain(|_, known| known.to != *worker || known.released.is_some());
            map.version += 1;
        }
        self.advance_moves(now);
        Ok(())
    }

    /// Lets a worker get units and shards again.
    pub(crate) fn undrain_worker(&mut self, worker: &WorkerName) -> Result<(), Refusal> {
        if !self.durable.cluster.drained.contains(worker) {
            return Err(Refusal::Refused(format!("worker `{worker}` is not being drained")));
        }
        self.durable.cluster_mut().drained.remove(worker);
        Ok(())
    }

    /// Orders the fewest moves after which no owner has much more than another; gives their number.
    pub(crate) fn rebalance(&mut self, now: Moment) -> Result<usize, Refusal> {
        let owners: Vec<_> = self.loads(now).into_keys().collect();
        if owners.len() < 2 {
            return Err(Refusal::Refused("there are not two workers that own stores".to_owned()));
        }
        let map = &self.durable.map;
        let mut held: BTreeMap<WorkerName, Vec<(u64, ShardId)>> =
            owners.into_iter().map(|owner| (owner, Vec::new())).collect();
        for (shard, owner) in &map.shards {
            let goes_to = map.move_of(shard).map_or(owner, |known| &known.to);
            if let Some(shards) = held.get_mut(goes_to) {
                shards.push((self.bytes_of(shard, owner), shard.clone()));
            }
        }
        let splitting = map.splits.iter().flat_map(|(shard, split)| [shard, &split.to]);
        let moving = map.moves.keys().filter_map(StoreId::shard);
        let moving: Vec<_> = moving.chain(splitting).cloned().collect();
        let wanted = even_out(held, &moving);
        wanted.iter().try_for_each(|(shard, to)| self.move_shard(shard, to, now))?;
        Ok(wanted.len())
    }

    /// Takes what a worker says has arrived.
    pub(super) fn take_arrived(&mut self, report: &Report) {
        let arrived = report.holdings.iter().flat_map(|holdings| &holdings.arrived);
        for arrived in arrived {
            let map = &self.durable.map;
            let Some(known) = map.moves.get(&arrived.store) else { continue };
            let is_this = known.to == report.worker && known.number == arrived.number;
            let from = map.owner(&arrived.store).and_then(|owner| self.live.workers.get(owner));
            // Until the old owner has reported to this leader, it is not known which process it is.
            let Some(session) = from.and_then(|from| from.session) else { continue };
            if !is_this || known.released.is_some() {
                continue;
            }
            let map = self.durable.map_mut();
            map.version += 1;
            let version = map.version;
            let Some(known) = map.moves.get_mut(&arrived.store) else { continue };
            if session == arrived.from_session {
                known.released = Some(version);
            } else {
                // Another process of the old owner may have written since: it is fetched again.
                known.number = version;
            }
        }
    }

    /// Names the new owners of what `worker` has let go of, as its report tells.
    pub(super) fn take_let_go(&mut self, worker: &WorkerName, map_version: u64) {
        self.hand_over(|owner, released| owner == worker && map_version >= released);
    }

    /// What time changes: leases of old owners end, receivers are lost, drained workers are emptied.
    pub(super) fn advance_moves(&mut self, now: Moment) {
        let over: Vec<_> = self
            .live
            .workers
            .iter()
            .filter(|(_, live)| live.expires <= now.elapsed)
            .map(|(name, _)| name.clone())
            .collect();
        let is_lost = |(store, known): &(&StoreId, &Move)| match store {
            StoreId::Home => self.home_stays(known, now),
            StoreId::Shard(_) => known.released.is_none() && over.contains(&known.to),
        };
        let lost: Vec<_> =
            self.durable.map.moves.iter().filter(is_lost).map(|(store, _)| store.clone()).collect();
        if !lost.is_empty() {
            // Its owner writes again.
            let map = self.durable.map_mut();
            map.moves.retain(|store, _| !lost.contains(store));
            map.version += 1;
        }
        self.hand_over(|owner, _| over.contains(owner));
        self.empty_drained(now);
    }

    fn hand_over(&mut self, is_free: impl Fn(&WorkerName, u64) -> bool) {
        let map = &self.durable.map;
        let ready = map.moves.iter().filter(|(store, known)| {
            let owner = map.owner(store);
            let released = known.released.filter(|_| known.is_released());
            released.is_some_and(|released| owner.is_none_or(|owner| is_free(owner, released)))
        });
        let ready: Vec<_> = ready.map(|(store, known)| (store.clone(), known.to.clone())).collect();
        if ready.is_empty() {
            return;
        }
        let map = self.durable.map_mut();
        map.version += 1;
        for (store, to) in ready {
            match store {
                StoreId::Home => map.name_home(to),
                StoreId::Shard(shard) => {
                    map.moves.remove(&StoreId::from(&shard));
                    map.shards.insert(shard, to);
                }
            }
        }
    }

    fn empty_drained(&mut self, now: Moment) {
        if self.durable.cluster.drained.is_empty() {
            return;
        }
        self.empty_drained_home(now);
        let map = &self.durable.map;
        let leaving = map.shards.iter().filter(|(shard, owner)| {
            let is_busy = map.move_of(shard).is_some() || self.is_split(shard);
            self.durable.cluster.drained.contains(*owner) && !is_busy
        });
        let leaving: Vec<_> =
            leaving.map(|(shard, owner)| (self.bytes_of(shard, owner), shard.clone())).collect();
        let mut loads = self.loads(now);
        for (bytes, shard) in leaving {
            let Some(to) = super::map::place(&mut loads, bytes) else { return };
            // Who gets it was chosen among those who may.
            let _ = self.move_shard(&shard, &to, now);
        }
    }

    fn bytes_of(&self, shard: &ShardId, owner: &WorkerName) -> u64 {
        let live = self.live.workers.get(owner);
        live.and_then(|live| live.shards.get(shard)).copied().unwrap_or_default().max(1)
    }
}

/// Moves from the fullest owner to the emptiest, largest shards first, while that brings the two closer
/// and they differ by more than a fifth. Shards of `fixed` stay. Pure.
fn even_out(
    mut held: BTreeMap<WorkerName, Vec<(u64, ShardId)>>,
    fixed: &[ShardId],
) -> Vec<(ShardId, WorkerName)> {
    let sum = |shards: &Vec<(u64, ShardId)>| shards.iter().map(|(bytes, _)| bytes).sum::<u64>();
    let most: usize = held.values().map(Vec::len).sum();
    let mut wanted = Vec::new();
    for _ in 0..most {
        let mut sums: Vec<_> = held.iter().map(|(owner, shards)| (sum(shards), owner.clone())).collect();
        sums.sort();
        let (Some((least, to)), Some((full, from))) = (sums.first(), sums.last()) else { break };
        if *full <= least + least / 5 {
            break;
        }
        // More than half of the difference would only turn it around.
        let half = (full - least) / 2;
        let Some(shards) = held.get_mut(from) else { break };
        let fits =
            shards.iter().enumerate().filter(|(_, (bytes, shard))| *bytes <= half && !fixed.contains(shard));
        let Some((at, _)) = fits.max_by_key(|(_, (bytes, _))| *bytes) else { break };
        let moved = shards.swap_remove(at);
        wanted.push((moved.1.clone(), to.clone()));
        held.entry(to.clone()).or_default().push(moved);
    }
    wanted
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::super::support::{LEASE, begun, name, report};
    use super::super::{Holdings, Map};
    use super::*;

    struct Case {
        state: State,
        now: Moment,
    }

    fn shard(number: u64) -> ShardId {
        ShardId::new(&format!("p/{number}")).expect("an id")
    }

    impl Case {
        /// Worker `a` owns two shards, `b` none; `home` has ledger and registry.
        fn new() -> Self {
            let (state, now) = begun();
            let mut case = Self { state, now };
            case.say_with("home", |holdings| holdings.is_home = true);
            case.say_with("a", |holdings| holdings.shards = (0..2).map(|n| (shard(n), 100)).collect());
            case.say("b");
            case
        }

        fn say(&mut self, worker: &str) -> u64 {
            self.say_with(worker, |_| ())
        }

        /// A report of a worker that has the newest map; gives the map's version afterwards.
        fn say_with(&mut self, worker: &str, change: impl FnOnce(&mut Holdings)) -> u64 {
            let map_version = self.map().version;
            self.report(worker, 1, map_version, change)
        }

        fn report(
            &mut self,
            worker: &str,
            session: u64,
            map_version: u64,
            change: impl FnOnce(&mut Holdings),
        ) -> u64 {
            let mut holdings = Holdings::default();
            change(&mut holdings);
            let report =
                Report { session, map_version, holdings: Some(holdings), ..report(worker, 0, Vec::new()) };
            self.state.report(&report, self.now).expect("taken");
            self.map().version
        }

        fn arrived(&mut self, number: u64, from_session: u64) {
            let arrived = Arrived { store: shard(0).into(), number, from_session };
            self.say_with("b", |holdings| holdings.arrived = vec![arrived]);
        }

        fn order(&mut self) -> u64 {
            self.state.move_shard(&shard(0), &name("b"), self.now).expect("ordered");
            self.map().moves[&StoreId::from(shard(0))].number
        }

        fn map(&self) -> &Map {
            &self.state.durable.map
        }

        fn is_released(&self) -> bool {
            self.map().move_of(&shard(0)).is_some_and(|known| known.released.is_some())
        }

        fn owner(&self) -> String {
            self.map().shards[&shard(0)].to_string()
        }

        fn wait(&mut self, time: Duration) {
            self.now.elapsed += time;
            self.state.tick(self.now);
        }
    }

    #[test]
    fn a_shard_is_nobodys_until_its_owner_has_heard() {
        let mut case = Case::new();
        let number = case.order();
        let before = case.map().version;
        case.arrived(number, 1);
        assert!(case.is_released() && case.owner() == "a");
        // What the owner says has not heard of it.
        case.report("a", 1, before, |_| ());
        assert!(case.is_released());
        case.say("a");
        assert_eq!((case.owner().as_str(), case.map().moves.len()), ("b", 0));
    }

    #[test]
    fn an_owner_that_is_silent_has_let_go_when_its_lease_is_over() {
        let mut case = Case::new();
        let number = case.order();
        case.arrived(number, 1);
        case.wait(LEASE - Duration::from_secs(1));
        case.say("b");
        assert!(case.is_released());
        case.wait(Duration::from_secs(2));
        assert_eq!(case.owner(), "b");
    }

    #[test]
    fn what_arrived_for_another_move_or_process_does_not_count() {
        let mut case = Case::new();
        let number = case.order();
        case.arrived(number + 1, 1);
        assert!(!case.is_released());
        // The owner was started again, and may have written since.
        let version = case.map().version;
        case.report("a", 2, version, |_| ());
        case.arrived(number, 1);
        let again = case.map().move_of(&shard(0)).expect("it moves").number;
        assert!(!case.is_released() && again > number, "it is fetched again");
        case.arrived(number, 2);
        assert!(!case.is_released());
        case.arrived(again, 2);
        assert!(case.is_released());
    }

    #[test]
    fn a_receiver_that_is_lost_leaves_the_shard_where_it_is() {
        let mut case = Case::new();
        case.order();
        case.wait(LEASE - Duration::from_secs(1));
        case.say("a");
        case.wait(Duration::from_secs(2));
        assert_eq!((case.owner().as_str(), case.map().moves.len()), ("a", 0));
    }

    #[test]
    fn a_drained_worker_is_emptied_and_gets_nothing() {
        let mut case = Case::new();
        case.state.drain_worker(&name("a"), case.now).expect("drained");
        assert_eq!(case.map().moves.len(), 2);
        assert!(case.map().moves.values().all(|known| known.to != name("a")));
        assert!(case.state.move_shard(&shard(1), &name("a"), case.now).is_err());
        let located = case.state.locate(&[shard(7)], case.now).expect("located");
        assert_ne!(located[&shard(7)], name("a"));
        case.state.undrain_worker(&name("a")).expect("undrained");
        assert!(case.state.may_get_shards(&name("a"), case.now));
    }

    #[test]
    fn a_worker_with_another_folder_is_refused_while_it_owns_something() {
        let mut case = Case::new();
        let report = Report {
            worker: name("a"),
            session: 2,
            url: "http://a".to_owned(),
            mounts: BTreeMap::new(),
            holdings: Some(Holdings { folder_id: "another".to_owned(), ..Holdings::default() }),
            free_slots: 0,
            units: Vec::new(),
            is_draining: false,
            map_version: 0,
            schema_digest: Vec::new(),
            suspects: BTreeSet::new(),
        };
        assert!(matches!(case.state.report(&report, case.now), Err(Refusal::Refused(_))));
        case.wait(LEASE * 2);
        case.say("b");
        case.state.forget_worker(&name("a"), case.now).expect("forgotten");
        assert!(case.state.report(&report, case.now).is_ok());
    }

    #[test]
    fn few_moves_even_sizes_out() {
        let of = |range: std::ops::Range<u64>, bytes| range.map(|n| (bytes, shard(n))).collect::<Vec<_>>();
        let held = BTreeMap::from([(name("a"), of(0..12, 10)), (name("b"), Vec::new())]);
        let wanted = even_out(held, &[shard(0)]);
        assert!((5..=6).contains(&wanted.len()), "{wanted:?}");
        assert!(wanted.iter().all(|(moved, to)| *to == name("b") && *moved != shard(0)));
        let even = BTreeMap::from([(name("a"), of(0..6, 10)), (name("b"), of(6..11, 10))]);
        assert_eq!(even_out(even, &[]), []);
        let one = BTreeMap::from([(name("a"), of(0..1, 10)), (name("b"), Vec::new())]);
        assert_eq!(even_out(one, &[]), [], "a single shard moves to and fro for nothing");
    }
}
