//! The state is lost while a shard is split, at every stage, and made anew from reports in every order: the split is
//! undone before its halves are in their places, and else carried on before anybody writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use shardex_catalog::{ShardId, SourceName};

use super::state::{Durable, Moment, State};
use super::support::limits;
use super::*;

/// Reports of all until nothing changes any more, at most.
const ROUNDS_MAX: usize = 20;
const WORKERS: [&str; 3] = ["home", "a", "b"];
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// What a worker's process knows, or its folder.
#[derive(Clone, Default)]
struct Known {
    session: u64,
    map: Option<Arc<Map>>,
    memory: Memory,
    /// A unit under its fence.
    held: Option<(u64, u64)>,
}

/// `home` has ledger and registry, `a` the shard that is split, `b` reads.
#[derive(Clone)]
struct World {
    state: State,
    now: Moment,
    workers: [Known; 3],
    /// The mark of the split on the disk of `a`.
    mark: Option<SplitReport>,
    /// Both halves are shards, and stay so.
    is_split: bool,
    /// What has gone is named so by the ledger.
    is_relabelled: bool,
    /// What the process of `home` says of that.
    said: Vec<SplitReport>,
    /// `a` has undone the split.
    is_discarded: bool,
}

fn shard(bucket: &str) -> ShardId {
    ShardId::new(&format!("p/{bucket}")).expect("an id")
}

fn name(at: usize) -> WorkerName {
    WorkerName::new(WORKERS[at]).expect("a name")
}

fn source() -> SourceName {
    SourceName::new("s").expect("a name")
}

impl World {
    fn new() -> Self {
        let now = Moment::default();
        let mut world = Self {
            state: Self::begun(Durable::default(), now),
            now,
            workers: std::array::from_fn(|at| Known { session: at as u64, ..Known::default() }),
            mark: None,
            is_split: false,
            is_relabelled: false,
            said: Vec::new(),
            is_discarded: false,
        };
        world.round(ORDERS[0]);
        world
    }

    fn begun(durable: Durable, now: Moment) -> State {
        State::begin(durable, limits(), None, now)
    }

    fn submit(&mut self) {
        let (options, priority, request_id) = (Options::default(), 0, String::new());
        let sources = vec![(source(), None)];
        let order = Submit { sources, options, priority, request_id, windows: Vec::new() };
        self.state.submit(order, self.now).expect("submitted");
    }

    fn holdings(&self, at: usize) -> Holdings {
        let mut holdings = Holdings {
            memory: self.workers[at].memory.clone(),
            folder_id: WORKERS[at].to_owned(),
            ..Holdings::default()
        };
        let is_asked = self.state.durable.cluster.recovering.is_some();
        match at {
            0 => {
                holdings.is_home = true;
                holdings.relabelled.clone_from(&self.said);
                let rested_on =
                    if self.is_relabelled { vec![shard("0"), shard("0.1")] } else { vec![shard("0")] };
                holdings.ledger = is_asked.then(|| rested_on.into_iter().collect());
            }
            1 => {
                holdings.shards.insert(shard("0"), 50);
                holdings.shards.extend(self.is_split.then(|| (shard("0.1"), 50)));
                holdings.splits.extend(self.mark.clone());
            }
            _ => {}
        }
        holdings
    }

    /// One report, and what follows from its answer.
    fn say(&mut self, at: usize) {
        let known = &self.workers[at];
        let told = |(unit, fence)| UnitReport {
            unit,
            fence,
            totals: Totals::default(),
            slowest: Vec::new(),
            set_aside: Vec::new(),
            end: None,
        };
        let report = Report {
            worker: name(at),
            session: known.session,
            url: format!("http://{}", WORKERS[at]),
            mounts: BTreeMap::from([(source(), Mount { marker: None, root_entries: 5 })]),
            holdings: Some(self.holdings(at)),
            free_slots: u32::from(at == 2 && known.held.is_none()),
            units: known.held.map(told).into_iter().collect(),
            is_draining: false,
            map_version: known.map.as_ref().map_or(0, |map| map.version),
            schema_digest: Vec::new(),
            suspects: BTreeSet::new(),
        };
        let Ok(reply) = self.state.report(&report, self.now) else { return };
        let cluster = &self.state.durable.cluster;
        let known = &mut self.workers[at];
        known.memory.cluster.clone_from(&cluster.id);
        known.memory.fence = cluster.last_fence;
        if let Some(map) = reply.map {
            known.memory.map_version = map.version;
            known.map = Some(map);
        }
        known.held = known.held.filter(|(unit, _)| !reply.dropped.contains(unit));
        known.held = known.held.or_else(|| reply.granted.first().map(|grant| (grant.unit, grant.fence)));
        self.check();
    }

    /// Nobody writes while the ledger may name the wrong half, and `a` has undone nothing that others know of.
    fn check(&self) {
        let mut units = self.state.durable.jobs.values().flat_map(|job| job.units.values());
        let somebody_writes = units.any(|unit| unit.hold.is_some());
        assert!(!somebody_writes || self.is_split == self.is_relabelled, "somebody writes to half a split");
        assert!(!(self.is_discarded && self.is_split), "undone, and in its place");
    }

