//! Ledger and registry of a cluster that move to another worker, while they are written and read, and while processes die.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value as Json;
use shardex_tests::cluster::{Cluster, Etcd, wait_for};
use shardex_tests::{Random, Shardex, change_tree, skip, write_tree};
use tempfile::TempDir;

/// Files and studies of the tree as it is written.
const ALL: (u64, u64) = (1440, 8);

/// Files that changed within the clock's grain of being read are read again; after this they are older.
fn settle() {
    std::thread::sleep(Duration::from_millis(100));
}

fn place() -> Result<(TempDir, Cluster)> {
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    write_tree(&tree)?;
    settle();
    let cluster = Cluster::new(folder.path(), &tree)?;
    Ok((folder, cluster))
}

/// Gives a cluster so many workers and a router, and has it read its tree.
fn begin(cluster: &mut Cluster, workers: usize) -> Result<()> {
    (0..workers).try_for_each(|_| cluster.add_worker())?;
    cluster.add_router()?;
    let job = cluster.wait(cluster.submit(&[])?)?;
    assert_eq!(job["state"], "complete", "{job}");
    Ok(())
}

/// A cluster of so many workers behind one coordinator.
fn cluster(workers: usize) -> Result<(TempDir, Cluster)> {
    let (folder, mut cluster) = place()?;
    cluster.add_coordinator(&["--state", &folder.path().join("state").to_string_lossy()])?;
    begin(&mut cluster, workers)?;
    Ok((folder, cluster))
}

fn check(folder: &TempDir, cluster: &Cluster, what: &str) -> Result<()> {
    let one = Shardex::new(&folder.path().join("one"))?;
    one.ingest(&[&format!("s={}", folder.path().join("tree").display()), "--accept-deletions"])?;
    let (ours, expected) = (cluster.dump()?, one.dump()?);
    let lines = |text: &str| text.lines().count();
    assert!(ours == expected, "{what}: dumps of {} and {} lines differ", lines(&ours), lines(&expected));
    assert!(lines(&ours) > 1000, "{what}: a dump of {} lines", lines(&ours));
    Ok(())
}

/// A job over a tree that has not changed opens no file, and nothing is amiss.
fn nothing_to_do(folder: &TempDir, cluster: &Cluster, what: &str) -> Result<()> {
    let job = cluster.wait(cluster.submit(&[])?)?;
    assert_eq!((&job["state"], &job["totals"]["opened"]), (&"complete".into(), &0.into()), "{what}: {job}");
    check(folder, cluster, what)
}

fn workers(cluster: &Cluster) -> Result<Vec<Json>> {
    let answer = cluster.operate(&["workers", "list", "--json"])?;
    serde_json::from_str(answer.out.trim()).with_context(|| answer.err)
}

/// Number of the worker that is home.
fn home(cluster: &Cluster) -> Result<usize> {
    workers(cluster)?.iter().position(|worker| worker["is_home"] == true).context("a home")
}

fn name(worker: usize) -> String {
    format!("w{worker}")
}

/// Orders that a worker becomes home, once the move of before has ended for everybody.
fn make_home(cluster: &Cluster, worker: usize) -> Result<()> {
    wait_for("the order is taken", || {
        let answer = cluster.operate(&["workers", "make-home", &name(worker)])?;
        assert!(answer.code == Some(0) || answer.err.contains("which was home before"), "{}", answer.err);
        Ok(answer.code == Some(0))
    })
}

/// Whether no worker's ledger is on its way, as far as somebody leads who knows.
fn has_settled(cluster: &Cluster) -> bool {
    workers(cluster).is_ok_and(|workers| {
        workers.iter().any(|worker| worker["is_home"] == true)
            && workers.iter().all(|worker| worker["home_moves_to"].is_null() && worker["state"] != "silent")
    })
}

