//! Workers and states that are lost.

use super::*;

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

    /// Lets a worker be home that does nothing else.
    fn with_home(&mut self) -> Report {
        let home = report("home", 0, vec![]);
        self.say(&home);
        self.state.durable.map_mut().home = Some(home.worker.clone());
        home
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

fn south() -> SourceName {
    SourceName::new("south").expect("a name")
}

/// Gives the home up, while another worker never misses a report.
fn lose_the_home(case: &mut Case, home: &Report, alive: &Report) {
    for _ in 0..3 {
        case.now.elapsed += LEASE / 2;
        case.say(alive);
    }
    case.state.forget_worker(&home.worker, case.now).expect("its lease is over");
}

#[test]
fn a_job_that_loses_its_ledger_begins_anew_once_nobody_works_on_it() {
    let mut case = Case::new();
    let home = Report { free_slots: 0, ..holding("home", &Memory::default(), &[], Some(&[])) };
    case.say(&home);
    let job = case.submit(Options::default());
    let heal = case.say(&report("a", 1, vec![])).granted.remove(0);
    let walk = case.say(&report("a", 1, vec![finished(&heal)])).granted.remove(0);
    lose_the_home(&mut case, &home, &report("a", 1, vec![told(&walk, None)]));
    let lost = case.state.durable.cluster.ledger_lost;
    assert_eq!(lost, walk.fence);
    assert!(case.say(&report("b", 1, vec![])).granted.is_empty(), "somebody works on it");
    assert!(case.shown(job).1.contains("that was lost"), "{:?}", case.shown(job));
    let reply = case.say(&report("a", 1, vec![told(&walk, None)]));
    assert_eq!((reply.dropped, reply.granted), (vec![walk.unit], vec![]));
    let again = case.say(&report("a", 1, vec![])).granted.remove(0);
    assert_eq!(again.task, Task::Heal, "rows that the new ledger does not know are removed");
    assert!(again.job_fence > lost && again.unit > walk.unit);
    assert_eq!(case.state.durable.jobs[&job].totals, Totals::default(), "what was done is gone");
    let walk = case.say(&report("a", 1, vec![finished(&again)])).granted.remove(0);
    assert!(walk.task.is_walk() && !walk.root_was_listed, "from the root");
    let mut said = report("a", 1, vec![finished(&walk)]);
    while case.state.durable.jobs[&job].is_open() {
        said.units = case.say(&said).granted.iter().map(finished).collect();
    }
    assert_eq!(case.phase(job), Phase::Ended(Ending::Complete));
}

#[test]
fn a_walk_that_ends_after_its_ledger_was_lost_is_walked_again() {
    let (mut case, job, walk) = Case::walking(Options::default());
    let home = case.with_home();
    lose_the_home(&mut case, &home, &report("a", 1, vec![told(&walk, None)]));
    let again = case.say(&report("a", 1, vec![finished(&walk)])).granted.remove(0);
    assert_eq!((again.job, again.task), (job, Task::Heal));
}

#[test]
fn only_jobs_that_go_on_begin_anew() {
    let (mut case, begun, walk) = Case::walking(Options::default());
    let home = case.with_home();
    let queued = case.submit(Options::default());
    let units = case.state.durable.jobs[&queued].units.clone();
    case.state.cancel(begun, case.now).expect("cancelled");
    lose_the_home(&mut case, &home, &report("a", 0, vec![told(&walk, None)]));
    case.state.submit(Submit { sources: vec![(south(), None)], ..order() }, case.now).expect("a job");
    let reader = Report { mounts: BTreeMap::from([(south(), mount(None, 5))]), ..report("b", 1, vec![]) };
    assert!(case.say(&reader).granted.is_empty(), "what is sent meanwhile no ledger knows");
    case.say(&report("a", 0, vec![]));
    assert_eq!(case.phase(begun), Phase::Ended(Ending::Cancelled));
    assert_eq!(case.state.durable.jobs[&queued].units, units, "its heal was still to come");
    assert_eq!(case.say(&reader).granted.remove(0).job, queued);
}

#[test]
fn what_is_tried_again_after_the_ledger_was_lost_is_the_whole_job() {
    let mut case = Case::new();
    let job = case.submit(Options::default());
    let mut said = report("a", 1, vec![]);
    while case.state.durable.jobs[&job].is_open() {
        let fail = |grant: &Grant| match grant.task {
            Task::Heal => finished(grant),
            _ => told(grant, Some(End::Failed("no".into()))),
        };
        case.now.elapsed += Duration::from_secs(5);
        said.units = case.say(&said).granted.iter().map(fail).collect();
    }
    assert_eq!(case.phase(job), Phase::Ended(Ending::Incomplete));
    case.forget("a", &report("b", 1, vec![]));
    assert_eq!(case.phase(job), Phase::Ended(Ending::Incomplete));
    case.state.retry(job).expect("a unit is dead");
    assert_eq!(case.say(&report("b", 1, vec![])).granted.remove(0).task, Task::Heal);
}

#[test]
fn a_recovery_without_a_ledger_has_jobs_begin_anew() {
    let (mut case, job, walk) = Case::walking(Options::default());
    case.state.may_recover = true;
    case.state.recover(true, case.now);
    let mut owner = holding("a", &Memory::default(), &["2020-1f/0"], None);
    (owner.free_slots, owner.units) = (1, vec![told(&walk, None)]);
    assert!(case.say(&owner).dropped.is_empty(), "its ledger may come yet");
    case.now.elapsed += LEASE;
    assert_eq!(case.say(&owner).dropped, [walk.unit]);
    owner.units.clear();
    let again = case.say(&owner).granted.remove(0);
    assert_eq!((again.job, again.task), (job, Task::Heal));
}
