//! An operator who has the tree read again and again, moves and splits shards, and looks who does what.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value as Json;

use super::fault::{Roles, WORKERS};
use crate::{Random, Shardex};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Jobs that are looked at.
const JOBS: &str = "10";
/// Of so many looks one has a shard moved or split.
const LOOKS_AN_ORDER: usize = 8;

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) roles: Roles,
    /// Files that were opened.
    pub(super) opened: u64,
    /// Looks that found more of them.
    pub(super) looks: u64,
    /// Files that each job had opened at the last look.
    of_jobs: BTreeMap<u64, u64>,
}

/// What an operator asks with.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) shardex: Shardex,
    /// The coordinators, each by itself.
    pub(super) coordinators: Vec<String>,
}

impl Desk {
    /// What a command says, if it succeeds.
    pub(super) fn ask(&self, arguments: &[&str], coordinators: &str) -> Option<Json> {
        let answer = self.shardex.run(&[arguments, &["--json", "--coordinator", coordinators]].concat());
        let answer = answer.ok().filter(|answer| answer.code == Some(0))?;
        serde_json::from_str(answer.out.trim()).ok()
    }

    pub(super) fn all(&self) -> String {
        self.coordinators.join(",")
    }

    /// The last jobs, and who leads: nobody else answers. The one that led last is asked first.
    fn jobs(&self, led: usize) -> Option<(usize, Vec<Json>)> {
        let count = self.coordinators.len();
        (0..count).map(|n| (led + n) % count).find_map(|number| {
            let jobs = self.ask(&["job", "list", "--limit", JOBS], &self.coordinators[number])?;
            Some((number, jobs.as_array()?.clone()))
        })
    }

    fn home(&self) -> Option<usize> {
        let workers = self.ask(&["workers", "list"], &self.all())?;
        let home = workers.as_array()?.iter().find(|worker| worker["is_home"] == true)?.clone();
        home["worker"].as_str()?.strip_prefix('w')?.parse().ok()
    }

    /// Has a shard moved or split. Refused or not, it is a fault like the others.
    fn order(&self, random: &mut Random) {
        let (drawn, to) = (random.next(), format!("w{}", random.below(WORKERS)));
        let Some(shards) = self.ask(&["shards", "list"], &self.all()) else { return };
        let names: Vec<_> =
            shards.as_array().into_iter().flatten().filter_map(|one| one["shard"].as_str()).collect();
        let Some(shard) = usize::try_from(drawn >> 8).ok().and_then(|n| names.get(n % names.len().max(1)))
        else {
            return;
        };
        let _ = match drawn % 3 {
            0 => self.shardex.start(&["shards", "split", shard, "--coordinator", &self.all()]),
            _ => self.shardex.start(&["shards", "move", shard, "--to", &to, "--coordinator", &self.all()]),
        }
        .and_then(|mut order| Ok(order.wait()?));
    }
}

/// A thread of such an operator, which ends when it is dropped.
#[derive(Debug)]
pub(super) struct Operator {
    seen: Arc<Mutex<Seen>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Operator {
    /// Submits jobs with these options whenever none is open.
    pub(super) fn start(desk: Desk, options: Vec<String>, mut random: Random) -> Self {
        let (seen, is_over) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (shared, stop) = (Arc::clone(&seen), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let led = lock(&shared).roles.leader;
                if let Some((leader, jobs)) = desk.jobs(led) {
                    note(&mut lock(&shared), leader, &jobs);
                    if jobs.iter().all(|job| !job["ended_ns"].is_null()) {
                        let options: Vec<_> = options.iter().map(String::as_str).collect();
                        desk.ask(&[&["job", "submit", "s"], &options[..]].concat(), &desk.all());
                    }
                    if let Some(home) = desk.home() {
                        lock(&shared).roles.home = home;
                    }
                    if random.below(LOOKS_AN_ORDER) == 0 {
                        desk.order(&mut random);
                    }
                }
                std::thread::sleep(LOOK);
            }
        });
        Self { seen, is_over, thread: Some(thread) }
    }

    pub(super) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// Orders nothing any more.
    pub(super) fn stop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(seen: &mut Seen, leader: usize, jobs: &[Json]) {
    seen.roles.leader = leader;
    for job in jobs {
        let (Some(number), Some(opened)) = (job["job"].as_u64(), job["totals"]["opened"].as_u64()) else {
            continue;
        };
        let before = seen.of_jobs.insert(number, opened).unwrap_or_default();
        // Less where a holder is lost: what it had not recorded is opened again.
        let more = opened.saturating_sub(before);
        seen.opened += more;
        seen.looks += u64::from(more > 0);
    }
}
