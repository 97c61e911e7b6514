//! Bad days of an archive: a full disk, one that cannot be written, a second writer, damaged files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use shardex_tests::{Instance, Place, Shardex, skip, wait_for};

/// A file system of its own, gone with the test.
struct Mount(PathBuf);

impl Mount {
    /// `None` where this user may not mount.
    fn new(place: &Place, bytes: u64, test: &str) -> Result<Option<Self>> {
        let path = place.folder.path().join("mount");
        std::fs::create_dir(&path)?;
        let mount = Self(path);
        if mount.is_done(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "none"]) {
            return Ok(Some(mount));
        }
        skip(test, "this user may not mount a file system");
        Ok(None)
    }

    fn change(&self, option: &str) -> Result<()> {
        anyhow::ensure!(self.is_done(&["-o", &format!("remount,{option}")]), "remount {option}");
        Ok(())
    }

    fn is_done(&self, arguments: &[&str]) -> bool {
        let output = Command::new("mount").args(arguments).arg(&self.0).output();
        output.is_ok_and(|output| output.status.success())
    }

    fn fill(&self) -> Result<()> {
        let mut filling = std::fs::File::create(self.0.join("filling"))?;
        while std::io::Write::write_all(&mut filling, &[0; 4096]).is_ok() {}
        Ok(())
    }

    fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.0.join("filling"))?)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

fn count(shardex: &Shardex) -> Result<String> {
    Ok(shardex.sql("SELECT count(*) FROM instances")?[0][0].clone())
}

#[test]
fn a_full_disk_stops_a_run_and_loses_nothing() -> Result<()> {
    let place = Place::with_series(40, 50)?;
    let Some(mount) = Mount::new(&place, 1 << 20, "a full disk stops a run and loses nothing")? else {
        return Ok(());
    };
    let shardex = Shardex::new(&mount.0.join("archive"))?;
    let full = shardex.run(&["ingest", &place.text()])?;
    assert_eq!(full.code, Some(1), "{}", full.err);
    assert!(full.err.contains("no space left") && full.err.contains("free some"), "{}", full.err);
    // To ask takes some room as well (SQLite's -shm files), and how much the run left is chance.
    mount.change("size=2m")?;
    let indexed: u32 = count(&shardex)?.parse()?;

    // Even with no byte left, and after a restart of the machine, one learns what is the matter.
    mount.fill()?;
    for folder in ["", "ledger", "registry"] {
        let index = |path: &Path| path.to_string_lossy().ends_with("-shm");
        for entry in std::fs::read_dir(mount.0.join("archive").join(folder))? {
            let path = entry?.path();
            if index(&path) {
                std::fs::remove_file(path)?;
            }
        }
    }
    mount.fill()?;
    let status = shardex.run(&["status"])?;
    assert_eq!(status.code, Some(1), "{}", status.out);
    assert!(status.err.contains("no space left"), "{}", status.err);
    mount.free()?;

    assert_eq!(count(&shardex)?.parse::<u32>()?, indexed);
    mount.change("size=100m")?;
    let summary = shardex.ingest(&[&place.text()])?;
    assert_eq!(summary["ended"], "complete", "{summary}");
    assert!(shardex.dump()? == place.fresh_dump()?, "the dump differs from an undisturbed run's");
    Ok(())
}

#[test]
fn an_archive_that_cannot_be_written_can_be_asked() -> Result<()> {
    let place = Place::with_series(3, 5)?;
    let Some(mount) = Mount::new(&place, 50 << 20, "an archive that cannot be written can be asked")? else {
        return Ok(());
    };
    let shardex = Shardex::new(&mount.0.join("archive"))?;
    shardex.ingest(&[&place.text()])?;
    let dump = shardex.dump()?;
    mount.change("ro")?;
    let elsewhere = Shardex::new(&mount.0.join("other"))?;
    for archive in [&shardex, &elsewhere] {
        let refused = archive.run(&["ingest", &place.text()])?;
        assert_eq!(refused.code, Some(1), "{}", refused.out);
        assert!(refused.err.contains("cannot be written"), "{}", refused.err);
    }
    assert_eq!(count(&shardex)?, "15");
    assert!(shardex.dump()? == dump, "the dump differs");
    for command in ["status", "verify", "summary"] {
        let answer = shardex.run(&[command])?;
        assert_eq!(answer.code, Some(0), "{command}: {}", answer.err);
    }
    Ok(())
}

