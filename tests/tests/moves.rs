//! Shards of a cluster that move while they are written and read; and reports over all owners.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value as Json;
use shardex_tests::cluster::{Cluster, wait_for};
use shardex_tests::{Random, Shardex, change_tree, write_tree};
use tempfile::TempDir;

const COUNT: &str = "SELECT count(*), count(DISTINCT StudyInstanceUID) FROM instances";

/// A cluster of two workers that has read its tree.
fn cluster() -> Result<(TempDir, Cluster)> {
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    write_tree(&tree)?;
    let mut cluster = Cluster::new(folder.path(), &tree)?;
    cluster.add_coordinator(&["--state", &folder.path().join("state").to_string_lossy()])?;
    cluster.add_worker()?;
    cluster.add_worker()?;
    cluster.add_router()?;
    let job = cluster.wait(cluster.submit(&[])?)?;
    assert_eq!(job["state"], "complete", "{job}");
    Ok((folder, cluster))
}

fn embedded(folder: &TempDir) -> Result<Shardex> {
    let one = Shardex::new(&folder.path().join("one"))?;
    one.ingest(&[&format!("s={}", folder.path().join("tree").display())])?;
    Ok(one)
}

fn check(folder: &TempDir, cluster: &Cluster) -> Result<()> {
    let (ours, expected) = (cluster.dump()?, embedded(folder)?.dump()?);
    assert!(
        ours == expected,
        "dumps of {} and {} lines differ",
        ours.lines().count(),
        expected.lines().count()
    );
    assert!(ours.lines().count() > 1000, "a dump of {} lines", ours.lines().count());
    Ok(())
}

fn shards(cluster: &Cluster) -> Result<Vec<(String, String, bool)>> {
    let answer = cluster.operate(&["shards", "list", "--json"])?;
    let shards: Vec<Json> = serde_json::from_str(answer.out.trim()).with_context(|| answer.err.clone())?;
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    Ok(shards
        .iter()
        .map(|one| (text(&one["shard"]), text(&one["owner"]), !one["moves_to"].is_null()))
        .collect())
}

fn owned_by(cluster: &Cluster, worker: &str) -> Result<usize> {
    Ok(shards(cluster)?.iter().filter(|(_, owner, _)| owner == worker).count())
}

fn nothing_moves(cluster: &Cluster) -> Result<bool> {
    Ok(shards(cluster)?.iter().all(|(_, _, is_moving)| !is_moving))
}

/// Asks again and again until nothing moves: every answer is whole.
fn ask_meanwhile(cluster: &Cluster) -> Result<usize> {
    let mut asked = 0;
    wait_for("all moves are done", || {
        let answer = cluster.ask(&["sql", COUNT, "--format", "csv"])?;
        assert_eq!(answer.out.lines().last(), Some("1440,8"), "{}", answer.err);
        asked += 1;
        nothing_moves(cluster)
    })?;
    Ok(asked)
}

#[test]
fn shards_move_to_a_new_worker_and_away_from_a_drained_one() -> Result<()> {
    let (folder, mut cluster) = cluster()?;
    cluster.add_worker()?;
    wait_for("the new worker reports", || Ok(cluster.operate(&["workers", "list"])?.out.contains("w2")))?;
    let answer = cluster.operate(&["shards", "rebalance"])?;
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    assert!(ask_meanwhile(&cluster)? > 0);
    assert!(owned_by(&cluster, "w2")? > 0, "{:?}", shards(&cluster)?);
    check(&folder, &cluster)?;

    let workers: Vec<Json> = serde_json::from_str(&cluster.operate(&["workers", "list", "--json"])?.out)?;
    let home = workers.iter().find(|worker| worker["is_home"] == true).context("a home")?["worker"].clone();
    let (drained, number) = if home == "w0" { ("w1", 1) } else { ("w0", 0) };
    assert_eq!(cluster.operate(&["workers", "drain", drained])?.code, Some(0));
    wait_for("the drained worker is empty", || Ok(owned_by(&cluster, drained)? == 0))?;
    ask_meanwhile(&cluster)?;
    wait_for("its files are gone", || {
        let left = std::fs::read_dir(cluster.store(number).join("shards"))?;
        let files = left.filter_map(Result::ok).filter_map(|folder| std::fs::read_dir(folder.path()).ok());
        Ok(files.flatten().count() == 0)
    })?;
    cluster.workers[number].kill()?;
    let job = cluster.wait(cluster.submit(&[])?)?;
    assert_eq!((&job["state"], &job["totals"]["opened"]), (&"complete".into(), &0.into()), "{job}");
    check(&folder, &cluster)
}

#[test]
fn moves_lose_nothing_while_files_are_read_and_workers_die() -> Result<()> {
    let (folder, mut cluster) = cluster()?;
    let mut random = Random::new(11);
    for step in 0..4 {
        change_tree(&folder.path().join("tree"), &mut random, step)?;
        let job = cluster.submit(&["--accept-deletions"])?;
        for (shard, owner, _) in shards(&cluster)? {
            let to = if owner == "w0" { "w1" } else { "w0" };
            cluster.operate(&["shards", "move", &shard, "--to", to])?;
        }
        std::thread::sleep(Duration::from_millis(random.below(1200) as u64));
        let victim = random.below(2);
        cluster.workers[victim].kill()?;
        std::thread::sleep(Duration::from_millis(random.below(800) as u64));
        cluster.workers[victim].restart()?;
        cluster.wait(job)?;
    }
    wait_for("all moves are done", || nothing_moves(&cluster))?;
    let job = cluster.wait(cluster.submit(&["--accept-deletions"])?)?;
    assert_eq!(job["state"], "complete", "{job}");
    check(&folder, &cluster)
}

#[test]
fn reports_of_a_cluster_are_those_of_one_archive() -> Result<()> {
    let (folder, cluster) = cluster()?;
    let one = embedded(&folder)?;
    for report in ["duplicates", "dates", "split-studies", "deletions", "unreadable", "conflicts"] {
        let arguments = ["report", report, "--format", "csv"];
        let (ours, expected) = (cluster.ask(&arguments)?, one.run(&arguments)?);
        assert_eq!((ours.code, ours.out), (expected.code, expected.out), "{report}: {}", ours.err);
    }
    let json = |text: &str| -> Result<Json> { Ok(serde_json::from_str(text)?) };
    let (mut ours, mut expected) =
        (json(&cluster.ask(&["summary", "--json"])?.out)?, json(&one.run(&["summary", "--json"])?.out)?);
    for summary in [&mut ours, &mut expected] {
        // The files of a cluster are other files, and asked by other commands.
        let summary = summary.as_object_mut().context("an object")?;
        summary.remove("archive_bytes");
        let findings = summary["findings"].as_array_mut().context("findings")?;
        findings
            .iter_mut()
            .filter_map(Json::as_object_mut)
            .for_each(|finding| drop(finding.remove("command")));
    }
    assert_eq!(ours, expected);
    let (ours, expected) =
        (json(&cluster.ask(&["status", "--json"])?.out)?, json(&one.run(&["status", "--json"])?.out)?);
    for part in ["partition", "files", "counts", "missing", "shards"] {
        assert_eq!(ours[part], expected[part], "{part}");
    }
    assert_eq!(ours["jobs"].as_array().map(Vec::len), Some(1), "{ours}");
    Ok(())
}
