//! Files that crash or hang whoever reads them cost themselves only.

use std::path::Path;

use anyhow::Result;
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

fn wait_for(is_so: impl Fn() -> bool) -> Result<()> {
    for _ in 0..200 {
        if is_so() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    anyhow::bail!("it did not happen in time")
}
