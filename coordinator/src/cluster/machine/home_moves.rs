//! Ledger and registry, which go from one worker to another as shards do (`moves`), and what is otherwise with them.

use shardex_catalog::StoreId;

use super::map::{SHARD_BYTES_MIN, place};
use super::state::{Moment, State};
use super::{Map, Move, Refusal, Report, WorkerName};

impl State {
    /// Orders that ledger and registry go to a worker.
    pub(crate) fn make_home(&mut self, to: &WorkerName, now: Moment) -> Result<(), Refusal> {
        let map = &self.durable.map;
        let Some(home) = &map.home else {
            return Err(Refusal::Refused("no worker is home yet: the first job makes one home".to_owned()));
        };
        match map.home_move() {
            Some(known) if known.to == *to => return Ok(()),
            Some(known) => {
                return Err(Refusal::Refused(format!(
                    "ledger and registry are on their way to worker `{}`: wait for it",
                    known.to
                )));
            }
            None if home == to => return Ok(()),
            None => {}
        }
        if let Some(left) = &map.home_left {
            return Err(Refusal::Refused(format!(
                "worker `{left}`, which was home before, has not removed yet what it had: wait for it; if it will not come \
                 back, give it up with `shardex workers forget {left}`"
            )));
        }
        if self.splits_pause() {
            return Err(Refusal::Refused(
                "a shard is being split, of which ledger and registry must learn: wait for it".to_owned(),
            ));
        }
        self.order_move(StoreId::Home, to, now)
    }

    /// Lets ledger and registry leave a worker that is drained, for the one that would get the next shard. A split that is
    /// under way, and a move of before, end first.
    pub(super) fn empty_drained_home(&mut self, now: Moment) {
        let map = &self.durable.map;
        let is_drained = map.home.as_ref().is_some_and(|home| self.durable.cluster.drained.contains(home));
        if !is_drained || map.home_move().is_some() || map.home_left.is_some() || self.splits_pause() {
            return;
        }
        if let Some(to) = place(&mut self.loads(now), SHARD_BYTES_MIN) {
            // Who gets them was chosen among those who may.
            let _ = self.order_move(StoreId::Home, &to, now);
        }
    }

    /// Whether a move that has not named the new home yet cannot go on, and the old one stays home: its receiver is
    /// silent, or has no longer what had arrived.
    pub(super) fn home_stays(&self, known: &Move, now: Moment) -> bool {
        let Some(live) = self.live.workers.get(&known.to) else { return known.named.is_none() };
        let has_lost = live.session.is_some() && live.home_arrived != Some(known.number);
        known.named.is_none() && (live.expires <= now.elapsed || (known.released.is_some() && has_lost))
    }

    /// Ends the move once the new home has put both in their places, as its report tells: it has heard that it is home,
    /// and nothing waits there any more. Then the old one may remove what it has.
    pub(super) fn take_installed(&mut self, report: &Report) {
        let Some(holdings) = &report.holdings else { return };
        let is_named = self.durable.map.home_move().is_some_and(|known| {
            known.to == report.worker && known.named.is_some_and(|named| report.map_version >= named)
        });
        if is_named && holdings.home_arrived().is_none() {
            let map = self.durable.map_mut();
            map.moves.remove(&StoreId::Home);
            map.version += 1;
        }
    }
}

impl State {
    /// Notes who has yet to remove a ledger of before, and who has done it, as a report tells.
    pub(super) fn take_left(&mut self, report: &Report) {
        let Some(holdings) = &report.holdings else { return };
        let map = &self.durable.map;
        if map.home_move().is_some() {
            return;
        }
        let is_left = map.home_left.as_ref() == Some(&report.worker);
        let has_left = holdings.home_leaves_to.is_some();
        let is_others = map.home.as_ref().is_some_and(|home| *home != report.worker);
        // After the state was lost nobody else tells, and one may have told before it was known who is home.
        let is_superseded = |from: &&WorkerName| {
            **from != report.worker && map.home.as_ref().is_some_and(|home| home != *from)
        };
        let other = self.leaving_homes().map(|(from, _)| from).find(is_superseded).cloned();
        let left = match (is_left, has_left) {
            (true, false) => other,
            (false, true) if is_others && map.home_left.is_none() => Some(report.worker.clone()),
            (false, _) if other.is_some() && map.home_left.is_none() => other,
            _ => return,
        };
        let map = self.durable.map_mut();
        map.home_left = left;
        map.version += 1;
    }
}

