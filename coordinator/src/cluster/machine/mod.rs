//! What the cluster's coordinator decides: pure, over a small state.
//!
//! Every function takes the state and the moment, changes the state, and says what to answer. Nothing
//! here reads a clock, draws a random number, waits, or knows where the state is kept. Whoever calls
//! makes the durable part durable before an answer leaves the process.

mod advance;
mod grant;
mod home_moves;
mod hours;
mod job;
mod live;
mod lost;
mod map;
mod mount;
mod moves;
mod name;
mod orders;
mod recovery;
mod refusal;
mod report;
mod split;
mod splits;
mod state;
pub(super) mod text;
mod totals;
mod unit;
mod view;

#[cfg(test)]
mod home_properties;
#[cfg(test)]
mod lost_splits;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tests;

pub(super) use grant::Grant;
pub(super) use job::{Ending, Job, Options, Phase, Submit};
pub(super) use map::Map;
pub(super) use mount::Mount;
pub(super) use moves::{Arrived, Move};
pub(super) use name::WorkerName;
pub(super) use recovery::Memory;
pub(super) use refusal::Refusal;
pub(super) use report::{End, Finished, Holdings, Reply, Report, Slow, UnitReport};
pub(super) use splits::{Split, SplitReport, SplitStage};
pub(super) use state::{Cluster, Durable, Limits, Moment, State};
pub(super) use totals::Totals;
pub(super) use unit::{Task, Unit};
pub(super) use view::{JobView, ShardView, UnitView, WorkerState, WorkerView};
