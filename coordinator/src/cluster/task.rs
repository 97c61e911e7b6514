//! The one task that owns the state while this process leads. Nobody is answered before what was
//! decided is stored.

use std::sync::Arc;
use std::time::Duration;

use shardex_seams::{Clock, StateStore};
use tokio::sync::{mpsc, oneshot, watch};

use super::convert;
use super::machine::{Refusal, State, Timing};
use super::persist::Persisted;
use crate::error::Error;
use shardex_proto::v1::ShardMap;

/// Calls that wait at most, and that one transaction answers at most.
const CALLS_MAX: usize = 256;
/// How often leases are looked at.
const TICK: Duration = Duration::from_millis(500);

/// When and by what chance something is decided.
pub(super) struct Moment {
    pub(super) timing: Timing,
    /// By the leader's clock.
    pub(super) now: Duration,
    /// Since the Unix epoch.
    pub(super) now_ns: i64,
    /// From 0 to 1.
    pub(super) jitter: f64,
}

/// Why a call got no answer.
pub(super) enum Unanswered {
    /// The leader refuses.
    Refused(Refusal),
    /// This process leads no more, or its store failed: ask another, or later.
    NotLeading,
}

type Answer = Box<dyn FnOnce(bool) + Send>;
type Call = Box<dyn FnOnce(&mut State, &Moment) -> Answer + Send>;

/// Asks the task.
#[derive(Clone)]
pub(super) struct Asking(mpsc::Sender<Call>);

impl Asking {
    /// Decides something, and gives its result once it is stored.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut State, &Moment) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (to, answer) = oneshot::channel();
        let call: Call = Box::new(move |state, moment| {
            let result = decide(state, moment);
            Box::new(move |is_stored| {
                let result =
                    if is_stored { result.map_err(Unanswered::Refused) } else { Err(Unanswered::NotLeading) };
                // Nobody listens where the caller is gone.
                let _ = to.send(result);
            })
        });
        self.0.send(call).await.map_err(|_| Unanswered::NotLeading)?;
        answer.await.unwrap_or(Err(Unanswered::NotLeading))
    }
}

/// What a leader needs.
pub(super) struct Leading {
    pub(super) store: Arc<dyn StateStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lease: Duration,
    /// For a cluster without one.
    pub(super) placement: Option<String>,
    /// Numbers from 0 to 1.
    pub(super) chance: fn() -> f64,
    pub(super) map: watch::Sender<Arc<ShardMap>>,
}

impl Leading {
    /// Leads until the store fails or somebody else writes to it. `began` gets the way to ask.
    ///
    /// # Errors
    /// [`Error`]: why it no longer leads.
    pub(super) async fn lead(&self, began: impl FnOnce(Asking)) -> Result<(), Error> {
        let timing = Timing { lease: self.lease, began: self.clock.elapsed() };
        let (mut persisted, mut state) = Persisted::load(&*self.store).await?;
        if state.cluster.placement.is_none() {
            state.cluster.placement.clone_from(&self.placement);
        }
        persisted.save(&*self.store, &state).await?;
        self.map.send_replace(Arc::new(convert::map(&state)));
        let (to, mut calls) = mpsc::channel::<Call>(CALLS_MAX);
        began(Asking(to));
        let mut ticks = tokio::time::interval(TICK);
        let mut waiting = Vec::with_capacity(CALLS_MAX);
        loop {
            tokio::select! {
                taken = calls.recv_many(&mut waiting, CALLS_MAX) => if taken == 0 { return Ok(()) },
                _ = ticks.tick() => {}
            }
            let now_ns = self.clock.wall_ns();
            let moment = Moment { timing, now: self.clock.elapsed(), now_ns, jitter: (self.chance)() };
            let answers: Vec<Answer> = waiting.drain(..).map(|call| call(&mut state, &moment)).collect();
            state.expire(&timing, moment.now);
            state.note_ends(now_ns);
            let stored = persisted.save(&*self.store, &state).await;
            let is_stored = stored.is_ok();
            answers.into_iter().for_each(|answer| answer(is_stored));
            stored?;
            if self.map.borrow().version != state.cluster.map_version {
                self.map.send_replace(Arc::new(convert::map(&state)));
            }
        }
    }
}
