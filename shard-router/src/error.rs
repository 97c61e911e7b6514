//! Why a query got no answer.

use std::time::Duration;

use shardex_catalog::{ShardId, View};
use shardex_proto::Fault;
use shardex_seams::StoreError;
use shardex_shard_store::merge;

use crate::FailedShard;

/// A query was refused, stopped or failed. Texts are for the one who asked: they quote the
/// statement and must not be logged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The statement is not one that reads the views.
    #[error("{0}")]
    Refused(String),
    /// The query's deadline passed.
    #[error("the query took longer than {} seconds: narrow it, or allow more time", .0.as_secs_f64())]
    Deadline(Duration),
    /// The caller cancelled.
    #[error("the query was cancelled")]
    Cancelled,
    /// A view has more matching rows than may be pulled.
    #[error(
        "the query needs more than {rows_max} rows of `{view}`: add conditions on columns of `{view}` to its WHERE \
         clause, or raise the limit of rows"
    )]
    TooManyRows {
        /// The limit.
        rows_max: u64,
        /// The view.
        view: View,
    },
    /// Rows and intermediate results need more temporary space than allowed.
    #[error(
        "the query needs more than {bytes_max} bytes of temporary space: read fewer columns, add conditions, or raise \
         the limit"
    )]
    TooManyBytes {
        /// The limit.
        bytes_max: u64,
    },
    /// A shard failed, and a partial answer was not asked for.
    #[error("shard `{shard}` failed: {source}")]
    Shard {
        /// The shard.
        shard: ShardId,
        /// Why.
        source: StoreError,
    },
    /// Every shard that was asked failed.
    #[error("all {failed} shards that were asked failed; `{}`: {}", .first.shard, .first.reason)]
    AllShards {
        /// How many.
        failed: usize,
        /// The first.
        first: Box<FailedShard>,
    },
    /// What was read of a shard may lie in another one, too.
    #[error("shard `{0}` was split while it was asked: ask again")]
    Split(ShardId),
    /// The shards could not be listed, or the ledger not read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The statement failed while it ran over the merged rows.
    #[error("{0}")]
    Failed(String),
    /// Another router, which was asked over the network, says why.
    #[error("{}", .0.message)]
    Remote(Box<Fault>),
}

impl From<merge::Error> for Error {
    fn from(error: merge::Error) -> Self {
        match error {
            merge::Error::Refused(reason) => Self::Refused(reason),
            merge::Error::Stopped => Self::Cancelled,
            merge::Error::Full { bytes_max } => Self::TooManyBytes { bytes_max },
            merge::Error::Failed(reason) => Self::Failed(reason),
        }
    }
}
