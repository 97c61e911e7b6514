//! Random lives of a cluster, and what must hold in all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use shardex_catalog::{RelativePath, ShardId, SourceName, Span};

use super::state::{Durable, Limits, Moment, State};
use super::*;

const LEASE: Duration = Duration::from_secs(15);
const WORKERS: usize = 3;
const SOURCES: [&str; 2] = ["north", "south"];
/// Directories of a tree of two levels, as far as the properties look.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn limits() -> Limits {
    Limits {
        lease: LEASE,
        failures_max: 3,
        losses_max: 6,
        ended_max: 100,
        open_max: 20,
        schema_digest: Vec::new(),
    }
}

/// A unit as a worker believes to hold it.
#[derive(Clone)]
struct Belief {
    fence: u64,
    task: Task,
    aside: Option<Span>,
    end: Option<End>,
}

#[derive(Default)]
struct SimulatedWorker {
    session: u64,
    lease_until: Duration,
    units: BTreeMap<u64, Belief>,
    last: Option<Report>,
}

struct World {
    state: State,
    now: Moment,
    workers: Vec<SimulatedWorker>,
    highest_fence: u64,
    fences: BTreeSet<(u64, u64)>,
    /// Walks that were finished, by job and source.
    finished: Vec<(u64, SourceName, Span, Vec<Span>)>,
    /// Halves of shards on the disk of each worker.
    halves: BTreeMap<usize, SplitReport>,
    relabelled: Option<SplitReport>,
}

impl World {
    fn new() -> Self {
        let now = Moment::default();
        let workers =
            (0..WORKERS).map(|n| SimulatedWorker { session: n as u64, ..SimulatedWorker::default() });
        let state = State::begin(Durable::default(), limits(), None, now);
        let (fences, finished) = (BTreeSet::new(), Vec::new());
        let (workers, halves) = (workers.collect(), BTreeMap::new());
        Self { state, now, workers, highest_fence: 0, fences, finished, halves, relabelled: None }
    }

    fn name(at: usize) -> WorkerName {
        WorkerName::new(&format!("w{at}")).expect("a name")
    }

    fn report_of(&self, at: usize, free_slots: u32) -> Report {
        let worker = &self.workers[at];
        let mount = Mount { marker: None, root_entries: 5 };
        let mounts = SOURCES.iter().map(|name| (SourceName::new(name).expect("a name"), mount.clone()));
        // The last worker sees one source only.
        let mounts = mounts.take(if at + 1 == WORKERS { 1 } else { 2 }).collect();
        let units = worker.units.iter().map(|(unit, belief)| UnitReport {
            unit: *unit,
            fence: belief.fence,
            totals: Totals { files: 1, ..Totals::default() },
            slowest: Vec::new(),
            set_aside: belief.aside.iter().cloned().collect(),
            end: belief.end.clone(),
        });
        let holdings = Holdings {
            splits: self.halves.get(&at).cloned().into_iter().collect(),
            relabelled: self.relabelled.clone().into_iter().collect(),
            ..Holdings::default()
        };
        Report {
            worker: Self::name(at),
            session: worker.session,
            url: format!("http://w{at}"),
            mounts,
            holdings: (at < 2).then_some(holdings),
            free_slots,
            units: units.collect(),
            is_draining: false,
            map_version: self.state.durable.map.version,
            schema_digest: Vec::new(),
            suspects: BTreeSet::new(),
        }
    }

