//! What a cluster does when a disk, or the coordinators' state, is lost or put back from a backup: it says so, answers
//! nothing that is not whole, and is made anew from the workers and the files.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use shardex_tests::cluster::{Cluster, Etcd, wait_for};
use shardex_tests::{Random, Shardex, change_tree, skip, write_series, write_tree};
use tempfile::TempDir;

/// Files and studies of the tree as it is written.
const ALL: (u64, u64) = (1440, 8);
const DOMAIN: &str = "site";

struct Place {
    folder: TempDir,
    cluster: Cluster,
}

impl Place {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let tree = folder.path().join("tree");
        write_tree(&tree)?;
        let cluster = Cluster::new(folder.path(), &tree)?;
        Ok(Self { folder, cluster })
    }

    /// Two workers and a router behind one coordinator that keeps its state in a file; all files are indexed.
    fn small() -> Result<Self> {
        let mut place = Self::new()?;
        let state = place.folder.path().join("state");
        place.cluster.add_coordinator(&["--state", &state.to_string_lossy()])?;
        place.begin()?;
        Ok(place)
    }

    /// The same with two coordinators and an etcd of three members; `None` if etcd is not installed.
    fn with_etcd(test: &str) -> Result<Option<(Self, Etcd)>> {
        let mut place = Self::new()?;
        let Some(etcd) = Etcd::start(&place.folder.path().join("etcd"), 3)? else {
            skip(test, "etcd is not installed (Debian: etcd-server)");
            return Ok(None);
        };
        let urls = etcd.urls.join(",");
        place.cluster.add_coordinator(&["--etcd", &urls])?;
        place.cluster.add_coordinator(&["--etcd", &urls])?;
        place.begin()?;
        Ok(Some((place, etcd)))
    }

    fn begin(&mut self) -> Result<()> {
        self.cluster.add_worker()?;
        self.cluster.add_worker()?;
        self.read_all()
    }

    fn read_all(&mut self) -> Result<()> {
        self.cluster.add_router()?;
        let order = ["job", "submit", &format!("s@{DOMAIN}"), "--watch"];
        let answer = self.cluster.operate(&order)?;
        assert_eq!(answer.code, Some(0), "{}", answer.err);
        assert_eq!(self.cluster.count()?, Some(ALL));
        Ok(())
    }

    fn tree(&self) -> std::path::PathBuf {
        self.folder.path().join("tree")
    }

    /// A job over the tree as it is; how many files it opened.
    fn ingest(&self) -> Result<u64> {
        let job = self.cluster.wait(self.cluster.submit(&["--accept-deletions"])?)?;
        assert_eq!(job["state"], "complete", "{job}");
        job["totals"]["opened"].as_u64().context("a number")
    }

    /// The dump is that of one process over the tree as it is.
    fn check(&self) -> Result<()> {
        let one = tempfile::tempdir()?;
        let one = Shardex::new(&one.path().join("archive"))?;
        one.ingest(&[&format!("s={}", self.tree().display()), "--domain", DOMAIN])?;
        let (ours, expected) = (self.cluster.dump()?, one.dump()?);
        assert!(ours == expected, "dumps of {} and {} lines", ours.lines().count(), expected.lines().count());
        assert!(ours.lines().count() > 1000, "a dump of {} lines", ours.lines().count());
        Ok(())
    }

    /// Asks the router while something is waited for: every answer is whole, or none.
    fn ask_until(&self, what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        wait_for(what, || {
            if let Some(count) = self.cluster.count()? {
                assert_eq!(count, ALL, "an answer that is not whole, before {what}");
            }
            is_so()
        })
        .with_context(|| self.cluster.logs())
    }

    fn is_noticed(&self) -> Result<bool> {
        Ok(self.cluster.operate(&["workers", "list"])?.err.contains("shardex recover --coordinator"))
    }

    fn answers(&self) -> Result<bool> {
        Ok(self.cluster.count()?.is_some())
    }

    /// Until nothing is served by the leases that a lost leader gave.
    fn wait_until_nothing_is_served(&self) -> Result<()> {
        self.ask_until("the last leases are over", || Ok(!self.answers()?))
    }

    fn shards(&self) -> Result<Vec<serde_json::Value>> {
        let answer = self.cluster.operate(&["shards", "list", "--json"])?;
        serde_json::from_str(&answer.out).with_context(|| answer.err)
    }

    /// The worker that has ledger and registry, or the other one.
    fn home(&self, is_home: bool) -> Result<usize> {
        let answer = self.cluster.operate(&["workers", "list", "--json"])?;
        let workers: Vec<serde_json::Value> = serde_json::from_str(&answer.out)?;
        workers.iter().position(|worker| worker["is_home"] == is_home).context("a worker")
    }

    /// Gives a worker up that was killed, and starts it again on an empty disk. Nobody asks meanwhile: the tree is not the
    /// one that is indexed.
    fn replace(&mut self, worker: usize) -> Result<()> {
        empty(&self.cluster.store(worker))?;
        let forget = ["workers", "forget", &format!("w{worker}")];
        wait_for("it may be forgotten", || Ok(self.cluster.operate(&forget)?.code == Some(0)))?;
        self.cluster.workers[worker].restart()
    }

    /// Gives both workers something to own.
    fn even_out(&self) -> Result<()> {
        let answer = self.cluster.operate(&["shards", "rebalance"])?;
        assert_eq!(answer.code, Some(0), "{}", answer.err);
        self.ask_until("nothing moves", || Ok(self.shards()?.iter().all(|shard| shard["moves_to"].is_null())))
    }

    fn owner_of_something(&self) -> Result<(String, String)> {
        let shards = self.shards()?;
        let first = shards.first().context("a shard")?;
        let text = |name: &str| first[name].as_str().map(str::to_owned).context("a text");
        Ok((text("shard")?, text("owner")?))
    }
}

