//! How an ingest ended.

use std::collections::BTreeMap;

use shardex_catalog::{FileKind, FileState, Reason, ShardId, SourceName, WarningClass};

/// A source whose deletions were not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSource {
    /// The source.
    pub source: SourceName,
    /// Files that the index has and the source lacks.
    pub vanished: u64,
    /// Files that the index has, those included.
    pub live: u64,
    /// What speaks against deleting.
    pub why: &'static str,
}

/// How an ingest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All was looked at and recorded.
    Complete,
    /// It was asked to stop; the same command goes on.
    Interrupted,
    /// All was recorded, but files that are gone stay in the index until deletions are accepted.
    Held(Vec<HeldSource>),
    /// Some of it could not be looked at or written.
    Incomplete {
        /// Directories that could not be listed.
        unreadable_directories: u64,
        /// Shards that could not be written, with the reason.
        failed_shards: Vec<(ShardId, String)>,
    },
}

/// Result of an ingest.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// Files seen, by state.
    pub states: BTreeMap<FileState, u64>,
    /// Quarantined and skipped files by reason, of those read in this run.
    pub reasons: BTreeMap<Reason, u64>,
    /// Indexed files by warning, of those read in this run.
    pub warnings: BTreeMap<WarningClass, u64>,
    /// Files that are no DICOM by kind, of those read in this run.
    pub kinds: BTreeMap<FileKind, u64>,
    /// Files seen.
    pub files: u64,
    /// Files opened.
    pub opened: u64,
    /// Files known and unchanged.
    pub unchanged: u64,
    /// Files not known before.
    pub new: u64,
    /// Files known and changed.
    pub changed: u64,
    /// Files that were deleted or missing before and are back.
    pub returned: u64,
    /// Files that are gone and still indexed.
    pub missing: u64,
    /// Files removed from the index.
    pub deleted: u64,
    /// Of the deleted and missing, files that were read again at another path.
    pub moved: u64,
    /// Directories listed.
    pub directories: u64,
    /// Directories left out.
    pub directories_skipped: u64,
    /// Directories that could not be listed.
    pub unreadable_directories: u64,
    /// Sizes of the files seen, together.
    pub bytes: u64,
}
