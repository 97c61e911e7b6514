//! Single cases of what the machine decides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shardex_catalog::{RelativePath, ShardId, SourceName, Span};

use super::state::{Durable, Limits, Moment, State};
use super::*;

const LEASE: Duration = Duration::from_secs(15);

struct Case {
    state: State,
    now: Moment,
}

fn name(text: &str) -> WorkerName {
    WorkerName::new(text).expect("a name")
}

fn source() -> SourceName {
    SourceName::new("north").expect("a name")
}

fn order() -> Submit {
    Submit {
        sources: vec![(source(), None)],
        options: Options::default(),
        priority: 0,
        windows: Vec::new(),
        request_id: String::new(),
    }
}

fn mount(marker: Option<&str>, root_entries: u32) -> Mount {
    Mount { marker: marker.map(str::to_owned), root_entries }
}

fn report(worker: &str, free_slots: u32, units: Vec<UnitReport>) -> Report {
    Report {
        worker: name(worker),
        session: 1,
        url: format!("http://{worker}"),
        mounts: BTreeMap::from([(source(), mount(None, 5))]),
        holdings: Some(Holdings::default()),
        free_slots,
        units,
        is_draining: false,
        map_version: 0,
        schema_digest: Vec::new(),
        suspects: BTreeSet::new(),
    }
}

fn told(grant: &Grant, end: Option<End>) -> UnitReport {
    let (unit, fence) = (grant.unit, grant.fence);
    let totals = Totals { files: 7, ..Totals::default() };
    UnitReport { unit, fence, totals, slowest: Vec::new(), set_aside: Vec::new(), end }
}

fn finished(grant: &Grant) -> UnitReport {
    told(grant, Some(End::Finished(Finished::default())))
}

impl Case {
    fn new() -> Self {
        let limits = Limits {
            lease: LEASE,
            failures_max: 2,
            losses_max: 3,
            ended_max: 2,
            open_max: 5,
            schema_digest: Vec::new(),
        };
        let now = Moment::default();
        Self { state: State::begin(Durable::default(), limits, None, now), now }
    }

    fn submit(&mut self, options: Options) -> u64 {
        self.state.submit(Submit { options, ..order() }, self.now).expect("a job")
    }

    fn say(&mut self, report: &Report) -> Reply {
        self.state.report(report, self.now).expect("a reply")
    }

    /// A job whose source a worker walks.
    fn walking(options: Options) -> (Self, u64, Grant) {
        let mut case = Self::new();
        let job = case.submit(options);
        let heal = case.say(&report("a", 1, vec![])).granted.remove(0);
        let walk = case.say(&report("a", 1, vec![finished(&heal)])).granted.remove(0);
        assert!(walk.task.is_walk());
        (case, job, walk)
    }

    fn phase(&self, job: u64) -> Phase {
        self.state.durable.jobs[&job].phase
    }

    fn waits_for(&self, job: u64) -> String {
        let view = self.state.job_view(job, self.now).expect("a job");
        view.units.into_iter().map(|unit| unit.waits_for).next().expect("a unit")
    }
}

#[test]
fn a_grant_whose_answer_was_lost_is_given_again() {
    let (mut case, _, walk) = Case::walking(Options::default());
    let again = case.say(&report("a", 4, vec![]));
    assert_eq!(again.granted, [walk]);
}

#[test]
fn an_order_said_twice_is_one_job() {
    let mut case = Case::new();
    let mut say = |request_id: &str| {
        let order = Submit { request_id: request_id.to_owned(), ..order() };
        case.state.submit(order, case.now).expect("a job")
    };
    assert_eq!([say("x"), say("x"), say("y"), say(""), say("")], [1, 1, 2, 3, 4]);
}

