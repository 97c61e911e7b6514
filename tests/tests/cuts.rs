//! Networks that are cut, and processes that sleep, during one ingest: the end is that of one pass over the final tree,
//! and whatever the router answers meanwhile is whole.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use shardex_tests::cluster::{Cluster, wait_for};
use shardex_tests::{Net, Pair, Shardex, skip, write_series, write_tree};
use tempfile::TempDir;

const COORDINATORS: usize = 2;
const WORKERS: usize = 3;
/// Files of the tree as it is written.
const FILES: u64 = 1440;
/// How long two are cut off.
const CUT: Duration = Duration::from_secs(30);
/// Longer than the leases of workers that tests give.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(6);
/// Longer than that of a leader in etcd.
const LONGER_THAN_A_TERM: Duration = Duration::from_secs(18);

struct Place {
    folder: TempDir,
    tree: PathBuf,
    net: Net,
    /// Files that were added.
    added: u32,
}

impl Place {
    /// A cluster that has read its tree; `None` if this machine cannot have one.
    fn new(test: &str) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let tree = folder.path().join("tree");
        write_tree(&tree)?;
        let cluster = Cluster::new(folder.path(), &tree)?;
        let Some(net) = Net::start_at(folder.path(), cluster, COORDINATORS, WORKERS)? else {
            skip(test, "etcd is not installed (Debian: etcd-server), or /proc does not tell who connects");
            return Ok(None);
        };
        let job = net.cluster.wait(net.cluster.submit(&[])?)?;
        assert_eq!(job["state"], "complete", "{job}");
        let place = Self { folder, tree, net, added: 0 };
        place.spread()?;
        assert_eq!(place.net.cluster.count()?, Some((FILES, 8)));
        Ok(Some(place))
    }

    /// Gives every worker something to own.
    fn spread(&self) -> Result<()> {
        let cluster = &self.net.cluster;
        let shards = || -> Result<Vec<serde_json::Value>> {
            Ok(serde_json::from_str(&cluster.operate(&["shards", "list", "--json"])?.out)?)
        };
        for (n, shard) in shards()?.iter().enumerate() {
            let shard = shard["shard"].as_str().context("a name")?;
            let moved = cluster.operate(&["shards", "move", shard, "--to", &format!("w{}", n % WORKERS)])?;
            assert_eq!(moved.code, Some(0), "{}", moved.err);
        }
        wait_for("all moves are done", || Ok(shards()?.iter().all(|shard| shard["moves_to"].is_null())))
    }

    /// Adds a series, has the tree read again if nobody does, and counts: files that were there before never lack.
    fn go_on(&mut self) -> Result<()> {
        self.added += 1;
        let (n, cluster) = (self.added, &self.net.cluster);
        write_series(&self.tree.join(format!("added/{}/{n}", n / 10)), 1000 + n, 2000 + n, n, 10)?;
        if self.is_idle() {
            // Nobody may lead at the moment.
            let _ = cluster.submit(&["--files-per-second", "20"]);
        }
        if let Some((instances, _)) = cluster.count()? {
            assert!(instances >= FILES, "{instances} of {FILES} files pass as all");
        }
        Ok(())
    }

    /// Goes on for a time.
    fn go_on_for(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.go_on()?;
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        let Ok(answer) = self.net.cluster.operate(&["job", "list", "--json", "--limit", "5"]) else {
            return false;
        };
        let Ok(jobs) = serde_json::from_str::<Vec<serde_json::Value>>(&answer.out) else { return false };
        jobs.iter().all(|job| !job["ended_ns"].is_null())
    }

    /// The last pass, and its end.
    fn check(&self) -> Result<()> {
        let cluster = &self.net.cluster;
        wait_for("the jobs before end", || Ok(self.is_idle())).with_context(|| cluster.logs())?;
        let mut number = None;
        wait_for("a job is taken", || {
            number = cluster.submit(&["--accept-deletions"]).ok();
            Ok(number.is_some())
        })?;
        let job = cluster.wait(number.context("a job")?)?;
        assert_eq!(job["state"], "complete", "{job}");
        let one = Shardex::new(&self.folder.path().join("one"))?;
        one.ingest(&[&format!("s={}", self.tree.display())])?;
        let (ours, expected) = (cluster.dump()?, one.dump()?);
        assert!(ours == expected, "dumps of {} and {} lines", ours.lines().count(), expected.lines().count());
        assert!(ours.lines().count() as u64 > FILES * 2, "a dump of {} lines", ours.lines().count());
        Ok(())
    }
}

