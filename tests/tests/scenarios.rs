//! What users do, and what happens to them, on the built binary.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;
use shardex_tests::{Instance, Place, Shardex, write_series};

#[test]
fn every_file_ends_in_one_state_and_a_second_run_opens_nothing() -> Result<()> {
    let place = Place::with_series(5, 10)?;
    std::fs::write(place.tree.join("note.txt"), "hello")?;
    std::fs::write(place.tree.join("empty"), "")?;
    std::fs::write(place.tree.join("broken.dcm"), [&[0; 128][..], b"DICM", &[7; 99]].concat())?;
    std::os::unix::fs::symlink("note.txt", place.tree.join("link"))?;
    std::thread::sleep(std::time::Duration::from_millis(50));
    let first = place.shardex.ingest(&[&place.text()])?;
    assert_eq!(first["files"], 54);
    let states = [("indexed", 50), ("not_dicom", 2), ("quarantined", 1), ("skipped", 1)];
    for (state, count) in states {
        assert_eq!(first["states"][state], count, "{state}: {first}");
        let listed = place.shardex.run(&["files", "--state", state, "--format", "paths"])?;
        assert_eq!(listed.out.lines().count(), count, "{state}");
    }
    let second = place.shardex.ingest(&[&place.text()])?;
    assert_eq!((&second["opened"], &second["unchanged"]), (&0.into(), &54.into()), "{second}");
    Ok(())
}

#[test]
fn changes_of_a_tree_are_followed() -> Result<()> {
    let place = Place::with_series(5, 10)?;
    place.shardex.ingest(&[&place.text()])?;
    let file = |name: &str| place.tree.join("s0").join(name);
    std::fs::remove_file(file("im00001.dcm"))?;
    std::fs::rename(file("im00002.dcm"), place.tree.join("moved.dcm"))?;
    std::fs::write(file("im00003.dcm"), Instance::numbered(0, 0, 7, 3).bytes())?;
    let summary = place.shardex.ingest(&[&place.text()])?;
    assert_eq!(summary["ended"], "complete", "{summary}");
    assert_eq!(summary["deleted"], 2, "{summary}");
    assert_eq!(summary["moved"], 1, "{summary}");
    let rows = place.shardex.sql("SELECT path FROM files WHERE path LIKE 'moved%'")?;
    assert_eq!(rows, [["moved.dcm"]]);
    let series = place.shardex.sql("SELECT count(*) FROM series WHERE PatientID = 'PAT0000'")?;
    assert_eq!(series, [["2"]]);
    let deleted = place.shardex.run(&["files", "--state", "deleted", "--format", "paths"])?;
    assert_eq!(deleted.out.lines().count(), 2, "{}", deleted.out);
    std::fs::write(file("im00001.dcm"), Instance::numbered(0, 0, 1, 1).bytes())?;
    let summary = place.shardex.ingest(&[&place.text()])?;
    assert_eq!(summary["returned"], 1, "{summary}");
    Ok(())
}

#[test]
fn an_emptied_root_and_mass_deletion_are_held() -> Result<()> {
    let place = Place::with_series(6, 10)?;
    place.shardex.ingest(&[&place.text()])?;
    let aside = place.folder.path().join("aside");
    std::fs::rename(&place.tree, &aside)?;
    let gone = place.shardex.run(&["ingest", &place.text()])?;
    assert_eq!(gone.code, Some(1), "{}", gone.err);
    assert!(gone.err.contains("is it mounted"), "{}", gone.err);
    std::fs::create_dir(&place.tree)?;
    let empty = place.shardex.run(&["ingest", &place.text()])?;
    assert_eq!(empty.code, Some(4), "{}", empty.out);
    std::fs::remove_dir(&place.tree)?;
    std::fs::rename(&aside, &place.tree)?;
    std::fs::remove_dir_all(place.tree.join("s1"))?;
    let held = place.shardex.ingest(&[&place.text()])?;
    assert_eq!((&held["ended"], &held["missing"]), (&"held".into(), &10.into()), "{held}");
    assert_eq!(place.shardex.sql("SELECT count(*) FROM instances")?, [["60"]]);
    let swept = place.shardex.ingest(&[&place.text(), "--accept-deletions"])?;
    assert_eq!((&swept["ended"], &swept["deleted"]), (&"complete".into(), &10.into()), "{swept}");
    assert_eq!(place.shardex.sql("SELECT count(*) FROM instances")?, [["50"]]);
    Ok(())
}

