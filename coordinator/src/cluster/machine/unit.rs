//! A unit of a job.

use serde::{Deserialize, Serialize};
use shardex_catalog::{SourceName, Span};

use super::{WorkerName, text};

/// Spans that a walk may leave to others.
pub(crate) const EXCLUSIONS_MAX: usize = 100;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// Compare shards with the ledger's positions.
    Heal,
    /// Walk a part of a source's tree.
    Walk {
        /// The source.
        #[serde(with = "text")]
        source: SourceName,
        /// The part.
        #[serde(with = "text::span")]
        root: Span,
        /// Parts of it that are others'.
        #[serde(with = "text::spans")]
        exclusions: Vec<Span>,
    },
    /// Record what walks left, and carry out deletions.
    Finish {
        /// The source.
        #[serde(with = "text")]
        source: SourceName,
    },
}

impl Task {
    /// The source; `None` for what concerns all.
    pub(crate) fn source(&self) -> Option<&SourceName> {
        match self {
            Self::Heal => None,
            Self::Walk { source, .. } | Self::Finish { source } => Some(source),
        }
    }

    pub(crate) fn is_walk(&self) -> bool {
        matches!(self, Self::Walk { .. })
    }
}

/// Who works on a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// The worker.
    pub(crate) worker: WorkerName,
    /// Its process.
    pub(crate) session: u64,
    /// The fence it was given.
    pub(crate) fence: u64,
    /// It is to let go; the unit is nobody's when it no longer reports it.
    #[serde(default)]
    pub(crate) is_stopping: bool,
}

/// A unit that is not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// What is to be done.
    pub(crate) task: Task,
    /// Who does it; `None` while it waits.
    #[serde(default)]
    pub(crate) hold: Option<Hold>,
    /// Attempts that failed.
    #[serde(default)]
    pub(crate) failures: u32,
    /// Attempts whose holder was lost.
    #[serde(default)]
    pub(crate) losses: u32,
    /// Why the last attempt failed.
    #[serde(default)]
    pub(crate) failure: String,
}

impl Unit {
    /// A unit that waits for its first attempt.
    pub(crate) fn new(task: Task) -> Self {
        Self { task, hold: None, failures: 0, losses: 0, failure: String::new() }
    }

    /// Whether this worker's process holds it under this fence.
    pub(crate) fn is_held(&self, worker: &WorkerName, session: u64, fence: u64) -> bool {
        self.hold
            .as_ref()
            .is_some_and(|hold| hold.worker == *worker && hold.session == session && hold.fence == fence)
    }
}
