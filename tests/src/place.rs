//! A tree and an archive in a folder of their own, gone with the test.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{Instance, Shardex, write_series};

/// A tree of files and an archive for it.
pub struct Place {
    /// Holds both, and whatever a test puts beside them.
    pub folder: tempfile::TempDir,
    /// The tree.
    pub tree: PathBuf,
    /// The binary with the archive.
    pub shardex: Shardex,
}

impl Place {
    /// An empty tree; no archive yet.
    ///
    /// # Errors
    /// If there is no room, or the binary is not built.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let tree = folder.path().join("tree");
        std::fs::create_dir(&tree)?;
        let shardex = Shardex::new(&folder.path().join("archive"))?;
        Ok(Self { folder, tree, shardex })
    }

    /// A tree of `count` series `s0`, `s1`, … of `files` files, each of its own patient and study.
    ///
    /// # Errors
    /// As [`Place::new`].
    pub fn with_series(count: u32, files: u32) -> Result<Self> {
        let place = Self::new()?;
        for n in 0..count {
            write_series(&place.tree.join(format!("s{n}")), n, n, 1, files)?;
        }
        Ok(place)
    }

    /// The tree as an argument.
    #[must_use]
    pub fn text(&self) -> String {
        self.tree.to_string_lossy().into_owned()
    }

    /// Writes one file into the tree; folders on its way are made.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn write(&self, name: impl AsRef<Path>, instance: &Instance) -> Result<()> {
        let path = self.tree.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(path, instance.bytes())?)
    }

    /// The same binary with another archive in this place.
    ///
    /// # Errors
    /// If the binary is not built.
    pub fn archive(&self, name: &str) -> Result<Shardex> {
        Shardex::new(&self.folder.path().join(name))
    }

    /// The logical dump of a fresh archive over the tree as it is now.
    ///
    /// # Errors
    /// If the ingest or the dump fails.
    pub fn fresh_dump(&self) -> Result<String> {
        let fresh = self.archive("fresh")?;
        let summary = fresh.ingest(&[&self.text()])?;
        anyhow::ensure!(summary["ended"] == "complete", "a fresh archive: {summary}");
        fresh.dump()
    }
}

/// Waits until something is so.
///
/// # Errors
/// If it is not so within 20 seconds.
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        anyhow::ensure!(Instant::now() < until, "{what}: it did not happen in time");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Says that a test cannot show its duty on this machine.
pub fn skip(test: &str, why: &str) {
    use std::io::Write;
    // Not by `eprintln!`, which the test harness keeps to itself when a test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
