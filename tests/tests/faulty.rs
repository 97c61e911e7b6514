//! Files that crash or hang whoever reads them cost themselves only.

use std::path::Path;

use anyhow::Result;
use shardex_tests::cluster::{self, Cluster};
use shardex_tests::{Shardex, write_series};

fn place() -> Result<(tempfile::TempDir, Shardex, String)> {
    let folder = tempfile::tempdir()?;
    for n in 0..6 {
        write_series(&folder.path().join(format!("tree/s{n}")), n, n, 1, 10)?;
    }
    let shardex =
        Shardex::new(&folder.path().join("archive"))?.with_binary(Path::new(env!("CARGO_BIN_EXE_faulty")));
    let tree = folder.path().join("tree").to_string_lossy().into_owned();
    Ok((folder, shardex, tree))
}

fn rename(folder: &tempfile::TempDir, to: &str) -> Result<()> {
    let series = folder.path().join("tree/s3");
    Ok(std::fs::rename(series.join("im00004.dcm"), series.join(to))?)
}

#[test]
fn a_file_that_hangs_its_reader_is_set_aside() -> Result<()> {
    let (folder, shardex, tree) = place()?;
    rename(&folder, "hang.dcm")?;
    for round in 0..2 {
        let summary = shardex.ingest(&[&tree, "--patience-seconds", "1"])?;
        assert_eq!(summary["ended"], "complete", "{round}: {summary}");
        assert_eq!(summary["states"]["indexed"], 59, "{round}: {summary}");
        assert_eq!(summary["opened"], if round == 0 { 59 } else { 0 }, "{round}: {summary}");
    }
    let rows = shardex.sql("SELECT path FROM files WHERE state = 'quarantined'")?;
    assert_eq!(rows, [["s3/hang.dcm"]]);
    Ok(())
}

#[test]
fn a_file_that_kills_the_run_is_found_by_the_runs_after() -> Result<()> {
    let (folder, shardex, tree) = place()?;
    rename(&folder, "crash.dcm")?;
    let mut runs = 0;
    while shardex.run(&["ingest", &tree])?.code.is_none() {
        runs += 1;
        assert!(runs < 4, "the run dies again and again");
    }
    assert_eq!(runs, 2, "one to die, one to leave breadcrumbs");
    let rows = shardex.sql("SELECT path, reason FROM files WHERE state = 'quarantined'")?;
    assert_eq!(rows, [["s3/crash.dcm", "reader_failure"]]);
    assert_eq!(shardex.sql("SELECT count(*) FROM instances")?, [["59"]]);
    let summary = shardex.ingest(&[&tree])?;
    assert_eq!(summary["opened"], 0, "{summary}");
    Ok(())
}

#[test]
fn several_files_that_kill_the_run_are_all_found() -> Result<()> {
    let (folder, shardex, tree) = place()?;
    rename(&folder, "crash.dcm")?;
    let other = folder.path().join("tree/s5");
    std::fs::rename(other.join("im00007.dcm"), other.join("crash.dcm"))?;
    let mut runs = 0;
    while shardex.run(&["ingest", &tree])?.code.is_none() {
        runs += 1;
        assert!(runs < 6, "the run dies of the one, and then of the other, again and again");
    }
    let rows = shardex.sql("SELECT path FROM files WHERE reason = 'reader_failure' ORDER BY path")?;
    assert_eq!(rows, [["s3/crash.dcm"], ["s5/crash.dcm"]]);
    assert_eq!(shardex.sql("SELECT count(*) FROM instances")?, [["58"]]);
    Ok(())
}

#[test]
fn a_run_that_is_killed_from_outside_convicts_nobody() -> Result<()> {
    let (folder, shardex, tree) = place()?;
    // It hangs for longer than the runs are let live: they die with this file under their eyes.
    rename(&folder, "hang.dcm")?;
    for _ in 0..2 {
        let mut run = shardex.start(&["ingest", &tree])?;
        wait_for(|| shardex.sql("SELECT 1").is_ok())?;
        run.kill()?;
        run.wait()?;
    }
    std::fs::rename(folder.path().join("tree/s3/hang.dcm"), folder.path().join("tree/s3/fine.dcm"))?;
    let summary = shardex.ingest(&[&tree])?;
    assert_eq!(summary["states"]["indexed"], 60, "{summary}");
    Ok(())
}

/// Restarts workers that have died until a job has ended; how often each died.
fn supervise(cluster: &mut Cluster, job: u64) -> Result<Vec<u32>> {
    let mut deaths = vec![0; cluster.workers.len()];
    cluster::wait_for("the job ends", || {
        for (worker, deaths) in cluster.workers.iter_mut().zip(&mut deaths) {
            if worker.has_ended()? {
                *deaths += 1;
                worker.restart()?;
            }
        }
        // The coordinator is always there.
        Ok(!cluster.job(job)?["ended_ns"].is_null())
    })?;
    Ok(deaths)
}

#[test]
fn files_that_crash_and_hang_workers_cost_a_cluster_themselves_only() -> Result<()> {
    let (folder, one, tree) = place()?;
    rename(&folder, "crash.dcm")?;
    std::fs::rename(folder.path().join("tree/s5/im00007.dcm"), folder.path().join("tree/s5/hang.dcm"))?;
    let mut cluster = Cluster::new(folder.path(), &folder.path().join("tree"))?;
    cluster.of_workers = one.binary().to_owned();
    // A worker that dies is there again before its units go to others.
    cluster.lease_seconds = 15;
    cluster.add_coordinator(&["--state", &folder.path().join("state").to_string_lossy()])?;
    for _ in 0..3 {
        cluster.add_worker()?;
    }
    cluster.add_router()?;
    for round in 0..2 {
        let number = cluster.submit(&["--patience-seconds", "1"])?;
        let deaths = supervise(&mut cluster, number)?;
        let job = cluster.wait(number)?;
        assert_eq!(job["state"], "complete", "{round}: {job}");
        assert_eq!(job["totals"]["states"]["indexed"], 58, "{round}: {job}");
        // It dies of it, dies with breadcrumbs, and nobody else does.
        let expected = if round == 0 { 2 } else { 0 };
        assert_eq!(deaths.iter().sum::<u32>(), expected, "{round}: {deaths:?}");
        assert_eq!(deaths.into_iter().max(), Some(expected), "{round}: of one worker");
    }
    let quarantined = "SELECT path, reason FROM files WHERE state = 'quarantined' ORDER BY path";
    let answer = cluster.ask(&["sql", quarantined, "--format", "csv"])?;
    let lines: Vec<_> = answer.out.lines().skip(1).collect();
    assert_eq!(lines, ["s3/crash.dcm,reader_failure", "s5/hang.dcm,reader_failure"], "{}", answer.err);
    // One run to die, one to leave breadcrumbs, one to find the file.
    for _ in 0..3 {
        one.run(&["ingest", &format!("s={tree}"), "--patience-seconds", "1"])?;
    }
    assert_eq!(cluster.dump()?, one.dump()?);
    Ok(())
}

fn wait_for(is_so: impl Fn() -> bool) -> Result<()> {
    for _ in 0..200 {
        if is_so() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    anyhow::bail!("it did not happen in time")
}
