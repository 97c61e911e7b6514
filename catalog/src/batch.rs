//! What is sent to a shard, and what it answers.

use crate::{Fence, FileName, FileRow, Incarnation, RelativePath, ShardId, SourceName};

/// A part of one directory: the names whose hash lies in `hash_from..=hash_to`. A fence guards a
/// range; ranges of one directory may nest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DirectoryRange {
    /// The source.
    pub source: SourceName,
    /// The directory, relative to the source's root.
    pub path: RelativePath,
    /// First hash of the range.
    pub hash_from: u32,
    /// Last hash of the range.
    pub hash_to: u32,
}

impl DirectoryRange {
    /// The whole directory.
    #[must_use]
    pub fn whole(source: SourceName, path: RelativePath) -> Self {
        Self { source, path, hash_from: 0, hash_to: u32::MAX }
    }

    /// Whether the range covers every name of its directory.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.hash_from == 0 && self.hash_to == u32::MAX
    }

    /// Whether a name belongs to the range.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.is_whole() || (self.hash_from..=self.hash_to).contains(&crate::name_hash(name))
    }
}

/// One change to a shard. `directory` is an index into [`RowBatch::directories`].
#[derive(Clone, Debug)]
pub enum Operation {
    /// Stores a file's row in the place of what was stored for its name.
    Upsert {
        /// Index of the directory.
        directory: u32,
        /// The row.
        row: FileRow,
    },
    /// Removes what is stored for a name, if anything.
    Remove {
        /// Index of the directory.
        directory: u32,
        /// The name.
        name: FileName,
    },
}

/// Changes to one shard that are applied together or not at all. Applying a batch twice is as
/// applying it once.
#[derive(Clone, Debug)]
pub struct RowBatch {
    /// The shard.
    pub shard: ShardId,
    /// Fence of the unit that was read; refused when a higher one was seen for a directory.
    pub fence: Fence,
    /// The directories that the operations name.
    pub directories: Vec<DirectoryRange>,
    /// The changes, in order.
    pub operations: Vec<Operation>,
}

/// Answer to a batch: it is in the shard's file as this sequence number of this incarnation, but
/// durable only after the next barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The shard file's life.
    pub incarnation: Incarnation,
    /// Number of the batch in that life, from 1.
    pub sequence: u64,
}