    /// What `a` does by the map that it has heard (`step` of `cli/src/commands/cluster/splits.rs`).
    fn owner_acts(&mut self) {
        let Some(map) = self.workers[1].map.clone() else { return };
        let known = map.splits.get(&shard("0")).filter(|_| map.shards.get(&shard("0")) == Some(&name(1)));
        match (known, self.mark.clone()) {
            (Some(known), None) if known.stage == SplitStage::Building => {
                let (to, moved, number) = (known.to.clone(), known.moved.clone(), known.number);
                let failed = String::new();
                self.mark =
                    Some(SplitReport { shard: shard("0"), to, moved, number, is_placed: false, failed });
            }
            (None, Some(mark)) if !mark.is_placed => (self.mark, self.is_discarded) = (None, true),
            (Some(known), Some(mark)) => match known.stage {
                SplitStage::Placing if !mark.is_placed => {
                    (self.mark, self.is_split) = (Some(SplitReport { is_placed: true, ..mark }), true);
                }
                SplitStage::Done(_) if mark.is_placed => self.mark = None,
                _ => {}
            },
            _ => {}
        }
    }

    /// What `home` does by the map that it has heard.
    fn home_acts(&mut self) {
        let Some(map) = self.workers[0].map.clone() else { return };
        self.said.retain(|said| map.splits.get(&said.shard).is_some_and(|split| split.number == said.number));
        for (from, split) in &map.splits {
            if split.stage == SplitStage::Relabelling && self.said.is_empty() {
                let (to, moved, number) = (split.to.clone(), split.moved.clone(), split.number);
                self.is_relabelled = true;
                let (is_placed, failed) = (true, String::new());
                self.said = vec![SplitReport { shard: from.clone(), to, moved, number, is_placed, failed }];
            }
        }
    }

    fn round(&mut self, order: [usize; 3]) {
        for at in order {
            self.now.elapsed += Duration::from_secs(1);
            self.say(at);
        }
    }

    fn act(&mut self) {
        self.owner_acts();
        self.home_acts();
    }

    /// The state is gone; the operator has the map made anew.
    fn lose_state(&mut self, restarted: &[usize]) {
        for at in restarted {
            let known = &mut self.workers[*at];
            // What only the process knew; folders remember the rest.
            *known =
                Known { session: known.session + 10, memory: known.memory.clone(), map: None, held: None };
            if *at == 0 {
                self.said.clear();
            }
        }
        self.state = Self::begun(Durable::default(), self.now);
        let refused = self.workers.iter().any(|known| !known.memory.is_known_to(&self.state.durable));
        assert!(refused, "somebody notices");
        self.state.may_recover = true;
        self.state.recover(false, self.now);
        self.submit();
    }

    fn ends_well(&mut self, order: [usize; 3], what: &str) {
        for _ in 0..ROUNDS_MAX {
            self.round(order);
            self.act();
        }
        let map = &self.state.durable.map;
        assert!(map.splits.is_empty() && self.mark.is_none(), "{what}: {map:?}");
        assert_eq!(self.is_split, self.is_relabelled, "{what}");
        let owned: Vec<_> = map.shards.iter().map(|(shard, owner)| (shard.as_str(), owner.clone())).collect();
        let expected: &[_] = if self.is_split { &["p/0", "p/0.1"] } else { &["p/0"] };
        assert_eq!(owned, expected.iter().map(|shard| (*shard, name(1))).collect::<Vec<_>>(), "{what}");
        assert_eq!(map.home, Some(name(0)), "{what}");
        assert!(self.workers[2].held.is_some(), "{what}: no unit is given out");
    }
}

/// A split that is ordered while a unit is held, one small step after the other.
fn moments() -> Vec<World> {
    let mut world = World::new();
    world.submit();
    world.round(ORDERS[0]);
    assert!(world.workers[2].held.is_some());
    world.state.split_shard(&shard("0"), world.now).expect("ordered");
    let mut moments = vec![world.clone()];
    for _ in 0..ROUNDS_MAX {
        for at in 0..WORKERS.len() {
            world.now.elapsed += Duration::from_secs(1);
            world.say(at);
            moments.push(world.clone());
            world.owner_acts();
            moments.push(world.clone());
            world.home_acts();
            moments.push(world.clone());
        }
    }
    assert!(world.is_relabelled && world.mark.is_none(), "undisturbed it ends");
    moments
}

#[test]
fn a_split_whose_state_is_lost_is_undone_or_carried_on() {
    let (mut undone, mut carried_on) = (0, 0);
    for (at, moment) in moments().into_iter().enumerate() {
        for order in ORDERS {
            for restarted in [&[][..], &[0], &[1], &[0, 1, 2]] {
                let mut world = moment.clone();
                world.lose_state(restarted);
                let was_split = world.is_split;
                world.ends_well(order, &format!("moment {at}, {order:?}, {restarted:?}"));
                undone += usize::from(!world.is_split);
                carried_on += usize::from(was_split && !moment.is_relabelled);
            }
        }
    }
    assert!(undone > 0 && carried_on > 0, "{undone} were undone, {carried_on} carried on");
}
