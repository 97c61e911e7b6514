//! Queries over all shards of an archive: plan, fan out, merge.
//!
//! A statement is analysed against the views, what of its WHERE clauses can be is pushed to the
//! shards, shards that cannot answer are left out, the others' rows are pulled into a merge
//! database, and the user's own text runs there unchanged. So every statement that SQLite accepts
//! is answered exactly, within limits; pushing and pruning only decide how many rows travel.
//!
//! A search by keys needs no statement: shards look up what matches, and the merge database orders it.
//!
//! Nothing here knows SQLite's files, or where a shard is: shards are behind
//! [`shardex_seams::Leaf`], files that are not indexed behind [`LedgerFiles`], reports that are no
//! queries behind [`Reports`], and running SQL behind [`shardex_shard_store::merge`].

mod batch;
mod completeness;
mod error;
mod fanout;
mod grpc;
mod ledger_files;
mod options;
mod patients;
mod plan;
mod pull;
mod reports;
mod router;
mod search;
mod stop;

pub use completeness::{Completeness, FailedShard};
pub use error::Error;
pub use grpc::{QueryService, Remote, ServiceSettings};
pub use ledger_files::{LEDGER_FILES_COLUMNS, LedgerFiles, NoLedgerFiles, ledger_files_row};
pub use options::{Answers, QueryOptions, RowSink, Settings};
pub use reports::{ReportKind, ReportRequest, Reports, report_columns};
pub use router::Router;
pub use shardex_shard_store::merge::{Columns, LIST_BYTES_MAX, LIST_ROWS_MAX, Limits, List, ResultColumn};