#[test]
fn what_was_done_is_told_by_source_with_the_slowest_directories() {
    let (mut case, job, walk) = Case::walking(Options::default());
    let slow = |milliseconds| Slow { directory: b"d".to_vec(), milliseconds, files: 1 };
    let mut said = told(&walk, None);
    said.slowest = vec![slow(5), slow(9)];
    case.say(&report("a", 1, vec![said]));
    let view = case.state.job_view(job, case.now).expect("a job");
    // 7 files of the heal, which is no source's, and 7 of the walk.
    assert_eq!((view.by_source[0].files, view.slowest[0].clone()), (7, (source(), slow(9))));
    case.say(&report("a", 1, vec![finished(&walk)]));
    let view = case.state.job_view(job, case.now).expect("a job");
    assert_eq!((view.by_source[0].files, view.slowest.len()), (7, 0));
}

#[test]
fn a_wrong_mount_gets_no_units_and_says_so() {
    let mut case = Case::new();
    let job = case.submit(Options::default());
    let heal = case.say(&report("a", 1, vec![])).granted.remove(0);
    let mut empty = report("a", 1, vec![finished(&heal)]);
    empty.mounts.insert(source(), mount(None, 0));
    assert!(case.say(&empty).granted.is_empty());
    assert!(case.waits_for(job).contains("empty"), "{}", case.waits_for(job));
    let views = case.state.worker_views(case.now);
    assert!(views[0].refused[&source()].contains("empty"));

    let mut marked = report("b", 1, vec![]);
    marked.mounts.insert(source(), mount(Some("north-1"), 5));
    assert_eq!(case.say(&marked).granted.len(), 1, "the first marker that is seen is the source's");
    let mut other = report("c", 1, vec![]);
    other.mounts.insert(source(), mount(Some("south-1"), 5));
    case.say(&other);
    assert!(case.state.worker_views(case.now)[2].refused.contains_key(&source()));
}

#[test]
fn a_marker_where_none_was_holds_deletions() {
    let (mut case, _, walk) = Case::walking(Options::default());
    let mut marked = report("a", 1, vec![finished(&walk)]);
    marked.mounts.insert(source(), mount(Some("new"), 5));
    let finish = case.say(&marked).granted.remove(0);
    assert!(finish.identity_changed);
}

#[test]
fn a_paused_unit_is_its_holders_until_it_lets_go() {
    let (mut case, job, walk) = Case::walking(Options::default());
    case.state.pause(job).expect("it pauses");
    let told_off = case.say(&report("a", 1, vec![told(&walk, None)]));
    assert_eq!((told_off.dropped, told_off.granted.len(), told_off.fences.len()), (vec![walk.unit], 0, 1));
    case.state.resume(job).expect("it goes on");
    assert!(case.say(&report("b", 1, vec![])).granted.is_empty(), "nobody else gets it yet");
    let again = case.say(&report("a", 1, vec![])).granted.remove(0);
    assert!(again.unit == walk.unit && again.fence > walk.fence);
}

#[test]
fn a_cancelled_job_ends_when_nobody_works_on_it() {
    let (mut case, job, walk) = Case::walking(Options::default());
    case.state.cancel(job, case.now).expect("it cancels");
    assert_eq!(case.phase(job), Phase::Cancelling);
    case.say(&report("a", 1, vec![told(&walk, None)]));
    case.say(&report("a", 1, vec![]));
    assert_eq!(case.phase(job), Phase::Ended(Ending::Cancelled));
    assert!(case.state.retry(job).is_err() && case.state.resume(job).is_err());
}

#[test]
fn what_fails_again_and_again_is_given_up_and_may_be_tried_again() {
    let (mut case, job, mut walk) = Case::walking(Options::default());
    case.say(&report("a", 1, vec![told(&walk, Some(End::Failed("a disk".into())))]));
    assert_eq!(case.waits_for(job), "the next attempt");
    case.now.elapsed += Duration::from_secs(2);
    walk = case.say(&report("a", 1, vec![])).granted.remove(0);
    case.say(&report("a", 1, vec![told(&walk, Some(End::Failed("a disk".into())))]));
    assert_eq!(case.phase(job), Phase::Ended(Ending::Incomplete));
    assert_eq!(case.state.durable.jobs[&job].dead[&walk.unit].failure, "a disk");
    case.state.retry(job).expect("it has dead units");
    walk = case.say(&report("a", 1, vec![])).granted.remove(0);
    let finish = case.say(&report("a", 1, vec![finished(&walk)])).granted.remove(0);
    case.say(&report("a", 1, vec![finished(&finish)]));
    assert_eq!(case.phase(job), Phase::Ended(Ending::Complete));
}

