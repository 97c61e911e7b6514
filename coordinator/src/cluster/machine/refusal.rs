//! Why a request is refused.

use super::{Memory, WorkerName};

/// A request changes nothing, and its caller learns why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A newer process has the worker's name.
    #[error("another process reports as worker `{0}` now: two must not have one name")]
    Replaced(WorkerName),
    /// The stored state is older than the stores.
    #[error(
        "the coordinators' state is older than what worker `{worker}` has seen, so it was put back from a backup: \
         nothing is served until it is made anew from what the workers hold, by `shardex recover --coordinator URL`"
    )]
    Restored {
        /// Who knows better.
        worker: WorkerName,
        /// What it has seen.
        seen: Memory,
    },
    /// The stored state is gone.
    #[error(
        "the coordinators' state is gone: they know nothing of the cluster to which worker `{worker}` belongs. Put the \
         state back, or have it made anew from what the workers hold, by `shardex recover --coordinator URL`. If the \
         worker has strayed from another cluster, stop it, and start the coordinators again"
    )]
    Lost {
        /// Who remembers.
        worker: WorkerName,
        /// What it has seen.
        seen: Memory,
    },
    /// The map is being made anew.
    #[error("the map of the cluster is being made anew: {0}")]
    Recovering(String),
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

impl Refusal {
    /// What the state should know, if it is the state that is refused.
    pub(crate) fn seen(&self) -> Option<&Memory> {
        match self {
            Self::Restored { seen, .. } | Self::Lost { seen, .. } => Some(seen),
            _ => None,
        }
    }
}
