//! A state whose changes are forgotten: what a dry run is given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use shardex_seams::{Change, Expect, StateStore, StoreError, Swap, Versioned};

/// Reads through to a state; changes stay in memory and end with it.
pub struct Unwritten {
    below: Arc<dyn StateStore>,
    /// By key; `None` for a removed one.
    changes: Mutex<BTreeMap<String, Option<Versioned>>>,
}

impl Unwritten {
    /// Nothing changed yet.
    #[must_use]
    pub fn over(below: Arc<dyn StateStore>) -> Self {
        Self { below, changes: Mutex::default() }
    }

    fn changed(&self, key: &str) -> Option<Option<Versioned>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

#[async_trait]
impl StateStore for Unwritten {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        match self.changed(key) {
            Some(value) => Ok(value),
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
        for (key, value) in wanted {
            match value {
                Some(value) => found.insert(key.clone(), value.clone()),
                None => found.remove(key),
            };
        }
        Ok(found.into_iter().take(limit as usize).collect())
    }

    async fn put(&self, key: &str, value: Vec<u8>, expect: Expect) -> Result<Swap, StoreError> {
        let change = Change { key: key.to_owned(), value: Some(value), expect };
        let versions = self.apply(vec![change]).await?;
        let version = versions.and_then(|versions| versions.first().copied());
        Ok(version.map_or(Swap::Conflict, Swap::Done))
    }

    async fn apply(&self, changes: Vec<Change>) -> Result<Option<Vec<u64>>, StoreError> {
        let mut versions = Vec::with_capacity(changes.len());
        for change in &changes {
            let version = self.get(&change.key).await?.map(|found| found.version);
            let expected = match change.expect {
                Expect::Absent => None,
                Expect::Version(version) => Some(version),
            };
            if version != expected {
                return Ok(None);
            }
            versions.push(change.value.as_ref().map_or(0, |_| version.unwrap_or(0) + 1));
        }
        let mut kept = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        for (change, version) in changes.into_iter().zip(&versions) {
            kept.insert(change.key, change.value.map(|value| Versioned { value, version: *version }));
        }
        Ok(Some(versions))
    }
}
