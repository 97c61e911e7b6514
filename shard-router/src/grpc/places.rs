//! How many calls a server answers at once.

use std::sync::Arc;

use shardex_proto::Fault;
use shardex_proto::v1::error_detail::Reason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for running queries, and more of them for answers that their callers have not read yet.
#[derive(Clone, Debug)]
pub(super) struct Places {
    running: Arc<Semaphore>,
    open: Arc<Semaphore>,
    running_max: usize,
}

/// A place of a running query: threads and temporary space.
pub(super) type RunningPlace = OwnedSemaphorePermit;
/// A place of an answer: some messages in memory.
pub(super) type OpenPlace = OwnedSemaphorePermit;

impl Places {
    pub(super) fn new(running_max: usize, open_max: usize) -> Self {
        let semaphore = |size| Arc::new(Semaphore::new(size));
        Self { running: semaphore(running_max), open: semaphore(open_max), running_max }
    }

    /// Takes a place of each, or says that there is none: who waits in a queue of a busy server
    /// waits without knowing why.
    pub(super) fn take(&self) -> Result<(RunningPlace, OpenPlace), Fault> {
        let take = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned();
        take(&self.running).and_then(|running| Ok((running, take(&self.open)?))).map_err(|_| {
            let text = format!(
                "the server answers as many calls as it may ({} at once): try again later",
                self.running_max
            );
            let mut fault = Fault::new(Reason::Busy, text);
            fault.detail.limit = self.running_max as u64;
            fault
        })
    }

    /// Queries that run now.
    pub(super) fn running(&self) -> usize {
        self.running_max - self.running.available_permits()
    }
}