/// Waits until the home has settled at a worker, and every worker but that has nothing of a ledger.
fn wait_until_settled(cluster: &Cluster, folder: &TempDir) -> Result<usize> {
    wait_for("ledger and registry have settled", || Ok(has_settled(cluster)))
        .with_context(|| cluster.logs())?;
    let at = home(cluster)?;
    wait_for("nothing is left of the move", || {
        let is_clean = |worker: usize| {
            let names = std::fs::read_dir(cluster.store(worker).join("moving"))?;
            let names = names.filter_map(Result::ok).map(|entry| entry.file_name().into_string());
            let kept = ["folder-id", "cluster.json"];
            Ok::<_, anyhow::Error>(
                names.flatten().all(|name| !name.contains("home.") || kept.contains(&&*name)),
            )
        };
        (0..cluster.workers.len()).try_fold(true, |all, worker| Ok(all && is_clean(worker)?))
    })
    .with_context(|| format!("{}\n{}", folder.path().display(), cluster.logs()))?;
    Ok(at)
}

/// Every answer is whole, or none.
fn ask(cluster: &Cluster) -> Result<usize> {
    let count = cluster.count()?;
    assert!(count.is_none_or(|count| count == ALL), "{count:?}");
    Ok(usize::from(count.is_some()))
}

#[test]
fn the_home_is_drained_while_it_is_asked() -> Result<()> {
    let (folder, mut cluster) = cluster(2)?;
    let old = home(&cluster)?;
    let new = 1 - old;
    let refused = cluster.operate(&["workers", "make-home", "w9"])?;
    assert!(refused.code == Some(1) && refused.err.contains("is not alive"), "{}", refused.err);
    let answer = cluster.operate(&["workers", "drain", &name(old), "--json"])?;
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    let mut right = 0;
    wait_for("the worker is empty", || {
        // A count and a report of the ledger: neither is refused for longer than it is asked again.
        right += ask(&cluster)?;
        let report = cluster.ask(&["report", "deletions", "--format", "csv"])?;
        assert_eq!(report.code, Some(0), "{}", report.err);
        let status = cluster.ask(&["status", "--json"])?;
        assert_eq!(status.code, Some(0), "{}", status.err);
        let workers = workers(&cluster)?;
        Ok(workers[old]["is_home"] == false && workers[old]["shards"] == 0 && has_settled(&cluster))
    })?;
    assert!(right > 0);
    assert_eq!(wait_until_settled(&cluster, &folder)?, new);
    nothing_to_do(&folder, &cluster, "after the drain")?;

    // What was home leaves, and is forgotten; what is home follows what changes.
    cluster.workers[old].kill()?;
    wait_for("it may be forgotten", || {
        Ok(cluster.operate(&["workers", "forget", &name(old)])?.code == Some(0))
    })?;
    change_tree(&folder.path().join("tree"), &mut Random::new(5), 1)?;
    settle();
    let job = cluster.wait(cluster.submit(&["--accept-deletions"])?)?;
    assert_eq!(job["state"], "complete", "{job}");
    assert!(job["totals"]["opened"].as_u64() < Some(200), "{job}");
    nothing_to_do(&folder, &cluster, "after changes")
}

#[test]
fn the_home_goes_to_and_fro_while_files_are_read() -> Result<()> {
    let (folder, mut cluster) = cluster(3)?;
    let mut random = Random::new(7);
    for step in 0..3 {
        change_tree(&folder.path().join("tree"), &mut random, step)?;
        settle();
        let job = cluster.submit(&["--accept-deletions"])?;
        let to = (home(&cluster)? + 1 + random.below(2)) % 3;
        make_home(&cluster, to)?;
        let job = cluster.wait(job)?;
        assert_eq!(job["state"], "complete", "step {step}: {job}");
        assert_eq!(wait_until_settled(&cluster, &folder)?, to, "step {step}");
        check(&folder, &cluster, &format!("step {step}"))?;
    }
    nothing_to_do(&folder, &cluster, "at the end")?;
    // A folder that was home, and is started again, has nothing to be refused for.
    cluster.workers.iter_mut().try_for_each(shardex_tests::cluster::Process::restart)?;
    wait_until_settled(&cluster, &folder)?;
    nothing_to_do(&folder, &cluster, "started again")
}