impl Map {
    /// Names the new home, in the version that is being made.
    pub(super) fn name_home(&mut self, to: WorkerName) {
        let version = self.version;
        if let Some(known) = self.moves.get_mut(&StoreId::Home) {
            known.named = Some(version);
        }
        self.home_left = self.home.replace(to);
        self.home_begun = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use shardex_catalog::ShardId;

    use super::super::support::{LEASE, begun, name, report};
    use super::super::{Arrived, Holdings};
    use super::*;

    struct Case {
        state: State,
        now: Moment,
    }

    fn shard() -> ShardId {
        ShardId::new("p/0").expect("an id")
    }

    impl Case {
        /// Worker `a` is home, `b` has a shard, `c` has nothing.
        fn new() -> Self {
            let (state, now) = begun();
            let mut case = Self { state, now };
            case.say("a", |holdings| holdings.is_home = true);
            case.say("b", |holdings| holdings.shards = BTreeMap::from([(shard(), 9 << 20)]));
            case.say("c", |_| ());
            case
        }

        /// A report of a worker that has the newest map.
        fn say(&mut self, worker: &str, change: impl FnOnce(&mut Holdings)) {
            let map_version = self.state.durable.map.version;
            self.try_say(worker, map_version, change).expect("taken");
        }

        fn try_say(
            &mut self,
            worker: &str,
            map_version: u64,
            change: impl FnOnce(&mut Holdings),
        ) -> Result<(), Refusal> {
            let mut holdings = Holdings::default();
            change(&mut holdings);
            let report = Report { map_version, holdings: Some(holdings), ..report(worker, 0, Vec::new()) };
            self.state.report(&report, self.now).map(drop)
        }

        fn order(&mut self, to: &str) -> u64 {
            self.state.make_home(&name(to), self.now).expect("ordered");
            self.number()
        }

        fn number(&self) -> u64 {
            self.state.durable.map.home_move().expect("a move").number
        }

        fn arrived(&mut self, number: u64) {
            self.say("b", arrived(number));
        }

        /// Whom owners and routers are told.
        fn serving(&self) -> Option<String> {
            self.state.durable.map.serving_home().map(ToString::to_string)
        }

        fn wait(&mut self, time: Duration) {
            self.now.elapsed += time;
            self.state.tick(self.now);
        }
    }

    fn arrived(number: u64) -> impl FnOnce(&mut Holdings) {
        move |holdings| holdings.arrived = vec![Arrived { store: StoreId::Home, number, from_session: 1 }]
    }

    fn leaving(holdings: &mut Holdings) {
        (holdings.is_home, holdings.home_leaves_to) = (true, Some(name("b")));
    }

    #[test]
    fn the_home_is_nobodys_until_the_old_one_has_heard_and_moves_until_the_new_one_has_it() {
        let mut case = Case::new();
        let number = case.order("b");
        assert_eq!(case.serving().as_deref(), Some("a"));
        let before = case.state.durable.map.version;
        case.arrived(number);
        assert_eq!(case.serving(), None);
        case.try_say("a", before, leaving).expect("taken");
        assert_eq!(case.serving(), None, "what the old home says has not heard of it");
        case.say("a", leaving);
        assert_eq!(case.serving().as_deref(), Some("b"));
        assert!(case.state.durable.map.home_move().is_some());
        case.arrived(number);
        assert!(case.state.durable.map.home_move().is_some(), "it waits beside what is there");
        let before = case.state.durable.map.home_move().and_then(|known| known.named).expect("named") - 1;
        case.try_say("b", before, |_| ()).expect("taken");
        assert!(case.state.durable.map.home_move().is_some(), "it has not heard that it is home");
        case.say("b", |holdings| holdings.is_home = true);
        assert!(case.state.durable.map.home_move().is_none());
        case.say("a", leaving);
        assert_eq!(case.serving().as_deref(), Some("b"));
        assert!(case.state.make_home(&name("c"), case.now).is_err(), "there may be two ledgers");
        case.say("a", |_| ());
        case.order("c");
        let two = case.try_say("c", 0, |holdings| holdings.is_home = true);
        assert!(matches!(two, Err(Refusal::Refused(_))), "one archive per cluster");
    }

    #[test]
    fn a_receiver_that_is_lost_leaves_the_home_where_it_is() {
        for has_arrived in [false, true] {
            let mut case = Case::new();
            let number = case.order("b");
            if has_arrived {
                case.arrived(number);
            }
            case.wait(LEASE - Duration::from_secs(1));
            case.say("a", leaving);
            if has_arrived {
                // It has heard that nobody is home, and the new one is named.
                assert_eq!(case.serving().as_deref(), Some("b"));
                continue;
            }
            case.wait(Duration::from_secs(2));
            assert_eq!((case.serving().as_deref(), case.state.durable.map.home_move()), (Some("a"), None));
        }
        let mut case = Case::new();
        let number = case.order("b");
        case.wait(LEASE - Duration::from_secs(1));
        let before = case.state.durable.map.version;
        case.arrived(number);
        case.try_say("a", before, leaving).expect("taken");
        case.wait(LEASE + Duration::from_secs(1));
        assert_eq!(case.serving().as_deref(), Some("a"), "both were silent, and it was not named");
    }

    #[test]
    fn what_had_arrived_and_is_gone_ends_the_move() {
        let mut case = Case::new();
        let number = case.order("b");
        case.arrived(number);
        case.say("b", |_| ());
        case.state.tick(case.now);
        assert_eq!((case.serving().as_deref(), case.state.durable.map.home_move()), (Some("a"), None));
    }

    #[test]
    fn a_home_that_is_drained_goes_to_the_emptiest() {
        let mut case = Case::new();
        case.state.drain_worker(&name("a"), case.now).expect("drained");
        assert_eq!(case.state.durable.map.home_move().map(|known| known.to.clone()), Some(name("c")));
        let busy = case.state.make_home(&name("b"), case.now);
        assert!(matches!(busy, Err(Refusal::Refused(_))), "it is on its way to another");
        // That one is drained, too, before anything has arrived.
        case.state.drain_worker(&name("c"), case.now).expect("drained");
        assert_eq!(case.state.durable.map.home_move().map(|known| known.to.clone()), Some(name("b")));
        assert!(case.state.make_home(&name("a"), case.now).is_err());
    }

    #[test]
    fn the_home_does_not_move_while_it_must_learn_of_a_split() {
        let mut case = Case::new();
        case.order("c");
        let split = case.state.split_shard(&shard(), case.now);
        assert!(matches!(split, Err(Refusal::Refused(_))));
        let mut case = Case::new();
        case.state.split_shard(&shard(), case.now).expect("ordered");
        assert!(matches!(case.state.make_home(&name("c"), case.now), Err(Refusal::Refused(_))));
        case.state.drain_worker(&name("a"), case.now).expect("drained");
        assert!(case.state.durable.map.home_move().is_none(), "it waits for the split");
    }

    #[test]
    fn whoever_is_named_without_a_ledger_begins_with_nothing() {
        let mut case = Case::new();
        let number = case.order("b");
        case.arrived(number);
        case.say("a", leaving);
        case.wait(LEASE - Duration::from_secs(1));
        ["a", "c"].into_iter().for_each(|worker| case.say(worker, |_| ()));
        case.wait(Duration::from_secs(2));
        case.state.forget_worker(&name("b"), case.now).expect("forgotten");
        case.say("a", leaving);
        assert_eq!(case.serving(), None, "what it has may be older than what is lost");
        assert!(case.state.ensure_home(case.now));
        assert!(case.state.durable.map.home_begun > number);
    }

    #[test]
    fn a_lost_state_takes_the_old_home_if_the_new_one_has_nothing() {
        for is_installed in [false, true] {
            let mut case = Case::new();
            case.state.may_recover = true;
            case.state.recover(false, case.now);
            case.say("a", leaving);
            let waits = case.state.recovery_waits(case.now);
            case.wait(LEASE * 2);
            assert_eq!(case.serving(), None);
            assert!(
                waits.is_some() && case.state.recovery_waits(case.now).is_some_and(|why| why.contains("`b`"))
            );
            // It has not heard that the map of before is none any more.
            case.try_say("b", 3, |_| ()).expect("taken");
            case.state.tick(case.now);
            assert_eq!(case.serving(), None);
            case.say("b", |holdings| holdings.is_home = is_installed);
            case.state.tick(case.now);
            assert_eq!(case.serving().as_deref(), Some(if is_installed { "b" } else { "a" }));
        }
    }
}
