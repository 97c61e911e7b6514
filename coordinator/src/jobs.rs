//! Jobs: each gets a fence higher than any before.

use serde::{Deserialize, Serialize};
use shardex_catalog::Fence;
use shardex_seams::{Expect, StateStore, Swap};

use crate::error::Error;

const KEY: &str = "jobs";
const ATTEMPTS_MAX: u32 = 16;
/// Jobs that are remembered.
const REMEMBERED_MAX: usize = 100;

/// What is remembered of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its fence, which is its number too.
    pub fence: u64,
    /// Begin, nanoseconds since the Unix epoch.
    pub began_ns: i64,
    /// End; `None` while it runs, or if it was cut off.
    pub ended_ns: Option<i64>,
    /// How it ended: `complete`, `interrupted`, `held`, `incomplete` or `failed`.
    pub outcome: Option<String>,
    /// Files seen.
    pub files: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct Jobs {
    last_fence: u64,
    recent: Vec<JobRecord>,
}

/// Begins a job. Its fence is above `floor` too: the highest that any shard has seen.
///
/// # Errors
/// [`Error`] if the state cannot be changed.
pub async fn begin_job(state: &dyn StateStore, floor: Fence, now_ns: i64) -> Result<Fence, Error> {
    change(state, |jobs| {
        let fence = jobs.last_fence.max(floor.0) + 1;
        jobs.last_fence = fence;
        jobs.recent.push(JobRecord { fence, began_ns: now_ns, ended_ns: None, outcome: None, files: 0 });
        let surplus = jobs.recent.len().saturating_sub(REMEMBERED_MAX);
        jobs.recent.drain(..surplus);
        Fence(fence)
    })
    .await
}

/// Notes how a job ended.
///
/// # Errors
/// [`Error`] if the state cannot be changed.
pub async fn end_job(
    state: &dyn StateStore,
    fence: Fence,
    outcome: &str,
    files: u64,
    now_ns: i64,
) -> Result<(), Error> {
    change(state, |jobs| {
        for job in jobs.recent.iter_mut().filter(|job| job.fence == fence.0) {
            job.ended_ns = Some(now_ns);
            job.outcome = Some(outcome.to_owned());
            job.files = files;
        }
    })
    .await
}

/// The last jobs, oldest first.
///
/// # Errors
/// [`Error`] if the state cannot be read.
pub async fn jobs(state: &dyn StateStore) -> Result<Vec<JobRecord>, Error> {
    let stored = state.get(KEY).await?;
    Ok(stored.map(|stored| parse(&stored.value)).transpose()?.unwrap_or_default().recent)
}

async fn change<T>(state: &dyn StateStore, change: impl Fn(&mut Jobs) -> T) -> Result<T, Error> {
    for _ in 0..ATTEMPTS_MAX {
        let stored = state.get(KEY).await?;
        let (mut jobs, expect) = match stored {
            Some(stored) => (parse(&stored.value)?, Expect::Version(stored.version)),
            None => (Jobs::default(), Expect::Absent),
        };
        let result = change(&mut jobs);
        let value = serde_json::to_vec(&jobs).map_err(|error| Error::Damaged(error.to_string()))?;
        if let Swap::Done(_) = state.put(KEY, value, expect).await? {
            return Ok(result);
        }
    }
    Err(Error::Contended)
}

fn parse(value: &[u8]) -> Result<Jobs, Error> {
    serde_json::from_slice(value).map_err(|error| Error::Damaged(error.to_string()))
}