#[test]
fn a_unit_that_kills_its_holders_is_given_up() {
    let (mut case, job, _) = Case::walking(Options::default());
    for session in 2..=4 {
        let mut reborn = report("a", 1, vec![]);
        reborn.session = session;
        case.say(&reborn);
    }
    assert_eq!(case.phase(job), Phase::Ended(Ending::Incomplete));
    assert!(case.state.report(&report("a", 1, vec![]), case.now).is_err(), "its place is taken");
}

#[test]
fn a_unit_whose_store_has_forgotten_it_begins_anew_without_an_attempt() {
    let (mut case, job, mut walk) = Case::walking(Options::default());
    // As often as it may fail.
    for losses in 1..=2 {
        let over = told(&walk, Some(End::Over("worker b takes no writes".into())));
        assert_eq!(case.say(&report("a", 1, vec![over])).dropped, [walk.unit]);
        let unit = &case.state.durable.jobs[&job].units[&walk.unit];
        assert_eq!((unit.failures, unit.losses), (0, losses));
        case.now.elapsed += Duration::from_secs(2);
        let again = case.say(&report("a", 1, vec![])).granted.remove(0);
        assert!(again.unit == walk.unit && again.fence > walk.fence);
        walk = again;
    }

    // One that is another's by now is not counted.
    let (mut case, job, walk) = Case::walking(Options::default());
    case.now.elapsed += LEASE * 2;
    let taken = case.say(&report("b", 1, vec![]));
    assert_eq!(taken.granted.iter().map(|grant| grant.unit).collect::<Vec<_>>(), [walk.unit]);
    let late = told(&walk, Some(End::Over("worker b takes no writes".into())));
    assert_eq!(case.say(&report("a", 1, vec![late])).dropped, [walk.unit]);
    assert_eq!(case.state.durable.jobs[&job].units[&walk.unit].losses, 1);
}

#[test]
fn who_drains_gives_back_without_an_attempt() {
    let (mut case, job, walk) = Case::walking(Options::default());
    let mut draining = report("a", 0, vec![told(&walk, Some(End::Failed("it was given back".into())))]);
    draining.is_draining = true;
    assert_eq!(case.say(&draining).dropped, [walk.unit]);
    let unit = &case.state.durable.jobs[&job].units[&walk.unit];
    assert_eq!((unit.failures, unit.losses, &unit.hold), (0, 0, &None));
}

#[test]
fn idle_workers_get_a_part_of_a_walk() {
    let (mut case, job, walk) = Case::walking(Options::default());
    assert!(case.say(&report("b", 1, vec![])).granted.is_empty());
    assert_eq!(case.say(&report("a", 0, vec![told(&walk, None)])).split_wanted, [walk.unit]);
    let mut aside = told(&walk, None);
    let span = Span::range(RelativePath::default(), b"m", b"").expect("it holds names");
    aside.set_aside.push(span.clone());
    assert_eq!(case.say(&report("a", 0, vec![aside])).split_done, [walk.unit]);
    let child = case.say(&report("b", 1, vec![])).granted.remove(0);
    assert_eq!(child.task, Task::Walk { source: source(), root: span, exclusions: vec![] });
    case.say(&report("a", 0, vec![finished(&walk)]));
    assert_eq!(case.state.durable.jobs[&job].totals.files, 14, "heal and walk, counted once");
}

#[test]
fn no_more_workers_read_a_source_than_may() {
    let options = Options { workers_max: Some(1), ..Options::default() };
    let (mut case, _, walk) = Case::walking(options);
    case.say(&report("b", 1, vec![]));
    assert!(case.say(&report("a", 0, vec![told(&walk, None)])).split_wanted.is_empty());
}

