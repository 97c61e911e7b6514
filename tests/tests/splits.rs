//! Shards of an archive that are split, on the built binary.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value as Json;
use shardex_tests::{Instance, Place, Random, Shardex, change_tree, write_series, write_tree};

/// Files that changed within the clock's grain of being read are read again; after this they are older.
fn settle() {
    std::thread::sleep(Duration::from_millis(100));
}

/// An archive of one shard over the usual tree.
fn place() -> Result<Place> {
    let place = Place::new()?;
    write_tree(&place.tree)?;
    settle();
    let summary = place.shardex.ingest(&[&place.text(), "--partition", "none"])?;
    assert_eq!((&summary["ended"], &summary["opened"]), (&"complete".into(), &1440.into()), "{summary}");
    Ok(place)
}

/// The shards as `maintain size` lists them.
fn shards(shardex: &Shardex) -> Result<Vec<(String, u64)>> {
    let answer = shardex.run(&["maintain", "size", "--json"])?;
    let size: Json = serde_json::from_str(&answer.out).with_context(|| answer.err)?;
    let files = size["files"].as_array().context("files")?;
    let shard = |file: &Json| {
        let name = file["file"].as_str()?.strip_prefix("shards/")?.strip_suffix(".sqlite")?;
        Some((name.to_owned(), file["bytes"].as_u64()?))
    };
    let mut shards: Vec<_> = files.iter().filter_map(shard).collect();
    shards.sort();
    Ok(shards)
}

fn split(shardex: &Shardex, shard: &str) -> Result<Json> {
    let answer = shardex.run(&["maintain", "split", shard, "--json"])?;
    anyhow::ensure!(answer.code == Some(0), "{shard}: {}", answer.err);
    serde_json::from_str(&answer.out).with_context(|| answer.out)
}

fn check(place: &Place, expected: &str, what: &str) -> Result<()> {
    assert!(place.shardex.dump()? == expected, "{what}: the dump differs");
    let clean = place.shardex.run(&["verify", "--full"])?;
    assert_eq!(clean.code, Some(0), "{what}: {}", clean.out);
    Ok(())
}

/// An ingest of the tree as it is opens so many files and leaves what a fresh archive has.
fn follow(place: &Place, opened: u32, what: &str) -> Result<()> {
    let summary = place.shardex.ingest(&[&place.text(), "--accept-deletions"])?;
    assert_eq!(
        (&summary["ended"], &summary["opened"]),
        (&"complete".into(), &opened.into()),
        "{what}: {summary}"
    );
    check(place, &place.fresh_dump()?, what)?;
    std::fs::remove_dir_all(place.folder.path().join("fresh"))?;
    Ok(())
}

#[test]
fn a_shard_is_split_again_and_again_and_no_file_is_read_for_it() -> Result<()> {
    let place = place()?;
    let before = place.shardex.dump()?;
    let whole_shard = shards(&place.shardex)?;
    let [(root, bytes)] = &whole_shard[..] else { anyhow::bail!("one shard") };
    let done = split(&place.shardex, root)?;
    assert_eq!(done["new"], format!("{root}.1"), "{done}");
    let sum = |key: &str| [0, 1].iter().filter_map(|n| done["shards"][n][key].as_u64()).sum::<u64>();
    assert_eq!((sum("studies"), sum("files")), (8, 1440), "{done}");
    let halves = shards(&place.shardex)?;
    assert!(halves.iter().all(|(_, half)| half < bytes), "no room was given back: {halves:?} of {bytes}");
    check(&place, &before, "split")?;
    follow(&place, 0, "after a split")?;

    // What has changed in either half is followed there.
    change_tree(&place.tree, &mut Random::new(11), 1)?;
    std::fs::rename(place.tree.join("p1/s1/im00007.dcm"), place.tree.join("elsewhere.dcm"))?;
    for n in 0..20 {
        write_series(&place.tree.join(format!("late/s{n}")), n, 700 + n, 1, 3)?;
    }
    settle();
    place.shardex.ingest(&[&place.text(), "--accept-deletions"])?;
    follow(&place, 0, "after changes")?;
    for (shard, _) in &halves {
        split(&place.shardex, shard)?;
    }
    let names: Vec<_> =
        shards(&place.shardex)?.into_iter().map(|(shard, _)| shard.replace(root, "0")).collect();
    assert_eq!(names, ["0", "0.01", "0.1", "0.11"]);
    follow(&place, 0, "split three times")
}

#[test]
fn a_split_archive_is_healed_as_any_other() -> Result<()> {
    let place = place()?;
    let whole_shard = shards(&place.shardex)?;
    let [(root, _)] = &whole_shard[..] else { anyhow::bail!("one shard") };
    let archive = place.shardex.archive();
    let file = archive.join(format!("shards/{root}.sqlite"));
    let whole = std::fs::read(&file)?;
    split(&place.shardex, root)?;
    std::fs::remove_dir_all(archive.join("registry"))?;
    let recovered = place.shardex.run(&["recover"])?;
    assert_eq!(recovered.code, Some(0), "{}", recovered.err);
    std::fs::write(place.tree.join("new.dcm"), Instance::numbered(3, 2, 90, 1).bytes())?;
    follow(&place, 1, "the registry was lost")?;
    std::fs::remove_dir_all(archive.join("ledger"))?;
    follow(&place, 1441, "the ledger was lost")?;

    // The copy still has what has gone to the new shard: no study may be shown twice.
    std::fs::write(&file, whole)?;
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(archive.join(format!("shards/{root}.sqlite{suffix}")));
    }
    place.shardex.ingest(&[&place.text()])?;
    follow(&place, 0, "the unsplit shard was put back")
}

#[test]
fn a_kill_leaves_a_shard_whole_or_split() -> Result<()> {
    let place = place()?;
    let before = place.shardex.dump()?;
    let mut random = Random::new(5);
    for round in 0..12_u64 {
        let all = shards(&place.shardex)?;
        let (shard, _) = all.iter().max_by_key(|(_, bytes)| *bytes).context("a shard")?;
        let mut run = place.shardex.start(&["maintain", "split", shard])?;
        std::thread::sleep(Duration::from_millis(10 + 12 * round + random.below(12) as u64));
        run.kill()?;
        run.wait()?;
        let recovered = place.shardex.run(&["recover"])?;
        assert_eq!(recovered.code, Some(0), "round {round}: {}", recovered.err);
        check(&place, &before, &format!("round {round}"))?;
    }
    follow(&place, 0, "after the kills")
}

#[test]
fn what_cannot_be_split_is_said() -> Result<()> {
    let place = Place::with_series(1, 3)?;
    settle();
    place.shardex.ingest(&[&place.text(), "--partition", "none"])?;
    let whole_shard = shards(&place.shardex)?;
    let [(root, _)] = &whole_shard[..] else { anyhow::bail!("one shard") };
    let one = place.shardex.run(&["maintain", "split", root])?;
    assert!(one.code == Some(1) && one.err.contains("a study is never split"), "{}", one.err);
    let none = place.shardex.run(&["maintain", "split", "2050-00000000/0"])?;
    assert!(none.code == Some(1) && none.err.contains("has no shard"), "{}", none.err);
    follow(&place, 0, "refused")
}
