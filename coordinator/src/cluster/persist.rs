//! The leader's state in its store: one key for the cluster, one a job, changed by compare-and-set.

use std::collections::BTreeMap;

use shardex_seams::{Expect, StateStore, Swap};

use super::machine::{Cluster, Job, State};
use crate::error::Error;

const CLUSTER: &str = "cluster";
const JOBS: &str = "job/";
const PAGE: u32 = 100;

/// What is in the store, as this leader wrote or read it last.
#[derive(Default)]
pub(super) struct Persisted {
    values: BTreeMap<String, (Vec<u8>, u64)>,
}

impl Persisted {
    /// Reads everything.
    pub(super) async fn load(store: &dyn StateStore) -> Result<(Self, State), Error> {
        let mut persisted = Self::default();
        let mut state = State::default();
        if let Some(found) = store.get(CLUSTER).await? {
            state.cluster = parse::<Cluster>(CLUSTER, &found.value)?;
            persisted.values.insert(CLUSTER.to_owned(), (found.value, found.version));
        }
        let mut after = JOBS.to_owned();
        loop {
            let page = store.list(JOBS, &after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok((persisted, state)) };
            after.clone_from(last);
            for (key, found) in page {
                // A job that was forgotten leaves an empty value, which costs next to nothing.
                if !found.value.is_empty() {
                    let job: Job = parse(&key, &found.value)?;
                    state.jobs.insert(job.job, job);
                }
                persisted.values.insert(key, (found.value, found.version));
            }
        }
    }

    /// Stores what differs. The cluster goes first, with the last fence and numbers that were given: a
    /// leader that dies in between has only skipped some.
    ///
    /// # Errors
    /// [`Error::Contended`] if somebody else wrote: this process leads no more. After any error, what is
    /// stored is not known: load again.
    pub(super) async fn save(&mut self, store: &dyn StateStore, state: &State) -> Result<(), Error> {
        let mut wanted = vec![(CLUSTER.to_owned(), render(&state.cluster)?)];
        for job in state.jobs.values() {
            wanted.push((key(job.job), render(job)?));
        }
        let gone = self.values.iter().filter(|(key, (value, _))| {
            key.starts_with(JOBS) && !value.is_empty() && !wanted.iter().any(|(other, _)| other == *key)
        });
        let gone: Vec<_> = gone.map(|(key, _)| (key.clone(), Vec::new())).collect();
        wanted.extend(gone);
        for (key, value) in wanted {
            self.put(store, key, value).await?;
        }
        Ok(())
    }

    async fn put(&mut self, store: &dyn StateStore, key: String, value: Vec<u8>) -> Result<(), Error> {
        let expect = match self.values.get(&key) {
            Some((stored, _)) if *stored == value => return Ok(()),
            Some((_, version)) => Expect::Version(*version),
            None => Expect::Absent,
        };
        match store.put(&key, value.clone(), expect).await? {
            Swap::Done(version) => {
                self.values.insert(key, (value, version));
                Ok(())
            }
            Swap::Conflict => Err(Error::Contended),
        }
    }
}

/// Ascending by number, as texts are.
fn key(job: u64) -> String {
    format!("{JOBS}{job:020}")
}

fn render<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::Damaged(error.to_string()))
}

fn parse<T: serde::de::DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|error| Error::Damaged(format!("{key}: {error}")))
}