#[test]
fn jobs_over_one_source_go_one_after_the_other() {
    let (mut case, first, walk) = Case::walking(Options::default());
    let second = case.submit(Options::default());
    assert!(case.say(&report("b", 5, vec![])).granted.is_empty());
    assert!(case.waits_for(second).contains(&format!("job {first}")));
    let finish = case.say(&report("a", 1, vec![finished(&walk)])).granted.remove(0);
    let next = case.say(&report("a", 1, vec![finished(&finish)])).granted.remove(0);
    assert!(next.job == second && next.job_fence > finish.fence);
}

#[test]
fn a_silent_workers_units_wait_for_its_lease_and_its_shards_for_it() {
    let (mut case, _, walk) = Case::walking(Options::default());
    let shard = ShardId::new("2019/0").expect("a shard");
    case.state.locate(std::slice::from_ref(&shard), case.now).expect("an owner");
    assert!(case.state.forget_worker(&name("a"), case.now).is_err(), "it reports");
    case.now.elapsed += LEASE - Duration::from_millis(1);
    assert!(case.say(&report("b", 1, vec![])).granted.is_empty());
    case.now.elapsed += Duration::from_millis(1);
    let taken = case.say(&report("b", 1, vec![])).granted.remove(0);
    assert!(taken.unit == walk.unit && taken.fence > walk.fence);
    assert_eq!(case.state.durable.map.shards[&shard], name("a"));
    case.state.forget_worker(&name("a"), case.now).expect("it is silent");
    assert_eq!(case.state.durable.map.shards[&shard], name("b"));
}

#[test]
fn a_forgotten_worker_comes_back_empty_or_not_at_all() {
    let mut case = Case::new();
    let shard = ShardId::new("2019-1f/0").expect("a name");
    let mut old = report("a", 0, vec![]);
    old.holdings =
        Some(Holdings { is_home: true, shards: BTreeMap::from([(shard.clone(), 5)]), ..Holdings::default() });
    case.say(&old);
    case.submit(Options::default());
    let held = case.say(&report("b", 1, vec![])).granted.remove(0);
    case.now.elapsed += LEASE * 2;
    case.state.forget_worker(&name("a"), case.now).expect("it is silent");
    let again = case.say(&report("b", 1, vec![told(&held, None)]));
    assert_eq!(again.dropped, [held.unit], "its claims were those of the registry that is gone");
    let refused = case.state.report(&old, case.now).expect_err("it brings its shard back");
    assert!(matches!(refused, Refusal::Refused(_)), "{refused}");
    case.say(&report("a", 0, vec![]));
    assert_ne!(case.state.durable.map.shards.get(&shard), Some(&name("a")));
}

#[test]
fn only_one_archive_is_home() {
    let mut case = Case::new();
    let mut home = report("a", 0, vec![]);
    home.holdings = Some(Holdings {
        is_home: true,
        memory: Memory { fence: 9, ..Memory::default() },
        ..Holdings::default()
    });
    case.say(&home);
    home.worker = name("b");
    let refused = case.state.report(&home, case.now).expect_err("two ledgers");
    assert!(matches!(refused, Refusal::Refused(_)), "{refused}");
    assert_eq!(case.state.durable.cluster.last_fence, 9);
}

#[test]
fn ended_jobs_are_forgotten_in_time() {
    let mut case = Case::new();
    for _ in 0..4 {
        let job = case.submit(Options::default());
        case.now.wall_ns += 1;
        case.state.cancel(job, case.now).expect("it cancels");
    }
    assert_eq!(case.state.durable.jobs.keys().copied().collect::<Vec<_>>(), [3, 4]);
}

fn holding(worker: &str, memory: &Memory, shards: &[&str], ledger: Option<&[&str]>) -> Report {
    let id = |name: &&str| ShardId::new(name).expect("a name");
    let mut report = report(worker, 1, vec![]);
    report.holdings = Some(Holdings {
        is_home: ledger.is_some(),
        shards: shards.iter().map(|name| (id(name), 5)).collect(),
        memory: memory.clone(),
        ledger: ledger.map(|names| names.iter().map(id).collect()),
        ..Holdings::default()
    });
    report
}

fn remembered(cluster: &str, fence: u64, map_version: u64) -> Memory {
    Memory { cluster: cluster.to_owned(), fence, map_version, ..Memory::default() }
}

