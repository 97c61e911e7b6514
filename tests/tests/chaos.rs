//! Everything that can happen to a cluster, at random and several things at a time, while it ingests a tree that changes:
//! in the end it holds what one pass over the final tree gives.
//!
//! `shardex_tests::chaos::Settings` says which variables of the environment repeat a run, or make it longer and larger
//! (`make chaos`).

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;
use shardex_tests::chaos::{Chaos, Settings};
use shardex_tests::{Shardex, skip};

/// Runs of one process until it has found the files that kill it: each dies, dies with breadcrumbs, is found.
const RUNS_MAX: u32 = 200;

/// The dump of one process over the tree; it dies of the same files, and is started again.
fn dump_of_one_pass(folder: &Path, crashing: &Path, tree: &Path) -> Result<String> {
    let one = Shardex::new(&folder.join("one"))?.with_binary(crashing);
    let source = format!("s={}", tree.display());
    let mut runs = 0;
    while one.run(&["ingest", &source])?.code.is_none() {
        runs += 1;
        assert!(runs < RUNS_MAX, "it dies again and again");
    }
    assert!(runs > 0, "files that kill their reader are there");
    let found =
        one.sql("SELECT count(*) FROM files WHERE state = 'quarantined' AND reason = 'reader_failure'")?;
    assert_ne!(found, [["0"]]);
    one.dump()
}

#[test]
fn whatever_happens_the_end_is_that_of_one_pass() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (settings, crashing) = (Settings::read(), Path::new(env!("CARGO_BIN_EXE_faulty")));
    let files = settings.files;
    let Some(mut chaos) = Chaos::start(folder.path(), crashing, settings)? else {
        skip(
            "whatever_happens_the_end_is_that_of_one_pass",
            "etcd is not installed (Debian: etcd-server), or /proc does not tell who connects",
        );
        return Ok(());
    };
    chaos.happen()?;
    assert_eq!(chaos.missing(), Vec::<&str>::new(), "each kind of fault has happened");
    assert!(chaos.opened() > files / 4, "{} files were read meanwhile", chaos.opened());
    chaos.last_pass()?;
    let expected = dump_of_one_pass(folder.path(), crashing, chaos.tree())?;
    let ours = chaos.cluster().dump()?;
    if ours != expected && std::env::var_os("CHAOS_KEEP").is_some() {
        std::fs::write(folder.path().join("ours.dump"), &ours)?;
        std::fs::write(folder.path().join("expected.dump"), &expected)?;
        panic!("the dumps differ: {}", folder.keep().display());
    }
    assert_eq!(beyond(&ours, &expected), Vec::<&str>::new(), "lines that one pass does not have");
    assert_eq!(beyond(&expected, &ours), Vec::<&str>::new(), "lines that only one pass has");
    assert!(ours == expected, "dumps of {} and {} lines", ours.lines().count(), expected.lines().count());
    assert!(ours.lines().count() as u64 > files / 2, "{} lines", ours.lines().count());
    Ok(())
}

/// Some lines of a dump that another one lacks.
fn beyond<'a>(one: &'a str, other: &str) -> Vec<&'a str> {
    let known: HashSet<_> = other.lines().collect();
    one.lines().filter(|line| !known.contains(line)).take(3).collect()
}
