//! What can go wrong behind a seam. Crosses processes, so it answers one question: retry or not?

/// Whether the same call may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It may: the cause lies outside (load, a lost connection).
    Later,
    /// It will not until somebody mends the cause.
    Never,
}

/// A store could not do what was asked. Texts name shards and files of the archive, never
/// patients, values or paths of a source.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The batch carries a lower fence than the store has seen: somebody else owns the directory.
    #[error("shard `{shard}` refused a write: its fence is older than the directory's")]
    Fenced {
        /// The shard.
        shard: String,
    },
    /// The store does not know the unit that writes: it was started again since the unit began, or had not heard of it,
    /// or somebody else holds the unit.
    #[error("{store} takes no writes of this unit: somebody else holds it, or it did not begin there")]
    Over {
        /// Whose store, as `worker w1`.
        store: String,
    },
    /// A file of the archive is damaged.
    #[error("`{file}` is damaged: {detail}; put back a snapshot or delete it, then run `shardex recover`")]
    Corrupt {
        /// The archive's file.
        file: String,
        /// What SQLite says.
        detail: String,
    },
    /// No space left, or a quota was reached.
    #[error("no space left for `{file}`: free some, then run the same command again")]
    Full {
        /// The archive's file.
        file: String,
    },
    /// A file of the archive cannot be written or read.
    #[error("`{file}` cannot be used: {detail}")]
    Unusable {
        /// The archive's file.
        file: String,
        /// What the system says.
        detail: String,
    },
    /// A store of another process did not answer, or not as it should.
    #[error("{store} does not serve: {detail}")]
    Away {
        /// Whose store, as `worker w1`.
        store: String,
        /// Why, without files of that machine.
        detail: String,
    },
    /// The file was written by a later version of shardex.
    #[error("`{file}` has format version {found}, this program knows up to {known}: use a newer shardex")]
    Newer {
        /// The archive's file.
        file: String,
        /// Version in the file.
        found: i64,
        /// Highest version this program reads.
        known: i64,
    },
    /// A query was refused or failed.
    #[error("{0}")]
    Query(String),
    /// A row limit was reached.
    #[error("the query needs more than {limit} rows of `{view}`")]
    TooManyRows {
        /// The limit.
        limit: u64,
        /// The view.
        view: String,
    },
    /// The store is shutting down, or was lost.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// What may be told to a peer: as the text, without files of this machine.
    #[must_use]
    pub fn without_files(&self) -> String {
        match self {
            Self::Corrupt { .. } => {
                "its file is damaged; the operator must put back a snapshot or delete it, then run `shardex recover`".into()
            }
            Self::Full { .. } => "no space left: the operator must free some".into(),
            Self::Unusable { .. } => "its file cannot be used; the operator finds the reason in the server's log".into(),
            Self::Newer { found, known, .. } => {
                format!("its file has format version {found}, the server knows up to {known}: it needs a newer shardex")
            }
            Self::Away { .. } | Self::Fenced { .. } | Self::Over { .. } | Self::Query(_) | Self::TooManyRows { .. } | Self::Closed => self.to_string(),
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Closed | Self::Away { .. } => Retry::Later,
            _ => Retry::Never,
        }
    }
}
