//! Everything that can happen to a cluster, at random, during one ingest whose tree changes meanwhile.
//!
//! `SHARDEX_TEST_SEED` repeats a run, `CHAOS_SECONDS` and `CHAOS_FILES` make it longer and larger (`make chaos`).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use shardex_tests::cluster::{Cluster, Etcd, wait_for};
use shardex_tests::{Proxy, Random, Shardex, change_tree, random, write_series, write_tree};

/// Longer than the leases that tests give.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(5);
const WORKERS: usize = 3;
const COORDINATORS: usize = 2;
const MEMBERS: usize = 3;
const FILES_A_SERIES: u32 = 100;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// The small tree that changes, and as many other files beside it.
fn write_files(tree: &Path, files: u64) -> Result<()> {
    write_tree(tree)?;
    for n in 0..u32::try_from(files)? / FILES_A_SERIES {
        write_series(
            &tree.join(format!("more/{}/{n}", n / 50)),
            1000 + n / 4,
            2000 + n / 2,
            n,
            FILES_A_SERIES,
        )?;
    }
    Ok(())
}

struct Chaos {
    cluster: Cluster,
    etcd: Etcd,
    /// Between each worker and the coordinators.
    to_coordinators: Vec<Vec<Proxy>>,
    tree: PathBuf,
    random: Random,
}

impl Chaos {
    fn start(folder: &Path, etcd: Etcd, files: u64) -> Result<Self> {
        let tree = folder.join("tree");
        write_files(&tree, files)?;
        let urls = etcd.urls.join(",");
        let mut cluster = Cluster::new(folder, &tree)?;
        for _ in 0..COORDINATORS {
            cluster.add_coordinator(&["--etcd", &urls])?;
        }
        let mut to_coordinators = Vec::new();
        for _ in 0..WORKERS {
            let address = |url: &String| url.trim_start_matches("http://").to_owned();
            let proxies = cluster.coordinators.iter().map(|process| Proxy::start(&address(&process.url)));
            let proxies = proxies.collect::<Result<Vec<_>>>()?;
            let urls: Vec<_> = proxies.iter().map(|proxy| proxy.url.clone()).collect();
            cluster.add_worker_with(&urls.join(","), &[])?;
            to_coordinators.push(proxies);
        }
        cluster.add_router()?;
        Ok(Self { cluster, etcd, to_coordinators, tree, random: Random::new(random::seed()) })
    }

    /// Breaks one thing for a while, and mends it.
    fn fault(&mut self) -> Result<String> {
        let (worker, coordinator) = (self.random.below(WORKERS), self.random.below(COORDINATORS));
        let member = self.random.below(MEMBERS);
        let short = Duration::from_millis(self.random.below(2000) as u64);
        Ok(match self.random.below(9) {
            0 | 1 => {
                self.cluster.workers[worker].kill()?;
                std::thread::sleep(short);
                self.cluster.workers[worker].restart()?;
                format!("worker {worker} was killed")
            }
            2 => {
                self.cluster.workers[worker].signal("STOP")?;
                std::thread::sleep(LONGER_THAN_A_LEASE);
                self.cluster.workers[worker].signal("CONT")?;
                format!("worker {worker} slept")
            }
            3 => {
                self.cluster.coordinators[coordinator].kill()?;
                std::thread::sleep(short);
                self.cluster.coordinators[coordinator].restart()?;
                format!("coordinator {coordinator} was killed")
            }
            4 => {
                self.cluster.coordinators[coordinator].signal("STOP")?;
                std::thread::sleep(LONGER_THAN_A_LEASE);
                self.cluster.coordinators[coordinator].signal("CONT")?;
                format!("coordinator {coordinator} slept")
            }
            5 => {
                self.etcd.kill(member)?;
                std::thread::sleep(short);
                self.etcd.restart(member)?;
                format!("etcd member {member} was killed")
            }
            6 => {
                self.etcd.signal(member, "STOP")?;
                std::thread::sleep(LONGER_THAN_A_LEASE);
                self.etcd.signal(member, "CONT")?;
                format!("etcd member {member} slept")
            }
            7 => {
                let others: Vec<_> = (0..MEMBERS).filter(|other| *other != member).collect();
                others.iter().try_for_each(|other| self.etcd.signal(*other, "STOP"))?;
                std::thread::sleep(LONGER_THAN_A_LEASE);
                others.iter().try_for_each(|other| self.etcd.signal(*other, "CONT"))?;
                "etcd had no quorum".to_owned()
            }
            _ => {
                self.to_coordinators[worker].iter().for_each(|proxy| proxy.cut(true));
                std::thread::sleep(LONGER_THAN_A_LEASE);
                self.to_coordinators[worker].iter().for_each(|proxy| proxy.cut(false));
                format!("worker {worker} was cut off the coordinators")
            }
        })
    }

