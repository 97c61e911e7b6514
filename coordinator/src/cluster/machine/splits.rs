//! Shards that are split in two, and why no row is lost or shown twice by that.
//!
//! First all units are let go of, so that nobody writes; then the owner makes both halves beside the shard, which it
//! serves. That they are made is the point of no return: the map names the new shard, and no owner for either until the halves
//! are in their places. Then both are served, and the home relabels ledger and registry. Only after that are
//! units granted again.

use serde::{Deserialize, Serialize};
use shardex_catalog::{KeyPrefix, ShardId, ShardSplit};

use super::state::{Moment, State};
use super::{Refusal, Report, WorkerName, text};

/// How far a split is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum SplitStage {
    /// Units are let go of.
    Waiting,
    /// The owner makes both halves.
    Building,
    /// It puts them in their places.
    Placing,
    /// The home learns what has gone.
    Relabelling,
    /// The owner forgets it. The version of the map that said so.
    Done(u64),
}

/// A split that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Split {
    /// The new shard.
    #[serde(with = "text")]
    pub(crate) to: ShardId,
    /// The leading bits of the keys of what goes.
    pub(crate) moved: String,
    /// The version of the map that ordered it: tells it from any other.
    pub(crate) number: u64,
    pub(crate) stage: SplitStage,
}

/// What a worker says of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SplitReport {
    pub(crate) shard: ShardId,
    pub(crate) to: ShardId,
    pub(crate) moved: String,
    pub(crate) number: u64,
    pub(crate) is_placed: bool,
    pub(crate) failed: String,
}

const FAILURE_CHARS_MAX: usize = 300;

impl Split {
    fn is(&self, said: &SplitReport) -> bool {
        (&self.to, self.number) == (&said.to, said.number)
    }
}

impl State {
    /// Orders that a shard is split.
    pub(crate) fn split_shard(&mut self, shard: &ShardId, now: Moment) -> Result<(), Refusal> {
        let map = &self.durable.map;
        let Some(owner) = map.shards.get(shard) else {
            return Err(Refusal::NotFound(format!(
                "no shard `{shard}` is known: `shardex shards list` shows all"
            )));
        };
        match map.splits.get(shard).map(|split| split.stage) {
            Some(SplitStage::Done(_)) => {
                return Err(Refusal::Refused(format!(
                    "shard `{shard}` was split just now: ask again in a moment"
                )));
            }
            Some(_) => return Ok(()),
            None => {}
        }
        if self.is_split(shard) || map.move_of(shard).is_some() {
            return Err(Refusal::Refused(format!(
                "shard `{shard}` moves or is new: wait until it has its place"
            )));
        }
        if map.home_move().is_some() {
            return Err(Refusal::Refused(
                "ledger and registry, which must learn of a split, are on their way to another worker: wait for it"
                    .to_owned(),
            ));
        }
        if !self.live.workers.get(owner).is_some_and(|live| live.is_alive(now.elapsed)) {
            return Err(Refusal::Refused(format!(
                "worker `{owner}`, which owns shard `{shard}`, is not alive"
            )));
        }
        let shards = map.shards.keys().cloned().collect();
        let Some(split) = ShardSplit::new(shard, &shards) else {
            return Err(Refusal::Refused(format!(
                "shard `{shard}` cannot be split: its bucket has no name of a split"
            )));
        };
        self.live.split_failures.remove(shard);
        let map = self.durable.map_mut();
        map.version += 1;
        let (to, moved, number) = (split.to, split.moved.to_string(), map.version);
        map.splits.insert(shard.clone(), Split { to, moved, number, stage: SplitStage::Waiting });
        self.stop_all_units();
        self.advance_splits(now);
        Ok(())
    }

    /// Whether a shard is being split, or is what another one is split into.
    pub(super) fn is_split(&self, shard: &ShardId) -> bool {
        let splits = &self.durable.map.splits;
        splits.contains_key(shard) || splits.values().any(|split| split.to == *shard)
    }

    /// Whether nobody may write rows.
    pub(super) fn splits_pause(&self) -> bool {
        self.durable.map.splits.values().any(|split| !matches!(split.stage, SplitStage::Done(_)))
    }

