//! The leader's state in its store: what concerns the cluster, the map, and each job under a key.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shardex_seams::{Change, Expect, StateStore, StoreError};

use super::machine::{Cluster, Durable, Job, Map};
use crate::error::Error;

const CLUSTER: &str = "cluster";
const MAP: &str = "map";
const JOBS: &str = "job/";
const PAGE: u32 = 100;
/// Version of what is stored. Version 2 added splits of shards to the map, version 3 moves of ledger and registry; what is
/// older has none.
const FORMAT: i64 = 3;

/// Makes a state that was lost, or put back from a backup, usable: fences go on above all that were ever given, and
/// the next leader makes the map anew from what the workers hold. No coordinator may lead meanwhile, or it must refuse
/// to.
///
/// # Errors
/// [`Error`] if the state cannot be read or changed.
pub async fn recover(store: &dyn StateStore) -> Result<(), Error> {
    let mut persisted = Persisted::load(store).await?;
    let mut durable = persisted.durable();
    durable.recover(false);
    persisted.save(store, &durable).await.map(drop)
}

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    format: i64,
    value: T,
}

/// What is in the store, as this leader wrote or read it last.
pub(super) struct Persisted {
    durable: Durable,
    /// By key.
    versions: BTreeMap<String, u64>,
}

impl Persisted {
    /// Reads everything.
    pub(super) async fn load(store: &dyn StateStore) -> Result<Self, Error> {
        let mut versions = BTreeMap::new();
        let mut durable = Durable::default();
        if let Some(found) = store.get(CLUSTER).await? {
            durable.cluster = parse::<Cluster>(CLUSTER, &found.value)?;
            versions.insert(CLUSTER.to_owned(), found.version);
        }
        if let Some(found) = store.get(MAP).await? {
            durable.map = parse::<Map>(MAP, &found.value)?;
            versions.insert(MAP.to_owned(), found.version);
        }
        let mut after = JOBS.to_owned();
        loop {
            let page = store.list(JOBS, &after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(Self { durable, versions }) };
            after.clone_from(last);
            for (key, found) in page {
                let job: Arc<Job> = parse(&key, &found.value)?;
                durable.jobs.insert(job.number, job);
                versions.insert(key, found.version);
            }
        }
    }

    /// What is stored.
    pub(super) fn durable(&self) -> Durable {
        self.durable.clone()
    }

    /// Stores what differs, all or nothing. Returns how many bytes that were.
    ///
    /// # Errors
    /// [`Error::Contended`] if somebody else wrote, or this process leads no more. After any error,
    /// what is stored is not known: load again.
    pub(super) async fn save(&mut self, store: &dyn StateStore, wanted: &Durable) -> Result<usize, Error> {
        let changes = self.changes(wanted)?;
        if changes.is_empty() {
            return Ok(0);
        }
        let bytes = changes.iter().filter_map(|change| change.value.as_ref()).map(Vec::len).sum();
        let keys: Vec<_> =
            changes.iter().map(|change| (change.key.clone(), change.value.is_some())).collect();
        let written = store.apply(changes).await?.ok_or(Error::Contended)?;
        for ((key, is_there), version) in keys.into_iter().zip(written) {
            if is_there {
                self.versions.insert(key, version);
            } else {
                self.versions.remove(&key);
            }
        }
        self.durable = wanted.clone();
        Ok(bytes)
    }

    fn changes(&self, wanted: &Durable) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        if differ(&self.durable.cluster, &wanted.cluster) {
            changes.push(self.put(CLUSTER.to_owned(), &*wanted.cluster)?);
        }
        if differ(&self.durable.map, &wanted.map) {
            changes.push(self.put(MAP.to_owned(), &*wanted.map)?);
        }
        for (number, job) in &wanted.jobs {
            if self.durable.jobs.get(number).is_none_or(|known| differ(known, job)) {
                changes.push(self.put(key(*number), &**job)?);
            }
        }
        for number in self.durable.jobs.keys().filter(|number| !wanted.jobs.contains_key(number)) {
            let key = key(*number);
            let expect = self.expect(&key);
            changes.push(Change { key, value: None, expect });
        }
        Ok(changes)
    }

    fn put<T: Serialize>(&self, key: String, value: &T) -> Result<Change, Error> {
        let stored = serde_json::to_vec(&Stored { format: FORMAT, value });
        let value = stored.map_err(|error| Error::Damaged(error.to_string()))?;
        let expect = self.expect(&key);
        Ok(Change { key, value: Some(value), expect })
    }

    fn expect(&self, key: &str) -> Expect {
        self.versions.get(key).map_or(Expect::Absent, |version| Expect::Version(*version))
    }
}

/// Whether two parts differ; what was not touched is the same memory.
fn differ<T: PartialEq>(one: &Arc<T>, other: &Arc<T>) -> bool {
    !Arc::ptr_eq(one, other) && one != other
}

/// Ascending by number, as texts are.
fn key(job: u64) -> String {
    format!("{JOBS}{job:020}")
}

fn parse<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<Arc<T>, Error> {
    let damaged = |error: serde_json::Error| Error::Damaged(format!("{key}: {error}"));
    // The format first: a newer one need not look like this one otherwise.
    let stored: Stored<serde_json::Value> = serde_json::from_slice(value).map_err(damaged)?;
    if stored.format > FORMAT {
        let newer = StoreError::Newer { file: key.to_owned(), found: stored.format, known: FORMAT };
        return Err(newer.into());
    }
    serde_json::from_value(stored.value).map(Arc::new).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_every_format_is_read_or_refused_by_number() {
        let map = |format: u8| {
            let text = format!(
                r#"{{"format":{format},"value":{{"version":3,"home":"a","shards":{{"p/0":"a"}},"moves":{{}},"urls":{{}}}}}}"#
            );
            parse::<Map>(MAP, text.as_bytes())
        };
        // Format 1 had no splits.
        let first = map(1).expect("an older one is read");
        assert_eq!((first.version, first.shards.len(), first.splits.len()), (3, 1, 0));
        // Until format 2 the home did not move.
        assert_eq!(map(2).expect("an older one is read").home_begun, 0);
        assert!(map(3).is_ok());
        let newer = map(4).expect_err("a newer one is refused");
        assert!(newer.to_string().contains("format version 4"), "{newer}");
    }
}
