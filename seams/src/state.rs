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
}
