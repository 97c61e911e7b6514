//! A cluster of real processes: whatever dies, sleeps or changes, its logical dump ends as that of one
//! process over the final tree.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value as Json;
use shardex_tests::cluster::{Cluster, Etcd, wait_for};
use shardex_tests::{Random, Shardex, change_tree, write_series, write_tree};
use tempfile::TempDir;

/// Longer than the leases that tests give.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(5);

struct Place {
    folder: TempDir,
    tree: PathBuf,
}

impl Place {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let tree = folder.path().join("tree");
        write_tree(&tree)?;
        Ok(Self { folder, tree })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Two workers and a router behind one coordinator that keeps its state in a file.
    fn small(&self) -> Result<Cluster> {
        let mut cluster = Cluster::new(self.path(), &self.tree)?;
        cluster.add_coordinator(&["--state", &self.path().join("state").to_string_lossy()])?;
        cluster.add_worker()?;
        cluster.add_worker()?;
        cluster.add_router()?;
        Ok(cluster)
    }

    /// The dump of one process over the tree as it is now.
    fn expected(&self) -> Result<String> {
        let folder = tempfile::tempdir()?;
        let one = Shardex::new(&folder.path().join("archive"))?;
        one.ingest(&[&format!("s={}", self.tree.display())])?;
        one.dump()
    }

    fn check(&self, cluster: &Cluster) -> Result<()> {
        let (ours, expected) = (cluster.dump()?, self.expected()?);
        assert_eq!(first_difference(&ours, &expected), None);
        assert!(ours.lines().count() > 1000, "a dump of {} lines", ours.lines().count());
        Ok(())
    }
}

/// The first place where two dumps, which are sorted, are not the same.
fn first_difference<'a>(ours: &'a str, expected: &'a str) -> Option<(Option<&'a str>, Option<&'a str>)> {
    let (mut ours, mut expected) = (ours.lines(), expected.lines());
    loop {
        match (ours.next(), expected.next()) {
            (None, None) => return None,
            (one, other) if one == other => {}
            different => return Some(different),
        }
    }
}

#[test]
fn two_workers_do_what_one_process_does() -> Result<()> {
    let place = Place::new()?;
    let cluster = place.small()?;
    let job = cluster.wait(cluster.submit(&[])?)?;
    assert_eq!((&job["state"], &job["totals"]["files"]), (&"complete".into(), &1440.into()), "{job}");
    assert_eq!(job["sources"][0]["totals"]["states"]["indexed"], 1440, "{job}");
    place.check(&cluster)?;
    let count = cluster.ask(&[
        "sql",
        "SELECT count(*), count(DISTINCT StudyInstanceUID) FROM instances",
        "--format",
        "csv",
    ])?;
    assert_eq!(count.out.lines().last(), Some("1440,8"), "{}", count.err);

    change_tree(&place.tree, &mut Random::new(1), 1)?;
    let job = cluster.wait(cluster.submit(&[])?)?;
    assert_eq!(job["state"], "complete", "{job}");
    assert!(job["totals"]["opened"].as_u64() < Some(100), "unchanged files are not opened: {job}");
    place.check(&cluster)?;

    let watched = cluster.operate(&["job", "submit", "s", "--watch", "--json"])?;
    assert_eq!(watched.code, Some(0), "{}", watched.err);
    let looks: Vec<Json> = watched.out.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert!(looks.len() > 1, "it is watched from its beginning: {}", watched.out);
    assert_eq!(looks.last().map(|last| &last["state"]), Some(&"complete".into()), "{}", watched.out);
    Ok(())
}

#[test]
fn a_coordinator_serves_hundreds_of_connections_at_once() -> Result<()> {
    let place = Place::new()?;
    let mut cluster = Cluster::new(place.path(), &place.tree)?;
    cluster.add_coordinator(&["--state", &place.path().join("state").to_string_lossy()])?;
    let address = cluster.coordinators[0].url.trim_start_matches("http://").to_owned();
    let workers: Vec<_> = (0..300).map(|_| TcpStream::connect(&address)).collect::<Result<_, _>>()?;
    let answer = cluster.operate(&["workers", "list", "--json"])?;
    assert_eq!((answer.code, answer.out.trim()), (Some(0), "[]"), "{}", answer.err);
    drop(workers);
    Ok(())
}

