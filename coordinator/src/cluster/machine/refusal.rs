//! Why the leader does not do what it is asked.

/// A refusal, with the next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "worker `{worker}` has stores that were written after this state of the cluster was saved: the coordinators' \
         store was put back from an older copy; run `shardex recover --coordinator URL` when all workers are up"
    )]
    OlderState { worker: String },
    #[error("the worker's archive places studies otherwise than the cluster: it belongs to another one")]
    OtherPlacement,
    #[error("there is no job {0}")]
    NoJob(u64),
    #[error("job {0} has ended")]
    Ended(u64),
    #[error("a job needs sources, each named once")]
    NoSources,
    #[error("source `{name}` is of domain `{known}`: a source keeps its domain")]
    OtherDomain { name: String, known: String },
    #[error("there is no worker `{0}`")]
    NoWorker(String),
    #[error("worker `{0}` reports: stop it first")]
    StillAlive(String),
    #[error("no worker that owns stores is alive: start one")]
    NoOwner,
}
