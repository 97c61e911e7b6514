//! Bad days of a source: what cannot be read is counted and named, the rest of the work goes on, and
//! nothing is lost.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value as Json;
use shardex_tests::{Instance, Place, skip, wait_for, write_series};

/// An ingest by a user whom permissions hold back, as root they do not; `None` where there is no such.
fn ingest_without_rights(place: &Place, test: &str) -> Result<Option<Json>> {
    let binary = place.shardex.binary();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let runs = Command::new("setpriv").args(nobody).arg(binary).arg("--version").output();
    if !runs.is_ok_and(|output| output.status.success()) {
        skip(test, "it takes root, setpriv, and a build that others may enter");
        return Ok(None);
    }
    std::fs::set_permissions(place.folder.path(), PermissionsExt::from_mode(0o777))?;
    let output = Command::new("setpriv")
        .args(nobody)
        .arg(binary)
        .args(["ingest", "--json", "--quiet", &place.text(), "--archive"])
        .arg(place.shardex.archive())
        .output()?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
        .map(Some)
}

fn allow(path: &Path, mode: u32) -> Result<()> {
    Ok(std::fs::set_permissions(path, PermissionsExt::from_mode(mode))?)
}

#[test]
fn what_may_not_be_read_is_counted_and_kept() -> Result<()> {
    let test = "what may not be read is counted and kept";
    let place = Place::with_series(4, 10)?;
    let (file, folder) = (place.tree.join("s0/im00003.dcm"), place.tree.join("s1"));
    allow(&file, 0o000)?;
    let Some(first) = ingest_without_rights(&place, test)? else { return Ok(()) };
    assert_eq!((&first["ended"], &first["states"]["indexed"]), (&"complete".into(), &39.into()), "{first}");
    let rows = place.shardex.sql("SELECT path, reason FROM files WHERE state = 'quarantined'")?;
    assert_eq!(rows, [["s0/im00003.dcm", "permission_denied"]]);

    // A file that may be read again is read; a folder that may not be listed any more loses nothing.
    allow(&file, 0o644)?;
    allow(&folder, 0o000)?;
    let second = ingest_without_rights(&place, test)?.context("as before")?;
    assert_eq!(second["ended"], "incomplete", "{second}");
    assert_eq!((&second["unreadable_directories"], &second["deleted"]), (&1.into(), &0.into()), "{second}");
    assert_eq!(place.shardex.sql("SELECT count(*) FROM instances")?, [["40"]]);
    let unreadable = place.shardex.run(&["report", "unreadable"])?;
    assert!(unreadable.out.contains("s1"), "{}", unreadable.out);

    allow(&folder, 0o755)?;
    let third = ingest_without_rights(&place, test)?.context("as before")?;
    assert_eq!(
        (&third["ended"], &third["unreadable_directories"]),
        (&"complete".into(), &0.into()),
        "{third}"
    );
    assert!(place.shardex.dump()? == place.fresh_dump()?, "the dump differs from a fresh archive's");
    Ok(())
}

#[test]
fn files_that_vanish_while_they_are_read_are_no_error() -> Result<()> {
    let mut place = Place::new()?;
    place.shardex = place.shardex.with_binary(Path::new(env!("CARGO_BIN_EXE_faulty")));
    for study in 0..10 {
        for number in 0..20 {
            let name = format!("s{study}/slow{number}.dcm");
            place.write(name, &Instance::numbered(study, study, 1, number))?;
        }
    }
    let mut run =
        place.shardex.start(&["ingest", "--readers", "1", "--barrier-seconds", "1", &place.text()])?;
    let indexed = || place.shardex.sql("SELECT count(*) FROM instances");
    wait_for("rows of a running ingest", || indexed().is_ok_and(|rows| rows[0][0] != "0"))?;
    // Of each folder half, of some the folder itself: listed or not, read or not.
    for study in 0..10 {
        for number in (0..20).step_by(2) {
            std::fs::remove_file(place.tree.join(format!("s{study}/slow{number}.dcm")))?;
        }
    }
    for study in [3, 8] {
        std::fs::remove_dir_all(place.tree.join(format!("s{study}")))?;
    }
    // It ends by itself: complete, held because much is gone, or incomplete by a folder that it had yet to list.
    let code = run.wait()?.code();
    assert!([Some(0), Some(3), Some(4)].contains(&code), "{code:?}");
    let summary = place.shardex.ingest(&[&place.text(), "--accept-deletions"])?;
    assert_eq!(summary["ended"], "complete", "{summary}");
    assert!(place.shardex.dump()? == place.fresh_dump()?, "the dump differs from a fresh archive's");
    assert_eq!(indexed()?, [["80"]]);
    Ok(())
}