#[test]
fn a_wiped_etcd_is_noticed_and_made_anew() -> Result<()> {
    let Some((place, mut etcd)) = Place::with_etcd("a_wiped_etcd_is_noticed_and_made_anew")? else {
        return Ok(());
    };
    etcd.wipe()?;
    place.ask_until("the loss is noticed", || place.is_noticed())?;
    place.wait_until_nothing_is_served()?;
    let refused = place.cluster.operate(&["job", "submit", "s"])?;
    assert!(refused.code == Some(1) && refused.err.contains("shardex recover"), "{}", refused.err);

    let recovered = place.cluster.operate(&["recover"])?;
    assert_eq!(recovered.code, Some(0), "{}", recovered.err);
    place.ask_until("it answers again", || place.answers())?;
    assert_eq!(place.ingest()?, 0, "nothing was lost that must be read again");
    change_tree(&place.tree(), &mut Random::new(21), 1)?;
    assert!(place.ingest()? < 100);
    place.check()?;
    let again = place.cluster.operate(&["recover"])?;
    assert_eq!(again.code, Some(0), "what is sound stays: {}", again.err);
    place.check()
}

#[test]
fn an_etcd_that_was_wiped_while_all_were_down_waits_for_every_shard() -> Result<()> {
    let test = "an_etcd_that_was_wiped_while_all_were_down_waits_for_every_shard";
    let Some((mut place, mut etcd)) = Place::with_etcd(test)? else { return Ok(()) };
    let (shard, owner) = place.owner_of_something()?;
    if owner == "w0" {
        // So that the other one holds something.
        assert_eq!(place.cluster.operate(&["shards", "move", &shard, "--to", "w1"])?.code, Some(0));
        place.ask_until("the shard has moved", || Ok(place.owner_of_something()?.1 == "w1"))?;
    }

    for process in place.cluster.workers.iter_mut().chain(&mut place.cluster.coordinators) {
        process.kill()?;
    }
    etcd.wipe()?;
    place.cluster.coordinators.iter_mut().try_for_each(shardex_tests::cluster::Process::restart)?;
    place.cluster.workers[0].restart()?;
    place.ask_until("the loss is noticed", || place.is_noticed())?;
    let urls: Vec<_> = place.cluster.coordinators.iter().map(|process| process.url.as_str()).collect();
    let mut recovering = Command::new(place.cluster.shardex.binary())
        .args(["recover", "--coordinator", &urls.join(",")])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    // One worker has its shards, and does not know all: its answers would be short.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(8);
    while std::time::Instant::now() < until {
        assert_eq!(place.cluster.count()?, None, "half of the shards are no answer");
        assert!(recovering.try_wait()?.is_none(), "it waits for the other half");
    }
    place.cluster.workers[1].restart()?;
    place.ask_until("the map is whole", || Ok(recovering.try_wait()?.is_some()))?;
    let output = recovering.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("has not reported"), "{said}");
    place.ask_until("it answers again", || place.answers())?;
    // The source's domain was known to nobody but the workers.
    change_tree(&place.tree(), &mut Random::new(22), 1)?;
    assert!(place.ingest()? < 100);
    place.check()
}

