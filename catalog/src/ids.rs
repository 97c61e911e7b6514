//! Names and numbers that identify things, each of its own type.

use std::fmt;
use std::sync::Arc;

/// A name that shardex cannot take as an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a valid {what}: {rule}")]
pub struct InvalidId {
    what: &'static str,
    name: String,
    rule: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks and takes a name: 1 to 64 letters, digits, `.`, `_` or `-`, of any script.
            ///
            /// # Errors
            /// [`InvalidId`] for any other text.
            pub fn new(name: &str) -> Result<Self, InvalidId> {
                let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
                if name.is_empty() || name.chars().count() > 64 || !name.chars().all(fits) {
                    let rule = "1 to 64 letters, digits, `.`, `_` or `-`";
                    return Err(InvalidId { what: $what, name: name.chars().take(80).collect(), rule });
                }
                Ok(Self(name.into()))
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name_type!(
    /// A space in which UIDs and patient ids mean one thing.
    Domain,
    "domain"
);
name_type!(
    /// The name of a root of files.
    SourceName,
    "source name"
);

impl Default for Domain {
    fn default() -> Self {
        Self("default".into())
    }
}

/// A shard: partition and bucket, as `<partition>/<bucket>`; also its path below `shards/`,
/// without the suffix. Made by [`crate::bucket_of`] and [`crate::ShardSplit`] only, or read back from an archive.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(Arc<str>);

impl ShardId {
    /// Takes `<partition>/<bucket>`, both of ASCII letters, digits, `.`, `_`, `+` and `-`, not
    /// beginning with a dot.
    ///
    /// # Errors
    /// [`InvalidId`] for anything else, path traversal included.
    pub fn new(id: &str) -> Result<Self, InvalidId> {
        let fits = |part: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+');
            !part.is_empty() && part.len() <= 128 && !part.starts_with('.') && part.bytes().all(plain)
        };
        match id.split_once('/') {
            Some((partition, bucket)) if fits(partition) && fits(bucket) => Ok(Self(id.into())),
            _ => Err(InvalidId {
                what: "shard id",
                name: id.chars().take(80).collect(),
                rule: "`<partition>/<bucket>` of ASCII letters, digits, `.`, `_`, `+` and `-`",
            }),
        }
    }

    /// `<partition>/<bucket>`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `/`.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.0.split_once('/').map_or("", |(partition, _)| partition)
    }

    /// What stands after the `/`.
    #[must_use]
    pub fn bucket(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, bucket)| bucket)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number that only grows, given with the right to write and carried by every write; a store
/// refuses a write whose fence is lower than one it has seen for the same directory.
///
/// The upper 16 bits count generations of the state store, the lower 48 its revisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// One uninterrupted life of a stored file: drawn at random whenever it is opened for writing in
/// a new process, so that an old copy put back by hand is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u64);

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Identity of a study: a StudyInstanceUID means one thing only inside a domain.
///
/// The first 128 bits of the BLAKE3 digest of both; its leading bits choose the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StudyKey(pub u128);

impl StudyKey {
    /// The key of a study.
    #[must_use]
    pub fn new(domain: &Domain, study_instance_uid: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(domain.as_str().len() as u64).to_le_bytes());
        hasher.update(domain.as_str().as_bytes());
        hasher.update(study_instance_uid.as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(u128::from_be_bytes(short))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_ids_cannot_leave_their_folder() {
        for id in ["a/b", "2019-1f/root", "other-03/0.1"] {
            assert_eq!(ShardId::new(id).map(|id| id.to_string()), Ok(id.to_owned()));
        }
        for id in ["", "a", "a/", "/b", "../b", "a/..", "a/b/c", "a b/c", "é/c"] {
            assert!(ShardId::new(id).is_err(), "{id}");
        }
    }

    #[test]
    fn names_refuse_separators_and_controls() {
        assert!(Domain::new("Klinik-Süd_1.2").is_ok());
        for name in ["", "a/b", "a b", "a\n", "=x"] {
            assert!(Domain::new(name).is_err(), "{name:?}");
        }
    }
}
