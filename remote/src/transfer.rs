//! Stores that move from one worker to another, both ends.

use std::sync::Arc;
use std::time::Duration;

use shardex_catalog::{StoreFile, StoreId};
use shardex_proto::Fault;
use shardex_proto::v1::fetch_part::Part;
use shardex_proto::v1::{self, FetchPart, HomeFile};
use shardex_seams::{BLOCK_BYTES, Block, Lengths, Sinks, StoreError, StoreSink};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::map::Locator;
use crate::peers::{Caller, Peers, unreachable};
use crate::service::{nonsense, shard_in};
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

/// Which file of which store is asked for.
pub(crate) fn file_in(request: &v1::FetchShardRequest) -> Result<StoreFile, Status> {
    match (request.home_file(), &*request.shard) {
        (HomeFile::Unspecified, shard) => shard_in(shard).map(StoreFile::Shard),
        (HomeFile::Ledger, "") => Ok(StoreFile::Ledger),
        (HomeFile::Registry, "") => Ok(StoreFile::Registry),
        _ => Err(nonsense("shard")),
    }
}

fn file_out(file: &StoreFile) -> (String, HomeFile) {
    match file {
        StoreFile::Shard(shard) => (shard.to_string(), HomeFile::Unspecified),
        StoreFile::Ledger => (String::new(), HomeFile::Ledger),
        StoreFile::Registry => (String::new(), HomeFile::Registry),
    }
}

/// Fetches stores from their owners.
pub struct StoreFetcher {
    caller: Caller,
    worker: String,
}

impl StoreFetcher {
    /// For a worker. What may succeed later is tried for `patience`.
    #[must_use]
    pub fn new(
        worker: &str,
        peers: Arc<Peers>,
        locator: Arc<dyn Locator>,
        handle: Handle,
        patience: Duration,
    ) -> Self {
        let caller = Caller { peers, locator, patience, handle, local: None, absent: None };
        Self { caller, worker: worker.to_owned() }
    }

    /// Fetches the files of a store for a move: passes over each while it is written, until little is new; then the
    /// last ones, in which its owner writes none of them. Gives the owner's process that stopped writing.
    ///
    /// # Errors
    /// [`StoreError`] if the owner does not answer or refuses, or a sink fails. It may be tried again with
    /// other sinks: what has come is not sent again.
    ///
    /// # Cancel safety
    /// Dropped, a sink may still take blocks of the pass that goes on.
    pub async fn fetch(&self, number: u64, sinks: Sinks) -> Result<u64, StoreError> {
        let mut filled = Vec::with_capacity(sinks.len());
        for (file, mut sink) in sinks {
            for _ in 0..PASSES_MAX {
                let (back, _, blocks) = self.pass(&file, number, false, sink).await?;
                sink = back;
                if blocks <= FEW_BLOCKS {
                    break;
                }
            }
            filled.push((file, sink));
        }
        let mut from: Option<u64> = None;
        for (file, sink) in filled {
            let (_, end, _) = self.pass(&file, number, true, sink).await?;
            if from.is_some_and(|from| from != end.session) {
                // Started between the two, it has let writes in.
                return Err(unreachable(&self.owner_of(&file.store()), "it was started again meanwhile"));
            }
            from = Some(end.session);
        }
        from.ok_or(StoreError::Closed)
    }

    fn owner_of(&self, store: &StoreId) -> String {
        self.caller.locator.map().owner(store).unwrap_or_default().to_owned()
    }

    async fn pass(
        &self,
        file: &StoreFile,
        number: u64,
        is_last: bool,
        sink: Box<dyn StoreSink>,
    ) -> Result<(Box<dyn StoreSink>, v1::FetchedEnd, u64), StoreError> {
        let (shard, home_file) = file_out(file);
        let request = v1::FetchShardRequest {
            shard,
            home_file: home_file.into(),
            r#move: number,
            to: self.worker.clone(),
            is_last,
            have: sink.have().into(),
        };
        let stream = self
            .caller
            .call(file.store(), request, |mut client, request| {
                Box::pin(async move { client.fetch_shard(request).await })
            })
            .await?;
        let owner = self.owner_of(&file.store());
        let handle = self.caller.handle.clone();
        let taken = tokio::task::spawn_blocking(move || take(&handle, stream, sink, &owner)).await;
        taken.unwrap_or(Err(StoreError::Closed))
    }
}

/// Takes the parts of a pass; gives the sink back, the end, and the number of blocks.
fn take(
    handle: &Handle,
    mut stream: Streaming<FetchPart>,
    mut sink: Box<dyn StoreSink>,
    owner: &str,
) -> Result<(Box<dyn StoreSink>, v1::FetchedEnd, u64), StoreError> {
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
