//! The coordinator's state: small, and changed by compare-and-set only.

use async_trait::async_trait;

use crate::StoreError;

/// A stored value and the version that a later change must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The value.
    pub value: Vec<u8>,
    /// Its version; grows with every change of the key.
    pub version: u64,
}

/// What a change expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key is not there.
    Absent,
    /// The key has this version.
    Version(u64),
}

/// Answer to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Done; the key has this version now.
    Done(u64),
    /// Somebody was faster: read again.
    Conflict,
}

/// One of several changes that are made together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// Its new value; `None` removes it.
    pub value: Option<Vec<u8>>,
    /// What the key must be.
    pub expect: Expect,
}

/// Most changes that may be made together.
pub const CHANGES_MAX: usize = 100;

/// A key-value store with compare-and-set: SQLite in embedded mode, etcd in a cluster.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError>;

    /// At most `limit` keys that begin with `prefix` and come after `after`, ascending.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn list(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, Versioned)>, StoreError>;

    /// Sets a key if it is as expected. Durable when it returns `Done`.
    ///
    /// # Errors
    /// [`StoreError`]; whether the change was made is not known then: read again.
    ///
    /// # Cancel safety
    /// Dropped, the change may or may not have been made: read again.
    async fn put(&self, key: &str, value: Vec<u8>, expect: Expect) -> Result<Swap, StoreError>;

    /// Makes all changes if every key is as expected, or none. Gives the new versions in their order
    /// (0 for removed keys), or `None` if a key was not as expected. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`]; whether the changes were made is not known then: read again. More than
    /// [`CHANGES_MAX`] changes are refused.
    ///
    /// # Cancel safety
    /// Dropped, the changes may or may not have been made: read again.
    async fn apply(&self, changes: Vec<Change>) -> Result<Option<Vec<u64>>, StoreError>;
}
