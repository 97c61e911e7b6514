//! The folder of snapshots: where things lie in it, and what `latest.json` says.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shardex_catalog::ShardId;
use shardex_seams::StoreError;

use crate::archive::ArchiveError;
use crate::error::io_error;
use crate::manifest::Manifest;
use crate::moving::write_whole;
use crate::private;

/// Version of `latest.json`.
const VERSION: u32 = 1;
const LATEST: &str = "latest.json";
const BUFFER: usize = 1 << 20;

/// What `latest.json` says of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Latest {
    version: u32,
    /// BLAKE3 of the copy, in hexadecimal digits: its name.
    pub(super) digest: String,
    /// Size of the copy.
    pub(super) bytes: u64,
    /// When it was taken, in nanoseconds since the Unix epoch.
    pub(super) taken_ns: i64,
    /// Incarnation and last batch of each life of the shard.
    pub(super) lives: Vec<(u64, u64)>,
    /// Size and modification time of the file that was copied; none if it had a log.
    pub(super) stamp: Option<(u64, i64)>,
    /// Copies taken before that are still there, newest first.
    pub(super) older: Vec<String>,
}

impl Latest {
    /// Of a first copy.
    pub(super) fn new(digest: String, bytes: u64, taken_ns: i64) -> Self {
        Self { version: VERSION, digest, bytes, taken_ns, lives: Vec::new(), stamp: None, older: Vec::new() }
    }
}

/// A folder of snapshots.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn shards(&self) -> PathBuf {
        self.root.join("shards")
    }

    pub(super) fn of_shard(&self, shard: &ShardId) -> PathBuf {
        self.shards().join(shard.as_str())
    }

    pub(super) fn copy(&self, shard: &ShardId, digest: &str) -> PathBuf {
        self.of_shard(shard).join(format!("{digest}.sqlite"))
    }

    fn manifest_path(&self) -> PathBuf {
        self.root.join("archive.toml")
    }

    /// The manifest of the archive whose shards these are; `None` if there is none.
    ///
    /// # Errors
    /// [`ArchiveError::OtherSnapshots`] for the folder of an archive.
    pub(super) fn manifest(&self) -> Result<Option<Manifest>, ArchiveError> {
        let known = Manifest::read(&self.manifest_path())?;
        let failed = |source| ArchiveError::Io { path: self.root.clone(), source };
        if known.is_some() && !self.is_ours().map_err(failed)? {
            return Err(ArchiveError::OtherSnapshots { path: self.root.clone() });
        }
        Ok(known)
    }

    /// Makes the folder for an archive, or sees that it is one's that is partitioned so.
    pub(super) fn prepare(&self, manifest: &Manifest) -> Result<(), ArchiveError> {
        let failed = |source| ArchiveError::Io { path: self.root.clone(), source };
        match self.manifest()? {
            Some(known) if known.is_alike(manifest) => return Ok(()),
            Some(_) => return Err(ArchiveError::OtherSnapshots { path: self.root.clone() }),
            None => {}
        }
        private::create_folder(&self.root).map_err(failed)?;
        if !self.is_ours().map_err(failed)? {
            return Err(ArchiveError::NotSnapshots { path: self.root.clone() });
        }
        private::create_folder(&self.shards()).map_err(failed)?;
        manifest.write(&self.manifest_path())
    }

    /// Whether nothing lies here but snapshots, or what an interrupted beginning left: an archive has a manifest, too.
    fn is_ours(&self) -> io::Result<bool> {
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            if !["shards", "archive.toml", "archive.toml.new"].iter().any(|known| name == *known) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The shards of which there are snapshots, ascending.
    pub(super) fn list(&self) -> Result<Vec<ShardId>, StoreError> {
        let failed = |error: io::Error| io_error(&self.shards(), &error);
        let mut shards = Vec::new();
        for partition in fs::read_dir(self.shards()).map_err(failed)? {
            let partition = partition.map_err(failed)?;
            for bucket in fs::read_dir(partition.path()).map_err(failed)? {
                let bucket = bucket.map_err(failed)?;
                let (partition, bucket) = (partition.file_name(), bucket.file_name());
                let (Some(partition), Some(bucket)) = (partition.to_str(), bucket.to_str()) else { continue };
                let Ok(shard) = ShardId::new(&format!("{partition}/{bucket}")) else { continue };
                if self.of_shard(&shard).join(LATEST).exists() {
                    shards.push(shard);
                }
            }
        }
        shards.sort();
        Ok(shards)
    }

    /// What is known of a shard's snapshot; `None` if there is none.
    pub(super) fn latest(&self, shard: &ShardId) -> Result<Option<Latest>, StoreError> {
        let path = self.of_shard(shard).join(LATEST);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&path, &error)),
        };
        let file = format!("{shard}/{LATEST}");
        let latest: Latest = serde_json::from_str(&text)
            .map_err(|error| StoreError::Corrupt { file: file.clone(), detail: error.to_string() })?;
        let names = latest.older.iter().chain([&latest.digest]);
        if latest.version != VERSION || !names.into_iter().all(|name| is_digest(name)) {
            let detail = format!("it is not of version {VERSION}, or names no copy");
            return Err(StoreError::Corrupt { file, detail });
        }
        Ok(Some(latest))
    }

    /// Has a shard's snapshot be this one, durably.
    pub(super) fn set_latest(&self, shard: &ShardId, latest: &Latest) -> Result<(), StoreError> {
        let path = self.of_shard(shard).join(LATEST);
        let text = serde_json::to_string(latest).map_err(|error| StoreError::Query(error.to_string()))?;
        write_whole(&path, &text).map_err(|error| io_error(&path, &error))
    }
}

/// Names in a file that somebody may have changed are no paths.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads all that `from` gives, hands each part to `to`, and returns digest and length.
pub(super) fn digest_of(
    mut from: impl Read,
    mut to: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(String, u64)> {
    let (mut hasher, mut buffer, mut bytes) = (blake3::Hasher::new(), vec![0; BUFFER], 0);
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finalize().to_hex().to_string(), bytes)),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..read]);
        to(&buffer[..read])?;
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_copy_is_refused() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(root.path());
        let shard = ShardId::new("2019-00000000/0").expect("an id");
        fs::create_dir_all(folder.of_shard(&shard)).expect("made");
        let sound = Latest::new("ab".repeat(32), 4096, 5);
        folder.set_latest(&shard, &sound).expect("written");
        assert_eq!(folder.latest(&shard).expect("read"), Some(sound.clone()));
        assert_eq!(folder.list().expect("listed"), std::slice::from_ref(&shard));
        for hostile in [
            Latest { digest: "../../../etc/passwd".into(), ..sound.clone() },
            Latest { older: vec![format!("{}/", "a".repeat(63))], ..sound.clone() },
            Latest { version: VERSION + 1, ..sound },
        ] {
            folder.set_latest(&shard, &hostile).expect("written");
            let refused = folder.latest(&shard).expect_err("refused").to_string();
            assert!(refused.contains("2019-00000000/0/latest.json"), "{refused}");
        }
        fs::write(folder.of_shard(&shard).join(LATEST), "{}").expect("written");
        assert!(folder.latest(&shard).is_err());
    }
}
