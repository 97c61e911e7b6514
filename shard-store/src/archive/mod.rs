//! An archive as a whole: its folder, its lock, its files.

mod error;
mod folder;
mod read;
mod write;

use std::collections::HashMap;

use shardex_catalog::SourceName;

pub use error::ArchiveError;
pub use folder::StateFolder;
pub(crate) use folder::{lock, lock_folder, prepare_folder};
pub use read::ReadArchive;
pub(crate) use read::{readable_shards, size_with_log};
pub use write::{Archive, ArchiveSettings};

/// Where the roots of sources are mounted here; what `file_path` is made from.
#[derive(Debug, Default)]
pub struct SourceRoots(HashMap<SourceName, Vec<u8>>);

impl SourceRoots {
    /// Roots by source, as bytes of absolute paths.
    #[must_use]
    pub fn new(roots: impl IntoIterator<Item = (SourceName, Vec<u8>)>) -> Self {
        Self(roots.into_iter().collect())
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = (&SourceName, &[u8])> {
        self.0.iter().map(|(source, root)| (source, root.as_slice()))
    }

    /// The root of a source; empty if it is not known here.
    pub(crate) fn root(&self, source: &SourceName) -> &[u8] {
        self.0.get(source).map_or(&[], Vec::as_slice)
    }
}