#[test]
fn an_embedded_archive_is_adopted_as_it_is() -> Result<()> {
    let place = Place::new()?;
    let one = Shardex::new(&place.path().join("store-0"))?;
    one.ingest(&[&format!("s={}", place.tree.display())])?;
    let mut cluster = Cluster::new(place.path(), &place.tree)?;
    cluster.add_coordinator(&["--state", &place.path().join("state").to_string_lossy()])?;
    cluster.add_worker()?;
    cluster.add_router()?;
    place.check(&cluster)?;
    cluster.add_worker()?;
    let job = cluster.wait(cluster.submit(&[])?)?;
    assert_eq!((&job["state"], &job["totals"]["opened"]), (&"complete".into(), &0.into()), "{job}");
    place.check(&cluster)
}

#[test]
fn killed_workers_come_back_and_nothing_is_lost() -> Result<()> {
    let place = Place::new()?;
    let mut cluster = place.small()?;
    let mut random = Random::new(7);
    for step in 0..4 {
        let job = cluster.submit(&["--accept-deletions"])?;
        std::thread::sleep(Duration::from_millis(random.below(1500) as u64));
        let victim = random.below(2);
        cluster.workers[victim].kill()?;
        change_tree(&place.tree, &mut random, step)?;
        cluster.workers[victim].restart()?;
        cluster.wait(job)?;
    }
    let job = cluster.wait(cluster.submit(&["--accept-deletions"])?)?;
    assert_eq!(job["state"], "complete", "{job}");
    place.check(&cluster)
}

#[test]
fn a_worker_that_slept_through_its_lease_harms_nothing() -> Result<()> {
    let place = Place::new()?;
    let cluster = place.small()?;
    let mut random = Random::new(3);
    for step in 0..2 {
        let job = cluster.submit(&["--accept-deletions"])?;
        std::thread::sleep(Duration::from_millis(200 + random.below(600) as u64));
        let sleeper = random.below(2);
        cluster.workers[sleeper].signal("STOP")?;
        change_tree(&place.tree, &mut random, step)?;
        std::thread::sleep(LONGER_THAN_A_LEASE);
        cluster.workers[sleeper].signal("CONT")?;
        cluster.wait(job)?;
    }
    let job = cluster.wait(cluster.submit(&["--accept-deletions"])?)?;
    assert_eq!(job["state"], "complete", "{job}");
    place.check(&cluster)
}

#[test]
fn a_coordinator_may_be_restarted_at_any_time() -> Result<()> {
    let place = Place::new()?;
    let mut cluster = place.small()?;
    let job = cluster.submit(&[])?;
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(400));
        cluster.coordinators[0].restart()?;
    }
    assert_eq!(cluster.wait(job)?["state"], "complete");
    place.check(&cluster)
}

#[test]
#[expect(clippy::print_stderr, reason = "what was left out must be seen")]
fn a_stand_by_leads_when_the_leader_or_an_etcd_member_dies() -> Result<()> {
    let place = Place::new()?;
    let Some(mut etcd) = Etcd::start(&place.path().join("etcd"), 3)? else {
        eprintln!("SKIPPED 1 test: etcd is not installed (Debian: etcd-server)");
        return Ok(());
    };
    let urls = etcd.urls.join(",");
    let mut cluster = Cluster::new(place.path(), &place.tree)?;
    cluster.add_coordinator(&["--etcd", &urls])?;
    cluster.add_coordinator(&["--etcd", &urls])?;
    cluster.add_worker()?;
    cluster.add_worker()?;
    cluster.add_router()?;
    assert_eq!(cluster.wait(cluster.submit(&[])?)?["state"], "complete");
    change_tree(&place.tree, &mut Random::new(5), 1)?;
    let job = cluster.submit(&["--accept-deletions"])?;
    cluster.coordinators[0].kill()?;
    etcd.kill(1)?;
    assert_eq!(cluster.wait(job)?["state"], "complete");
    place.check(&cluster)?;
    etcd.restart(1)?;
    cluster.coordinators[0].restart()?;
    wait_for("both coordinators answer", || Ok(cluster.operate(&["workers", "list"])?.code == Some(0)))?;
    assert_eq!(cluster.wait(cluster.submit(&[])?)?["state"], "complete");
    place.check(&cluster)
}

