//! Why an ingest could not go on.

use std::path::PathBuf;

use shardex_catalog::ShardId;
use shardex_seams::StoreError;

/// An ingest ended early. Everything that was recorded before stays valid; the same command goes on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A shard is another one than when this began: it was lost, and given up.
    #[error("shard `{shard}` was lost while this ran: what it had is read again from the beginning")]
    ShardLost {
        /// The shard.
        shard: ShardId,
    },
    /// The root of a source cannot be opened. Nothing of the source was changed.
    #[error("source root `{}` cannot be opened: {source}; is it mounted?", path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A list of files cannot be read.
    #[error("the list of files cannot be read: {0}")]
    FileList(std::io::Error),
    /// The system gave no thread.
    #[error("no thread can be started: {0}")]
    Thread(std::io::Error),
}

impl Error {
    /// Whether the unit is at no fault and may begin anew: a store takes no more writes of it, or has lost what it rests on.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::Over { .. } | StoreError::Fenced { .. }) | Self::ShardLost { .. }
        )
    }

    /// What may be told to a coordinator: as the text, without paths of this machine.
    #[must_use]
    pub fn without_paths(&self) -> String {
        match self {
            Self::Store(error) => error.without_files(),
            Self::Root { source, .. } => {
                format!("the source's root cannot be opened ({source}): is it mounted?")
            }
            Self::ShardLost { .. } | Self::FileList(_) | Self::Thread(_) => self.to_string(),
        }
    }
}
