//! Writing rows to shards.

use async_trait::async_trait;
use shardex_catalog::{Applied, DirectoryRange, FileName, Incarnation, RowBatch, ShardId, SourceName};

use crate::StoreError;

/// The lives of a shard's file, oldest first: (incarnation, number of its last batch in the file).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(pub Vec<(Incarnation, u64)>);

impl History {
    /// Whether a batch is in the file.
    #[must_use]
    pub fn contains(&self, applied: Applied) -> bool {
        self.0.iter().any(|(life, last)| *life == applied.incarnation && applied.sequence <= *last)
    }

    /// The last batch in the file; `None` for one without any.
    #[must_use]
    pub fn last(&self) -> Option<Applied> {
        self.0
            .last()
            .map(|(incarnation, sequence)| Applied { incarnation: *incarnation, sequence: *sequence })
    }
}

/// A file that a shard has a row of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredName {
    /// Its source.
    pub source: SourceName,
    /// Its directory, relative to the source.
    pub directory: shardex_catalog::RelativePath,
    /// Its name.
    pub name: FileName,
}

/// Writes to the shards that this process owns, or forwards to the process that does.
#[async_trait]
pub trait ShardWriter: Send + Sync {
    /// Applies a batch, all of it or nothing. Afterwards it is in the shard's file, but it is
    /// durable only after [`ShardWriter::barrier`].
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the batch was applied.
    ///
    /// # Cancel safety
    /// Dropped, the batch may or may not be applied; applying it again is harmless.
    async fn apply(&self, batch: RowBatch) -> Result<Applied, StoreError>;

    /// Makes everything applied to a shard before this call durable.
    ///
    /// # Errors
    /// [`StoreError`]; nothing can be said of what was applied since the last barrier.
    ///
    /// # Cancel safety
    /// Safe to drop.
    async fn barrier(&self, shard: ShardId) -> Result<(), StoreError>;

    /// All shards that exist.
    ///
    /// # Errors
    /// [`StoreError`] if the shards cannot be listed.
    async fn shards(&self) -> Result<Vec<ShardId>, StoreError>;

    /// The history of a shard; empty for one that does not exist.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn history(&self, shard: ShardId) -> Result<History, StoreError>;

    /// The names that a shard has rows of in a range of a directory, ascending.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn names(&self, shard: ShardId, range: DirectoryRange) -> Result<Vec<FileName>, StoreError>;

    /// At most `limit` files that a shard has rows of, ascending, after `after`.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn files_after(
        &self,
        shard: ShardId,
        after: Option<StoredName>,
        limit: u32,
    ) -> Result<Vec<StoredName>, StoreError>;

    /// How many of these files have a twin in the shard: another file of the same instance with an
    /// equal digest, that was written with the fence `since` or a higher one. A vanished file with such a
    /// twin has moved.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn moved(
        &self,
        shard: ShardId,
        range: DirectoryRange,
        names: Vec<FileName>,
        since: shardex_catalog::Fence,
    ) -> Result<u64, StoreError>;
}
