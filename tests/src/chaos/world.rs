//! A cluster to which faults happen while it ingests.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::fault::{COORDINATORS, KINDS, Kind, Victim, WORKERS, victims};
use super::operator::{Desk, Operator, Seen};
use super::plan::{Deck, Planned};
use super::setting::Settings;
use crate::cluster::Cluster;
use crate::{Instance, Net, Random, change_tree, write_series, write_tree};

const FILES_A_SERIES: u32 = 100;
/// Time between two looks at what is due.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// Time for an ingest that goes on, before the next faults.
const QUIET: Duration = Duration::from_secs(12);
/// Between two changes of the tree.
const CHANGE: Duration = Duration::from_secs(2);
/// A wave takes no longer, nor does an ingest to go on after it, nor an operator to give a worker up.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);
/// Files that kill their reader, written at a time to different directories.
const CRASHES: u32 = 3;
/// The signal of a process that has crashed (POSIX: SIGABRT).
const ABORTED: i32 = 6;

/// A fault that has begun.
#[derive(Debug)]
struct Fault {
    kind: Kind,
    victims: Vec<Victim>,
    until: Instant,
    /// The operator who gives a worker up.
    forgetting: Option<JoinHandle<Result<()>>>,
}

/// Such a cluster.
#[derive(Debug)]
pub struct Chaos {
    pub(super) settings: Settings,
    pub(super) net: Net,
    pub(super) operator: Operator,
    pub(super) desk: Desk,
    tree: PathBuf,
    deck: Deck,
    changes: Random,
    /// Changes of the tree so far.
    step: u32,
    changed: Instant,
    faults: Vec<Fault>,
    happened: BTreeMap<Kind, u32>,
    began: Instant,
    wave: u32,
}

/// The small tree that changes, and as many other files beside it.
fn write_files(tree: &Path, files: u64) -> Result<()> {
    write_tree(tree)?;
    for n in 0..u32::try_from(files)? / FILES_A_SERIES {
        write_series(&series(tree, n), 1000 + n / 4, 2000 + n / 2, n, FILES_A_SERIES)?;
    }
    Ok(())
}

fn series(tree: &Path, n: u32) -> PathBuf {
    tree.join(format!("more/{}/{n}", n / 50))
}

impl Chaos {
    /// Starts it with workers that files can crash; `None` if this machine cannot have such a cluster.
    ///
    /// # Errors
    /// If something does not start.
    pub fn start(folder: &Path, crashing: &Path, settings: Settings) -> Result<Option<Self>> {
        let tree = folder.join("tree");
        let mut cluster = Cluster::new(folder, &tree)?;
        cluster.of_workers = crashing.to_owned();
        let Some(net) = Net::start_at(folder, cluster, COORDINATORS, WORKERS)? else { return Ok(None) };
        write_files(&tree, settings.files)?;
        let random = |which: u64| Random::new(settings.seed ^ (which << 32));
        let desk = Desk {
            shardex: net.cluster.shardex.clone(),
            coordinators: net.cluster.coordinators.iter().map(|process| process.url.clone()).collect(),
        };
        // Slow enough that the first ingest is not over while faults happen, which stop it for most of the time.
        let pace = settings.files * 6 / settings.time.as_secs().max(1) / WORKERS as u64;
        let options = ["--accept-deletions", "--files-per-second", &pace.max(10).to_string()];
        let operator = Operator::start(desk.clone(), options.map(str::to_owned).to_vec(), random(1));
        let now = Instant::now();
        Ok(Some(Self {
            deck: Deck::new(random(2)),
            changes: random(3),
            step: 0,
            changed: now,
            faults: Vec::new(),
            happened: BTreeMap::new(),
            began: now,
            wave: 0,
            settings,
            net,
            operator,
            desk,
            tree,
        }))
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.net.cluster
    }

