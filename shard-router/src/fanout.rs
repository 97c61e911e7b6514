//! Asks shards in parallel: a bounded number of threads read, one merges.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use shardex_catalog::{Cell, LeafQuery, LeafSearch, Predicate, ShardId};
use shardex_seams::{Leaf, StoreError};

use crate::Error;
use crate::batch::Batch;
use crate::stop::Stop;

/// Batches waiting for the merge, for each reading thread.
const WAITING_PER_THREAD: usize = 2;
/// Longest time without a look at deadline and cancel flag.
const STOP_CHECK: Duration = Duration::from_millis(10);

/// What is asked of every shard.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) asked: Asked,
    /// A shard without a row of this is left out: a narrow look-up that spares most shards the
    /// preparation of a wide one.
    pub(crate) probe: Option<LeafQuery>,
    /// A shard that excludes a predicate of each of these is left out; none of them: ask all.
    pub(crate) alternatives: Vec<Vec<Predicate>>,
}

/// In which language it is asked.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Rows of a view, by filters in SQL.
    Rows(LeafQuery),
    /// What matches keys.
    Search(LeafSearch),
}

/// What a shard, given by its place in the list, has to say.
#[derive(Debug)]
pub(crate) enum Event {
    /// Some of its rows.
    Rows(usize, Vec<Vec<Cell>>),
    /// All its rows were given.
    Answered(usize),
    /// It holds nothing that the question asks for.
    Pruned,
    /// Rows it gave before do not count.
    Failed(usize, StoreError),
}

/// Whether more is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    More,
    Nothing,
}

/// Asks all shards and hands what they say to `on_event` on the calling thread, until that wants
/// nothing more. All reading threads have ended when it returns.
pub(crate) fn ask(
    leaf: &dyn Leaf,
    shards: &[ShardId],
    question: &Question,
    threads: usize,
    stop: &Stop,
    on_event: &mut dyn FnMut(Event) -> Result<Wants, Error>,
) -> Result<(), Error> {
    let threads = threads.clamp(1, shards.len().max(1));
    let halt = Arc::new(AtomicBool::new(false));
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(threads * WAITING_PER_THREAD);
        for _ in 0..threads {
            let reader = Reader { leaf, shards, question, next: &next, halt: &halt, events: sender.clone() };
            scope.spawn(move || reader.read());
        }
        drop(sender);
        let result = merge(&receiver, stop, on_event);
        // Readers in the middle of a shard see the flag, those that wait to send the closed channel.
        halt.store(true, Ordering::Relaxed);
        result
    })
}

fn merge(
    events: &Receiver<Event>,
    stop: &Stop,
    on_event: &mut dyn FnMut(Event) -> Result<Wants, Error>,
) -> Result<(), Error> {
    loop {
        if let Some(reason) = stop.reason() {
            return Err(reason);
        }
        match events.recv_timeout(STOP_CHECK) {
            Ok(event) => {
                if on_event(event)? == Wants::Nothing {
                    return Ok(());
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

struct Reader<'a> {
    leaf: &'a dyn Leaf,
    shards: &'a [ShardId],
    question: &'a Question,
    next: &'a AtomicUsize,
    halt: &'a Arc<AtomicBool>,
    events: SyncSender<Event>,
}

impl Reader<'_> {
    /// Takes shard after shard until there are no more, or nobody listens.
    fn read(self) {
        while !self.halt.load(Ordering::Relaxed) {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(shard) = self.shards.get(at) else { return };
            let event = match self.rows(at, shard) {
                Ok(event) => event,
                Err(error) => Event::Failed(at, error),
            };
            if self.events.send(event).is_err() {
                return;
            }
        }
    }

    fn rows(&self, at: usize, shard: &ShardId) -> Result<Event, StoreError> {
        if self.is_excluded(shard)? || !self.probe(shard)? {
            return Ok(Event::Pruned);
        }
        let mut batch = Batch::default();
        let mut send = |row| match batch.push(row) {
            Some(full) => self.events.send(Event::Rows(at, full)).is_ok(),
            None => true,
        };
        match &self.question.asked {
            Asked::Rows(query) => self.leaf.rows(shard, query, self.halt, &mut send)?,
            Asked::Search(search) => self.leaf.search(shard, search, self.halt, &mut send)?,
        }
        let rest = batch.take();
        if !rest.is_empty() {
            // If nobody listens any more, sending the last word fails too and ends the thread.
            let _ = self.events.send(Event::Rows(at, rest));
        }
        Ok(Event::Answered(at))
    }

    fn probe(&self, shard: &ShardId) -> Result<bool, StoreError> {
        let Some(probe) = &self.question.probe else { return Ok(true) };
        let mut is_there = false;
        let mut note = |_| {
            is_there = true;
            false
        };
        self.leaf.rows(shard, probe, self.halt, &mut note)?;
        Ok(is_there)
    }

    fn is_excluded(&self, shard: &ShardId) -> Result<bool, StoreError> {
        for alternative in &self.question.alternatives {
            let mut is_possible = true;
            for predicate in alternative {
                if self.leaf.excludes(shard, predicate)? {
                    is_possible = false;
                    break;
                }
            }
            if is_possible {
                return Ok(false);
            }
        }
        Ok(!self.question.alternatives.is_empty())
    }
}