#[test]
fn lost_and_old_files_of_an_archive_are_healed() -> Result<()> {
    let place = Place::with_series(8, 10)?;
    place.shardex.ingest(&[&place.text()])?;
    let archive = place.shardex.archive();
    let copy = place.folder.path().join("old");
    copy_folder(&archive.join("shards"), &copy)?;
    for n in 20..24 {
        write_series(&place.tree.join(format!("s{n}")), n, n - 20, 2, 10)?;
    }
    std::fs::remove_file(place.tree.join("s0/im00005.dcm"))?;
    place.shardex.ingest(&[&place.text()])?;
    let expected = place.shardex.dump()?;
    let check = |what: &str| -> Result<()> {
        let summary = place.shardex.ingest(&[&place.text()])?;
        assert_eq!(summary["ended"], "complete", "{what}: {summary}");
        assert!(place.shardex.dump()? == expected, "{what}: the dump differs");
        Ok(())
    };
    std::fs::remove_dir_all(archive.join("ledger"))?;
    check("the ledger was lost")?;
    std::fs::remove_dir_all(archive.join("registry"))?;
    check("the registry was lost")?;
    std::fs::remove_file(archive.join("jobs.sqlite"))?;
    check("the job state was lost")?;
    std::fs::remove_dir_all(archive.join("shards"))?;
    copy_folder(&copy, &archive.join("shards"))?;
    check("all shards were put back from an old copy")?;
    std::fs::remove_dir_all(archive.join("shards"))?;
    check("all shards were lost")
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[test]
fn identities_are_not_mixed() -> Result<()> {
    let place = Place::new()?;
    let one = Instance::numbered(1, 1, 1, 1);
    place.write("a", &one)?;
    // One study UID in two patients, on two dates.
    place.write(
        "b",
        &Instance { patient: "OTHER".into(), date: "19990101".into(), sop: "2.25.99".into(), ..one.clone() },
    )?;
    // One SOP Instance UID under two studies.
    place.write("c", &Instance { study: "2.25.77".into(), series: "2.25.78".into(), ..one.clone() })?;
    // Two patients without an id.
    for (name, study) in [("d", "2.25.500"), ("e", "2.25.501")] {
        let sop = format!("{study}.1");
        place.write(name, &Instance { patient: String::new(), study: study.into(), sop, ..one.clone() })?;
    }
    place.shardex.ingest(&[&place.text()])?;
    let own =
        place.shardex.sql("SELECT PatientID, StudyDate FROM instances WHERE SOPInstanceUID = '2.25.99'")?;
    assert_eq!(own, [["OTHER", "19990101"]]);
    let studies = place
        .shardex
        .sql(&format!("SELECT count(*) FROM studies WHERE StudyInstanceUID = '{}'", one.study))?;
    assert_eq!(studies, [["1"]]);
    let twins =
        place.shardex.sql(&format!("SELECT count(*) FROM instances WHERE SOPInstanceUID = '{}'", one.sop))?;
    assert_eq!(twins, [["2"]]);
    let nameless = place.shardex.sql("SELECT count(*) FROM patients WHERE PatientID IS NULL")?;
    assert_eq!(nameless, [["2"]]);
    let conflicts = place.shardex.sql("SELECT DISTINCT keyword FROM conflicts ORDER BY keyword")?;
    assert_eq!(conflicts, [["PatientID"], ["PatientName"], ["StudyDate"]]);
    Ok(())
}

#[test]
fn domains_keep_twins_apart() -> Result<()> {
    let place = Place::new()?;
    let other = place.folder.path().join("deidentified");
    write_series(&place.tree, 1, 1, 1, 3)?;
    write_series(&other, 1, 1, 1, 3)?;
    let second = format!("research@deid={}", other.display());
    place.shardex.ingest(&[&place.text(), &second])?;
    let studies =
        place.shardex.sql("SELECT domain, NumberOfStudyRelatedInstances FROM studies ORDER BY domain")?;
    assert_eq!(studies, [["default", "3"], ["deid", "3"]]);
    Ok(())
}

#[test]
fn hostile_names_and_places_are_counted() -> Result<()> {
    let place = Place::new()?;
    let bytes = Instance::numbered(1, 1, 1, 1).bytes();
    std::fs::write(place.tree.join(std::ffi::OsStr::from_bytes(b"caf\xe9.dcm")), &bytes)?;
    std::fs::write(place.tree.join("x".repeat(255)), &bytes)?;
    write_deep(&place.tree, 25)?;
    let summary = place.shardex.ingest(&[&place.text()])?;
    assert_eq!((&summary["files"], &summary["states"]["indexed"]), (&3.into(), &3.into()), "{summary}");
    let listed = place.shardex.run(&["files", "--format", "paths0"])?;
    assert_eq!(listed.out.split('\0').filter(|path| !path.is_empty()).count(), 3);
    let verified = place.shardex.run(&["verify", "--full"])?;
    assert_eq!(verified.code, Some(0), "{}", verified.out);
    Ok(())
}

#[test]
fn a_list_may_name_files_through_a_link() -> Result<()> {
    let place = Place::with_series(1, 4)?;
    let link = place.folder.path().join("link");
    std::os::unix::fs::symlink(&place.tree, &link)?;
    let list = place.folder.path().join("list");
    let (link, list_text) = (link.to_string_lossy().into_owned(), list.to_string_lossy().into_owned());
    let lines = [format!("{link}/s0/im00001.dcm"), format!("{}/s0/im00002.dcm", place.text())];
    std::fs::write(&list, format!("{}\n./s0/im00003.dcm\n", lines.join("\n")))?;
    let summary = place.shardex.ingest(&[&link, "--files-from", &list_text])?;
    assert_eq!((&summary["ended"], &summary["files"]), (&"complete".into(), &3.into()), "{summary}");
    std::fs::write(&list, "/nowhere/im00001.dcm\ns0/../s0/im00004.dcm\n")?;
    let answer = place.shardex.run(&["ingest", &link, "--files-from", &list_text])?;
    let said = format!("{}{}", answer.out, answer.err);
    assert_eq!(answer.code, Some(3), "{said}");
    assert!(said.contains("2 directories or listed paths") && said.contains("lie in no source"), "{said}");
    Ok(())
}

/// A file below `depth` directories with names of 200 bytes: a path that no system call takes.
fn write_deep(root: &Path, depth: u32) -> Result<()> {
    // The current directory is the process's: a child makes the way, one step at a time.
    let script = format!(
        "cd \"$1\" && n=$(printf 'd%.0s' $(seq 200)) && for i in $(seq {depth}); do mkdir $n && cd $n; done && cat > f"
    );
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), Instance::numbered(1, 1, 1, 2).bytes())?;
    let status = std::process::Command::new("bash")
        .args(["-c", &script, "deep"])
        .arg(root)
        .stdin(std::fs::File::open(file.path())?)
        .status()?;
    anyhow::ensure!(status.success(), "the deep path was not made");
    Ok(())
}