#[test]
fn a_state_that_knows_less_than_a_folder_is_refused() {
    let mut case = Case::new();
    case.say(&holding("a", &Memory::default(), &["2019-1f/0"], Some(&[])));
    let id = case.state.durable.cluster.id.clone();
    assert!(!id.is_empty(), "a cluster has a name");
    let version = case.state.durable.map.version;
    case.say(&holding("a", &remembered(&id, 0, version), &["2019-1f/0"], Some(&[])));
    for newer in [remembered(&id, 1000, version), remembered(&id, 0, version + 1)] {
        let refused = case.state.report(&holding("b", &newer, &[], None), case.now).expect_err("newer");
        assert!(matches!(refused, Refusal::Restored { .. }), "{refused}");
    }
    let other = holding("c", &remembered("another", 0, 0), &[], None);
    let refused = case.state.report(&other, case.now).expect_err("of another cluster");
    assert!(matches!(refused, Refusal::Refused(_)), "{refused}");
    let mut empty = Case::new();
    let refused = empty.state.report(&other, empty.now).expect_err("the state is gone");
    assert!(matches!(refused, Refusal::Lost { .. }), "{refused}");
}

#[test]
fn a_map_is_made_anew_once_every_shard_of_the_ledger_is_reported() {
    let mut case = Case::new();
    case.state.recover(false, case.now);
    assert!(case.state.durable.cluster.recovering.is_none(), "nobody has refused anything");
    case.state.may_recover = true;
    case.state.recover(false, case.now);
    let old = remembered("old", (3 << 48) + 7, 2 << 48);
    case.submit(Options::default());
    let home = holding("a", &old, &["2019-1f/0"], Some(&["2019-1f/0", "2020-1f/0"]));
    assert!(case.say(&home).granted.is_empty(), "nothing is given out by half a map");
    let durable = &case.state.durable;
    assert!(durable.cluster.last_fence > old.fence && durable.map.version > old.map_version);
    assert_eq!(durable.cluster.id, "old");
    let shard = ShardId::new("2019-1f/0").expect("a name");
    assert!(case.state.locate(std::slice::from_ref(&shard), case.now).is_err());
    case.now.elapsed += LEASE * 2;
    case.say(&home);
    let waits = case.state.recovery_waits(case.now).expect("a shard is missing");
    assert!(waits.contains("2020-1f/0"), "{waits}");
    case.say(&holding("b", &old, &["2020-1f/0"], None));
    assert_eq!(case.say(&home).granted.len(), 1, "the map is whole");
    assert_eq!(case.state.locate(std::slice::from_ref(&shard), case.now).expect("known")[&shard], name("a"));
}

#[test]
fn what_no_worker_reports_is_given_up_on_demand() {
    let mut case = Case::new();
    case.state.may_recover = true;
    case.state.recover(false, case.now);
    case.say(&holding("b", &Memory::default(), &["2020-1f/0"], None));
    case.now.elapsed += LEASE * 2;
    case.say(&holding("b", &Memory::default(), &["2020-1f/0"], None));
    assert!(case.state.recovery_waits(case.now).is_some(), "there is no ledger");
    case.state.recover(true, case.now);
    assert_eq!(case.state.recovery_waits(case.now), None);
}

#[test]
fn what_killed_its_reader_goes_back_to_that_worker_whole() {
    let (mut case, _, walk) = Case::walking(Options::default());
    let mut again = report("a", 0, vec![]);
    (again.session, again.suspects) = (99, BTreeSet::from([walk.unit]));
    case.say(&again);
    assert!(case.say(&report("b", 1, vec![])).granted.is_empty(), "it would die, too");
    again.free_slots = 1;
    let held = case.say(&again).granted.remove(0);
    assert_eq!(held.unit, walk.unit);
    case.say(&report("b", 1, vec![]));
    (again.free_slots, again.units) = (0, vec![told(&held, None)]);
    assert!(case.say(&again).split_wanted.is_empty(), "it would die of a part");
    again.suspects.clear();
    assert_eq!(case.say(&again).split_wanted, [walk.unit]);
}

