//! Random lives of a cluster whose ledger and registry move, and what must hold in all of them: one worker serves them,
//! and has all that was ever written, whoever dies, sleeps, or loses the coordinators' state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use shardex_catalog::StoreId;

use super::state::{Durable, Limits, Moment, State};
use super::*;

const LEASE: Duration = Duration::from_secs(15);
const WORKERS: usize = 3;

/// What a ledger has: since which `home_begun`, and how many records.
type Content = (u64, u64);
const EMPTY: Content = (0, 0);

#[derive(Clone, Default)]
struct Folder {
    content: Content,
    is_home: bool,
    /// By which move, what, and from which process.
    arrived: Option<(u64, Content, u64)>,
    /// By which move, and to whom.
    leaving: Option<(u64, usize)>,
    // What ends with the process.
    session: u64,
    heard: Arc<Map>,
    lease_until: Duration,
    paused: Option<u64>,
    begun: u64,
}

struct World {
    state: State,
    now: Moment,
    folders: Vec<Folder>,
    sessions: u64,
    truth: Content,
}

fn name(at: usize) -> WorkerName {
    WorkerName::new(&format!("w{at}")).expect("a name")
}

fn number(worker: &WorkerName) -> usize {
    (0..WORKERS).find(|at| name(*at) == *worker).expect("one of them")
}

fn limits() -> Limits {
    let (failures_max, losses_max, ended_max, open_max) = (3, 6, 10, 5);
    Limits { lease: LEASE, failures_max, losses_max, ended_max, open_max, schema_digest: Vec::new() }
}

impl World {
    fn new() -> Self {
        let now = Moment::default();
        let state = State::begin(Durable::default(), limits(), None, now);
        let folders = vec![Folder::default(); WORKERS];
        let mut world = Self { state, now, folders, sessions: 0, truth: EMPTY };
        (0..WORKERS).for_each(|at| world.restart(at));
        world
    }

    fn restart(&mut self, at: usize) {
        self.sessions += 1;
        let Folder { content, arrived, leaving, .. } = self.folders[at].clone();
        let is_home = content.1 > 0;
        self.folders[at] =
            Folder { content, is_home, arrived, leaving, session: self.sessions, ..Folder::default() };
    }

    fn report(&mut self, at: usize, is_heard: bool) {
        let folder = &self.folders[at];
        let arrived = folder.arrived.map(|(number, _, from_session)| Arrived {
            store: StoreId::Home,
            number,
            from_session,
        });
        let holdings = Holdings {
            is_home: folder.is_home,
            home_leaves_to: folder.leaving.map(|(_, to)| name(to)),
            arrived: arrived.into_iter().collect(),
            // What it rests on is of no interest here.
            ledger: Some(BTreeSet::new()),
            ..Holdings::default()
        };
        let report = Report {
            worker: name(at),
            session: folder.session,
            url: format!("http://w{at}"),
            mounts: BTreeMap::new(),
            holdings: Some(holdings),
            free_slots: 0,
            units: Vec::new(),
            is_draining: false,
            map_version: folder.heard.version,
            schema_digest: Vec::new(),
            suspects: BTreeSet::new(),
        };
        let reply = self.state.report(&report, self.now).expect("nobody has two ledgers");
        self.state.tick(self.now);
        if !is_heard {
            return;
        }
        let (until, me) = (self.now.elapsed + LEASE, name(at));
        let folder = &mut self.folders[at];
        folder.lease_until = until;
        if let Some(map) = reply.map {
            let known = map.home_move().map(|known| known.number);
            folder.paused = folder.paused.filter(|paused| known == Some(*paused));
            folder.is_home |= map.serving_home() == Some(&me) && folder.arrived.is_none();
            folder.heard = map;
        }
    }

    /// Reads are served, as far as this worker knows.
    fn serves(&self, at: usize) -> bool {
        let folder = &self.folders[at];
        self.now.elapsed < folder.lease_until
            && folder.heard.serving_home() == Some(&name(at))
            && folder.arrived.is_none()
            && folder.begun >= folder.heard.home_begun
    }

    fn write(&mut self, at: usize) {
        if self.serves(at) && self.folders[at].paused.is_none() {
            self.folders[at].content.1 += 1;
            self.truth = self.folders[at].content;
        }
    }

    /// What a worker does by the map that it has heard: as `home` of the command line's `cluster`.
    fn work(&mut self, at: usize) {
        let (map, me) = (Arc::clone(&self.folders[at].heard), name(at));
        if map.version == 0 {
            return;
        }
        let home = map.serving_home();
        let is_own = home == Some(&me);
        let is_same = |number: u64| is_own && map.home_begun < number;
        let coming = map.home_move().filter(|known| known.to == me);
        let folder = &mut self.folders[at];
        match (map.home_move(), folder.arrived) {
            (_, Some((arrived, content, _)))
                if is_own && coming.map_or(is_same(arrived), |known| known.number == arrived) =>
            {
                folder.is_home = true;
                folder.content = content;
                (folder.arrived, folder.leaving) = (None, None);
            }
            (_, arrived)
                if coming.is_some_and(|known| arrived.is_none_or(|(one, ..)| one != known.number)) =>
            {
                if let (Some(known), Some(from)) = (coming, home.filter(|_| !is_own)) {
                    self.fetch(at, number(from), known.number);
                }
            }
            (_, Some(_)) if coming.is_none() => folder.arrived = None,
            (None, None) => match folder.leaving {
                Some((number, _)) if is_same(number) => folder.leaving = None,
                Some(_) if home.is_some() => {
                    folder.content = EMPTY;
                    folder.leaving = None;
                    folder.is_home = is_own;
                }
                _ => {}
            },
            _ => {}
        }
        let folder = &mut self.folders[at];
        folder.is_home |= is_own && folder.arrived.is_none();
        if is_own && folder.arrived.is_none() && folder.begun < map.home_begun {
            folder.begun = map.home_begun;
            if folder.content.0 < map.home_begun {
                assert_eq!(folder.content, EMPTY, "a home begins with what it had of an earlier time");
                folder.content = (map.home_begun, 0);
            }
        }
    }