#[test]
fn wrong_usage_says_what_to_do() -> Result<()> {
    let place = Place::with_series(1, 10)?;
    let file = place.tree.join("s0/im00001.dcm").to_string_lossy().into_owned();
    let outer = place.folder.path().to_string_lossy().into_owned();
    for (arguments, code, says) in [
        (vec!["sql", "SELECT 1"], 1, "is not an archive"),
        (vec!["ingest", &file], 1, "is a file"),
        (vec!["ingest", "/nonexistent/tree"], 1, "is it mounted"),
        (vec!["ingest", &place.text(), "--partition", "week"], 2, "is not a partition scheme"),
        (vec!["ingest", &place.text(), "--charset", "klingon"], 2, "is no character set"),
        (vec!["ingest", &place.text(), &outer], 1, "overlap"),
        (vec!["ingest"], 2, "required"),
    ] {
        let nowhere = Shardex::new(&place.folder.path().join("nowhere"))?;
        let answer = nowhere.run(&arguments)?;
        assert_eq!(answer.code, Some(code), "{arguments:?}: {}", answer.err);
        assert!(answer.err.contains(says), "{arguments:?}: {}", answer.err);
    }
    place.shardex.ingest(&[&place.text()])?;
    for (statement, says) in [
        ("DELETE FROM files", "only one SELECT"),
        ("SELECT x FROM instances", "no such column"),
        ("ATTACH '/etc/passwd' AS x", "not allowed"),
    ] {
        let answer = place.shardex.run(&["sql", statement])?;
        assert_eq!(answer.code, Some(1), "{statement}");
        assert!(answer.err.contains(says), "{statement}: {}", answer.err);
    }
    Ok(())
}