    /// Files that were opened while faults happened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.operator.seen().opened
    }

    /// Kinds that have not happened.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        KINDS.iter().filter(|(kind, _)| !self.happened.contains_key(kind)).map(|(_, words)| *words).collect()
    }

    /// Lets waves of faults come for the time of the settings, and until every kind has happened. After each the ingest
    /// has to go on.
    ///
    /// # Errors
    /// If it does not, or a process ends that nobody has ended.
    pub fn happen(&mut self) -> Result<()> {
        self.go_on()?;
        while self.began.elapsed() < self.settings.time || !self.missing().is_empty() {
            ensure!(self.began.elapsed() < self.settings.time + PATIENCE, "never: {:?}", self.missing());
            self.wave += 1;
            let wave = self.deck.wave();
            self.wave(wave).and_then(|()| self.go_on()).with_context(|| self.net.cluster.logs())?;
        }
        Ok(())
    }

    /// Several faults, to the end of all.
    fn wave(&mut self, mut planned: Vec<Planned>) -> Result<()> {
        let began = Instant::now();
        while !planned.is_empty() || !self.faults.is_empty() {
            ensure!(
                began.elapsed() < PATIENCE,
                "waited too long until {planned:?}, {:?} are over",
                self.faults
            );
            let seen = self.operator.seen();
            let due = planned.iter().position(|one| {
                let victims = victims(one.kind, seen.roles, drawn(one));
                one.at <= began.elapsed() && !victims.iter().any(|victim| self.is_struck(*victim))
            });
            if let Some(due) = due {
                let one = planned.remove(due);
                self.begin(one, &seen)?;
            }
            self.look()?;
        }
        Ok(())
    }

    /// Waits until files are read as if nothing had happened, and leaves some time for that.
    fn go_on(&mut self) -> Result<()> {
        let (began, before) = (Instant::now(), self.operator.seen());
        while self.operator.seen().looks < before.looks + 2 {
            ensure!(began.elapsed() < PATIENCE, "nothing is wrong any more, and no file is read");
            self.look()?;
        }
        let goes_on_since = Instant::now();
        while goes_on_since.elapsed() < QUIET {
            self.look()?;
        }
        let read = self.operator.seen().opened - before.opened;
        self.say(&format!("{read} files were read in {:.1?} of quiet", began.elapsed()));
        Ok(())
    }

    /// What goes on all the time: the tree changes, faults end, who has crashed is started again.
    fn look(&mut self) -> Result<()> {
        std::thread::sleep(LOOK);
        if self.changed.elapsed() > CHANGE {
            self.changed = Instant::now();
            self.step += 1;
            change_tree(&self.tree, &mut self.changes, self.step)?;
        }
        let is_over = |fault: &mut Fault| {
            let given_up = fault.forgetting.as_ref().is_none_or(JoinHandle::is_finished);
            given_up && fault.until <= Instant::now()
        };
        let over: Vec<_> = self.faults.extract_if(.., is_over).collect();
        over.into_iter().try_for_each(|fault| self.end(fault))?;
        self.tend()
    }

    /// Starts workers again that files have crashed.
    ///
    /// # Errors
    /// If one has ended in another way.
    pub fn tend(&mut self) -> Result<()> {
        for worker in 0..WORKERS {
            if self.is_struck(Victim::Worker(worker)) {
                continue;
            }
            let Some(status) = self.net.cluster.workers[worker].status()? else { continue };
            if status.signal() != Some(ABORTED) {
                bail!("worker {worker} has ended, {status}: {}", self.net.cluster.logs());
            }
            self.say(&format!("w{worker} has crashed, and is started again"));
            *self.happened.entry(Kind::Crash).or_default() += 1;
            self.net.cluster.workers[worker].relaunch()?;
            self.cut_again()?;
        }
        Ok(())
    }

    fn is_struck(&self, victim: Victim) -> bool {
        self.faults.iter().any(|fault| fault.victims.contains(&victim))
    }

    pub(super) fn say(&self, what: &str) {
        let at = self.began.elapsed().as_secs_f64();
        say(&format!("{at:6.1} s, seed {}, wave {}: {what}", self.settings.seed, self.wave));
    }

    fn begin(&mut self, planned: Planned, seen: &Seen) -> Result<()> {
        let kind = planned.kind;
        let victims = victims(kind, seen.roles, drawn(&planned));
        self.say(&format!("{}: {victims:?}", kind.words()));
        let mut forgetting = None;
        for victim in &victims {
            match (kind, *victim) {
                (Kind::WipeOwner | Kind::WipeHome, Victim::Worker(worker)) => {
                    forgetting = Some(self.wipe(worker)?);
                }
                (Kind::KillOwner | Kind::KillHome, Victim::Worker(worker)) => {
                    self.net.cluster.workers[worker].kill()?;
                }
                (Kind::KillLeader, Victim::Coordinator(leader)) => {
                    self.net.cluster.coordinators[leader].kill()?;
                }
                (Kind::KillMember, Victim::Member(member)) => self.net.etcd.kill(member)?,
                _ => self.stop(*victim, true)?,
            }
        }
        if kind == Kind::Crash {
            self.write_crashes(planned.drawn)?;
        } else {
            *self.happened.entry(kind).or_default() += 1;
        }
        let until = Instant::now() + kind.lasts(&self.settings, planned.drawn);
        self.faults.push(Fault { kind, victims, until, forgetting });
        Ok(())
    }

    /// Stops a process or cuts a wire, or lets it go on.
    fn stop(&self, victim: Victim, is_stopped: bool) -> Result<()> {
        let signal = if is_stopped { "STOP" } else { "CONT" };
        match victim {
            Victim::Worker(worker) => self.net.cluster.workers[worker].signal(signal),
            Victim::Coordinator(coordinator) => self.net.cluster.coordinators[coordinator].signal(signal),
            Victim::Member(member) => self.net.etcd.signal(member, signal),
            Victim::Wire(pair) => self.net.cut(pair, is_stopped),
            Victim::Disk => Ok(()),
        }
    }

    fn end(&mut self, fault: Fault) -> Result<()> {
        if let Some(forgetting) = fault.forgetting {
            forgetting.join().map_err(|_| anyhow::anyhow!("the operator panicked"))??;
        }
        for victim in fault.victims {
            match (fault.kind, victim) {
                (Kind::KillOwner | Kind::KillHome, Victim::Worker(worker)) => {
                    self.net.cluster.workers[worker].relaunch()?;
                }
                (Kind::KillLeader, Victim::Coordinator(leader)) => {
                    self.net.cluster.coordinators[leader].relaunch()?;
                }
                (Kind::KillMember, Victim::Member(member)) => self.net.etcd.restart(member)?,
                (Kind::WipeOwner | Kind::WipeHome, _) => {}
                _ => self.stop(victim, false)?,
            }
        }
        self.say(&format!("{}: over", fault.kind.words()));
        self.cut_again()
    }

    /// A process that was started again is cut off as the one before it was.
    fn cut_again(&self) -> Result<()> {
        let wires = self.faults.iter().flat_map(|fault| &fault.victims);
        wires.filter(|victim| matches!(victim, Victim::Wire(_))).try_for_each(|wire| self.stop(*wire, true))
    }

    /// A worker comes back with an empty folder; an operator gives up what it had.
    fn wipe(&mut self, worker: usize) -> Result<JoinHandle<Result<()>>> {
        self.net.cluster.workers[worker].kill()?;
        std::fs::remove_dir_all(self.net.cluster.store(worker))?;
        std::fs::create_dir(self.net.cluster.store(worker))?;
        self.net.cluster.workers[worker].relaunch()?;
        self.cut_again()?;
        let (desk, name) = (self.desk.clone(), format!("w{worker}"));
        Ok(std::thread::spawn(move || {
            let until = Instant::now() + PATIENCE;
            // Refused until its lease is over, and while nobody leads.
            while desk.ask(&["workers", "forget", &name], &desk.all()).is_none() {
                ensure!(Instant::now() < until, "{name} cannot be given up");
                std::thread::sleep(LOOK);
            }
            Ok(())
        }))
    }

    fn write_crashes(&self, drawn: u64) -> Result<()> {
        let folders = u32::try_from(self.settings.files)? / FILES_A_SERIES;
        for n in 0..CRASHES {
            let at = u32::try_from(drawn % u64::from(folders.max(1)))? + n * folders / CRASHES;
            let folder = series(&self.tree, at % folders.max(1));
            std::fs::create_dir_all(&folder)?;
            let bytes = Instance::numbered(7, 7, n, self.wave).bytes();
            std::fs::write(folder.join(format!("crash-{}-{n}.dcm", self.wave)), bytes)?;
        }
        Ok(())
    }
}

fn drawn(planned: &Planned) -> usize {
    usize::try_from(planned.drawn >> 8).unwrap_or_default()
}

#[expect(clippy::print_stderr, reason = "what was done must be seen when a run fails")]
fn say(what: &str) {
    eprintln!("{what}");
}
