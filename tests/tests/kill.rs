//! Killed at random points, with a tree that changes in between: after one undisturbed run the
//! logical dump is that of a fresh archive over the final tree.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use shardex_tests::{Instance, Random, Shardex, write_series};

const ROUNDS: u64 = 5;
const KILLS: usize = 5;

fn change_tree(root: &Path, random: &mut Random, step: u32) -> Result<()> {
    let series = |n: usize| root.join(format!("p{}/s{n}", n % 4));
    for _ in 0..6 {
        let n = random.below(24);
        let folder = series(n);
        let file = folder.join(format!("im{:05}.dcm", 1 + random.below(60)));
        match random.below(6) {
            // Another instance in the place of a file, perhaps of another study.
            0 if file.exists() => {
                let number = u32::try_from(random.below(9))?;
                std::fs::write(&file, Instance::numbered(90 + number, 900 + step, 1, number).bytes())?;
            }
            1 if file.exists() => std::fs::remove_file(&file)?,
            2 if file.exists() => {
                std::fs::create_dir_all(root.join("moved"))?;
                std::fs::rename(&file, root.join(format!("moved/{step}-{n}-{}.dcm", random.next())))?;
            }
            3 => write_series(&root.join(format!("new{step}-{n}")), 50, 500 + step, u32::try_from(n)?, 12)?,
            4 if file.exists() => std::fs::write(&file, b"no longer DICOM")?,
            5 if file.exists() => {
                std::fs::create_dir_all(root.join("copies"))?;
                std::fs::copy(&file, root.join(format!("copies/{step}-{n}.dcm")))?;
            }
            _ => {}
        }
    }
    Ok(())
}

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
    for n in 0..24 {
        write_series(&tree.join(format!("p{}/s{n}", n % 4)), n % 4, n / 3, n, 60)?;
    }
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