/// Nanoseconds of an hour of some day.
fn hour(hour: i64) -> i64 {
    (20_600 * 24 + hour) * 3_600_000_000_000
}

impl Case {
    /// As [`Case::walking`] at 22:00, of a job that runs from 20:00 until 06:00.
    fn walking_at_night() -> (Self, u64, Grant) {
        let mut case = Self::new();
        case.now.wall_ns = hour(22);
        let windows = vec!["20:00-06:00".parse().expect("a window")];
        let job = case.state.submit(Submit { windows, ..order() }, case.now).expect("a job");
        let heal = case.say(&report("a", 1, vec![])).granted.remove(0);
        let walk = case.say(&report("a", 1, vec![finished(&heal)])).granted.remove(0);
        (case, job, walk)
    }

    fn shown(&self, job: u64) -> (&'static str, String) {
        let view = self.state.job_view(job, self.now).expect("a job");
        (view.state, view.waits_for)
    }
}

#[test]
fn outside_of_its_hours_a_job_gives_its_units_back_and_goes_on_later() {
    let (mut case, job, walk) = Case::walking_at_night();
    assert_eq!(case.shown(job), ("running", String::new()));
    case.now.wall_ns = hour(24 + 6);
    let reply = case.say(&report("a", 1, vec![told(&walk, None)]));
    assert_eq!((reply.dropped, reply.granted), (vec![walk.unit], vec![]), "it is told to stop");
    assert_eq!(case.shown(job), ("waiting", "20:00 UTC".to_owned()));
    // It is nobody's before its holder has let go; then it waits, and no attempt was lost.
    assert_eq!(
        case.state.durable.jobs[&job].units[&walk.unit].hold.as_ref().map(|hold| hold.fence),
        Some(walk.fence)
    );
    assert!(case.say(&report("a", 1, vec![])).granted.is_empty());
    let unit = case.state.durable.jobs[&job].units[&walk.unit].clone();
    assert_eq!((unit.hold, unit.failures, unit.losses), (None, 0, 0));
    assert_eq!(case.waits_for(job), "20:00 UTC");
    // What was done is shown meanwhile: 7 files of the heal, and 7 of the walk.
    assert_eq!(case.state.job_view(job, case.now).expect("a job").totals.files, 14);
    case.now.wall_ns = hour(24 + 19);
    assert!(case.say(&report("a", 1, vec![])).granted.is_empty());
    case.now.wall_ns = hour(24 + 20);
    let again = case.say(&report("a", 1, vec![])).granted.remove(0);
    assert_eq!(again.unit, walk.unit);
    assert!(again.fence > walk.fence);
    assert_eq!(case.shown(job).0, "running");
}

#[test]
fn a_unit_that_ends_after_its_hours_counts_and_the_next_one_waits() {
    let (mut case, job, walk) = Case::walking_at_night();
    case.now.wall_ns = hour(24 + 6);
    assert!(case.say(&report("a", 1, vec![finished(&walk)])).granted.is_empty());
    let units: Vec<_> = case.state.durable.jobs[&job].units.values().map(|unit| unit.task.clone()).collect();
    assert_eq!(units, [Task::Finish { source: source() }]);
    // Of several windows the one that opens first is named; another leader, and a pause, change nothing.
    let windows =
        vec!["01:00-02:00+02:00".parse().expect("a window"), "20:00-21:00".parse().expect("a window")];
    case.state.durable.job_mut(job).expect("a job").windows = windows;
    assert_eq!(case.waits_for(job), "20:00 UTC");
    case.now.wall_ns = hour(24 + 22);
    assert_eq!(case.waits_for(job), "01:00+02:00");
    case.state.pause(job).expect("it pauses");
    assert_eq!(case.shown(job), ("paused", format!("`shardex job resume {job}`")));
}

#[test]
fn what_a_cancelled_job_has_done_counts() {
    let (mut case, job, walk) = Case::walking(Options::default());
    case.say(&report("a", 1, vec![told(&walk, None)]));
    case.state.cancel(job, case.now).expect("it ends");
    case.say(&report("a", 1, vec![told(&walk, None)]));
    case.say(&report("a", 1, vec![]));
    assert_eq!(case.phase(job), Phase::Ended(Ending::Cancelled));
    let view = case.state.job_view(job, case.now).expect("a job");
    assert_eq!((view.totals.files, view.by_source[0].files), (14, 7));
}

