//! Shards that move from one worker to another, both ends.

use std::sync::Arc;
use std::time::Duration;

use shardex_catalog::ShardId;
use shardex_proto::Fault;
use shardex_proto::v1::fetch_part::Part;
use shardex_proto::v1::{self, FetchPart};
use shardex_seams::{BLOCK_BYTES, Block, Lengths, ShardSink, StoreError};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::map::Locator;
use crate::peers::{Caller, Peers, Target, unreachable};
use crate::status;

/// Blocks that wait for the caller.
const WAITING: usize = 4;
/// Time in which a caller must take a block, and an owner give one.
const STALL: Duration = Duration::from_secs(60);
/// Passes before the last one at most, and the blocks that a pass may bring for the last one to follow.
const PASSES_MAX: usize = 5;
const FEW_BLOCKS: u64 = 64;

pub(crate) type Fetched = ReceiverStream<Result<FetchPart, Status>>;

/// Sends the blocks that `produce` gives on a blocking thread, then the end.
pub(crate) fn fetched(
    place: OwnedSemaphorePermit,
    session: u64,
    produce: impl FnOnce(&mut dyn FnMut(Block) -> bool) -> Result<Lengths, StoreError> + Send + 'static,
) -> Fetched {
    let (sender, receiver) = mpsc::channel(WAITING);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _held = place;
        let send = |part: Result<FetchPart, Status>| {
            let sent = runtime.block_on(tokio::time::timeout(STALL, sender.send(part)));
            matches!(sent, Ok(Ok(())))
        };
        let mut is_taken = true;
        let done = produce(&mut |block| {
            let block = v1::FetchedBlock {
                is_log: block.is_log,
                number: block.number,
                content: block.content.into(),
            };
            is_taken = send(Ok(FetchPart { part: Some(Part::Block(block)) }));
            is_taken
        });
        if is_taken {
            let end = done.map(|lengths| FetchPart {
                part: Some(Part::End(v1::FetchedEnd {
                    bytes: lengths.main,
                    log_bytes: lengths.log,
                    session,
                })),
            });
            send(end.map_err(|error| status::out(&error)));
        }
    });
    ReceiverStream::new(receiver)
}

/// Fetches shards from their owners.
pub struct ShardFetcher {
    caller: Caller,
    worker: String,
}

impl ShardFetcher {
    /// For a worker. What may succeed later is tried for `patience`.
    #[must_use]
    pub fn new(
        worker: &str,
        peers: Arc<Peers>,
        locator: Arc<dyn Locator>,
        handle: Handle,
        patience: Duration,
    ) -> Self {
        let caller = Caller { peers, locator, patience, handle, local: None };
        Self { caller, worker: worker.to_owned() }
    }

    /// Fetches a shard for a move: passes while it is written, until little is new; then the last one, after which
    /// its owner writes no more.
    ///
    /// # Errors
    /// [`StoreError`] if the owner does not answer or refuses, or the sink fails. It may be tried again with
    /// another sink: what has come is not sent again.
    ///
    /// # Cancel safety
    /// Dropped, the sink may still take blocks of the pass that goes on.
    pub async fn fetch(
        &self,
        shard: &ShardId,
        number: u64,
        mut sink: Box<dyn ShardSink>,
    ) -> Result<(), StoreError> {
        for pass in 0.. {
            let is_last = pass == PASSES_MAX;
            let (back, end, blocks) = self.pass(shard, number, is_last, sink).await?;
            sink = back;
            if is_last {
                return arrive(sink, number, end.session).await;
            }
            if blocks <= FEW_BLOCKS {
                let (sink, end, _) = self.pass(shard, number, true, sink).await?;
                return arrive(sink, number, end.session).await;
            }
        }
        Ok(())
    }

    async fn pass(
        &self,
        shard: &ShardId,
        number: u64,
        is_last: bool,
        sink: Box<dyn ShardSink>,
    ) -> Result<(Box<dyn ShardSink>, v1::FetchedEnd, u64), StoreError> {
        let request = v1::FetchShardRequest {
            shard: shard.to_string(),
            r#move: number,
            to: self.worker.clone(),
            is_last,
            have: sink.have().into(),
        };
        let target = Target::Shard(shard.clone());
        let stream = self
            .caller
            .call(target, request, |mut client, request| {
                Box::pin(async move { client.fetch_shard(request).await })
            })
            .await?;
        let owner = self.caller.locator.map().shards.get(shard).cloned().unwrap_or_default();
        let handle = self.caller.handle.clone();
        let taken = tokio::task::spawn_blocking(move || take(&handle, stream, sink, &owner)).await;
        taken.unwrap_or(Err(StoreError::Closed))
    }
}

async fn arrive(mut sink: Box<dyn ShardSink>, number: u64, session: u64) -> Result<(), StoreError> {
    let arrived = tokio::task::spawn_blocking(move || sink.arrive(number, session)).await;
    arrived.unwrap_or(Err(StoreError::Closed))
}

/// Takes the parts of a pass; gives the sink back, the end, and the number of blocks.
fn take(
    handle: &Handle,
    mut stream: Streaming<FetchPart>,
    mut sink: Box<dyn ShardSink>,
    owner: &str,
) -> Result<(Box<dyn ShardSink>, v1::FetchedEnd, u64), StoreError> {
    let mut blocks = 0;
    loop {
        let next = handle.block_on(tokio::time::timeout(STALL, stream.message()));
        let part = next
            .map_err(|_| unreachable(owner, "it does not answer"))?
            .map_err(|failed| status::back(Fault::from(failed), owner))?;
        match part.and_then(|part| part.part) {
            None => return Err(unreachable(owner, "its answer is cut off")),
            Some(Part::Block(block)) if block.content.len() <= BLOCK_BYTES => {
                blocks += 1;
                let content = block.content.to_vec();
                sink.take(&Block { is_log: block.is_log, number: block.number, content })?;
            }
            Some(Part::Block(_)) => return Err(crate::shards::nonsense()),
            Some(Part::End(end)) => {
                sink.end_pass(Lengths { main: end.bytes, log: end.log_bytes })?;
                return Ok((sink, end, blocks));
            }
        }
    }
}
