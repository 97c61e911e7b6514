//! The one task that owns the state while this process leads. Nobody is answered before what was
//! decided is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shardex_seams::{Clock, StateStore};
use tokio::sync::{mpsc, oneshot, watch};

use super::machine::{Limits, Map, Moment, Refusal, State};
use super::persist::Persisted;
use crate::error::Error;

/// Calls that wait at most, and that one transaction answers at most.
const CALLS_MAX: usize = 256;
/// How often leases are looked at.
const TICK: Duration = Duration::from_millis(500);
/// Loads after failed stores, one after the other, before somebody else may try.
const FAILURES_MAX: u32 = 3;
/// Bytes that are stored a second, at most: etcd keeps every revision until it compacts them, and refuses all writes once
/// that is more than its quota. Calls that come meanwhile are answered together.
const STORED_A_SECOND: usize = 1 << 20;
/// The longest that calls wait for that. What etcd takes at once (1.5 MiB by default) takes less.
const REST_MAX: Duration = Duration::from_secs(2);

/// Why a call got no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The leader refuses.
    Refused(Refusal),
    /// This process leads no more, or its store failed: ask another, or later.
    NotLeading,
}

/// A call that waits for its turn.
trait Call: Send {
    /// Whether anybody still wants the answer.
    fn is_wanted(&self) -> bool;
    /// Whether a leader that refuses to lead is to decide it nevertheless.
    fn mends(&self) -> bool;
    /// Decides; gives what the state's age has to do with a refusal.
    fn decide(&mut self, state: &mut State, now: Moment) -> Option<Refusal>;
    /// Tells the caller; `Err` if nothing was stored.
    fn answer(self: Box<Self>, stored: Result<(), Unanswered>);
}

struct Asked<T, F> {
    mends: bool,
    decide: Option<F>,
    result: Option<Result<T, Refusal>>,
    to: oneshot::Sender<Result<T, Unanswered>>,
}

impl<T: Send, F: FnOnce(&mut State, Moment) -> Result<T, Refusal> + Send> Call for Asked<T, F> {
    fn is_wanted(&self) -> bool {
        !self.to.is_closed()
    }

    fn mends(&self) -> bool {
        self.mends
    }

    fn decide(&mut self, state: &mut State, now: Moment) -> Option<Refusal> {
        let decide = self.decide.take()?;
        let result = self.result.insert(decide(state, now));
        result.as_ref().err().filter(|refusal| refusal.seen().is_some()).cloned()
    }

    fn answer(self: Box<Self>, stored: Result<(), Unanswered>) {
        let decided = self.result.unwrap_or_else(|| Err(Refusal::Refused("nothing was decided".to_owned())));
        let result = stored.and_then(|()| decided.map_err(Unanswered::Refused));
        // Nobody listens where the caller is gone.
        let _ = self.to.send(result);
    }
}

/// Asks the task.
#[derive(Clone)]
pub(super) struct Asking(mpsc::Sender<Box<dyn Call>>);

impl Asking {
    /// Decides something, and gives its result once it is stored.
    ///
    /// # Cancel safety
    /// Dropped, it may have been decided or not.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut State, Moment) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Unanswered> {
        self.call(false, decide).await
    }

    /// As [`Asking::ask`], and a leader that refuses to lead decides it, too.
    ///
    /// # Cancel safety
    /// Dropped, it may have been decided or not.
    pub(super) async fn mend<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut State, Moment) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Unanswered> {
        self.call(true, decide).await
    }

    async fn call<T: Send + 'static>(
        &self,
        mends: bool,
        decide: impl FnOnce(&mut State, Moment) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (to, answer) = oneshot::channel();
        let call = Box::new(Asked { mends, decide: Some(decide), result: None, to });
        self.0.send(call).await.map_err(|_| Unanswered::NotLeading)?;
        answer.await.unwrap_or(Err(Unanswered::NotLeading))
    }
}

/// What a leader needs.
pub(super) struct Leading {
    pub(super) store: Arc<dyn StateStore>,
    /// The moment (of [`Clock::elapsed`], in milliseconds) until which nobody else leads.
    pub(super) until: Arc<AtomicU64>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    /// For a cluster without one.
    pub(super) placement: Option<String>,
    /// Numbers from 0 to 1.
    pub(super) chance: fn() -> f64,
    /// `None` while this process does not lead.
    pub(super) map: watch::Sender<Option<Arc<Map>>>,
}

impl Drop for Leading {
    /// However leading ends, who watches the map learns it.
    fn drop(&mut self) {
        self.map.send_replace(None);
    }
}