    fn say(&mut self, at: usize, report: Report, is_heard: bool) {
        self.forget_walks_of_new();
        let before = self.state.durable.clone();
        let reply = self.state.report(&report, self.now).expect("a sound report is taken");
        for grant in &reply.granted {
            assert!(
                self.state.durable.jobs[&grant.job].is_in_hours(self.now),
                "a unit outside of its job's hours"
            );
            assert!(
                grant.job_fence > self.state.durable.cluster.ledger_lost,
                "a job goes on with a ledger that knows nothing of it"
            );
        }
        for said in &report.units {
            let job = before.job_of(said.unit);
            let unit = job.and_then(|job| before.jobs[&job].units.get(&said.unit));
            let is_gone = self.state.durable.job_of(said.unit).is_none();
            let ended = matches!(said.end, Some(End::Finished(_)));
            if let (Some(job), Some(Unit { task: Task::Walk { source, .. }, .. }), true, true) =
                (job, unit, is_gone, ended)
            {
                // What was set aside in the same report belongs to a child by now.
                let Some(Task::Walk { root, exclusions, .. }) = unit.map(|unit| &unit.task) else { continue };
                let (mut root, mut exclusions) = (root.clone(), exclusions.clone());
                for span in said.set_aside.iter().filter(|_| reply.split_done.contains(&said.unit)) {
                    match root.without_tail(span) {
                        Some(shorter) => root = shorter,
                        None => span.clone().add_to(&mut exclusions),
                    }
                }
                self.finished.push((job, source.clone(), root, exclusions));
            }
        }
        let durable = format!("{:?}", self.state.durable);
        let again = self.state.report(&report, self.now).expect("a replay is taken");
        assert_eq!(durable, format!("{:?}", self.state.durable), "a replay changed something");
        assert_eq!(reply.granted, again.granted);
        self.check_grants(&reply);
        self.forget_walks_of_new();
        self.workers[at].last = Some(report);
        if is_heard {
            self.hear(at, &reply);
        }
    }

    /// What a job has walked does not count once it begins anew.
    fn forget_walks_of_new(&mut self) {
        let jobs = &self.state.durable.jobs;
        self.finished.retain(|(job, ..)| jobs.get(job).is_some_and(|job| !job.is_healing()));
    }

    fn check_grants(&mut self, reply: &Reply) {
        let is_lost = self.state.lost_units_are_held();
        for grant in &reply.granted {
            assert!(grant.job_fence <= grant.fence);
            assert!(!is_lost, "a unit that writes by a lost ledger may run beside");
            if self.fences.insert((grant.unit, grant.fence)) {
                assert!(grant.fence > self.highest_fence, "a fence did not grow");
                self.highest_fence = grant.fence;
            }
        }
    }

    fn hear(&mut self, at: usize, reply: &Reply) {
        let worker = &mut self.workers[at];
        worker.lease_until = self.now.elapsed + LEASE;
        for unit in &reply.dropped {
            worker.units.remove(unit);
        }
        for unit in &reply.split_done {
            if let Some(belief) = worker.units.get_mut(unit) {
                belief.aside = None;
            }
        }
        for unit in &reply.split_wanted {
            if let Some(belief) = worker.units.get_mut(unit)
                && belief.aside.is_none()
                && let Task::Walk { root, exclusions, .. } = &belief.task
            {
                belief.aside = something_of(root, exclusions, self.now.random);
            }
        }
        for grant in &reply.granted {
            let belief = Belief { fence: grant.fence, task: grant.task.clone(), aside: None, end: None };
            worker.units.entry(grant.unit).or_insert(belief);
        }
    }

    /// No unit is held by two workers that may both believe it.
    fn check(&self) {
        let mut holders = BTreeMap::new();
        for (at, worker) in
            self.workers.iter().enumerate().filter(|(_, worker)| self.now.elapsed < worker.lease_until)
        {
            for unit in worker.units.iter().filter(|(_, belief)| belief.end.is_none()).map(|(unit, _)| unit) {
                let before = holders.insert(*unit, at);
                assert_eq!(before, None, "unit {unit} is held twice");
            }
        }
        let is_split =
            |split: &Split| (SplitStage::Building..=SplitStage::Relabelling).contains(&split.stage);
        if self.state.durable.map.splits.values().any(is_split) {
            let mut units = self.state.durable.jobs.values().flat_map(|job| job.units.values());
            assert!(units.all(|unit| unit.hold.is_none()), "somebody writes while a shard is split");
        }
        self.check_cover();
    }

    fn order_split(&mut self) {
        let shard = ShardId::new("p/0").expect("an id");
        // Without an owner there is nothing to split.
        let _ = self.state.locate(std::slice::from_ref(&shard), self.now);
        let _ = self.state.split_shard(&shard, self.now);
    }

