//! Checks an archive against itself, read-only: its files, header counts, registry and ledger
//! against the shards. What lies outside the archive (the indexed files) is the caller's to check.

mod counts;
mod entries;
mod headers;
mod integrity;
mod lookup;
mod registry;
mod schema;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use shardex_catalog::ShardId;
use shardex_seams::StoreError;

use crate::archive::ReadArchive;
use crate::error::store_error;
use crate::schema::SHARD;
use crate::sqlite;
pub use entries::CheckedEntry;
pub use integrity::Depth;
pub use lookup::StoredRow;

const CACHE_BYTES: u64 = 8 << 20;
const INSTRUCTIONS_BETWEEN_CHECKS: i32 = 10_000;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $advice:literal;)*) => {
        /// What was found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $variant,)* }

        impl Kind {
            /// Name in answers.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What to do about it.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)* }
            }
        }
    };
}

kinds! {
    /// SQLite finds a file of the archive damaged.
    Damaged = "damaged", "put back a copy of the file or delete it, then run `shardex recover`";
    /// A file of the archive cannot be opened.
    Unreadable = "unreadable", "see to the file's permissions and disk";
    /// A file lacks a table, an index or a view of its format.
    Schema = "schema", "put back a copy of the file or delete it, then run `shardex recover` and ingest again";
    /// A row refers to a row that is not there.
    Reference = "reference", "delete the shard's file, then run `shardex recover` and ingest again";
    /// A header's counts are not those of what lies below it.
    Count = "count", "delete the shard's file, then run `shardex recover` and ingest again";
    /// An instance has no file that is shown, or several.
    Primary = "primary", "delete the shard's file, then run `shardex recover` and ingest again";
    /// A header's values are not those of its digest.
    HeaderDigest = "header_digest", "delete the shard's file, then run `shardex recover` and ingest again";
    /// Ledger, registry and job state are not of one time.
    Token = "token", "run `shardex recover`";
    /// The ledger rests on batches that a shard does not have.
    OlderShard = "older_shard", "run `shardex recover`, then ingest again";
    /// A study of a shard is not in the registry.
    Unclaimed = "unclaimed_study", "run `shardex recover`";
    /// A study of a shard is claimed for another shard.
    ClaimedElsewhere = "study_claimed_elsewhere", "run `shardex recover`, then ingest again";
    /// A file is indexed by the ledger and has no row.
    RowMissing = "row_missing", "run `shardex recover`, then ingest again";
    /// Row and ledger differ on a file's size or time.
    RowDiffers = "row_differs", "ingest again";
    /// A row of a file that the ledger does not have in this shard.
    RowWithoutEntry = "row_without_entry", "run `shardex recover`, then ingest again";
    /// Directories that an interrupted ingest left half-recorded.
    Interrupted = "interrupted", "run the same ingest again";
    /// The root of a source is not there.
    SourceMissing = "source_missing", "mount it, or name its new place with `ingest NAME=PATH --rebind`";
    /// An indexed file is gone.
    FileMissing = "file_missing", "ingest again; deletions may want --accept-deletions";
    /// An indexed file has another size or time.
    FileChanged = "file_changed", "ingest again";
    /// An indexed file cannot be read.
    FileUnreadable = "file_unreadable", "see to its permissions and disk";
    /// A file has the size and time of its row and other content.
    ContentDiffers = "content_differs", "the storage may be damaged, or the file was changed unseen: compare it with a backup";
}

/// One finding. Names places inside the archive, or paths of sources: an answer, never for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// File of the archive, shard, or source.
    pub place: String,
    /// Path relative to the source, where it is about a file.
    pub path: Option<Vec<u8>>,
    /// The rest, for people.
    pub detail: String,
}

impl Finding {
    pub(crate) fn at(kind: Kind, place: impl ToString, detail: impl Into<String>) -> Self {
        Self { kind, place: place.to_string(), path: None, detail: detail.into() }
    }
}

/// Who waits for a check.
pub trait Watch {
    /// Something was found.
    fn found(&mut self, finding: Finding);
    /// Progress: bytes, studies or files, as the check says.
    fn advance(&mut self, by: u64);
}

impl ReadArchive {
    /// Opens a shard to check it; what keeps it from being opened becomes a finding.
    fn checked_shard(&self, shard: &ShardId, watch: &mut dyn Watch) -> Option<Connection> {
        match sqlite::open_reader(&self.layout().shard(shard), &SHARD, CACHE_BYTES) {
            Ok(connection) => connection,
            Err(error) => {
                watch.found(refused(shard, &error));
                None
            }
        }
    }
}

/// The finding of a file that cannot be opened or read.
fn refused(place: impl ToString, error: &StoreError) -> Finding {
    let kind = match error {
        StoreError::Corrupt { .. } => Kind::Damaged,
        _ => Kind::Unreadable,
    };
    Finding::at(kind, place, error.to_string())
}

/// Stops a connection's statements once the flag is set.
fn stop_on(connection: &mut Connection, cancel: &Arc<AtomicBool>) -> rusqlite::Result<()> {
    let stop = Arc::clone(cancel);
    connection.progress_handler(INSTRUCTIONS_BETWEEN_CHECKS, Some(move || stop.load(Ordering::Relaxed)))
}

/// What a failed statement means: a cancelled check ends, a damaged file is a finding.
fn settle(
    result: rusqlite::Result<()>,
    place: impl ToString,
    path: &Path,
    watch: &mut dyn Watch,
) -> Result<(), StoreError> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {
            Err(StoreError::Query("interrupted".into()))
        }
        Err(error) => {
            watch.found(refused(place, &store_error(path, error)));
            Ok(())
        }
    }
}