#[test]
fn a_home_that_moves_loses_nothing_while_processes_die() -> Result<()> {
    let (folder, mut cluster) = cluster(2)?;
    let seed = std::env::var("SHARDEX_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(23);
    let mut random = Random::new(seed);
    for step in 0..4 {
        change_tree(&folder.path().join("tree"), &mut random, step)?;
        settle();
        let job = cluster.submit(&["--accept-deletions"])?;
        let old = home(&cluster)?;
        let new = 1 - old;
        make_home(&cluster, new)?;
        std::thread::sleep(Duration::from_millis(random.below(700) as u64));
        let pause = Duration::from_millis(random.below(900) as u64);
        match step % 4 {
            0 => restart_after(&mut cluster.workers[old], pause)?,
            1 => restart_after(&mut cluster.workers[new], pause)?,
            2 => restart_after(&mut cluster.coordinators[0], pause)?,
            _ => {
                cluster.workers[old].kill()?;
                restart_after(&mut cluster.workers[new], pause)?;
                cluster.workers[old].restart()?;
            }
        }
        let job = cluster.wait(job)?;
        assert_eq!(job["state"], "complete", "seed {seed}, step {step}: {job}");
        wait_until_settled(&cluster, &folder)?;
        check(&folder, &cluster, &format!("seed {seed}, step {step}"))?;
    }
    nothing_to_do(&folder, &cluster, "at the end")
}

fn restart_after(process: &mut shardex_tests::cluster::Process, pause: Duration) -> Result<()> {
    process.kill()?;
    std::thread::sleep(pause);
    process.restart()
}

#[test]
fn whoever_sleeps_through_a_move_of_the_home_does_no_harm() -> Result<()> {
    let (folder, cluster) = cluster(2)?;
    let mut random = Random::new(31);
    // Longer than a lease: the receiver that sleeps ends the move, the old home that sleeps does not stop it.
    let sleep = Duration::from_secs(u64::from(cluster.lease_seconds) + 2);
    for step in 0..2 {
        let old = home(&cluster)?;
        let sleeper = if step % 2 == 0 { old } else { 1 - old };
        make_home(&cluster, 1 - old)?;
        std::thread::sleep(Duration::from_millis(random.below(500) as u64));
        cluster.workers[sleeper].signal("STOP")?;
        std::thread::sleep(sleep);
        cluster.workers[sleeper].signal("CONT")?;
        wait_until_settled(&cluster, &folder)?;
        nothing_to_do(&folder, &cluster, &format!("step {step}"))?;
    }
    Ok(())
}

#[test]
fn a_lost_state_finds_one_home_around_a_move() -> Result<()> {
    let (folder, mut cluster) = place()?;
    let Some(mut etcd) = Etcd::start(&folder.path().join("etcd"), 1)? else {
        skip("a_lost_state_finds_one_home_around_a_move", "etcd is not installed (Debian: etcd-server)");
        return Ok(());
    };
    cluster.add_coordinator(&["--etcd", &etcd.urls.join(",")])?;
    begin(&mut cluster, 2)?;
    let mut random = Random::new(41);
    for step in 0..2 {
        let old = home(&cluster)?;
        make_home(&cluster, 1 - old)?;
        std::thread::sleep(Duration::from_millis(random.below(600) as u64));
        cluster.workers.iter_mut().try_for_each(shardex_tests::cluster::Process::kill)?;
        etcd.wipe()?;
        cluster.workers.iter_mut().try_for_each(shardex_tests::cluster::Process::restart)?;
        wait_for("the loss is noticed", || {
            Ok(cluster.operate(&["workers", "list"])?.err.contains("shardex recover --coordinator"))
        })?;
        let recovered = cluster.operate(&["recover"])?;
        assert_eq!(recovered.code, Some(0), "step {step}: {}", recovered.err);
        wait_until_settled(&cluster, &folder)?;
        wait_for("it answers again", || Ok(ask(&cluster)? > 0))?;
        nothing_to_do(&folder, &cluster, &format!("step {step}"))?;
    }
    Ok(())
}
