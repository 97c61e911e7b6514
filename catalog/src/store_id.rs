//! What one worker of a cluster owns as a whole, and the files that it lies in.

use std::fmt;

use crate::{InvalidId, ShardId};

const HOME: &str = "home";

/// What has one owner: a shard, or ledger and registry, which stay together. As text `home`, or the shard's id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoreId {
    /// Ledger and registry.
    Home,
    /// A shard.
    Shard(ShardId),
}

/// A database file of a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StoreFile {
    /// The ledger.
    Ledger,
    /// The registry.
    Registry,
    /// A shard's only one.
    Shard(ShardId),
}

impl StoreId {
    /// Takes its text.
    ///
    /// # Errors
    /// [`InvalidId`] for anything else.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        // No shard has this name: that of a shard has a `/`.
        if text == HOME { Ok(Self::Home) } else { ShardId::new(text).map(Self::Shard) }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Home => HOME,
            Self::Shard(shard) => shard.as_str(),
        }
    }

    /// Which shard it is, if it is one.
    #[must_use]
    pub fn shard(&self) -> Option<&ShardId> {
        match self {
            Self::Home => None,
            Self::Shard(shard) => Some(shard),
        }
    }

    /// The files that it lies in.
    #[must_use]
    pub fn files(&self) -> Vec<StoreFile> {
        match self {
            Self::Home => vec![StoreFile::Ledger, StoreFile::Registry],
            Self::Shard(shard) => vec![StoreFile::Shard(shard.clone())],
        }
    }
}

impl StoreFile {
    /// The store that it belongs to.
    #[must_use]
    pub fn store(&self) -> StoreId {
        match self {
            Self::Ledger | Self::Registry => StoreId::Home,
            Self::Shard(shard) => StoreId::Shard(shard.clone()),
        }
    }
}

impl From<ShardId> for StoreId {
    fn from(shard: ShardId) -> Self {
        Self::Shard(shard)
    }
}

impl From<&ShardId> for StoreId {
    fn from(shard: &ShardId) -> Self {
        Self::Shard(shard.clone())
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_its_text_and_its_files() {
        for (text, files) in [("home", 2), ("y2019/0", 1)] {
            let store = StoreId::new(text).expect("a store");
            assert_eq!((store.as_str(), store.files().len()), (text, files));
            assert!(store.files().iter().all(|file| file.store() == store));
        }
        assert!(StoreId::new("").is_err() && StoreId::new("../x").is_err());
    }
}
