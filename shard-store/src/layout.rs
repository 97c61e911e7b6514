//! Where the files of an archive lie.

use std::path::{Path, PathBuf};

use shardex_catalog::{ShardId, StoreFile, StoreId};

/// Paths inside an archive.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.root.join("archive.toml")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn shards(&self) -> PathBuf {
        self.root.join("shards")
    }

    pub(crate) fn shard(&self, id: &ShardId) -> PathBuf {
        self.shards().join(format!("{id}.sqlite"))
    }

    pub(crate) fn ledger_folder(&self) -> PathBuf {
        self.root.join("ledger")
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.ledger_folder().join("0.sqlite")
    }

    pub(crate) fn registry_folder(&self) -> PathBuf {
        self.root.join("registry")
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.registry_folder().join("0.sqlite")
    }

    pub(crate) fn jobs(&self) -> PathBuf {
        self.root.join("jobs.sqlite")
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// What comes from and goes to other machines.
    pub(crate) fn moving(&self) -> PathBuf {
        self.root.join("moving")
    }

    /// A database file of a store.
    pub(crate) fn file(&self, file: &StoreFile) -> PathBuf {
        match file {
            StoreFile::Ledger => self.ledger(),
            StoreFile::Registry => self.registry(),
            StoreFile::Shard(shard) => self.shard(shard),
        }
    }

    /// A database file of a store on its way.
    pub(crate) fn moving_file(&self, file: &StoreFile, kind: &str) -> PathBuf {
        let name = match file {
            StoreFile::Ledger => "ledger",
            StoreFile::Registry => "registry",
            StoreFile::Shard(shard) => shard.as_str(),
        };
        self.moving().join(format!("{}.{kind}", name.replacen('/', "~", 1)))
    }

    /// A mark that says how far a store is on its way.
    pub(crate) fn moving_mark(&self, store: &StoreId, kind: &str) -> PathBuf {
        self.moving().join(format!("{}.{kind}", store.as_str().replacen('/', "~", 1)))
    }

    /// What a shard is split into, until it is in its place.
    pub(crate) fn splitting(&self) -> PathBuf {
        self.root.join("splitting")
    }

    /// A file of a shard that is split.
    pub(crate) fn splitting_file(&self, id: &ShardId, kind: &str) -> PathBuf {
        self.splitting().join(format!("{}.{kind}", id.as_str().replacen('/', "~", 1)))
    }

    /// The shards that exist as files, ascending.
    pub(crate) fn list_shards(&self) -> std::io::Result<Vec<ShardId>> {
        let mut shards = Vec::new();
        let partitions = match std::fs::read_dir(self.shards()) {
            Ok(partitions) => partitions,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(shards),
            Err(error) => return Err(error),
        };
        for partition in partitions {
            let partition = partition?;
            if !partition.file_type()?.is_dir() {
                continue;
            }
            for bucket in std::fs::read_dir(partition.path())? {
                let bucket = bucket?.file_name();
                let name = partition.file_name();
                let (Some(name), Some(bucket)) = (name.to_str(), bucket.to_str()) else { continue };
                let id =
                    bucket.strip_suffix(".sqlite").map(|bucket| ShardId::new(&format!("{name}/{bucket}")));
                shards.extend(id.and_then(Result::ok));
            }
        }
        shards.sort();
        Ok(shards)
    }
}
