//! What `shardex verify` finds of files and sources, on the built binary.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value as Json;
use shardex_tests::{Shardex, write_series};

struct Place {
    _folder: tempfile::TempDir,
    tree: PathBuf,
    shardex: Shardex,
}

impl Place {
    /// An archive of three series of ten files.
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let tree = folder.path().join("tree");
        for n in 0..3 {
            write_series(&tree.join(format!("s{n}")), n, n, 1, 10)?;
        }
        let shardex = Shardex::new(&folder.path().join("archive"))?;
        shardex.ingest(&[&format!("site={}", tree.display())])?;
        Ok(Self { _folder: folder, tree, shardex })
    }

    fn verify(&self, arguments: &[&str]) -> Result<(Option<i32>, Json)> {
        let answer = self.shardex.run(&[&["verify", "--json"], arguments].concat())?;
        Ok((answer.code, serde_json::from_str(&answer.out).with_context(|| answer.err)?))
    }
}

#[test]
fn a_sound_archive_is_clean_and_is_not_touched() -> Result<()> {
    let place = Place::new()?;
    let before = place.shardex.dump()?;
    let (code, answer) = place.verify(&["--full"])?;
    assert_eq!((code, &answer["clean"]), (Some(0), &Json::Bool(true)), "{answer}");
    assert_eq!(answer["checked"]["indexed files: content"], 30);
    let sampled = place.verify(&["--sample", "0"])?.1;
    assert_eq!(sampled["checked"]["indexed files: content"], 0);
    assert_eq!(place.shardex.dump()?, before);
    let text = place.shardex.run(&["verify"])?;
    assert!(text.out.contains("Nothing was found."), "{}", text.out);
    Ok(())
}

#[test]
fn gone_changed_and_silently_changed_files_are_told_apart() -> Result<()> {
    let place = Place::new()?;
    let file = |name: &str| place.tree.join("s1").join(name);
    std::fs::remove_file(file("im00001.dcm"))?;
    let longer = [std::fs::read(file("im00002.dcm"))?, vec![0; 10]].concat();
    std::fs::write(file("im00002.dcm"), longer)?;
    let silent = file("im00003.dcm");
    let modified = std::fs::metadata(&silent)?.modified()?;
    let mut bytes = std::fs::read(&silent)?;
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&silent, bytes)?;
    std::fs::File::options().write(true).open(&silent)?.set_modified(modified)?;

    let (code, answer) = place.verify(&["--full"])?;
    assert_eq!(code, Some(3));
    let expected = serde_json::json!({ "file_missing": 1, "file_changed": 1, "content_differs": 1 });
    assert_eq!(answer["counts"], expected, "{answer}");
    let paths: Vec<_> =
        answer["findings"].as_array().context("findings")?.iter().map(|f| f["path"].clone()).collect();
    assert_eq!(paths, ["s1/im00001.dcm", "s1/im00002.dcm", "s1/im00003.dcm"]);
    let only = place.verify(&["--source", "site", "--sample", "0"])?.1;
    assert_eq!(only["counts"], serde_json::json!({ "file_missing": 1, "file_changed": 1 }));
    Ok(())
}

#[test]
fn a_source_that_is_not_mounted_is_one_finding() -> Result<()> {
    let place = Place::new()?;
    std::fs::rename(&place.tree, place.tree.with_extension("away"))?;
    let (code, answer) = place.verify(&[])?;
    assert_eq!((code, &answer["counts"]), (Some(3), &serde_json::json!({ "source_missing": 1 })));
    // An empty folder is what a mount point looks like without its mount.
    std::fs::create_dir(&place.tree)?;
    assert_eq!(place.verify(&[])?.1["counts"], serde_json::json!({ "source_missing": 1 }));
    let unknown = place.shardex.run(&["verify", "--source", "other"])?;
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.err.contains("it has site"), "{}", unknown.err);
    Ok(())
}

#[test]
fn a_shard_that_is_gone_or_old_is_found() -> Result<()> {
    let place = Place::new()?;
    let shards = place.shardex.archive().join("shards");
    let first = std::fs::read_dir(&shards)?.next().context("a shard")??.path();
    std::fs::remove_dir_all(first)?;
    let (code, answer) = place.verify(&["--limit", "3"])?;
    assert_eq!((code, &answer["counts"]["row_missing"]), (Some(3), &Json::from(10)), "{answer}");
    assert_eq!(answer["findings"].as_array().map(Vec::len), Some(3), "listed up to --limit: {answer}");
    Ok(())
}
