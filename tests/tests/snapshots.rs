//! Shards that are copied while an archive is written, and put back, on the built binary.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value as Json;
use shardex_tests::{Answer, Place, Random, change_tree, write_tree};

/// Files of the tree as it is written.
const ALL: u64 = 1440;

struct Backed {
    place: Place,
    to: String,
}

impl Backed {
    /// An archive over the usual tree, a shard a year.
    fn new() -> Result<Self> {
        let place = Place::new()?;
        write_tree(&place.tree)?;
        settle();
        let to = place.folder.path().join("snapshots").display().to_string();
        let backed = Self { place, to };
        assert_eq!(backed.ingest()?["opened"], ALL);
        Ok(backed)
    }

    fn ingest(&self) -> Result<Json> {
        let summary = self.place.shardex.ingest(&[&self.place.text(), "--accept-deletions"])?;
        assert_eq!(summary["ended"], "complete", "{summary}");
        Ok(summary)
    }

    fn snapshot(&self, options: &[&str]) -> Result<Answer> {
        self.place.shardex.run(&[&["snapshot", "--to", &self.to, "--json"], options].concat())
    }

    /// Takes snapshots, which must succeed; how many shards have one, and how many of these were copied.
    fn take(&self) -> Result<(usize, usize)> {
        let answer = self.snapshot(&[])?;
        assert_eq!(answer.code, Some(0), "{}", answer.err);
        let states = states(&answer)?;
        Ok((states.len(), states.iter().filter(|state| *state == "copied").count()))
    }

    fn restore(&self, options: &[&str]) -> Result<Answer> {
        self.place.shardex.run(&[&["restore", "--from", &self.to, "--json"], options].concat())
    }

    fn shards(&self) -> Result<Vec<String>> {
        let mut shards = Vec::new();
        for partition in std::fs::read_dir(self.place.shardex.archive().join("shards"))? {
            let partition = partition?.file_name().to_string_lossy().into_owned();
            shards.push(format!("{partition}/0"));
        }
        shards.sort();
        Ok(shards)
    }

    fn file(&self, shard: &str) -> PathBuf {
        self.place.shardex.archive().join("shards").join(format!("{shard}.sqlite"))
    }

    /// Copies of a shard in the folder of snapshots.
    fn copies(&self, shard: &str) -> Result<Vec<PathBuf>> {
        let mut copies = Vec::new();
        for entry in std::fs::read_dir(Path::new(&self.to).join("shards").join(shard))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "sqlite") {
                copies.push(path);
            }
        }
        Ok(copies)
    }

    fn check(&self, what: &str) -> Result<()> {
        assert!(self.place.shardex.dump()? == self.place.fresh_dump()?, "{what}: the dump differs");
        std::fs::remove_dir_all(self.place.folder.path().join("fresh"))?;
        let clean = self.place.shardex.run(&["verify", "--full"])?;
        assert_eq!(clean.code, Some(0), "{what}: {}", clean.out);
        Ok(())
    }
}

/// Files that changed within the clock's grain of being looked at are looked at again; after this they are older.
fn settle() {
    std::thread::sleep(Duration::from_millis(1100));
}

fn states(answer: &Answer) -> Result<Vec<String>> {
    texts(answer, "state")
}

fn texts(answer: &Answer, key: &str) -> Result<Vec<String>> {
    let said: Json = serde_json::from_str(&answer.out).with_context(|| answer.err.clone())?;
    let shards = said["shards"].as_array().context("shards")?;
    Ok(shards.iter().filter_map(|shard| Some(shard[key].as_str()?.to_owned())).collect())
}

fn damage(path: &Path) -> Result<()> {
    let mut content = std::fs::read(path)?;
    let middle = content.len() / 2;
    content.get_mut(middle..).context("a file of some size")?.fill(0xAB);
    Ok(std::fs::write(path, content)?)
}

#[test]
fn only_shards_that_have_changed_are_copied() -> Result<()> {
    let backed = Backed::new()?;
    settle();
    let shards = backed.shards()?;
    assert!(shards.len() > 1, "{shards:?}");
    assert_eq!(backed.take()?, (shards.len(), shards.len()));
    assert_eq!(backed.take()?, (shards.len(), 0));
    for step in 0..3 {
        change_tree(&backed.place.tree, &mut Random::new(step), 1)?;
        backed.ingest()?;
        settle();
        assert!(backed.take()?.1 > 0);
        assert_eq!(backed.take()?.1, 0);
    }
    for shard in shards {
        assert!((1..=2).contains(&backed.copies(&shard)?.len()), "two are kept: {shard}");
    }
    Ok(())
}

#[test]
fn gone_and_damaged_shards_come_back_and_little_is_read_again() -> Result<()> {
    let backed = Backed::new()?;
    backed.take()?;
    change_tree(&backed.place.tree, &mut Random::new(7), 1)?;
    let changed = backed.ingest()?["opened"].as_u64().context("a number")?;
    let shards = backed.shards()?;
    std::fs::remove_file(backed.file(&shards[0]))?;
    damage(&backed.file(&shards[1]))?;
    let taken = backed.snapshot(&[])?;
    assert_eq!((taken.code, &*states(&taken)?[0]), (Some(3), "failed"), "{}", taken.err);
    assert!(taken.err.contains(&format!("`shards/{}.sqlite` is damaged", shards[1])), "{}", taken.err);
    let dry = backed.restore(&["--dry-run"])?;
    assert_eq!(texts(&dry, "because")?, ["gone", "damaged"], "{}", dry.err);
    assert!(!backed.file(&shards[0]).exists(), "a dry run");
    let restored = backed.restore(&[])?;
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    assert_eq!(texts(&restored, "shard")?, shards[..2]);
    let opened = backed.ingest()?["opened"].as_u64().context("a number")?;
    assert!(opened <= changed, "{opened} of {changed}");
    backed.check("two shards")?;

    // Those that are whole are put back if they are named.
    let named = backed.restore(&[&shards[0]])?;
    assert_eq!((named.code, texts(&named, "because")?), (Some(0), vec!["named".to_owned()]), "{}", named.err);
    backed.ingest()?;
    backed.check("a named shard")
}

