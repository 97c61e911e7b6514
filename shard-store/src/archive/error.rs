//! Why an archive could not be opened.

use std::path::PathBuf;

use shardex_catalog::{InvalidMapping, PartitionScheme};
use shardex_seams::StoreError;

/// An archive could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Somebody else writes to it.
    #[error("`{}` is being written by another process: wait until it ends, or stop it", path.display())]
    Locked {
        /// The archive.
        path: PathBuf,
    },
    /// There is none.
    #[error("`{}` is not an archive: it has no archive.toml; `shardex ingest` makes one", path.display())]
    NotAnArchive {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds other things.
    #[error("`{}` is not empty and not an archive: name a new folder", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds other things than snapshots.
    #[error("`{}` is no folder of snapshots: it holds other things; name a new folder, or one of `shardex snapshot`", path.display())]
    NotSnapshots {
        /// The folder.
        path: PathBuf,
    },
    /// The snapshots are of an archive that is partitioned otherwise.
    #[error("`{}` holds snapshots of another archive, which is partitioned otherwise, or an archive", path.display())]
    OtherSnapshots {
        /// The folder.
        path: PathBuf,
    },
    /// It is partitioned otherwise.
    #[error(
        "the archive is partitioned by `{archive}`, not by `{wanted}`: a scheme is fixed when an archive is made"
    )]
    OtherScheme {
        /// What it is partitioned by.
        archive: PartitionScheme,
        /// What was asked for.
        wanted: PartitionScheme,
    },
    /// Its institutions are mapped otherwise.
    #[error(
        "the archive was made with another {what}: studies lie where it put them, so it is fixed when an archive is \
         made; leave it out, or make a new archive"
    )]
    OtherInstitutions {
        /// What differs.
        what: &'static str,
    },
    /// A mapping would have no effect.
    #[error(
        "the archive is partitioned by `{0}`: a mapping of institutions needs `institution` in --partition"
    )]
    UnusedMapping(PartitionScheme),
    /// A mapping is wrong.
    #[error("the mapping of institutions cannot be used: {0}")]
    Mapping(#[from] InvalidMapping),
    /// It lies on a network file system.
    #[error(
        "`{}` lies on a network file system ({file_system}), where SQLite's locks do not hold: put the archive on a \
         local disk, or use it from one process only with --single-process",
        path.display()
    )]
    NetworkFileSystem {
        /// The archive.
        path: PathBuf,
        /// Its kind.
        file_system: &'static str,
    },
    /// The manifest is wrong.
    #[error("`{}`: {detail}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// It may be read, not written.
    #[error(
        "`{}` cannot be written ({source}): mount it for writing, or get the permission; queries work without",
        path.display()
    )]
    NotWritable {
        /// What should be written.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A system call failed.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// What was being used.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file of the archive cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}