#[test]
fn an_etcd_from_a_backup_is_noticed_and_made_anew() -> Result<()> {
    let Some((place, mut etcd)) = Place::with_etcd("an_etcd_from_a_backup_is_noticed_and_made_anew")? else {
        return Ok(());
    };
    let backup = place.folder.path().join("backup");
    etcd.back_up(&backup)?;
    wait_for("somebody leads", || Ok(place.cluster.operate(&["workers", "list"])?.code == Some(0)))?;
    // The shard is elsewhere than the backup says, and fences were given that it does not know.
    let (shard, owner) = place.owner_of_something()?;
    let to = if owner == "w0" { "w1" } else { "w0" };
    place.ask_until("the move is ordered", || {
        Ok(place.cluster.operate(&["shards", "move", &shard, "--to", to])?.code == Some(0))
    })?;
    place.ask_until("the shard has moved", || Ok(place.owner_of_something()?.1 == to))?;
    assert_eq!(place.ingest()?, 0);

    etcd.put_back(&backup)?;
    // A leader whose own key is in the backup knows all, and leads on until it writes.
    place.ask_until("the age of the state is noticed", || {
        Ok(place.cluster.operate(&["job", "submit", "s"])?.err.contains("shardex recover --coordinator"))
    })?;
    place.wait_until_nothing_is_served()?;
    let recovered = place.cluster.operate(&["recover"])?;
    assert_eq!(recovered.code, Some(0), "{}", recovered.err);
    place.ask_until("it answers again", || place.answers())?;
    assert_eq!(place.owner_of_something()?, (shard, to.to_owned()), "the map is that of the folders");
    assert_eq!(place.ingest()?, 0);
    place.check()
}

fn empty(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
    }
    Ok(())
}

/// Loses the disk of the home, or of the other worker, before and while the worker runs.
fn lose_disk(of_home: bool) -> Result<()> {
    let mut place = Place::small()?;
    for round in 0..2 {
        place.even_out()?;
        let victim = place.home(of_home)?;
        let (name, store) = (format!("w{victim}"), place.cluster.store(victim));
        assert!(place.shards()?.iter().any(|shard| shard["owner"] == *name), "it owns something");
        if round == 0 {
            place.cluster.workers[victim].kill()?;
            empty(&store)?;
            place.cluster.workers[victim].restart()?;
            let hint = format!("shardex workers forget {name}");
            place.ask_until("the worker is refused", || {
                Ok(place.cluster.workers[victim].said().contains(&hint))
            })?;
        } else {
            empty(&store)?;
            let is_said = || Ok(place.cluster.workers[victim].said().contains("was the folder emptied"));
            place.ask_until("the worker notices", is_said)?;
            place.wait_until_nothing_is_served()?;
            place.cluster.workers[victim].kill()?;
            empty(&store)?;
        }
        place.ask_until("it may be forgotten", || {
            Ok(place.cluster.operate(&["workers", "forget", &name])?.code == Some(0))
        })?;
        if round == 1 {
            place.cluster.workers[victim].restart()?;
        }
        place.ask_until("it has joined again", || {
            let list = place.cluster.operate(&["workers", "list", "--json"])?.out;
            let workers: Vec<serde_json::Value> = serde_json::from_str(&list).unwrap_or_default();
            Ok(workers.iter().any(|worker| worker["worker"] == *name && worker["state"] == "alive"))
        })?;
        assert!(place.ingest()? > 0, "what was lost is read again");
        place.check()?;
        assert_eq!(place.cluster.count()?, Some(ALL));
    }
    assert_eq!(place.ingest()?, 0);
    Ok(())
}

#[test]
fn an_owner_whose_disk_is_lost_is_named_and_filled_again() -> Result<()> {
    lose_disk(false)
}

#[test]
fn a_home_whose_disk_is_lost_is_named_and_filled_again() -> Result<()> {
    lose_disk(true)
}

