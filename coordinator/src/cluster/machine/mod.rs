//! What the leader decides. Pure: state and event in, changed state and answer out; time and chance
//! are arguments.

mod grant;
mod lifecycle;
mod placement;
mod refusal;
mod report;
mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use grant::why_not;
pub(crate) use lifecycle::{Change, Order};
pub(crate) use refusal::Refusal;
pub(crate) use report::{End, Finished, Grant, Holdings, Report, Told};
pub(crate) use state::{Cluster, Job, Kind, Mount, Options, State, Totals, Unit};

/// The leader's times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// How long what a worker holds is its own after a report.
    pub(crate) lease: Duration,
    /// When this leader began, by its clock.
    pub(crate) began: Duration,
}

impl Timing {
    /// Time before a second attempt: half a lease to a whole one.
    fn backoff(&self, jitter: f64) -> Duration {
        self.lease.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}
