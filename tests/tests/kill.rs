//! Killed at random points, with a tree that changes in between: after one undisturbed run the
//! logical dump is that of a fresh archive over the final tree.

use std::time::{Duration, Instant};

use anyhow::Result;
use shardex_tests::{Random, Shardex, change_tree, write_tree};

const ROUNDS: u64 = 5;
const KILLS: usize = 5;

fn kill_after(shardex: &Shardex, tree: &str, delay: Duration) -> Result<()> {
    let mut child =
        shardex.start(&["ingest", tree, "--quiet", "--accept-deletions", "--barrier-seconds", "1"])?;
    let until = Instant::now() + delay;
    while Instant::now() < until && child.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}

#[test]
fn a_killed_ingest_converges() -> Result<()> {
    let seed = std::env::var("SHARDEX_SEED").ok().and_then(|seed| seed.parse().ok());
    for round in 0..seed.map_or(ROUNDS, |_| 1) {
        check(seed.unwrap_or(round + 1))?;
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the seed of a failure must be seen")]
fn check(seed: u64) -> Result<()> {
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    write_tree(&tree)?;
    let text = tree.to_string_lossy().into_owned();
    let shardex = Shardex::new(&folder.path().join("archive"))?;
    for step in 0..KILLS {
        kill_after(&shardex, &text, Duration::from_millis(10 + random.below(350) as u64))?;
        change_tree(&tree, &mut random, u32::try_from(step)?)?;
    }
    let summary = shardex.ingest(&[&text, "--accept-deletions"])?;
    assert_eq!(summary["ended"], "complete", "seed {seed}: {summary}");
    let fresh = Shardex::new(&folder.path().join("fresh"))?;
    fresh.ingest(&[&text])?;
    let (ours, expected) = (shardex.dump()?, fresh.dump()?);
    if ours != expected {
        let ours: Vec<_> = ours.lines().filter(|line| !expected.contains(*line)).take(5).collect();
        eprintln!("seed {seed}: only after kills: {ours:#?}");
        panic!(
            "seed {seed}: the dump differs from that of a fresh archive; SHARDEX_SEED={seed} runs it alone"
        );
    }
    assert!(ours.lines().count() > 1000, "seed {seed}: a dump of {} lines", ours.lines().count());
    Ok(())
}