#[test]
fn what_is_no_file_is_never_opened() -> Result<()> {
    let place = Place::with_series(1, 5)?;
    let path = |name: &str| place.tree.join(name);
    let make = |program: &str, arguments: &[&OsStr]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    // A FIFO opened for reading waits for ever; a socket cannot be opened.
    assert!(make("mkfifo", &[path("fifo.dcm").as_os_str()]));
    let _socket = std::os::unix::net::UnixListener::bind(path("socket.dcm"))?;
    let mut special = 2;
    if make("mknod", &[path("tape.dcm").as_os_str(), OsStr::new("c"), OsStr::new("9"), OsStr::new("0")]) {
        special += 1;
    } else {
        skip("what is no file is never opened: a device", "only root can make one");
    }
    std::os::unix::fs::symlink("/etc/passwd", path("link.dcm"))?;
    std::os::unix::fs::symlink(&place.tree, path("loop"))?;
    let summary = place.shardex.ingest(&[&place.text()])?;
    assert_eq!(summary["ended"], "complete", "{summary}");
    assert_eq!(
        (&summary["opened"], &summary["states"]["skipped"]),
        (&5.into(), &(special + 2).into()),
        "{summary}"
    );
    let kinds = place
        .shardex
        .sql("SELECT kind, count(*) FROM files WHERE state = 'skipped' GROUP BY kind ORDER BY kind")?;
    assert_eq!(kinds, [["special".to_owned(), special.to_string()], ["symlink".to_owned(), "2".to_owned()]]);
    Ok(())
}

#[test]
fn a_refused_source_leaves_no_archive() -> Result<()> {
    let place = Place::with_series(2, 2)?;
    let (tree, inner) = (place.text(), place.tree.join("s0").to_string_lossy().into_owned());
    let file = place.tree.join("s0/im00001.dcm").to_string_lossy().into_owned();
    let (one, other) = (format!("one={inner}"), format!("one={}", place.tree.join("s1").display()));
    for (sources, says) in [
        (vec![&*tree, &*inner], "overlap"),
        (vec![&*inner, &*tree], "overlap"),
        (vec![&*one, &*other], "`one`"),
        (vec![&*file], "is a file"),
        (vec!["/nonexistent/tree"], "is it mounted"),
    ] {
        let answer = place.shardex.run(&[&["ingest"], &sources[..]].concat())?;
        assert_eq!(answer.code, Some(1), "{sources:?}: {}", answer.err);
        assert!(answer.err.contains(says), "{sources:?}: {}", answer.err);
        assert!(!place.shardex.archive().exists(), "{sources:?}: an archive was made");
    }
    // A known archive refuses them too, and stays as it is.
    place.shardex.ingest(&[&tree])?;
    let before = place.shardex.dump()?;
    let answer = place.shardex.run(&["ingest", &inner])?;
    assert!(answer.code == Some(1) && answer.err.contains("overlap"), "{}", answer.err);
    assert!(place.shardex.dump()? == before, "a refused source changed the archive");
    Ok(())
}

#[test]
fn names_that_are_no_text_come_back_byte_by_byte() -> Result<()> {
    let place = Place::new()?;
    let folder = place.tree.join(OsStr::from_bytes(b"caf\xe9 \"x\"\n"));
    write_series(&folder, 1, 1, 1, 2)?;
    for (number, name) in [&b"\xff\xfe"[..], b"-rf", b"a\tb;$(x)", &[b'n'; 255]].into_iter().enumerate() {
        let number = u32::try_from(number)?;
        place.write(PathBuf::from(OsStr::from_bytes(name)), &Instance::numbered(2, 2, 1, number))?;
    }
    let summary = place.shardex.ingest(&[&place.text()])?;
    assert_eq!(summary["states"]["indexed"], 6, "{summary}");
    // Listed with NUL, every path names its file.
    let listed = Command::new(place.shardex.binary())
        .args(["files", "--format", "paths0", "--archive"])
        .arg(place.shardex.archive())
        .output()?;
    let paths: Vec<_> = listed.stdout.split(|b| *b == 0).filter(|path| !path.is_empty()).collect();
    assert_eq!(paths.len(), 6);
    for path in paths {
        let path = Path::new(OsStr::from_bytes(path));
        assert!(path.is_absolute() && path.is_file(), "{}", path.display());
    }
    Ok(())
}