#[test]
fn a_damaged_shard_costs_only_its_own_files() -> Result<()> {
    let place = Place::with_series(4, 10)?;
    place.shardex.ingest(&[&place.text()])?;
    let shards = place.shardex.archive().join("shards");
    let victim = std::fs::read_dir(&shards)?.next().expect("a shard")?.path().join("0.sqlite");
    std::fs::write(&victim, vec![0x55; 50_000])?;
    write_series(&place.tree.join("more"), 9, 9, 1, 5)?;
    let answer = place.shardex.run(&["ingest", &place.text()])?;
    assert_eq!(answer.code, Some(3), "{} {}", answer.out, answer.err);
    let strict = place.shardex.run(&["sql", "SELECT count(*) FROM instances"])?;
    assert_eq!(strict.code, Some(1), "an answer without a shard looked complete");
    let partial = place.shardex.run(&["sql", "SELECT count(*) FROM instances", "--allow-partial"])?;
    assert_eq!(partial.code, Some(5), "{}", partial.err);
    Ok(())
}

#[test]
fn archives_are_private_and_logs_tell_nothing() -> Result<()> {
    let place = Place::new()?;
    let marked = Instance { patient: "MARKEDPATIENT".into(), ..Instance::numbered(1, 1, 1, 1) };
    std::fs::create_dir(place.tree.join("MARKEDFOLDER"))?;
    place.write("MARKEDFOLDER/MARKEDFILE.dcm", &marked)?;
    std::fs::write(place.tree.join("MARKEDBROKEN"), [&[0; 128][..], b"DICM", &[7; 99]].concat())?;
    let answer = place.shardex.run(&["--log", "trace", "ingest", &place.text()])?;
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    assert!(!answer.err.contains("MARKED"), "{}", answer.err);
    let mut folders = vec![place.shardex.archive().to_owned()];
    while let Some(folder) = folders.pop() {
        assert_eq!(std::fs::metadata(&folder)?.permissions().mode() & 0o777, 0o700, "{}", folder.display());
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                assert_eq!(
                    entry.metadata()?.permissions().mode() & 0o777,
                    0o600,
                    "{}",
                    entry.path().display()
                );
            }
        }
    }
    Ok(())
}

#[test]
fn directories_by_the_thousand_need_few_descriptors() -> Result<()> {
    let place = Place::new()?;
    for n in 0..1500 {
        let folder = place.tree.join(format!("d{n}"));
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("im.dcm"), Instance::numbered(n % 7, n % 7, 1, n).bytes())?;
    }
    let run = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 400 && exec \"$@\"", "sh"])
        .arg(place.shardex.binary())
        .args(["ingest", &place.text(), "--quiet", "--archive"])
        .arg(place.shardex.archive())
        .output()?;
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(place.shardex.sql("SELECT count(*) FROM instances")?, [["1500"]]);
    Ok(())
}

#[test]
fn a_dry_run_leaves_no_trace() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    write_series(&tree, 1, 1, 1, 3)?;
    let tree = tree.to_string_lossy().into_owned();
    let shardex = Shardex::new(&folder.path().join("archive"))?;
    let dry = shardex.ingest(&["--dry-run", &tree])?;
    assert_eq!((&dry["new"], &dry["ended"]), (&3.into(), &"complete".into()), "{dry}");
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1, "no archive is made, and nothing beside it");
    // Neither the partition nor the name of the source is fixed by it.
    shardex.ingest(&["--partition", "none", &format!("pacs={tree}")])?;
    let known = || -> Result<(String, serde_json::Value, serde_json::Value)> {
        let status: serde_json::Value = serde_json::from_str(&shardex.run(&["status", "--json"])?.out)?;
        Ok((shardex.dump()?, status["sources"].clone(), status["jobs"].clone()))
    };
    let before = known()?;
    write_series(&folder.path().join("more"), 2, 2, 1, 1)?;
    let more = folder.path().join("more").to_string_lossy().into_owned();
    let dry = shardex.ingest(&["--dry-run", &more])?;
    assert_eq!(dry["new"], 1, "{dry}");
    assert_eq!(known()?, before);
    Ok(())
}
