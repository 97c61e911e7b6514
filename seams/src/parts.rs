//! What reports are made of: what one shard says, and what the ledger says.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shardex_catalog::{Cell, ShardId};

use crate::StoreError;

/// What a report wants of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardPart {
    /// Files that share a SOP Instance UID: the columns of `report duplicates`.
    Duplicates,
    /// Studies whose dates cannot be right: the columns of `report dates`. `today` is `YYYYMMDD`; dates after
    /// it lie in the future.
    Dates {
        /// See above.
        today: String,
    },
    /// Studies whose files disagree: the columns of `report split-studies`.
    SplitStudies,
    /// Counts that add up with those of other shards: (section, name, studies, series, instances, bytes,
    /// count, of).
    Counts {
        /// As of `Dates`.
        today: String,
        /// Rows of files that are read for attributes which files store themselves. `None`: all.
        file_rows_max: Option<u64>,
    },
    /// Hashes of what may be in several shards: (key of 16 bytes, value). Those with key modulo `passes` =
    /// `pass` only.
    Keys {
        /// What is counted.
        of: KeysOf,
        /// See above.
        pass: u32,
        /// At least 1.
        passes: u32,
    },
    /// (bytes of its file).
    Size,
    /// (studies, series, instances, series with more than so many headers).
    Totals {
        /// See above.
        headers_max: u64,
    },
}

/// What [`ShardPart::Keys`] tells the keys of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysOf {
    /// Patients. The value is 0.
    Patients,
    /// Series by UID alone; the value stands for the study.
    Series,
}

/// What a report wants of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HomePart {
    /// Files that are gone, paired with what they became: the columns of `report moves`.
    Moves,
    /// Files that are gone: the columns of `report deletions`.
    Deletions,
    /// Directories that could not be listed: (source, path, reason).
    Unreadable,
    /// Counts of files: (section, name, count, bytes).
    Counts,
}

impl ShardPart {
    /// Columns of its rows.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::Duplicates => 10,
            Self::Dates { .. } => 7,
            Self::SplitStudies => 6,
            Self::Counts { .. } => 8,
            Self::Keys { .. } => 2,
            Self::Size => 1,
            Self::Totals { .. } => 4,
        }
    }
}

impl HomePart {
    /// Columns of its rows.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::Moves => 6,
            Self::Deletions => 5,
            Self::Unreadable => 3,
            Self::Counts => 4,
        }
    }
}

/// Says the parts of reports, wherever the stores are. Its calls block, and may be made from several
/// threads at once.
pub trait ReportParts: Send + Sync {
    /// All shards that exist, ascending.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be listed.
    fn shards(&self) -> Result<Vec<ShardId>, StoreError>;

    /// Streams a part of one shard to `row`, until that returns false; ends with an error soon after
    /// `cancel` is set.
    ///
    /// # Errors
    /// [`StoreError`] if the shard cannot be read.
    fn of_shard(
        &self,
        shard: &ShardId,
        part: &ShardPart,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError>;

    /// Streams a part of the ledger to `row`, as [`ReportParts::of_shard`].
    ///
    /// # Errors
    /// [`StoreError`] if the ledger cannot be read.
    fn of_home(
        &self,
        part: HomePart,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError>;
}
