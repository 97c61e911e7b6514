//! A signal ends an ingest cleanly, and the same command goes on.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value as Json;
use shardex_tests::{Instance, Place, wait_for};

const STUDIES: u32 = 30;
const FILES: u32 = 20;
/// The product promises two seconds. A test machine may be busy, so that only what hangs fails here.
const LIMIT: Duration = Duration::from_secs(20);

/// A tree of files that take their time: an ingest of it lasts seconds on any machine.
fn slow_place() -> Result<Place> {
    let mut place = Place::new()?;
    place.shardex = place.shardex.with_binary(Path::new(env!("CARGO_BIN_EXE_faulty")));
    for study in 0..STUDIES {
        for number in 0..FILES {
            let name = format!("p{}/s{study}/slow{number}.dcm", study % 7);
            place.write(name, &Instance::numbered(study % 7, study, 1, number))?;
        }
    }
    Ok(place)
}

fn start(place: &Place) -> Result<Child> {
    let run = place.shardex.start(&["ingest", "--readers", "2", "--barrier-seconds", "1", &place.text()])?;
    let count = || place.shardex.sql("SELECT count(*) FROM instances");
    wait_for("rows of a running ingest", || count().is_ok_and(|rows| rows[0][0] != "0"))?;
    Ok(run)
}

fn send(signal: &str, run: &Child) -> Result<()> {
    let status = Command::new("sh").args(["-c", &format!("kill -{signal} {}", run.id())]).status()?;
    anyhow::ensure!(status.success(), "no signal was sent: the ingest had ended");
    Ok(())
}

fn last_job(place: &Place) -> Result<Json> {
    let answer = place.shardex.run(&["status", "--json"])?;
    let status: Json = serde_json::from_str(&answer.out)?;
    Ok(status["jobs"].as_array().and_then(|jobs| jobs.last()).cloned().unwrap_or_default())
}

fn check(signal: &str) -> Result<()> {
    let place = slow_place()?;
    let mut run = start(&place)?;
    let asked = Instant::now();
    send(signal, &run)?;
    let code = run.wait()?.code();
    let took = asked.elapsed();
    assert_eq!(code, Some(130), "{signal}");
    assert!(took < LIMIT, "{signal}: it took {took:?}");
    assert_eq!(last_job(&place)?["outcome"], "interrupted", "{signal}");
    let indexed: u32 = place.shardex.sql("SELECT count(*) FROM instances")?[0][0].parse()?;
    assert!((1..STUDIES * FILES).contains(&indexed), "{signal}: {indexed} files were indexed");

    let summary = place.shardex.ingest(&["--readers", "2", &place.text()])?;
    assert_eq!(summary["ended"], "complete", "{signal}: {summary}");
    assert_eq!(summary["opened"], STUDIES * FILES - indexed, "{signal}: what was recorded is not read again");
    assert!(
        place.shardex.dump()? == place.fresh_dump()?,
        "{signal}: the dump differs from an undisturbed run's"
    );
    Ok(())
}

#[test]
fn ctrl_c_ends_cleanly_and_the_same_command_goes_on() -> Result<()> {
    check("INT")
}

#[test]
fn a_polite_kill_does_the_same() -> Result<()> {
    check("TERM")
}

#[test]
fn a_second_signal_does_not_wait_and_loses_nothing() -> Result<()> {
    let place = slow_place()?;
    // This file holds up a clean end, where its reader has come to it.
    std::fs::rename(place.tree.join("p6/s6/slow0.dcm"), place.tree.join("p6/s6/hang.dcm"))?;
    let mut run = start(&place)?;
    send("INT", &run)?;
    send("INT", &run).or_else(|_| anyhow::Ok(()))?;
    assert_eq!(run.wait()?.code(), Some(130));
    std::fs::rename(place.tree.join("p6/s6/hang.dcm"), place.tree.join("p6/s6/slow0.dcm"))?;
    let summary = place.shardex.ingest(&[&place.text()])?;
    assert_eq!(summary["ended"], "complete", "{summary}");
    assert!(place.shardex.dump()? == place.fresh_dump()?, "the dump differs from an undisturbed run's");
    Ok(())
}
