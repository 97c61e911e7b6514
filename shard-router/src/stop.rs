//! One answer to "shall this query stop", whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shardex_seams::Clock;

use crate::{Error, QueryOptions};

/// Deadline and cancel flag of one query.
#[derive(Clone)]
pub(crate) struct Stop {
    clock: Arc<dyn Clock>,
    cancel: Arc<AtomicBool>,
    deadline: Option<Duration>,
    ends_at: Option<Duration>,
}

impl Stop {
    /// Counts from now on.
    pub(crate) fn new(clock: &Arc<dyn Clock>, options: &QueryOptions) -> Self {
        let ends_at = options.deadline.and_then(|deadline| clock.elapsed().checked_add(deadline));
        Self {
            clock: Arc::clone(clock),
            cancel: Arc::clone(&options.cancel),
            deadline: options.deadline,
            ends_at,
        }
    }

    /// Whether the query shall stop.
    pub(crate) fn is_due(&self) -> bool {
        self.reason().is_some()
    }

    /// The error to stop with, if the query shall stop.
    pub(crate) fn reason(&self) -> Option<Error> {
        if self.cancel.load(Ordering::Relaxed) {
            return Some(Error::Cancelled);
        }
        let ends_at = self.ends_at?;
        (self.clock.elapsed() >= ends_at).then(|| Error::Deadline(self.deadline.unwrap_or_default()))
    }
}