#[test]
fn only_a_job_that_has_begun_keeps_its_source_after_its_hours() {
    let (mut case, night, walk) = Case::walking_at_night();
    case.now.wall_ns = hour(24 + 6);
    case.say(&report("a", 1, vec![told(&walk, None)]));
    case.say(&report("a", 1, vec![]));
    let day = case.submit(Options::default());
    assert!(case.say(&report("a", 1, vec![])).granted.is_empty());
    assert_eq!(case.shown(day), ("waiting", format!("job {night} over the same source")));
    case.state.cancel(night, case.now).expect("it ends");
    assert_eq!(case.say(&report("a", 1, vec![])).granted.remove(0).job, day);

    let mut case = Case::new();
    case.now.wall_ns = hour(12);
    let windows = vec!["20:00-06:00".parse().expect("a window")];
    let night = case.state.submit(Submit { windows, ..order() }, case.now).expect("a job");
    let day = case.submit(Options::default());
    assert_eq!(case.say(&report("a", 1, vec![])).granted.remove(0).job, day);
    assert_eq!(case.shown(night), ("waiting", "20:00 UTC".to_owned()));
}

impl Case {
    /// Has a worker work a job over a source off, to its end.
    fn read(&mut self, worker: &Report, source: &str) {
        let name = SourceName::new(source).expect("a name");
        let job = self.state.submit(Submit { sources: vec![(name.clone(), None)], ..order() }, self.now);
        let (job, mut report) = (job.expect("a job"), worker.clone());
        report.mounts.insert(name, mount(None, 5));
        while self.state.durable.jobs[&job].is_open() {
            report.units = self.say(&report).granted.iter().map(finished).collect();
        }
        self.say(&report);
    }

    fn lost(&self) -> Vec<&str> {
        self.state.durable.map.lost.shards.iter().map(ShardId::as_str).collect()
    }

    /// Gives a worker up.
    fn forget(&mut self, silent: &str, alive: &Report) {
        self.now.elapsed += LEASE * 2;
        self.say(alive);
        self.state.forget_worker(&name(silent), self.now).expect("its lease is over");
    }
}

#[test]
fn what_was_lost_with_a_worker_is_named_until_every_source_was_read_again() {
    let memory = Memory::default();
    let home = holding("a", &memory, &["2019-1f/0"], Some(&[]));
    let mut case = Case::new();
    case.say(&home);
    case.say(&holding("b", &memory, &["2020-1f/0", "2021-1f/0"], None));
    case.read(&home, "north");
    case.read(&home, "south");
    // One that began before has read what was still there.
    let early = case.submit(Options::default());
    let heal = case.say(&home).granted.remove(0);
    let version = case.state.durable.map.version;
    case.forget("b", &Report { units: vec![told(&heal, None)], ..home.clone() });
    assert_eq!(case.lost(), ["2020-1f/0", "2021-1f/0"]);
    let sent = crate::cluster::convert::map_out(&case.state.durable.map);
    assert!(sent.version > version && sent.lost == ["2020-1f/0", "2021-1f/0"]);
    let mut report = Report { units: vec![finished(&heal)], ..home.clone() };
    while case.state.durable.jobs[&early].is_open() {
        report.units = case.say(&report).granted.iter().map(finished).collect();
    }
    assert_eq!(case.lost().len(), 2, "it began before");
    case.read(&home, "north");
    assert_eq!(case.lost().len(), 2, "files of the other source are not read yet");
    let version = case.state.durable.map.version;
    case.read(&home, "south");
    assert_eq!(case.lost(), Vec::<&str>::new());
    assert!(case.state.durable.map.version > version, "routers hear of it");

    case.say(&holding("c", &memory, &["2022-1f/0"], None));
    let stays = holding("c", &memory, &["2022-1f/0"], None);
    case.forget("a", &stays);
    assert!(case.lost().contains(&"2022-1f/0"), "without the ledger everything is read again");
}