#[test]
fn an_archive_that_is_gone_is_made_from_its_snapshots() -> Result<()> {
    let backed = Backed::new()?;
    backed.take()?;
    let before = backed.place.shardex.dump()?;
    std::fs::remove_dir_all(backed.place.shardex.archive())?;
    let restored = backed.restore(&[])?;
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    assert!(backed.place.shardex.dump()? == before, "all that was indexed is there before anything is read");
    // The ledger is new, and a row does not say all of a file's state.
    assert_eq!(backed.ingest()?["opened"], ALL);
    assert_eq!(backed.ingest()?["opened"], 0);
    backed.check("a whole archive")
}

#[test]
fn snapshots_of_an_archive_that_is_written_are_whole() -> Result<()> {
    let place = Place::new()?;
    write_tree(&place.tree)?;
    settle();
    let to = place.folder.path().join("snapshots").display().to_string();
    let backed = Backed { place, to };
    let tree = backed.place.text();
    let slowly = ["--files-per-second", "200", "--barrier-seconds", "1", "--quiet"];
    let mut ingest = backed.place.shardex.start(&[&["ingest", &tree], &slowly[..]].concat())?;
    let mut taken = 0;
    while ingest.try_wait()?.is_none() {
        if backed.place.shardex.archive().join("archive.toml").exists() && backed.take()?.0 > 0 {
            taken += 1;
        }
    }
    assert!(taken > 1, "{taken} snapshots while it was written");
    std::fs::remove_dir_all(backed.place.shardex.archive())?;
    let restored = backed.restore(&[])?;
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    assert!(backed.place.shardex.dump()?.lines().count() > 100, "some were indexed in time");
    backed.ingest()?;
    backed.check("the last snapshot")
}

#[test]
fn what_does_not_fit_is_refused_and_harms_nothing() -> Result<()> {
    let backed = Backed::new()?;
    backed.take()?;
    let shard = backed.shards()?.first().context("a shard")?.clone();
    let refused = |answer: &Answer, code: i32, words: &str| {
        assert_eq!(answer.code, Some(code), "{words}: {}", answer.out);
        assert!(answer.err.contains(words), "{words}: {}", answer.err);
    };
    let run = |arguments: &[&str]| backed.place.shardex.run(arguments);
    let archive = backed.place.shardex.archive().display().to_string();
    refused(&run(&["snapshot", "--to", &backed.place.text()])?, 1, "is no folder of snapshots");
    refused(&run(&["snapshot", "--to", &archive])?, 1, "or an archive");
    refused(&run(&["restore", "--from", &archive])?, 1, "or an archive");
    refused(&run(&["restore", "--from", "/nowhere"])?, 1, "is no folder of snapshots");
    refused(&run(&["restore", "--from", &backed.to, "1999-00000000/0"])?, 1, "there is no snapshot");

    let other = backed.place.archive("other")?;
    other.ingest(&[&backed.place.text(), "--partition", "none"])?;
    refused(&other.run(&["snapshot", "--to", &backed.to])?, 1, "another archive");
    refused(&other.run(&["restore", "--from", &backed.to])?, 1, "another archive");
    let alike = backed.place.archive("alike")?;
    alike.ingest(&[&backed.place.text()])?;
    refused(&alike.run(&["snapshot", "--to", &backed.to])?, 3, "--replace");
    let replaced = alike.run(&["snapshot", "--to", &backed.to, "--replace", "--json"])?;
    assert!(states(&replaced)?.iter().all(|state| state == "copied"), "{}", replaced.err);
    assert_eq!(backed.snapshot(&["--replace"])?.code, Some(0));

    for copy in backed.copies(&shard)? {
        damage(&copy)?;
    }
    let before = std::fs::read(backed.file(&shard))?;
    refused(&backed.restore(&[&shard])?, 1, "it has not the digest");
    assert_eq!(std::fs::read(backed.file(&shard))?, before);
    backed.check("nothing was done")
}

#[test]
fn a_snapshot_from_before_a_split_is_not_put_back() -> Result<()> {
    let place = Place::new()?;
    write_tree(&place.tree)?;
    settle();
    place.shardex.ingest(&[&place.text(), "--partition", "none"])?;
    let to = place.folder.path().join("snapshots").display().to_string();
    let backed = Backed { place, to };
    backed.take()?;
    let shard = backed.shards()?.pop().context("a shard")?;
    let split = backed.place.shardex.run(&["maintain", "split", &shard])?;
    assert_eq!(split.code, Some(0), "{}", split.err);
    let refused = backed.restore(&[&shard])?;
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    assert!(refused.err.contains("before the shard was split"), "{}", refused.err);
    assert_eq!(backed.take()?, (2, 2));
    std::fs::remove_file(backed.file(&shard))?;
    assert_eq!(backed.restore(&[])?.code, Some(0));
    let summary = backed.place.shardex.ingest(&[&backed.place.text(), "--accept-deletions"])?;
    assert_eq!(summary["opened"], 0, "{summary}");
    let one = backed.place.archive("one")?;
    one.ingest(&[&backed.place.text(), "--partition", "none"])?;
    assert!(backed.place.shardex.dump()? == one.dump()?);
    Ok(())
}
