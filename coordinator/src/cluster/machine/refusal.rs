//! Why a request is refused.

use super::WorkerName;

/// A request changes nothing, and its caller learns why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A newer process has the worker's name.
    #[error("another process reports as worker `{0}` now: two must not have one name")]
    Replaced(WorkerName),
    /// The stored state is older than the stores.
    #[error(
        "worker `{worker}` has seen fence {seen}, the coordinators' state knows none above {known}: it was put back \
         from a backup; run `shardex coordinator` with --recover-state on it"
    )]
    Restored {
        /// Who knows better.
        worker: WorkerName,
        /// The fence it has seen.
        seen: u64,
        /// The highest that the state knows.
        known: u64,
    },
    /// The worker's rows have other columns.
    #[error("worker and coordinator index different attributes: run the same release of shardex on both")]
    OtherSchema,
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// What is named is not there.
    #[error("{0}")]
    NotFound(String),
    /// Not now, or not so.
    #[error("{0}")]
    Refused(String),
    /// Nobody can own a shard.
    #[error("no worker that owns stores is alive: start one with --store")]
    NoOwners,
}