#[test]
fn any_two_may_be_cut_off_for_half_a_minute() -> Result<()> {
    let Some(mut place) = Place::new("any_two_may_be_cut_off_for_half_a_minute")? else { return Ok(()) };
    let pairs = [
        Pair::Workers(0, 1),
        Pair::RouterAndOwner(2),
        Pair::CoordinatorAndEtcd(0),
        Pair::WorkerAndCoordinators(2),
        Pair::RouterAndCoordinators,
        Pair::Workers(1, 2),
        Pair::CoordinatorAndEtcd(1),
    ];
    // One after the other begins and ends, so that several are cut at any time, and each alone at no time.
    let (pause, began) = (Duration::from_secs(6), Instant::now());
    let mut state = [None; 7];
    while state.iter().any(|is_cut| *is_cut != Some(false)) {
        for (n, pair) in (0_u32..).zip(pairs) {
            let at = began.elapsed().saturating_sub(pause * n);
            let is_cut = !at.is_zero() && at < CUT;
            let is_over = at >= CUT;
            if (is_cut || is_over) && state[n as usize] != Some(is_cut) {
                place.net.cut(pair, is_cut)?;
                state[n as usize] = Some(is_cut);
            }
        }
        place.go_on_for(Duration::from_secs(1))?;
    }
    place.check()
}

#[test]
fn etcd_may_have_no_quorum_for_a_minute_and_anybody_may_sleep() -> Result<()> {
    let test = "etcd_may_have_no_quorum_for_a_minute_and_anybody_may_sleep";
    let Some(mut place) = Place::new(test)? else { return Ok(()) };
    place.go_on_for(Duration::from_secs(2))?;
    // Whoever sleeps, sleeps on while etcd has no quorum, and the one does not hide the other's end.
    [0, 1].iter().try_for_each(|member| place.net.etcd.signal(*member, "STOP"))?;
    let no_quorum_since = Instant::now();
    for worker in 0..WORKERS {
        place.net.cluster.workers[worker].signal("STOP")?;
        place.go_on_for(LONGER_THAN_A_LEASE)?;
        place.net.cluster.workers[worker].signal("CONT")?;
        place.go_on_for(Duration::from_secs(1))?;
    }
    place.go_on_for(Duration::from_secs(60).saturating_sub(no_quorum_since.elapsed()))?;
    [0, 1].iter().try_for_each(|member| place.net.etcd.signal(*member, "CONT"))?;
    place.go_on_for(Duration::from_secs(3))?;

    for worker in 0..2 {
        place.net.cluster.workers[worker].signal("STOP")?;
        place.go_on_for(LONGER_THAN_A_LEASE)?;
        place.net.cluster.workers[worker].signal("CONT")?;
        place.go_on_for(Duration::from_secs(1))?;
    }
    for coordinator in 0..COORDINATORS {
        place.net.cluster.coordinators[coordinator].signal("STOP")?;
        place.go_on_for(LONGER_THAN_A_TERM)?;
        place.net.cluster.coordinators[coordinator].signal("CONT")?;
        place.go_on_for(Duration::from_secs(1))?;
    }
    place.net.cluster.router.as_ref().context("a router")?.signal("STOP")?;
    std::thread::sleep(LONGER_THAN_A_LEASE);
    place.net.cluster.router.as_ref().context("a router")?.signal("CONT")?;
    place.net.etcd.signal(2, "STOP")?;
    place.go_on_for(LONGER_THAN_A_LEASE)?;
    place.net.etcd.signal(2, "CONT")?;
    place.check()
}

#[test]
fn an_owner_that_was_given_up_while_it_slept_answers_nothing() -> Result<()> {
    let test = "an_owner_that_was_given_up_while_it_slept_answers_nothing";
    let Some(place) = Place::new(test)? else { return Ok(()) };
    let cluster = &place.net.cluster;
    let list = cluster.operate(&["workers", "list", "--json"])?;
    let workers: Vec<serde_json::Value> = serde_json::from_str(&list.out)?;
    let sleeper = workers.iter().position(|worker| worker["is_home"] == false).context("not the home")?;
    cluster.workers[sleeper].signal("STOP")?;
    wait_for("it may be forgotten", || {
        Ok(cluster.operate(&["workers", "forget", &format!("w{sleeper}")])?.code == Some(0))
    })?;
    let job = cluster.wait(cluster.submit(&[])?)?;
    assert_eq!(job["state"], "complete", "{job}");
    assert!(job["totals"]["opened"].as_u64() > Some(0), "what it held is read again: {job}");
    assert_eq!(cluster.count()?, Some((FILES, 8)));
    cluster.workers[sleeper].signal("CONT")?;
    // It believes to own what others own by now.
    let until = Instant::now() + LONGER_THAN_A_LEASE;
    while Instant::now() < until {
        assert_eq!(cluster.count()?, Some((FILES, 8)));
    }
    let said = cluster.workers[sleeper].said();
    assert!(said.contains("was given up"), "it is told: {said}");
    place.check_small()
}

impl Place {
    /// As [`Place::check`], of the tree as it was written.
    fn check_small(&self) -> Result<()> {
        let one = Shardex::new(&self.folder.path().join("one"))?;
        one.ingest(&[&format!("s={}", self.tree.display())])?;
        assert!(self.net.cluster.dump()? == one.dump()?, "the dumps differ");
        Ok(())
    }
}