    /// Has a shard moved, if the coordinators can be reached.
    fn move_a_shard(&mut self) -> Result<()> {
        let answer = self.cluster.operate(&["shards", "list", "--json"])?;
        let shards: Vec<serde_json::Value> = serde_json::from_str(&answer.out).unwrap_or_default();
        if !shards.is_empty() {
            let shard = self.random.pick(&shards)["shard"].as_str().context("a name")?.to_owned();
            let to = format!("w{}", self.random.below(WORKERS));
            // Refused or not: it is a fault like the others.
            self.cluster.operate(&["shards", "move", &shard, "--to", &to])?;
        }
        Ok(())
    }

    /// Whether no job is open.
    fn is_idle(&self) -> bool {
        let Ok(answer) = self.cluster.operate(&["job", "list", "--json", "--limit", "5"]) else {
            return false;
        };
        let Ok(jobs) = serde_json::from_str::<Vec<serde_json::Value>>(&answer.out) else { return false };
        jobs.iter().all(|job| !job["ended_ns"].is_null())
    }

    /// A job over the tree as it stands, to its end.
    fn last_pass(&self) -> Result<()> {
        wait_for("the jobs before end", || Ok(self.is_idle()))?;
        let mut number = None;
        wait_for("a job is taken", || {
            number = self.cluster.submit(&["--accept-deletions", "--retry-quarantined"]).ok();
            Ok(number.is_some())
        })?;
        let job = self.cluster.wait(number.context("a job")?)?;
        assert_eq!(job["state"], "complete", "{job}");
        Ok(())
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "what was left out, and what was done, must be seen")]
fn whatever_happens_the_end_is_that_of_one_pass() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(etcd) = Etcd::start(&folder.path().join("etcd"), MEMBERS)? else {
        eprintln!("SKIPPED 1 test: etcd is not installed (Debian: etcd-server)");
        return Ok(());
    };
    let (seconds, files) = (setting("CHAOS_SECONDS", 100), setting("CHAOS_FILES", 20_000));
    let mut chaos = Chaos::start(folder.path(), etcd, files)?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut step = 0;
    while Instant::now() < until {
        step += 1;
        change_tree(&chaos.tree, &mut chaos.random, step)?;
        if chaos.is_idle() {
            // Nobody may lead at the moment.
            let _ = chaos.cluster.submit(&["--accept-deletions"]);
        }
        chaos.move_a_shard()?;
        let what = chaos.fault()?;
        eprintln!("seed {}, step {step}: {what}", random::seed());
    }
    chaos.last_pass()?;
    let one = Shardex::new(&folder.path().join("one"))?;
    one.ingest(&[&format!("s={}", chaos.tree.display())])?;
    let (ours, expected) = (chaos.cluster.dump()?, one.dump()?);
    let known: HashSet<_> = expected.lines().collect();
    let more: Vec<_> = ours.lines().filter(|line| !known.contains(line)).take(3).collect();
    assert_eq!(more, Vec::<&str>::new(), "lines that one pass does not have");
    assert!(ours == expected, "dumps of {} and {} lines", ours.lines().count(), expected.lines().count());
    assert!(ours.lines().count() as u64 > files / 2, "{} lines", ours.lines().count());
    Ok(())
}