#[test]
fn a_query_fails_while_an_owner_is_silent_unless_a_part_will_do() -> Result<()> {
    let place = Place::new()?;
    let mut cluster = place.small()?;
    cluster.wait(cluster.submit(&[])?)?;
    let statement = "SELECT count(*) FROM instances";
    cluster.workers[1].kill()?;
    let whole = cluster.ask(&["sql", statement])?;
    assert_eq!(whole.code, Some(1), "{}", whole.out);
    assert!(whole.err.contains("w1"), "it names the worker: {}", whole.err);
    let part = cluster.ask(&["sql", statement, "--allow-partial"])?;
    assert_eq!(part.code, Some(5), "{}", part.err);
    cluster.workers[1].restart()?;
    wait_for("all shards answer again", || Ok(cluster.ask(&["sql", statement])?.code == Some(0)))
}

#[test]
fn an_empty_mount_gets_no_work() -> Result<()> {
    let place = Place::new()?;
    let cluster = place.small()?;
    cluster.wait(cluster.submit(&[])?)?;
    let elsewhere = place.path().join("unmounted");
    std::fs::rename(&place.tree, &elsewhere)?;
    std::fs::create_dir(&place.tree)?;
    let job = cluster.submit(&[])?;
    std::thread::sleep(LONGER_THAN_A_LEASE);
    let shown = cluster.job(job)?;
    assert!(["running", "waiting"].iter().any(|state| shown["state"] == *state), "{shown}");
    std::fs::remove_dir(&place.tree)?;
    std::fs::rename(&elsewhere, &place.tree)?;
    assert_eq!(cluster.wait(job)?["totals"]["opened"], 0);
    place.check(&cluster)
}