    fn fetch(&mut self, at: usize, from: usize, number: u64) {
        let is_known = self.folders[from].heard.home_move().is_some_and(|known| known.number == number);
        if is_known && self.serves(from) {
            self.folders[from].paused = Some(number);
            self.folders[from].leaving = Some((number, at));
            let (content, session) = (self.folders[from].content, self.folders[from].session);
            self.folders[at].arrived = Some((number, content, session));
        }
    }

    fn forget(&mut self, at: usize) {
        // While the map is made anew that gives up what it waits for.
        let is_whole = self.state.durable.cluster.recovering.is_none();
        if is_whole && self.state.forget_worker(&name(at), self.now).is_ok() {
            // It comes back with an empty folder.
            self.folders[at] = Folder::default();
            self.restart(at);
        }
    }

    /// The state is gone, and made anew from what the folders have. A ledger without a record is nothing to be found, and
    /// one that waits beside another does not count.
    fn lose_state(&mut self) {
        let is_in_place = self.folders.iter().any(|folder| folder.content == self.truth);
        if self.truth.1 > 0 && is_in_place && self.state.durable.map.home.is_some() {
            let mut durable = self.state.durable.clone();
            durable.recover(false);
            self.state = State::begin(durable, limits(), None, self.now);
        }
    }

    fn act(&mut self, (what, at, detail): (u8, u8, u8)) {
        let worker = usize::from(at) % WORKERS;
        match what % 16 {
            0..=3 => self.report(worker, detail % 8 != 7),
            4..=6 => self.work(worker),
            7 | 8 => self.write(worker),
            9 => drop(self.state.make_home(&name(worker), self.now)),
            10 if detail % 2 == 0 => drop(self.state.drain_worker(&name(worker), self.now)),
            10 => drop(self.state.undrain_worker(&name(worker))),
            11 => self.restart(worker),
            12 => {
                self.now.elapsed += Duration::from_secs(u64::from(detail) % 9);
                self.state.tick(self.now);
            }
            13 => self.state = State::begin(self.state.durable.clone(), limits(), None, self.now),
            14 if detail % 4 == 0 => self.lose_state(),
            15 if detail % 4 == 0 => self.forget(worker),
            _ => self.ensure(),
        }
        self.check();
    }

    /// Somebody needs a home, as the next unit would.
    fn ensure(&mut self) {
        if self.state.durable.cluster.recovering.is_none() && self.state.ensure_home(self.now) {
            let begun = self.state.durable.map.home_begun;
            if begun > self.truth.0 {
                self.truth = (begun, 0);
            }
        }
    }

    fn check(&self) {
        let serving: Vec<_> = (0..WORKERS).filter(|at| self.serves(*at)).collect();
        assert!(serving.len() <= 1, "{serving:?} serve");
        for at in serving {
            assert_eq!(self.folders[at].content, self.truth, "w{at} serves what is not all");
        }
        assert!(
            self.truth.1 == 0 || self.truth.0 != self.begun() || self.has_truth(),
            "what was written is nowhere"
        );
    }

    /// Since when the home is what it is; `u64::MAX` while nobody is, who might begin with nothing.
    fn begun(&self) -> u64 {
        self.state.durable.map.home.as_ref().map_or(u64::MAX, |_| self.truth.0)
    }

    fn has_truth(&self) -> bool {
        let arrived = |folder: &Folder| folder.arrived.is_some_and(|(_, content, _)| content == self.truth);
        self.folders.iter().any(|folder| folder.content == self.truth || arrived(folder))
    }

    /// Lets everybody work until one serves.
    fn finish(&mut self) {
        for at in 0..WORKERS {
            let _ = self.state.undrain_worker(&name(at));
        }
        for _ in 0..20 {
            self.now.elapsed += Duration::from_secs(5);
            for at in 0..WORKERS {
                self.report(at, true);
                self.work(at);
                self.ensure();
                self.check();
            }
        }
        assert!(self.state.durable.cluster.recovering.is_none(), "the map is not whole");
        assert!(self.state.durable.map.moves.is_empty(), "a move does not end");
        assert!((0..WORKERS).any(|at| self.serves(at)), "nobody serves");
        let left = self.folders.iter().filter(|folder| folder.is_home || folder.leaving.is_some());
        assert_eq!(left.count(), 1, "something is left of a move");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn one_worker_is_home_and_has_everything(actions in prop::collection::vec(any::<(u8, u8, u8)>(), 1..160)) {
        let mut world = World::new();
        (0..WORKERS).for_each(|at| world.report(at, true));
        world.ensure();
        for action in actions {
            world.act(action);
        }
        world.finish();
    }
}
