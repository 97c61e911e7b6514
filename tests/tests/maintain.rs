//! `shardex maintain`, on the built binary.

use anyhow::{Context, Result};
use serde_json::Value as Json;
use shardex_tests::{Shardex, write_series};

fn archive(folder: &std::path::Path) -> Result<Shardex> {
    for n in 0..3 {
        write_series(&folder.join(format!("tree/s{n}")), n, n, 1, 40)?;
    }
    let shardex = Shardex::new(&folder.join("archive"))?;
    shardex.ingest(&[&folder.join("tree").to_string_lossy()])?;
    Ok(shardex)
}

fn json(shardex: &Shardex, arguments: &[&str]) -> Result<Json> {
    let answer = shardex.run(&[&["maintain"], arguments, &["--json"]].concat())?;
    anyhow::ensure!(answer.code == Some(0), "{arguments:?}: {}", answer.err);
    serde_json::from_str(&answer.out).with_context(|| answer.out)
}

#[test]
fn upkeep_changes_no_content_and_the_next_ingest_opens_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let shardex = archive(folder.path())?;
    let before = shardex.dump()?;
    for work in ["analyze", "optimize", "reindex", "vacuum"] {
        let dry = json(&shardex, &[work, "--dry-run"])?;
        assert_eq!(dry["files"].as_array().map(Vec::len), Some(6), "three shards and three more: {dry}");
        let done = json(&shardex, &[work])?;
        assert_eq!(done["files"].as_array().map(Vec::len), Some(6), "{done}");
        assert_eq!(shardex.dump()?, before, "{work}");
        let clean = shardex.run(&["verify", "--full"])?;
        assert_eq!(clean.code, Some(0), "{work}: {}", clean.out);
    }
    let again = shardex.ingest(&[&folder.path().join("tree").to_string_lossy()])?;
    assert_eq!(again["unchanged"], 120, "{again}");
    Ok(())
}

#[test]
fn free_pages_are_seen_and_given_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let shardex = archive(folder.path())?;
    let size = json(&shardex, &["size"])?;
    let objects = size["objects"].as_array().context("objects")?;
    assert!(objects.iter().any(|object| object["name"] == "file" && object["kind"] == "table"), "{size}");
    assert!(
        objects.iter().any(|object| object["name"] == "file_name" && object["kind"] == "index"),
        "{size}"
    );
    assert_eq!(size["indexed_files"], 120);
    let bytes = size["bytes"].as_u64().context("bytes")?;
    let listed = size["files"].as_array().context("files")?;
    assert_eq!(listed.iter().filter_map(|file| file["bytes"].as_u64()).sum::<u64>(), bytes);
    let shard =
        listed.iter().filter_map(|file| file["file"].as_str()).find(|file| file.starts_with("shards/"));
    let shard =
        shard.and_then(|file| file.strip_prefix("shards/")?.strip_suffix(".sqlite")).context("a shard")?;
    let one = json(&shardex, &["vacuum", "--shard", shard])?;
    assert_eq!(one["files"].as_array().map(Vec::len), Some(1), "{one}");
    let unknown = shardex.run(&["maintain", "vacuum", "--shard", "2050-00000000/0"])?;
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.err.contains("has no shard"), "{}", unknown.err);
    let none = Shardex::new(&folder.path().join("nothing"))?.run(&["maintain", "analyze"])?;
    assert_eq!(none.code, Some(1));
    assert!(!folder.path().join("nothing").exists(), "upkeep makes no archives");
    Ok(())
}