    /// Takes what a worker says of its splits, and of those that it knows as the home.
    pub(super) fn take_splits(&mut self, report: &Report) {
        let Some(holdings) = &report.holdings else { return };
        for said in &holdings.splits {
            self.take_split(report, said);
        }
        let is_home = self.durable.map.home.as_ref() == Some(&report.worker);
        for said in holdings.relabelled.iter().filter(|_| is_home) {
            let known = self.durable.map.splits.get(&said.shard);
            if known.is_some_and(|known| known.is(said) && known.stage == SplitStage::Relabelling) {
                let version = self.durable.map.version + 1;
                self.set_stage(&said.shard, SplitStage::Done(version));
            }
        }
        let map = &self.durable.map;
        let is_over = |(shard, split): &(&ShardId, &Split)| {
            let is_own = map.shards.get(*shard) == Some(&report.worker);
            let is_named = holdings.splits.iter().any(|said| said.shard == **shard);
            matches!(split.stage, SplitStage::Done(version) if is_own && !is_named && report.map_version >= version)
        };
        let over: Vec<_> = map.splits.iter().filter(is_over).map(|(shard, _)| shard.clone()).collect();
        self.end_splits(&over);
    }

    fn take_split(&mut self, report: &Report, said: &SplitReport) {
        let map = &self.durable.map;
        let owns = |shard: &ShardId| map.shards.get(shard) == Some(&report.worker);
        if !owns(&said.shard) {
            return;
        }
        let Some(known) = map.splits.get(&said.shard) else {
            // The state was lost, and with it that the ledger may name the old shard.
            if said.is_placed && owns(&said.to) && KeyPrefix::new(&said.moved).is_some() {
                let (to, moved, number) = (said.to.clone(), said.moved.clone(), said.number);
                let split = Split { to, moved, number, stage: SplitStage::Relabelling };
                let map = self.durable.map_mut();
                map.splits.insert(said.shard.clone(), split);
                map.version += 1;
                self.stop_all_units();
            }
            return;
        };
        if !known.is(said) {
            return;
        }
        let stage = known.stage;
        match stage {
            SplitStage::Waiting | SplitStage::Building if !said.failed.is_empty() => {
                let why = said.failed.chars().take(FAILURE_CHARS_MAX).collect();
                self.live.split_failures.insert(said.shard.clone(), why);
                self.end_splits(std::slice::from_ref(&said.shard));
            }
            SplitStage::Building if !said.is_placed => {
                let worker = report.worker.clone();
                self.durable.map_mut().shards.insert(said.to.clone(), worker);
                self.set_stage(&said.shard, SplitStage::Placing);
            }
            SplitStage::Placing if said.is_placed => self.set_stage(&said.shard, SplitStage::Relabelling),
            _ => {}
        }
    }

    /// What time and ends of units change: nobody writes any more, or an owner is lost.
    pub(super) fn advance_splits(&mut self, now: Moment) {
        if self.durable.map.splits.is_empty() {
            return;
        }
        let map = &self.durable.map;
        let is_lost = |(shard, split): &(&ShardId, &Split)| {
            let live = map.shards.get(*shard).and_then(|owner: &WorkerName| self.live.workers.get(owner));
            split.stage < SplitStage::Placing && live.is_none_or(|live| live.expires <= now.elapsed)
        };
        let lost: Vec<_> = map.splits.iter().filter(is_lost).map(|(shard, _)| shard.clone()).collect();
        for shard in &lost {
            self.live.split_failures.insert(shard.clone(), "its owner went silent".to_owned());
        }
        self.end_splits(&lost);
        let is_held =
            self.durable.jobs.values().flat_map(|job| job.units.values()).any(|unit| unit.hold.is_some());
        let map = &self.durable.map;
        let waiting = map.splits.iter().filter(|(_, split)| split.stage == SplitStage::Waiting && !is_held);
        let waiting: Vec<_> = waiting.map(|(shard, _)| shard.clone()).collect();
        waiting.iter().for_each(|shard| self.set_stage(shard, SplitStage::Building));
        // The last one may have been given up, and without one no unit is granted that would make another.
        if self.durable.map.splits.values().any(|split| split.stage == SplitStage::Relabelling) {
            self.ensure_home(now);
        }
    }