/// What a job has read is gone with the ledger, and so are files of it: nothing of them may stay.
#[test]
fn a_job_that_loses_its_home_begins_anew() -> Result<()> {
    let mut place = Place::small()?;
    place.even_out()?;
    let tree = place.tree();
    let late = |n: u32| tree.join(format!("late{n}"));
    for n in 0..24 {
        write_series(&late(n), 60 + n % 4, 600 + n / 3, n, 60)?;
    }
    let home = place.home(true)?;
    let job = place.cluster.submit(&["--files-per-second", "100"])?;
    wait_for("half of them are read", || {
        Ok(place.cluster.job(job)?["totals"]["opened"].as_u64() > Some(700))
    })?;
    place.cluster.workers[home].kill()?;
    for n in 0..22 {
        std::fs::remove_dir_all(late(n))?;
    }
    place.replace(home)?;
    let ended = place.cluster.wait(job)?;
    assert_eq!(
        (&ended["state"], &ended["totals"]["files"]),
        (&"complete".into(), &(ALL.0 + 2 * 60).into()),
        "{ended}"
    );
    place.check()?;
    assert_eq!(place.ingest()?, 0);
    Ok(())
}

/// Files of a directory are read, removed and left alone while the shard is lost in which the rest of it lies.
#[test]
fn what_an_owner_loses_in_a_job_is_read_again() -> Result<()> {
    let mut place = Place::new()?;
    let state = place.folder.path().join("state");
    place.cluster.add_coordinator(&["--state", &state.to_string_lossy()])?;
    place.cluster.add_worker()?;
    place.read_all()?;
    place.cluster.add_owner()?;
    place.even_out()?;
    for n in 0..24 {
        let folder = place.tree().join(format!("p{}/s{n}", n % 4));
        let file = |number: u32| folder.join(format!("im{number:05}.dcm"));
        for number in 1..=20 {
            std::fs::write(file(number), std::fs::read(file(number + 1))?)?;
        }
        std::fs::remove_file(file(50))?;
    }
    let job = place.cluster.submit(&["--files-per-second", "100", "--accept-deletions"])?;
    wait_for("a third is read", || Ok(place.cluster.job(job)?["totals"]["opened"].as_u64() > Some(160)))?;
    place.cluster.workers[1].kill()?;
    place.replace(1)?;
    let ended = place.cluster.wait(job)?;
    assert_eq!(ended["state"], "complete", "{ended}");
    // By that job or by the next.
    place.ingest()?;
    place.check()?;
    assert_eq!(place.ingest()?, 0);
    Ok(())
}

#[test]
fn what_was_lost_with_a_worker_is_missed_until_it_was_read_again() -> Result<()> {
    let mut place = Place::small()?;
    place.even_out()?;
    let victim = place.home(false)?;
    let owner = format!("w{victim}");
    let shards = place.shards()?;
    let lost = shards.iter().find(|shard| shard["owner"] == *owner).context("it owns something")?;
    let lost = lost["shard"].as_str().context("a name")?;
    place.cluster.workers[victim].kill()?;
    place.ask_until("it may be forgotten", || {
        Ok(place.cluster.operate(&["workers", "forget", &owner])?.code == Some(0))
    })?;
    // Others own its shards by now, and have nothing of them.
    for question in [
        &["sql", "SELECT count(*) FROM instances"][..],
        &["sql", "SELECT * FROM studies WHERE StudyInstanceUID = '2.25.1000000'"],
        &["search", "studies", "StudyDate=1900-"],
        &["search", "patients", "--count"],
        &["status"],
    ] {
        let answer = place.cluster.ask(question)?;
        assert_ne!(answer.code, Some(0), "{question:?}: {}", answer.out);
        assert!(answer.err.contains("were lost with a worker"), "{question:?}: {}", answer.err);
    }
    let partial = place.cluster.ask(&["sql", "SELECT count(*) FROM instances", "--allow-partial"])?;
    assert_eq!(partial.code, Some(5), "{}", partial.err);
    assert!(partial.err.contains(lost), "{}", partial.err);
    place.ask_until("a job has ended", || {
        let job = place.cluster.wait(place.cluster.submit(&[])?)?;
        assert_eq!(job["state"], "complete", "{job}");
        Ok(true)
    })?;
    assert_eq!(place.cluster.count()?, Some(ALL));
    assert_eq!(place.cluster.ask(&["status"])?.code, Some(0));
    place.check()
}

