//! Why a job cannot begin.

use std::path::PathBuf;

use shardex_catalog::SourceName;
use shardex_seams::StoreError;

use crate::specification::InvalidSource;

/// A job cannot begin. Texts name paths: they are for the one who gave them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A source's text cannot be understood.
    #[error(transparent)]
    Specification(#[from] InvalidSource),
    /// A source's path cannot be used.
    #[error("source `{}`: {source}; is it mounted?", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A source is a file.
    #[error("source `{}` is a file: name the directory it lies in, or give it with --files-from", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// One source lies inside another.
    #[error("sources overlap: `{}` lies inside `{}` (source `{outer}`); every file must belong to one source", inner.display(), root.display())]
    Overlap {
        /// The inner root.
        inner: PathBuf,
        /// The outer root.
        root: PathBuf,
        /// The outer source.
        outer: SourceName,
    },
    /// A name stands for another root already.
    #[error(
        "source `{name}` is `{}` in this archive, not `{}`: give another name (name=path), or --rebind if the same files \
         are mounted elsewhere now",
        known.display(), given.display()
    )]
    OtherRoot {
        /// The name.
        name: SourceName,
        /// The root in the archive.
        known: PathBuf,
        /// The root that was given.
        given: PathBuf,
    },
    /// A root stands under another name already.
    #[error("`{}` is source `{known}` of this archive: call it that, or give no name", root.display())]
    OtherName {
        /// The root.
        root: PathBuf,
        /// Its name in the archive.
        known: SourceName,
    },
    /// A source belongs to another domain.
    #[error("source `{name}` belongs to domain `{known}`, not `{given}`: a source's domain is fixed")]
    OtherDomain {
        /// The source.
        name: SourceName,
        /// Its domain in the archive.
        known: String,
        /// The domain that was given.
        given: String,
    },
    /// Two sources have one name.
    #[error("two sources are called `{0}`: give them names (name=path)")]
    SameName(SourceName),
    /// The state changes all the time.
    #[error("the job state is changed by others again and again: try later")]
    Contended,
    /// Another coordinator may lead by now.
    #[error("this coordinator's lease is over: another one may lead")]
    TermOver,
    /// The state holds something else than expected.
    #[error("the job state is damaged: {0}")]
    Damaged(String),
    /// The state cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}