    /// Forgets the splits of shards whose files are lost.
    pub(super) fn forget_splits(&mut self, lost: &[ShardId]) {
        self.end_splits(lost);
    }

    fn set_stage(&mut self, shard: &ShardId, stage: SplitStage) {
        let map = self.durable.map_mut();
        if let Some(split) = map.splits.get_mut(shard) {
            split.stage = stage;
            map.version += 1;
        }
    }

    fn end_splits(&mut self, shards: &[ShardId]) {
        if !shards.iter().any(|shard| self.durable.map.splits.contains_key(shard)) {
            return;
        }
        let map = self.durable.map_mut();
        map.splits.retain(|shard, _| !shards.contains(shard));
        map.version += 1;
    }
}

impl SplitStage {
    /// Its name in answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Building => "building",
            Self::Placing => "placing",
            Self::Relabelling => "relabelling",
            Self::Done(_) => "done",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::support::{LEASE, begun, name, report};
    use super::super::{Holdings, Submit};
    use super::*;

    struct Case {
        state: State,
        now: Moment,
    }

    fn shard(bucket: &str) -> ShardId {
        ShardId::new(&format!("p/{bucket}")).expect("an id")
    }

    impl Case {
        /// Worker `a` owns a shard, `b` none; `home` has ledger and registry.
        fn new() -> Self {
            let (state, now) = begun();
            let mut case = Self { state, now };
            case.say("home", |holdings| holdings.is_home = true);
            case.say("a", |holdings| holdings.shards = BTreeMap::from([(shard("0"), 100)]));
            case.say("b", |_| ());
            case
        }

        /// A report of a worker that has the newest map.
        fn say(&mut self, worker: &str, change: impl FnOnce(&mut Holdings)) {
            let mut holdings = Holdings::default();
            change(&mut holdings);
            let map_version = self.state.durable.map.version;
            let report = Report { map_version, holdings: Some(holdings), ..report(worker, 1, Vec::new()) };
            self.state.report(&report, self.now).expect("taken");
        }

        fn order(&mut self) -> Split {
            self.state.split_shard(&shard("0"), self.now).expect("ordered");
            self.split().expect("a split")
        }

        fn split(&self) -> Option<Split> {
            self.state.durable.map.splits.get(&shard("0")).cloned()
        }

        fn stage(&self) -> &'static str {
            self.split().map_or("none", |split| split.stage.name())
        }