#[test]
fn a_second_writer_is_refused_and_readers_are_not() -> Result<()> {
    let mut place = Place::with_series(3, 5)?;
    place.shardex = place.shardex.with_binary(Path::new(env!("CARGO_BIN_EXE_faulty")));
    std::fs::rename(place.tree.join("s2/im00005.dcm"), place.tree.join("s2/hang.dcm"))?;
    let mut first = place.shardex.start(&["ingest", &place.text()])?;
    wait_for("a running ingest", || {
        place.shardex.run(&["sql", "SELECT 1"]).is_ok_and(|a| a.code == Some(0))
    })?;
    let second = place.shardex.run(&["ingest", &place.text()])?;
    assert_eq!(second.code, Some(1), "{}", second.out);
    assert!(second.err.contains("is being written by another process"), "{}", second.err);
    assert_eq!(place.shardex.run(&["status"])?.code, Some(0));
    assert!(first.try_wait()?.is_none(), "the first was disturbed");
    first.kill()?;
    first.wait()?;
    // Who died holds nothing.
    std::fs::rename(place.tree.join("s2/hang.dcm"), place.tree.join("s2/im00005.dcm"))?;
    assert_eq!(place.shardex.ingest(&[&place.text()])?["ended"], "complete");
    Ok(())
}

#[test]
fn damaged_files_are_named_and_mended() -> Result<()> {
    let place = Place::with_series(4, 10)?;
    place.shardex.ingest(&[&place.text()])?;
    let expected = place.shardex.dump()?;
    for name in ["ledger/0.sqlite", "registry/0.sqlite", "jobs.sqlite"] {
        let file = place.shardex.archive().join(name);
        std::fs::write(&file, vec![0x55; 20_000])?;
        let refused = place.shardex.run(&["ingest", &place.text()])?;
        assert_eq!(refused.code, Some(1), "{name}: {}", refused.out);
        assert!(refused.err.contains(name) && refused.err.contains("is damaged"), "{name}: {}", refused.err);
        // As the message says: delete it, then recover.
        std::fs::remove_file(&file).with_context(|| name.to_owned())?;
        let recovered = place.shardex.run(&["recover"])?;
        assert_eq!(recovered.code, Some(0), "{name}: {}", recovered.err);
        let summary = place.shardex.ingest(&[&place.text()])?;
        assert_eq!(summary["ended"], "complete", "{name}: {summary}");
        assert!(place.shardex.dump()? == expected, "{name}: the dump differs");
    }
    Ok(())
}

#[test]
fn a_normal_end_leaves_no_logs() -> Result<()> {
    let place = Place::with_series(3, 5)?;
    place.shardex.ingest(&[&place.text()])?;
    let mut folders = vec![place.shardex.archive().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let name = path.to_string_lossy();
            assert!(!name.ends_with("-wal") && !name.ends_with("-shm"), "{name}");
        }
    }
    assert_eq!(files, 3 * 2 + 3 + 2, "shards with their accounts, other databases, settings and lock");
    Ok(())
}

/// An answer without the studies of a shard that is gone would look whole.
#[test]
fn a_shard_that_is_gone_is_missed() -> Result<()> {
    let place = Place::new()?;
    for (study, date) in [(1, "20190101"), (2, "20200101")] {
        place.write(
            format!("{study}.dcm"),
            &Instance::numbered(1, study, 1, 1).with(0x0008_0020, b"DA", date),
        )?;
    }
    let shardex = &place.shardex;
    shardex.ingest(&[&place.text()])?;
    let archive = shardex.archive().to_string_lossy().into_owned();
    let shards = shardex.archive().join("shards");
    let of_2019 = std::fs::read_dir(&shards)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()?
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("2019-")))
        .context("no shard of 2019")?;
    std::fs::remove_dir_all(&of_2019)?;
    for question in [
        &["search", "studies", "--count"][..],
        &["sql", "SELECT count(*) FROM instances"],
        &["summary"],
        &["tree", "PAT0001"],
    ] {
        let answer = shardex.run(&[question, &["--archive", &archive]].concat())?;
        assert_eq!(answer.code, Some(1), "{question:?}: {} {}", answer.out, answer.err);
        assert!(
            answer.err.contains("2019-") && answer.err.contains("it is gone: put it back"),
            "{}",
            answer.err
        );
    }
    let partial =
        ["search", "studies", "--count", "--format", "csv", "--allow-partial", "--archive", &archive];
    let partial = shardex.run(&partial)?;
    assert_eq!((partial.code, &*partial.out), (Some(5), "count\n1\n"), "{}", partial.err);
    shardex.ingest(&[&place.text()])?;
    assert_eq!(count(shardex)?, "2");
    assert_eq!(shardex.dump()?, place.fresh_dump()?);
    Ok(())
}
