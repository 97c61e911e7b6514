//! Names of workers.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

const LENGTH_MAX: usize = 100;

/// A worker's name, unique in the cluster.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct WorkerName(Arc<str>);

impl WorkerName {
    /// Takes 1 to 100 ASCII letters, digits, `.`, `_` and `-`.
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > LENGTH_MAX || !name.bytes().all(plain) {
            let shown: String = name.chars().take(40).collect();
            return Err(format!(
                "`{shown}` is no worker's name: take 1 to 100 letters, digits, `.`, `_`, `-`"
            ));
        }
        Ok(Self(name.into()))
    }
}

impl TryFrom<String> for WorkerName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::new(&name)
    }
}

impl From<WorkerName> for String {
    fn from(name: WorkerName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