        fn holds(&self) -> usize {
            let units = self.state.durable.jobs.values().flat_map(|job| job.units.values());
            units.filter(|unit| unit.hold.is_some()).count()
        }
    }

    fn said(split: &Split, is_placed: bool) -> Vec<SplitReport> {
        let (to, moved, number) = (split.to.clone(), split.moved.clone(), split.number);
        vec![SplitReport { shard: shard("0"), to, moved, number, is_placed, failed: String::new() }]
    }

    #[test]
    fn a_split_goes_through_its_stages() {
        let mut case = Case::new();
        let split = case.order();
        assert_eq!((split.to.as_str(), &*split.moved, case.stage()), ("p/0.1", "1", "building"));
        case.say("b", |holdings| holdings.splits = said(&split, false));
        assert_eq!(case.stage(), "building", "only its owner makes the halves");
        case.say("a", |holdings| holdings.splits = said(&Split { number: 1, ..split.clone() }, false));
        assert_eq!(case.stage(), "building", "made for another order");
        case.say("a", |holdings| holdings.splits = said(&split, false));
        assert_eq!(case.stage(), "placing");
        assert_eq!(case.state.durable.map.shards.get(&shard("0.1")), Some(&name("a")));
        case.say("home", |holdings| holdings.relabelled = said(&split, true));
        assert_eq!(case.stage(), "placing", "nothing is relabelled before it is in its place");
        case.say("a", |holdings| holdings.splits = said(&split, true));
        assert_eq!(case.stage(), "relabelling");
        case.say("b", |holdings| holdings.relabelled = said(&split, true));
        assert_eq!(case.stage(), "relabelling", "only the home knows that");
        case.say("home", |holdings| holdings.relabelled = said(&split, true));
        assert_eq!(case.stage(), "done");
        case.say("a", |holdings| holdings.splits = said(&split, true));
        assert_eq!(case.stage(), "done", "its mark is there");
        case.say("a", |_| ());
        assert_eq!(case.stage(), "none");
        case.say("a", |holdings| holdings.shards = BTreeMap::from([(shard("0"), 50), (shard("0.1"), 50)]));
        assert_eq!(case.order().to, shard("0.01"));
    }

    #[test]
    fn nobody_holds_a_unit_meanwhile() {
        let mut case = Case::new();
        let source = (shardex_catalog::SourceName::new("s").expect("a name"), None);
        let (options, priority, request_id) = (Default::default(), 0, String::new());
        let order = Submit { sources: vec![source], options, priority, request_id, windows: Vec::new() };
        case.state.submit(order, case.now).expect("submitted");
        case.say("b", |_| ());
        assert_eq!(case.holds(), 1, "the heal is given out");
        let split = case.order();
        assert_eq!(case.stage(), "waiting", "somebody may write");
        case.say("a", |holdings| holdings.splits = said(&split, false));
        assert_eq!(case.stage(), "waiting");
        // It no longer names the unit.
        case.say("b", |_| ());
        assert_eq!((case.stage(), case.holds()), ("building", 0));
        for stage in ["placing", "relabelling"] {
            case.say("a", |holdings| holdings.splits = said(&split, stage == "relabelling"));
            case.say("b", |_| ());
            assert_eq!((case.stage(), case.holds()), (stage, 0));
        }
        case.say("home", |holdings| holdings.relabelled = said(&split, true));
        assert_eq!(case.holds(), 1, "goes on");
    }

    #[test]
    fn an_owner_that_is_lost_before_the_halves_are_made_ends_it() {
        let mut case = Case::new();
        case.order();
        case.now.elapsed += LEASE - Duration::from_secs(1);
        case.say("home", |_| ());
        case.now.elapsed += Duration::from_secs(2);
        case.state.tick(case.now);
        assert_eq!(case.stage(), "none");
        let view = case.state.shard_view(&shard("0"), case.now).expect("known");
        assert!(view.split_failure.contains("silent"), "{}", view.split_failure);
    }

    #[test]
    fn a_failure_is_told_and_ends_it() {
        let mut case = Case::new();
        let split = case.order();
        let mut failed = said(&split, false);
        failed[0].failed = "no space left".to_owned();
        case.say("a", |holdings| holdings.splits = failed);
        assert_eq!(case.stage(), "none");
        let view = case.state.shard_view(&shard("0"), case.now).expect("known");
        assert_eq!(view.split_failure, "no space left");
        assert!(!case.state.durable.map.shards.contains_key(&shard("0.1")));
    }

    #[test]
    fn a_split_in_its_place_that_nobody_knows_is_taken_up() {
        let mut case = Case::new();
        let split = Split { to: shard("0.1"), moved: "1".to_owned(), number: 40, stage: SplitStage::Placing };
        case.say("a", |holdings| {
            holdings.shards = BTreeMap::from([(shard("0"), 50), (shard("0.1"), 50)]);
            holdings.splits = said(&split, true);
        });
        assert_eq!(case.stage(), "relabelling");
        let text = serde_json::to_string(&*case.state.durable.map).expect("text");
        let read: super::super::Map = serde_json::from_str(&text).expect("read");
        assert_eq!(read, *case.state.durable.map);
    }

    #[test]
    fn shards_do_not_move_while_they_are_split() {
        let mut case = Case::new();
        case.order();
        assert!(case.state.move_shard(&shard("0"), &name("b"), case.now).is_err());
        let mut case = Case::new();
        case.state.move_shard(&shard("0"), &name("b"), case.now).expect("ordered");
        assert!(case.state.split_shard(&shard("0"), case.now).is_err());
    }
}
