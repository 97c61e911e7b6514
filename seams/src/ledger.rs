//! The ledger: what is known of every path seen.

use async_trait::async_trait;
use shardex_catalog::{
    Applied, DirectoryRange, DirectoryRecord, Fence, FileName, LedgerChange, ShardId, SourceName,
};

use crate::StoreError;

/// Records of directories. Look-ups block the calling thread (a reader's, never an async one);
/// changes are awaited.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// What is recorded of a range of a directory; `None` if nothing is.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    fn record(&self, range: &DirectoryRange) -> Result<Option<DirectoryRecord>, StoreError>;

    /// [`Ledger::record`] for many ranges, in their order: one question where the ledger is far away.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    fn records(&self, ranges: &[DirectoryRange]) -> Result<Vec<Option<DirectoryRecord>>, StoreError> {
        ranges.iter().map(|range| self.record(range)).collect()
    }

    /// The shards that the entries of these names rest on, in their order; `None` for a name without
    /// an entry, and for an entry without a row. Takes the memory of one record, however many names
    /// the directory has.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    fn shards_of(
        &self,
        range: &DirectoryRange,
        names: &[FileName],
    ) -> Result<Vec<Option<ShardId>>, StoreError>;

    /// Whether a directory carries an open mark of an earlier run: rows may have been sent that no
    /// record knows.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    fn is_open(&self, range: &DirectoryRange) -> Result<bool, StoreError>;

    /// Marks directories open before their first row is sent. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`]; no row of them may be sent then.
    ///
    /// # Cancel safety
    /// Dropped, the marks may or may not stand; marking again is harmless.
    async fn open(&self, ranges: Vec<DirectoryRange>, fence: Fence) -> Result<(), StoreError>;

    /// Carries out changes, all or none. Call it only after the barriers that the records' claims
    /// rest on.
    ///
    /// # Errors
    /// [`StoreError`]; none of the changes counts.
    ///
    /// # Cancel safety
    /// Dropped, the changes may or may not be made; making them again is harmless.
    async fn commit(&self, changes: Vec<LedgerChange>) -> Result<(), StoreError>;

    /// Directory ranges of a source with open marks of fences lower than `fence`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn open_before(
        &self,
        source: SourceName,
        fence: Fence,
        limit: u32,
    ) -> Result<Vec<DirectoryRange>, StoreError>;

    /// Ranges of a source whose records have missing entries, after `after`, at most `limit`,
    /// in order of path.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn with_missing(
        &self,
        source: SourceName,
        after: Option<DirectoryRange>,
        limit: u32,
    ) -> Result<Vec<DirectoryRange>, StoreError>;

    /// Number of entries of a source that are not deleted, and of those of them that are missing.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn present_and_missing(&self, source: SourceName) -> Result<(u64, u64), StoreError>;

    /// The last durable position of every shard that a committed record rests on.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn positions(&self) -> Result<Vec<(ShardId, Applied)>, StoreError>;
}