#[test]
fn a_state_from_a_backup_leads_once_that_is_said() -> Result<()> {
    let place = Place::new()?;
    let mut cluster = place.small()?;
    let (state, backup) = (place.path().join("state"), place.path().join("backup"));
    cluster.wait(cluster.submit(&[])?)?;
    cluster.coordinators[0].kill()?;
    copy_files(&state, &backup)?;
    cluster.coordinators[0].restart()?;
    cluster.wait(cluster.submit(&[])?)?;

    cluster.coordinators[0].kill()?;
    std::fs::remove_dir_all(&state)?;
    copy_files(&backup, &state)?;
    cluster.coordinators[0].restart()?;
    wait_for("a worker tells the coordinator how old its state is", || {
        Ok(cluster.operate(&["workers", "list"])?.err.contains("shardex recover --coordinator"))
    })?;

    cluster.coordinators[0].kill()?;
    let state = state.to_string_lossy();
    let recover = ["coordinator", "--listen", "127.0.0.1:0", "--state", &state, "--recover-state"];
    let answer = cluster.shardex.run(&recover)?;
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    cluster.coordinators[0].restart()?;
    let job = cluster.wait(cluster.submit(&[])?)?;
    assert_eq!(job["state"], "complete", "{job}");
    place.check(&cluster)
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

#[test]
fn a_job_is_watched_to_its_end() -> Result<()> {
    let place = Place::new()?;
    let cluster = place.small()?;
    // Its first look finds a job that has not ended.
    let watched = cluster.operate(&["job", "submit", "s", "--watch"])?;
    assert_eq!(watched.code, Some(0), "{}", watched.err);
    assert!(watched.out.contains("is complete: 1,440 files"), "{}", watched.out);
    place.check(&cluster)
}

#[test]
fn jobs_over_other_sources_take_no_rows_of_a_job_that_runs() -> Result<()> {
    let place = Place::new()?;
    let other = place.path().join("other");
    write_series(&other, 90, 9, 1, 3)?;
    let mut cluster = Cluster::new(place.path(), &place.tree)?;
    cluster.add_coordinator(&["--state", &place.path().join("state").to_string_lossy()])?;
    let urls = cluster.coordinators[0].url.clone();
    for _ in 0..2 {
        cluster.add_worker_with(&urls, &["--source", &format!("t={}", other.display())])?;
    }
    cluster.add_router()?;
    // Slow, so that rows of many shards wait for their records; each job over the other source compares the shards with
    // the ledger first.
    let slow = cluster.submit(&["--files-per-second", "100", "--workers-max", "1"])?;
    let (mut between, mut is_over) = (0, false);
    while !is_over {
        let answer = cluster.operate(&["job", "submit", "t", "--json"])?;
        let job: Json = serde_json::from_str(answer.out.trim())?;
        cluster.wait(job["job"].as_u64().unwrap_or_default())?;
        is_over = !cluster.job(slow)?["ended_ns"].is_null();
        between += u32::from(!is_over);
    }
    assert!(between > 3, "{between} jobs ran beside the slow one");
    assert_eq!(cluster.wait(slow)?["state"], "complete");
    let one = Shardex::new(&place.path().join("one"))?;
    one.ingest(&[&format!("s={}", place.tree.display()), &format!("t={}", other.display())])?;
    let (ours, expected) = (cluster.dump()?, one.dump()?);
    assert_eq!(first_difference(&ours, &expected), None);
    Ok(())
}

#[test]
fn a_store_that_had_not_heard_of_a_unit_costs_no_attempt() -> Result<()> {
    let place = Place::new()?;
    let mut cluster = Cluster::new(place.path(), &place.tree)?;
    // So that a worker that sleeps for a moment keeps what it holds, and may be given more.
    cluster.lease_seconds = 30;
    cluster.add_coordinator(&["--state", &place.path().join("state").to_string_lossy()])?;
    cluster.add_worker()?;
    cluster.add_worker()?;
    cluster.add_router()?;
    wait_for("both are there", || {
        let list = cluster.operate(&["workers", "list", "--json"])?.out;
        let workers: Vec<Json> = serde_json::from_str(&list).unwrap_or_default();
        Ok(workers.iter().filter(|worker| worker["state"] == "alive").count() == 2)
    })?;
    // It owns nothing yet, so the unit begins without it; then it is given a shard.
    cluster.workers[1].signal("STOP")?;
    let number = cluster.submit(&["--files-per-second", "100"])?;
    wait_for("it is given a shard", || {
        let shards = cluster.operate(&["shards", "list", "--json"])?.out;
        let shards: Vec<Json> = serde_json::from_str(&shards).unwrap_or_default();
        Ok(shards.iter().any(|shard| shard["owner"] == "w1"))
    })?;
    cluster.workers[1].signal("CONT")?;
    let mut said = String::new();
    wait_for("the unit begins anew", || {
        let job = cluster.job(number)?;
        let units = job["units"].as_array().into_iter().flatten();
        let failures = units.filter_map(|unit| unit["failure"].as_str()).collect::<Vec<_>>();
        said = failures.join(", ");
        Ok(said.contains("takes no writes of this unit") || job["state"] == "complete")
    })?;
    assert!(said.contains("worker w1 takes no writes of this unit"), "{said}");
    let job = cluster.wait(number)?;
    assert_eq!((&job["state"], &job["dead"]), (&"complete".into(), &Json::Array(Vec::new())), "{job}");
    for worker in &cluster.workers {
        assert!(!worker.said().contains("was given up"), "{}", worker.said());
    }
    place.check(&cluster)
}

#[test]
fn every_process_says_whether_it_works() -> Result<()> {
    let place = Place::new()?;
    let mut cluster = place.small()?;
    let router = cluster.router.as_ref().map(|router| router.url.clone()).unwrap_or_default();
    for url in [&router, &cluster.coordinators[0].url, &cluster.workers[0].url] {
        let answer = cluster.shardex.run(&["health", url])?;
        assert_eq!((answer.code, answer.out.trim()), (Some(0), "serving"), "{}", answer.err);
    }
    cluster.router = None;
    let answer = cluster.shardex.run(&["health", &router])?;
    assert_eq!((answer.code, &*answer.out), (Some(1), ""), "{}", answer.err);
    Ok(())
}
