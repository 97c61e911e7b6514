//! Shards of a cluster that are split while they are read, and while processes die.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value as Json;
use shardex_tests::cluster::{Cluster, wait_for};
use shardex_tests::{Random, Shardex, change_tree, write_tree};
use tempfile::TempDir;

const COUNT: &str = "SELECT count(*), count(DISTINCT StudyInstanceUID) FROM instances";

/// Files that changed within the clock's grain of being read are read again; after this they are older.
fn settle() {
    std::thread::sleep(Duration::from_millis(100));
}

/// A cluster of two workers that has read its tree into one shard.
fn cluster() -> Result<(TempDir, Cluster)> {
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    write_tree(&tree)?;
    settle();
    let mut cluster = Cluster::new(folder.path(), &tree)?;
    let state = folder.path().join("state");
    cluster.add_coordinator(&["--state", &state.to_string_lossy(), "--partition", "none"])?;
    cluster.add_worker()?;
    cluster.add_worker()?;
    cluster.add_router()?;
    let job = cluster.wait(cluster.submit(&[])?)?;
    assert_eq!(job["state"], "complete", "{job}");
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

fn shards(cluster: &Cluster) -> Result<Vec<Json>> {
    let answer = cluster.operate(&["shards", "list", "--json"])?;
    serde_json::from_str(answer.out.trim()).with_context(|| answer.err)
}

fn name(shard: &Json) -> String {
    shard["shard"].as_str().unwrap_or_default().to_owned()
}

fn largest(cluster: &Cluster) -> Result<Json> {
    let shards = shards(cluster)?;
    shards.into_iter().max_by_key(|shard| shard["bytes"].as_u64()).context("a shard")
}

/// Number of the worker that is home.
fn home(cluster: &Cluster) -> Result<usize> {
    let workers: Vec<Json> = serde_json::from_str(&cluster.operate(&["workers", "list", "--json"])?.out)?;
    workers.iter().position(|worker| worker["is_home"] == true).context("a home")
}

/// A job over a tree that has not changed opens no file, and nothing is amiss.
fn nothing_to_do(folder: &TempDir, cluster: &Cluster, what: &str) -> Result<()> {
    let job = cluster.wait(cluster.submit(&[])?)?;
    assert_eq!((&job["state"], &job["totals"]["opened"]), (&"complete".into(), &0.into()), "{what}: {job}");
    check(folder, cluster, what)
}

#[test]
fn a_shard_is_split_while_it_is_asked() -> Result<()> {
    let (folder, cluster) = cluster()?;
    let root = name(&largest(&cluster)?);
    let bytes = largest(&cluster)?["bytes"].as_u64().context("bytes")?;
    let (binary, urls) = (cluster.shardex.clone(), cluster.coordinators[0].url.clone());
    let order = {
        let root = root.clone();
        std::thread::spawn(move || binary.run(&["shards", "split", &root, "--json", "--coordinator", &urls]))
    };
    let mut right = 0;
    while !order.is_finished() || right == 0 {
        let answer = cluster.ask(&["sql", COUNT, "--format", "csv"])?;
        if answer.code == Some(0) {
            assert_eq!(answer.out.lines().last(), Some("1440,8"), "{}", answer.err);
            right += 1;
        } else {
            assert!(
                answer.err.contains("ask again") || answer.err.contains("does not serve"),
                "{}",
                answer.err
            );
        }
    }
    let ordered = order.join().map_err(|_| anyhow::anyhow!("the order panicked"))??;
    assert_eq!(ordered.code, Some(0), "{}", ordered.err);
    let halves: Vec<Json> = serde_json::from_str(ordered.out.trim())?;
    assert_eq!(halves.iter().map(name).collect::<Vec<_>>(), [root.clone(), format!("{root}.1")]);
    wait_for("both halves are smaller", || {
        let sizes = shards(&cluster)?;
        Ok(sizes.len() == 2
            && sizes.iter().all(|half| half["bytes"].as_u64().is_some_and(|half| half < bytes)))
    })?;
    assert_eq!(cluster.ask(&["sql", COUNT, "--format", "csv"])?.out.lines().last(), Some("1440,8"));
    nothing_to_do(&folder, &cluster, "after a split")?;

    // What has changed is followed, and the new shard moves as any other.
    change_tree(&folder.path().join("tree"), &mut Random::new(3), 1)?;
    settle();
    let owner = largest(&cluster)?["owner"].clone();
    let other = if owner == "w0" { "w1" } else { "w0" };
    assert_eq!(cluster.operate(&["shards", "move", &format!("{root}.1"), "--to", other])?.code, Some(0));
    let job = cluster.wait(cluster.submit(&["--accept-deletions"])?)?;
    assert_eq!(job["state"], "complete", "{job}");
    wait_for("it has moved", || Ok(shards(&cluster)?.iter().all(|shard| shard["moves_to"].is_null())))?;
    nothing_to_do(&folder, &cluster, "after changes and a move")?;
    let unknown = cluster.operate(&["shards", "split", "2050-00000000/0"])?;
    assert!(unknown.code == Some(1) && unknown.err.contains("no shard"), "{}", unknown.err);
    Ok(())
}

#[test]
fn splits_lose_nothing_while_files_are_read_and_processes_die() -> Result<()> {
    let (folder, mut cluster) = cluster()?;
    let mut random = Random::new(17);
    for step in 0..4 {
        change_tree(&folder.path().join("tree"), &mut random, step)?;
        settle();
        let job = cluster.submit(&["--accept-deletions"])?;
        let shard = largest(&cluster)?;
        let before = shards(&cluster)?.len();
        let (binary, urls, root) =
            (cluster.shardex.clone(), cluster.coordinators[0].url.clone(), name(&shard));
        let order =
            std::thread::spawn(move || binary.run(&["shards", "split", &root, "--coordinator", &urls]));
        std::thread::sleep(Duration::from_millis(100 + random.below(900) as u64));
        let owner = usize::from(shard["owner"] == "w1");
        match step % 4 {
            0 => cluster.workers[owner].restart()?,
            1 => {
                let home = home(&cluster)?;
                cluster.workers[home].restart()?;
            }
            2 => cluster.coordinators[0].restart()?,
            _ => {
                cluster.workers[1 - owner].restart()?;
                cluster.workers[owner].restart()?;
            }
        }
        let _ = order.join();
        let job = cluster.wait(job)?;
        assert_eq!(job["state"], "complete", "step {step}: {job}");
        wait_for("no split is under way", || {
            Ok(shards(&cluster)?.iter().all(|shard| shard["split_stage"].is_null()))
        })?;
        check(&folder, &cluster, &format!("step {step}"))?;
        if shards(&cluster)?.len() == before {
            // Its owner was lost before the halves were made: ordered again, it is split.
            let again = cluster.operate(&["shards", "split", &name(&shard)])?;
            assert_eq!(again.code, Some(0), "step {step}: {}", again.err);
        }
    }
    nothing_to_do(&folder, &cluster, "at the end")
}
