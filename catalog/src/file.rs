//! One file as the archive knows it.

use std::fmt;
use std::sync::Arc;

use crate::{ContentDigest, Header, Values, Warnings};

/// A file's name inside its directory: any bytes but `/` and NUL, at most 255 on Linux. Clones share
/// their bytes: listing, row and ledger entry of a file each hold its name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName(Arc<[u8]>);

impl FileName {
    /// Takes the bytes of a directory entry.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        debug_assert!(!name.is_empty() && !name.contains(&b'/') && !name.contains(&0));
        Self(name.into())
    }

    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for FileName {
    /// Never the name: names are protected health information, and debug output ends in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<name of {} bytes>", self.0.len())
    }
}

/// A directory's path relative to its source: any bytes, components joined by `/`, empty for the
/// source's root. May be longer than PATH_MAX.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RelativePath(Arc<[u8]>);

impl RelativePath {
    /// Takes the bytes of a relative path without leading, trailing or doubled `/`.
    #[must_use]
    pub fn new(path: &[u8]) -> Self {
        debug_assert!(!path.starts_with(b"/") && !path.ends_with(b"/"));
        Self(path.into())
    }

    /// The path of the entry `name` in this directory.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Self {
        if self.0.is_empty() {
            return Self(name.into());
        }
        Self([&self.0, &b"/"[..], name].concat().into())
    }

    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the source's root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for RelativePath {
    /// Never the path, for the reason that [`FileName`] gives.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<path of {} bytes>", self.0.len())
    }
}

/// What stat(2) says of a file; equal stamps mean an unchanged file (unless it is racy).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileStamp {
    /// Bytes.
    pub size: u64,
    /// Modification time, nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Status change time, nanoseconds since the epoch; 0 where it is not known.
    pub ctime_ns: i64,
}

/// An indexed file: all that a shard stores of it.
#[derive(Clone, Debug)]
pub struct FileRow {
    /// Name inside its directory.
    pub name: FileName,
    /// Size and times when it was read.
    pub stamp: FileStamp,
    /// Digest of its bytes, where one was taken.
    pub digest: Option<ContentDigest>,
    /// Empty for state `indexed`, else the state is `warning`.
    pub warnings: Warnings,
    /// SOPInstanceUID, never empty.
    pub sop_instance_uid: Box<str>,
    /// The stack header; its parents are the series and the study header.
    pub stack: Arc<Header>,
    /// Attributes of [`crate::Level::File`].
    pub values: Values,
}

impl FileRow {
    /// Rough size in memory, bytes, without the shared headers.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.name.0.len() + self.sop_instance_uid.len() + self.values.heap_bytes()
    }
}
