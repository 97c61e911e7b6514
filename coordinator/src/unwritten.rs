//! A state whose changes are forgotten: what a dry run is given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use shardex_seams::{Expect, StateStore, StoreError, Swap, Versioned};

/// Reads through to a state; changes stay in memory and end with it.
pub struct Unwritten {
    below: Arc<dyn StateStore>,
    changes: Mutex<BTreeMap<String, Versioned>>,
}

impl Unwritten {
    /// Nothing changed yet.
    #[must_use]
    pub fn over(below: Arc<dyn StateStore>) -> Self {
        Self { below, changes: Mutex::default() }
    }

    fn changed(&self, key: &str) -> Option<Versioned> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

#[async_trait]
impl StateStore for Unwritten {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        match self.changed(key) {
            Some(value) => Ok(Some(value)),
            None => self.below.get(key).await,
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, Versioned)>, StoreError> {
        let mut found: BTreeMap<_, _> = self.below.list(prefix, after, limit).await?.into_iter().collect();
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = changes.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        found.extend(wanted.map(|(key, value)| (key.clone(), value.clone())));
        Ok(found.into_iter().take(limit as usize).collect())
    }

    async fn put(&self, key: &str, value: Vec<u8>, expect: Expect) -> Result<Swap, StoreError> {
        let version = self.get(key).await?.map(|found| found.version);
        let expected = match expect {
            Expect::Absent => None,
            Expect::Version(version) => Some(version),
        };
        if version != expected {
            return Ok(Swap::Conflict);
        }
        let version = version.unwrap_or(0) + 1;
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.insert(key.to_owned(), Versioned { value, version });
        Ok(Swap::Done(version))
    }
}