#[test]
fn a_new_owner_begins_with_the_snapshots_of_the_one_that_is_gone() -> Result<()> {
    let mut place = Place::small()?;
    place.even_out()?;
    let victim = place.home(false)?;
    let snapshots = place.folder.path().join("snapshots").display().to_string();
    for worker in 0..2 {
        let store = place.cluster.store(worker).display().to_string();
        let taken = place.cluster.shardex.run(&["snapshot", "--archive", &store, "--to", &snapshots])?;
        assert_eq!(taken.code, Some(0), "{}", taken.err);
    }
    let owner = format!("w{victim}");
    let owned: Vec<_> = place.shards()?.into_iter().filter(|shard| shard["owner"] == *owner).collect();
    let owned: Vec<_> = owned.iter().filter_map(|shard| shard["shard"].as_str()).collect();
    assert!(!owned.is_empty());
    place.cluster.workers[victim].kill()?;
    place.ask_until("it may be forgotten", || {
        Ok(place.cluster.operate(&["workers", "forget", &owner])?.code == Some(0))
    })?;
    let heir = 1 - victim;
    place.cluster.workers[heir].kill()?;
    let store = place.cluster.store(heir).display().to_string();
    let restore = ["restore", "--archive", &store, "--from", &snapshots];
    let refused = place.cluster.shardex.run(&restore)?;
    assert!(refused.code == Some(1) && refused.err.contains("name the shards"), "{}", refused.err);
    let restored = place.cluster.shardex.run(&[&restore[..], &owned].concat())?;
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    place.cluster.workers[heir].restart()?;
    assert_eq!(place.ingest()?, 0, "the snapshots lack nothing");
    place.ask_until("it answers again", || place.answers())?;
    place.check()
}

/// Endings of the names of what a split has on the disks of workers.
fn marks(place: &Place) -> Vec<String> {
    let folders = (0..2).map(|worker| place.cluster.store(worker).join("splitting"));
    let entries = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.map(name).filter_map(|name| Some(name.rsplit_once('.')?.1.to_owned())).collect()
}

#[test]
fn a_split_whose_state_is_lost_is_undone_or_carried_on() -> Result<()> {
    let mut place = Place::new()?;
    let Some(mut etcd) = Etcd::start(&place.folder.path().join("etcd"), 3)? else {
        skip(
            "a_split_whose_state_is_lost_is_undone_or_carried_on",
            "etcd is not installed (Debian: etcd-server)",
        );
        return Ok(());
    };
    let urls = etcd.urls.join(",");
    place.cluster.add_coordinator(&["--etcd", &urls, "--partition", "none"])?;
    place.begin()?;
    let url = place.cluster.coordinators[0].url.clone();
    for moment in ["ordered", "built", "placed"] {
        let shards = place.shards()?;
        let largest = shards.iter().max_by_key(|shard| shard["bytes"].as_u64()).context("a shard")?;
        let (shard, shards_before) = (largest["shard"].as_str().context("a name")?.to_owned(), shards.len());
        let (binary, url) = (place.cluster.shardex.clone(), url.clone());
        let order =
            std::thread::spawn(move || binary.run(&["shards", "split", &shard, "--coordinator", &url]));
        while !order.is_finished() && !marks(&place).iter().any(|mark| mark == moment) {
            if moment == "ordered" && place.shards()?.iter().any(|shard| !shard["split_stage"].is_null()) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        etcd.wipe()?;
        // It may have been told nothing any more.
        let _ = order.join();
        place.ask_until("the loss is noticed", || place.is_noticed())?;
        place.wait_until_nothing_is_served()?;
        let recovered = place.cluster.operate(&["recover"])?;
        assert_eq!(recovered.code, Some(0), "{moment}: {}", recovered.err);
        place.ask_until("it answers again", || place.answers())?;
        place.ask_until("no split is under way", || {
            Ok(place.shards()?.iter().all(|shard| shard["split_stage"].is_null())
                && !marks(&place).iter().any(|mark| ["built", "decided", "placed"].contains(&&**mark)))
        })?;
        if moment == "placed" {
            assert_eq!(place.shards()?.len(), shards_before + 1, "what is in its place stays there");
        }
        assert_eq!(place.ingest()?, 0, "{moment}: nothing was lost that must be read again");
        place.check().with_context(|| moment)?;
    }
    Ok(())
}
