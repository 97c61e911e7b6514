//! Power cuts. strace records what an ingest writes and syncs; at points of that record the archive is
//! rebuilt as a disk could hold it; the same ingest then goes on, and the logical dump is that of an
//! undisturbed run.
//!
//! `SHARDEX_TEST_CUTS` sets the number of points, `SHARDEX_TEST_SEED` where they are.

mod disk;
mod trace;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use shardex_tests::{Instance, Place, Random, Shardex, random, skip, write_series};

use disk::{Disk, Unsynced};
use trace::Event;

const CUTS: usize = 16;
/// Small batches, few open shards, frequent checkpoints and barriers: much to cut between.
const USUAL: [&str; 13] = [
    "--quiet",
    "--accept-deletions",
    "--batch-rows",
    "20",
    "--barrier-seconds",
    "1",
    "--open-shards",
    "2",
    "--sqlite",
    "wal_autocheckpoint=20",
    "--readers",
    "2",
    "--json",
];

fn place() -> Result<Place> {
    let mut place = Place::new()?;
    // Its slow files give an ingest of a small tree the time for several barriers.
    place.shardex = place.shardex.with_binary(Path::new(env!("CARGO_BIN_EXE_faulty")));
    for study in 0..12 {
        let folder = format!("p{}/s{study}", study % 5);
        write_series(&place.tree.join(&folder), study % 5, study, 1, 20)?;
        for number in 0..14 {
            let name = format!("{folder}/slow{number}.dcm");
            place.write(name, &Instance::numbered(study % 5, study, 2, number))?;
        }
    }
    Ok(place)
}

/// Other files, other studies in the place of files, moved and removed folders.
fn change(place: &Place) -> Result<()> {
    for number in 1..8 {
        let name = format!("p1/s1/im{number:05}.dcm");
        place.write(name, &Instance::numbered(70 + number, 700 + number, 1, number))?;
    }
    std::fs::remove_dir_all(place.tree.join("p0/s0"))?;
    std::fs::rename(place.tree.join("p2/s2"), place.tree.join("p3/moved"))?;
    for study in 20..26 {
        let folder = place.tree.join(format!("new/s{study}"));
        write_series(&folder, study, study, 1, 10)?;
        for number in 0..14 {
            place
                .write(folder.join(format!("slow{number}")), &Instance::numbered(study, study, 2, number))?;
        }
    }
    Ok(())
}

fn record(place: &Place) -> Result<Vec<Event>> {
    let log = place.folder.path().join("strace.log");
    let output = Command::new("strace")
        .args(["-f", "-y", "-xx", "-qq", "-s", "100000000", "-e", &format!("trace={}", trace::CALLS), "-o"])
        .arg(&log)
        .arg(place.shardex.binary())
        .args([&["ingest", &place.text()], &USUAL[..]].concat())
        .arg("--archive")
        .arg(place.shardex.archive())
        .output()
        .context("strace")?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    trace::parse(&std::fs::read_to_string(&log)?, place.shardex.archive())
}

/// Cuts the power at points of what is recorded and goes on.
fn check(place: &Place, mut disk: Disk, events: &[Event]) -> Result<()> {
    let seed = random::seed();
    let mut random = Random::new(seed);
    let cuts = std::env::var("SHARDEX_TEST_CUTS").map_or(Ok(CUTS), |cuts| cuts.parse())?;
    let is_sync = |at: &usize| matches!(events[*at], Event::Synced { .. });
    let syncs: Vec<usize> = (0..events.len()).filter(is_sync).collect();
    assert!(syncs.len() > 40, "only {} syncs were recorded", syncs.len());
    let expected = place.fresh_dump()?;
    let step = (syncs.len() / cuts.min(syncs.len())).max(1);
    let mut next = random.below(step);
    for (at, event) in events.iter().enumerate() {
        // Just before a sync there is most to lose.
        if syncs.get(next) == Some(&at) {
            next += step;
            let unsynced = *random.pick(&[Unsynced::Lost, Unsynced::Some, Unsynced::Some, Unsynced::Kept]);
            let left = place.archive(&format!("left-{at}"))?;
            disk.crash(left.archive(), unsynced, &mut random)?;
            go_on(place, &left, &expected).with_context(|| {
                format!(
                    "seed {seed}: cut before event {at} of {}, unsynced writes: {unsynced:?}",
                    events.len()
                )
            })?;
            std::fs::remove_dir_all(left.archive())?;
        }
        disk.take(event)?;
    }
    Ok(())
}

fn go_on(place: &Place, left: &Shardex, expected: &str) -> Result<()> {
    let summary = left.ingest(&[&[&*place.text()], &USUAL[..12]].concat())?;
    anyhow::ensure!(summary["ended"] == "complete", "the next run: {summary}");
    anyhow::ensure!(left.dump()? == expected, "the dump differs from an undisturbed run's");
    let verified = left.run(&["verify"])?;
    anyhow::ensure!(verified.code == Some(0), "verify: {}{}", verified.out, verified.err);
    Ok(())
}

fn is_traced(test: &str) -> bool {
    let is_there = Command::new("strace").arg("-V").output().is_ok();
    if !is_there {
        skip(test, "strace is missing; `make setup` installs it");
    }
    is_there
}

#[test]
fn a_first_ingest_survives_power_cuts() -> Result<()> {
    if !is_traced("a first ingest survives power cuts") {
        return Ok(());
    }
    let place = place()?;
    let disk = Disk::holding(place.shardex.archive())?;
    let events = record(&place)?;
    check(&place, disk, &events)
}

#[test]
fn a_second_ingest_survives_power_cuts() -> Result<()> {
    if !is_traced("a second ingest survives power cuts") {
        return Ok(());
    }
    let place = place()?;
    place.shardex.ingest(&[&place.text()])?;
    change(&place)?;
    let disk = Disk::holding(place.shardex.archive())?;
    let events = record(&place)?;
    check(&place, disk, &events)
}