/// How long nothing is stored after so many bytes. Pure.
fn rest_after(bytes: usize) -> Duration {
    let milliseconds = bytes.saturating_mul(1000) / STORED_A_SECOND;
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX)).min(REST_MAX)
}

impl Leading {
    /// Leads until the store fails or the term may be over. `began` gets the way to ask.
    ///
    /// # Errors
    /// [`Error`]: why it no longer leads.
    pub(super) async fn lead(&self, began: impl FnOnce(Asking)) -> Result<(), Error> {
        let mut persisted = Persisted::load(&*self.store).await?;
        let mut state =
            State::begin(persisted.durable(), self.limits.clone(), self.placement.as_deref(), self.moment());
        persisted.save(&*self.store, &state.durable).await?;
        if state.durable.cluster.recovering.is_none() {
            self.map.send_replace(Some(Arc::clone(&state.durable.map)));
        }
        let (to, mut calls) = mpsc::channel(CALLS_MAX);
        began(Asking(to));
        let mut ticks = tokio::time::interval(TICK);
        let mut waiting: Vec<Box<dyn Call>> = Vec::with_capacity(CALLS_MAX);
        let mut refusing: Option<Refusal> = None;
        let mut failures = 0;
        let mut rest = Duration::ZERO;
        loop {
            tokio::time::sleep(std::mem::take(&mut rest)).await;
            tokio::select! {
                taken = calls.recv_many(&mut waiting, CALLS_MAX) => if taken == 0 { return Ok(()) },
                _ = ticks.tick() => {}
            }
            if let Some(refusal) = &refusing {
                persisted = Persisted::load(&*self.store).await?;
                if !self.still_leads() {
                    return Err(Error::TermOver);
                }
                let is_mended = refusal.seen().is_none_or(|seen| seen.is_known_to(&persisted.durable()));
                if !is_mended {
                    let refused = waiting.extract_if(.., |call| !call.mends());
                    refused.for_each(|call| call.answer(Err(Unanswered::Refused(refusal.clone()))));
                    if waiting.is_empty() {
                        continue;
                    }
                }
                state = State::begin(persisted.durable(), self.limits.clone(), None, self.moment());
                state.may_recover = !is_mended;
            }
            waiting.retain(|call| call.is_wanted());
            let now = self.moment();
            refusing = waiting.iter_mut().filter_map(|call| call.decide(&mut state, now)).last();
            state.tick(now);
            let stored = persisted.save(&*self.store, &state.durable).await;
            let may_answer = stored.is_ok() && self.still_leads();
            let answers = waiting.drain(..);
            answers
                .for_each(|call| call.answer(if may_answer { Ok(()) } else { Err(Unanswered::NotLeading) }));
            if !self.still_leads() {
                return Err(Error::TermOver);
            }
            match stored {
                Ok(bytes) => (failures, rest) = (0, rest_after(bytes)),
                Err(error) => {
                    failures += 1;
                    // Somebody else has written, or the state is another one: what is in memory is worth nothing.
                    if failures >= FAILURES_MAX || matches!(error, Error::Contended) {
                        return Err(error);
                    }
                    tracing::warn!(%error, "the state could not be stored; it is read again");
                    persisted = Persisted::load(&*self.store).await?;
                    state.reload(persisted.durable(), self.moment());
                    continue;
                }
            }
            if refusing.is_some() {
                tracing::error!(
                    "the state of the cluster is gone, or older than its stores: run `shardex recover --coordinator URL`"
                );
            }
            if state.durable.cluster.recovering.is_some() || refusing.is_some() {
                self.map.send_if_modified(|map| map.take().is_some());
                continue;
            }
            self.map.send_if_modified(|map| {
                let new = &state.durable.map;
                let is_new = map.as_ref().is_none_or(|map| map.version != new.version);
                *map = Some(Arc::clone(new));
                is_new
            });
        }
    }

    fn moment(&self) -> Moment {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number from 0 to 1, scaled"
        )]
        let random = ((self.chance)().clamp(0.0, 1.0) * 1e9) as u64;
        Moment { elapsed: self.clock.elapsed(), wall_ns: self.clock.wall_ns(), random }
    }

    /// Whether nobody else can lead yet. A process that slept finds out here.
    fn still_leads(&self) -> bool {
        self.clock.elapsed().as_millis() < u128::from(self.until.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_takes_its_time() {
        for (bytes, milliseconds) in
            [(0, 0), (1000, 0), (10_486, 10), (1 << 18, 250), (3 << 19, 1500), (usize::MAX, 2000)]
        {
            assert_eq!(rest_after(bytes), Duration::from_millis(milliseconds), "{bytes}");
        }
    }
}
