//! Single cases of what the machine decides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shardex_catalog::{RelativePath, ShardId, SourceName, Span};

use super::state::{Moment, State};
use super::support::{LEASE, begun, mount, name, order, report, source};
use super::*;

mod hours;
mod lost;

struct Case {
    state: State,
    now: Moment,
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
        let (state, now) = begun();
        Self { state, now }
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

    fn shown(&self, job: u64) -> (&'static str, String) {
        let view = self.state.job_view(job, self.now).expect("a job");
        (view.state, view.waits_for)
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
fn workers_report_sooner_while_a_walk_may_be_split() {
    let usual = Duration::from_millis(2500);
    let (mut case, _, walk) = Case::walking(Options::default());
    assert_eq!(case.state.next_report(usual, case.now), usual, "there is one worker");
    case.say(&report("b", 1, vec![]));
    assert_eq!(case.state.next_report(usual, case.now), Duration::from_millis(500));
    for n in 0..198 {
        case.say(&report(&format!("c{n}"), 1, vec![]));
    }
    assert_eq!(case.state.next_report(usual, case.now), Duration::from_millis(1000), "of two hundred");
    case.say(&report("a", 0, vec![finished(&walk)]));
    assert_eq!(case.state.next_report(usual, case.now), usual, "there is nothing to split");
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
fn ended_jobs_are_forgotten_in_time() {
    let mut case = Case::new();
    for _ in 0..4 {
        let job = case.submit(Options::default());
        case.now.wall_ns += 1;
        case.state.cancel(job, case.now).expect("it cancels");
    }
    assert_eq!(case.state.durable.jobs.keys().copied().collect::<Vec<_>>(), [3, 4]);
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
