//! Reading one shard.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shardex_catalog::{Cell, LeafQuery, LeafSearch, ShardId};

use crate::StoreError;

/// Answers leaf queries. Blocks the calling thread (a router's leaf thread, never an async one).
pub trait Leaf: Send + Sync {
    /// Streams the rows of a query, in no order, to `row`; it stops early when `row` returns false,
    /// and with an error soon after `cancel` is set.
    ///
    /// # Errors
    /// [`StoreError`] if the shard cannot be read, or the query is refused or interrupted.
    fn rows(
        &self,
        shard: &ShardId,
        query: &LeafQuery,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError>;

    /// Streams the rows of a search to `row`, in its order where it has one; it stops early as
    /// [`Leaf::rows`] does.
    ///
    /// # Errors
    /// As [`Leaf::rows`].
    fn search(
        &self,
        shard: &ShardId,
        search: &LeafSearch,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError>;

    /// All shards that exist, ascending.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be listed.
    fn shards(&self) -> Result<Vec<ShardId>, StoreError>;

    /// Whether no row of a shard can satisfy `column IN values` (as text) or
    /// `column BETWEEN low AND high`, by what the shard really holds now.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    fn excludes(&self, shard: &ShardId, predicate: &shardex_catalog::Predicate) -> Result<bool, StoreError>;
}