    /// Owners and the home do what the map asks of them.
    fn work_on_splits(&mut self) {
        let map = std::sync::Arc::clone(&self.state.durable.map);
        for (shard, split) in &map.splits {
            let Some(owner) = (0..WORKERS).find(|at| map.shards.get(shard) == Some(&Self::name(*at))) else {
                continue;
            };
            let said = SplitReport {
                shard: shard.clone(),
                to: split.to.clone(),
                moved: split.moved.clone(),
                number: split.number,
                is_placed: split.stage != SplitStage::Building,
                failed: String::new(),
            };
            match split.stage {
                SplitStage::Building | SplitStage::Placing => drop(self.halves.insert(owner, said)),
                SplitStage::Relabelling => self.relabelled = Some(said),
                SplitStage::Done(_) => drop(self.halves.remove(&owner)),
                SplitStage::Waiting => {}
            }
        }
    }

    /// Every directory of a source that is walked lies in exactly one walk.
    fn check_cover(&self) {
        for job in self
            .state
            .durable
            .jobs
            .values()
            .filter(|job| job.phase == Phase::Open || job.phase == Phase::Paused)
        {
            for source in job.sources.iter().filter(|source| source.stage == super::job::Stage::Walking) {
                let walks = job.units.values().chain(job.dead.values()).filter_map(|unit| match &unit.task {
                    Task::Walk { source: of, root, exclusions } if *of == source.name => {
                        Some((root, exclusions))
                    }
                    _ => None,
                });
                let finished =
                    self.finished.iter().filter(|(of, name, ..)| *of == job.number && *name == source.name);
                let walks: Vec<_> =
                    walks.chain(finished.map(|(_, _, root, exclusions)| (root, exclusions))).collect();
                for path in paths() {
                    let covering = walks.iter().filter(|(root, exclusions)| {
                        root.contains(&path) && !exclusions.iter().any(|span| span.contains(&path))
                    });
                    assert_eq!(covering.count(), 1, "job {}: {:?} of {walks:?}", job.number, path.as_bytes());
                }
            }
        }
    }

    fn act(&mut self, (what, at, detail): (u8, u8, u8)) {
        self.now.random =
            self.now.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(u64::from(detail) + 1);
        let worker = usize::from(at) % WORKERS;
        let job = u64::from(detail) % (self.state.durable.cluster.last_job + 1);
        match what % 18 {
            0..=5 => {
                let report = self.report_of(worker, u32::from(detail) % 4);
                self.say(worker, report, detail % 8 != 7);
            }
            6..=8 => self.end_units(worker, detail),
            9 => self.pass(u64::from(detail) % 9),
            10 => {
                // The process dies, and another one comes in its place.
                let session = self.workers[worker].session + WORKERS as u64;
                self.workers[worker] = SimulatedWorker { session, ..SimulatedWorker::default() };
            }
            11 => {
                let sources = SOURCES.iter().take(1 + usize::from(detail) % 2);
                let sources = sources.map(|name| (SourceName::new(name).expect("a name"), None)).collect();
                let priority = i32::from(detail % 3);
                let (options, request_id) = (Options::default(), String::new());
                let night = "20:00-06:00+02:00".parse().expect("a window");
                let windows = if detail % 5 == 0 { vec![night] } else { Vec::new() };
                let order = Submit { sources, options, priority, windows, request_id };
                let _ = self.state.submit(order, self.now);
            }
            12 => {
                let _ = match detail % 4 {
                    0 => self.state.pause(job),
                    1 => self.state.resume(job),
                    2 => self.state.cancel(job, self.now),
                    _ => self.state.retry(job),
                };
            }
            13 => self.change_leader(),
            14 => self.state.tick(self.now),
            15 => self.order_split(),
            16 => self.work_on_splits(),
            _ => {
                if self.state.forget_worker(&Self::name(worker), self.now).is_ok() {
                    self.halves.remove(&worker);
                }
            }
        }
    }

