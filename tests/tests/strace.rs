//! The second run over an unchanged tree, seen by the system: it opens no file of the source.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use shardex_tests::{Place, skip};

const FILES: usize = 400;

/// Runs an ingest under strace; how often each path below the tree was opened. A path ends in `/` if it
/// was opened as a directory.
fn opened(place: &Place) -> Result<BTreeMap<String, usize>> {
    let logs = tempfile::tempdir()?;
    // A log for each thread, so that no line is broken by another's.
    let output = Command::new("strace")
        .args(["-ff", "-y", "-qq", "-s", "4096", "-e", "trace=open,openat,openat2,creat", "-o"])
        .arg(logs.path().join("log"))
        .arg(place.shardex.binary())
        .args(["ingest", "--quiet", &place.text(), "--archive"])
        .arg(place.shardex.archive())
        .output()
        .context("strace")?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let mut opened = BTreeMap::new();
    for log in std::fs::read_dir(logs.path())? {
        for line in std::fs::read_to_string(log?.path())?.lines() {
            // `openat(5</tree/s1>, "im00001.dcm", O_RDONLY|O_NOFOLLOW) = 7</tree/s1/im00001.dcm>`
            let Some((_, path)) = line.rsplit_once('<').filter(|_| line.ends_with('>')) else { continue };
            let Ok(inside) = Path::new(path.trim_end_matches('>')).strip_prefix(&place.tree) else {
                continue;
            };
            let end = if line.contains("O_DIRECTORY") { "/" } else { "" };
            *opened.entry(format!("{}{end}", inside.display())).or_default() += 1;
        }
    }
    Ok(opened)
}

fn files(opened: &BTreeMap<String, usize>) -> Vec<&String> {
    opened.keys().filter(|path| !path.ends_with('/')).collect()
}

#[test]
fn a_second_run_opens_no_file_of_the_source() -> Result<()> {
    if Command::new("strace").arg("-V").output().is_err() {
        skip("a second run opens no file", "strace is missing; `make setup` installs it");
        return Ok(());
    }
    let place = Place::with_series(8, u32::try_from(FILES / 8)?)?;
    std::fs::write(place.tree.join("note.txt"), "no DICOM")?;
    std::fs::write(place.tree.join("s0/broken.dcm"), [&[0; 128][..], b"DICM", &[7; 99]].concat())?;
    // Files that changed within the clock's grain of being read are read again; these are older.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let first = opened(&place)?;
    // What proves that the count below can count.
    assert_eq!(files(&first).len(), FILES + 2);
    let second = opened(&place)?;
    assert!(files(&second).is_empty(), "opened again: {:?}", files(&second));
    let directories = second.iter().filter(|(path, _)| path.ends_with('/'));
    assert_eq!(directories.count(), 9, "every directory is looked at: {second:?}");
    Ok(())
}