    /// Time passes; the hours of the day go round in it, whatever the leases do.
    fn pass(&mut self, seconds: u64) {
        const WALL_SECONDS: i64 = 6 * 3600 + 17 * 60;
        self.now.elapsed += Duration::from_secs(seconds);
        self.now.wall_ns += i64::try_from(seconds).expect("few") * WALL_SECONDS * 1_000_000_000;
    }

    fn end_units(&mut self, worker: usize, detail: u8) {
        for belief in self.workers[worker].units.values_mut().filter(|belief| belief.end.is_none()).take(1) {
            belief.end = Some(match detail % 4 {
                0 => End::Failed("no".into()),
                _ => End::Finished(Finished::default()),
            });
        }
    }

    /// Another coordinator goes on with what is stored.
    fn change_leader(&mut self) {
        let durable = self.state.durable.clone();
        let text = |value: serde_json::Result<Vec<u8>>| value.expect("it is stored");
        let stored = Durable {
            cluster: serde_json::from_slice(&text(serde_json::to_vec(&*durable.cluster)))
                .map(std::sync::Arc::<Cluster>::new)
                .expect("it is read"),
            map: serde_json::from_slice(&text(serde_json::to_vec(&*durable.map)))
                .map(std::sync::Arc::<Map>::new)
                .expect("it is read"),
            jobs: durable
                .jobs
                .iter()
                .map(|(n, job)| {
                    (
                        *n,
                        std::sync::Arc::new(
                            serde_json::from_slice::<Job>(&text(serde_json::to_vec(&**job)))
                                .expect("it is read"),
                        ),
                    )
                })
                .collect(),
        };
        assert_eq!(format!("{durable:?}"), format!("{stored:?}"), "what is stored is what was");
        self.state = State::begin(stored, limits(), None, self.now);
    }

    /// Lets everybody work until nothing is left.
    fn finish(&mut self) {
        for round in 0.. {
            assert!(round < 500, "jobs do not end");
            self.pass(5);
            let jobs: Vec<_> = self.state.durable.open_jobs();
            if jobs.is_empty() {
                return;
            }
            for job in jobs {
                let _ = self.state.resume(job);
            }
            self.work_on_splits();
            for worker in 0..WORKERS {
                self.workers[worker].units.values_mut().for_each(|belief| {
                    belief.end.get_or_insert(End::Finished(Finished::default()));
                });
                let report = self.report_of(worker, 2);
                self.say(worker, report, true);
                self.check();
            }
        }
    }
}

/// A part of a walk that lies in it and in none of its exclusions.
fn something_of(root: &Span, exclusions: &[Span], random: u64) -> Option<Span> {
    let name = NAMES[usize::try_from(random % 5).expect("small")].as_bytes();
    let deep = NAMES[usize::try_from(random / 5 % 5).expect("small")].as_bytes();
    let directory = root.directory().clone();
    let to = root.names().map_or(&b""[..], |(_, to)| to);
    let candidates = [
        Span::range(directory.clone(), name, to),
        Span::range(directory.join(deep), name, b""),
        Some(Span::whole(directory.join(name))),
    ];
    let start = usize::try_from(random % 3).expect("small");
    let mut candidates = candidates.into_iter().cycle().skip(start).take(3).flatten();
    candidates.find(|span| {
        span != root
            && root.covers(span)
            && !exclusions.iter().any(|known| known.covers(span) || span.covers(known))
    })
}

fn paths() -> Vec<RelativePath> {
    let mut paths = vec![RelativePath::default()];
    for one in NAMES {
        paths.push(RelativePath::new(one.as_bytes()));
        paths.extend(NAMES.iter().map(|two| RelativePath::new(format!("{one}/{two}").as_bytes())));
        paths.extend(NAMES.iter().map(|two| RelativePath::new(format!("{one}/{two}/x").as_bytes())));
    }
    paths
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_units_are_held_once_and_jobs_end(actions in prop::collection::vec(any::<(u8, u8, u8)>(), 1..120)) {
        let mut world = World::new();
        for action in actions {
            world.act(action);
            world.check();
        }
        world.finish();
        let fences = world.state.durable.cluster.last_fence;
        prop_assert!(world.highest_fence <= fences);
    }
}
