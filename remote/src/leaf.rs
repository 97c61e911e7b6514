//! Shards of other processes, read by a router.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shardex_catalog::{Cell, LeafQuery, LeafSearch, Predicate, ShardId, StoreId};
use shardex_proto::packed::search_out;
use shardex_proto::v1::{self, RowsPart};
use shardex_proto::{Fault, RowReader};
use shardex_seams::{Clock, Leaf, StoreError};
use tokio::runtime::Handle;
use tonic::Streaming;

use crate::absent::Absent;
use crate::map::{Locator, Map};
use crate::peers::{Caller, Method, Peers, unreachable};
use crate::shards::nonsense;
use crate::status;

/// Parts that wait for the thread that takes their rows.
const WAITING: usize = 4;
/// Time between two looks at the cancel flag.
const CANCEL_CHECK: Duration = Duration::from_millis(25);
/// An owner that is silent for this long within an answer is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Reads shards wherever they are. Its calls block, from threads that are not of `handle`'s runtime.
pub struct RemoteLeaf {
    caller: Caller,
}

impl RemoteLeaf {
    /// Leaves over the owners that `locator` knows. What may succeed later is tried for `patience`; an owner that was
    /// waited for in vain fails at once for a second of `clock`, and is tried once after it.
    #[must_use]
    pub fn new(
        peers: Arc<Peers>,
        locator: Arc<dyn Locator>,
        handle: Handle,
        patience: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let absent = Some(Arc::new(Absent::new(clock)));
        Self { caller: Caller { peers, locator, patience, handle, local: None, absent } }
    }

    /// Asks the owner of a store for rows of so many columns, and takes them in.
    pub(crate) fn stream_of<R: Clone + Send + Sync + 'static>(
        &self,
        target: &StoreId,
        width: usize,
        request: R,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
        method: Method<R, Streaming<RowsPart>>,
    ) -> Result<(), StoreError> {
        let stream = self.open(target, cancel, request, method);
        // As new as the one by which the owner was found.
        let map = self.caller.locator.map();
        if let StoreId::Shard(shard) = target {
            lacks_nothing(&map, shard)?;
        }
        self.take(map.owner(target).unwrap_or_default(), width, stream?, cancel, row)
    }

    /// Begins an answer of a store's owner.
    fn open<R: Clone + Send + Sync + 'static>(
        &self,
        target: &StoreId,
        cancel: &Arc<AtomicBool>,
        request: R,
        method: Method<R, Streaming<RowsPart>>,
    ) -> Result<Streaming<RowsPart>, StoreError> {
        let (caller, target, stop) = (self.caller.clone(), target.clone(), Arc::clone(cancel));
        self.caller.block(async move {
            tokio::select! {
                stream = caller.try_owner(&target, request, method) => stream,
                () = cancelled(&stop) => Err(StoreError::Query("interrupted".to_owned())),
            }
        })
    }

    /// Takes the parts of an answer in, until `row` returns false or `cancel` is set.
    fn take(
        &self,
        name: &str,
        width: usize,
        stream: Streaming<RowsPart>,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        let (to, parts) = std::sync::mpsc::sync_channel(WAITING);
        let name = name.to_owned();
        self.caller.handle.spawn_blocking({
            let (handle, cancel, name) = (self.caller.handle.clone(), Arc::clone(cancel), name.clone());
            move || handle.block_on(forward(stream, to, cancel, name))
        });
        let mut reader = RowReader::new(width);
        while let Ok(part) = parts.recv() {
            let part: RowsPart = part?;
            let rows = part.rows.unwrap_or_default();
            let goes_on = reader.read(&rows, &mut |cells| row(cells.to_vec())).map_err(|_| nonsense())?;
            if !goes_on {
                // Dropping the parts ends the task, and with it the owner's query.
                return Ok(());
            }
            if part.is_last {
                return reader.end().map_err(|_| nonsense());
            }
        }
        if cancel.load(Ordering::Relaxed) {
            Err(StoreError::Query("interrupted".to_owned()))
        } else {
            Err(unreachable(&name, "its answer is cut off"))
        }
    }
}

/// Refuses to answer for a shard without the rows that it is to have.
fn lacks_nothing(map: &Map, shard: &ShardId) -> Result<(), StoreError> {
    if !map.lost.contains(shard) {
        return Ok(());
    }
    let detail = "it lacks rows that were lost with a worker that was given up; \
                  it has them again when a job has read every source"
        .to_owned();
    Err(StoreError::Away { store: format!("shard {shard}"), detail })
}

/// Waits until the query is cancelled.
async fn cancelled(cancel: &AtomicBool) {
    while !cancel.load(Ordering::Relaxed) {
        tokio::time::sleep(CANCEL_CHECK).await;
    }
}

/// Passes parts on until the last, an error, a cancelled query, or nobody takes them.
async fn forward(
    mut stream: Streaming<RowsPart>,
    to: std::sync::mpsc::SyncSender<Result<RowsPart, StoreError>>,
    cancel: Arc<AtomicBool>,
    name: String,
) {
    let mut silent = Duration::ZERO;
    loop {
        let next = tokio::time::timeout(CANCEL_CHECK, stream.message()).await;
        if cancel.load(Ordering::Relaxed) {
            return;
        }
        let part = match next {
            Err(_) if silent > SILENCE_MAX => Err(unreachable(&name, "it does not answer")),
            Err(_) => {
                silent += CANCEL_CHECK;
                continue;
            }
            Ok(Ok(None)) => return,
            Ok(Ok(Some(part))) => Ok(part),
            Ok(Err(failed)) => Err(status::back(Fault::from(failed), &name)),
        };
        silent = Duration::ZERO;
        let is_over = part.is_err();
        if to.send(part).is_err() || is_over {
            return;
        }
    }
}

impl Leaf for RemoteLeaf {
    fn rows(
        &self,
        shard: &ShardId,
        query: &LeafQuery,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        let request = v1::RowsRequest {
            shard: shard.to_string(),
            view: query.view.to_string(),
            columns: query.columns.clone(),
            filters: query.filters.clone(),
            sop_instance_uids: query.sop_instance_uids.clone().map(|texts| v1::Texts { texts }),
            rows_max: query.rows_max,
        };
        let (target, width) = (StoreId::Shard(shard.clone()), query.columns.len());
        self.stream_of(&target, width, request, cancel, row, |mut client, request| {
            Box::pin(async move { client.rows(request).await })
        })
    }

    fn search(
        &self,
        shard: &ShardId,
        search: &LeafSearch,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        let width = if search.is_count { 1 } else { search.columns.len() };
        let request = v1::LeafSearchRequest { shard: shard.to_string(), packed: search_out(search).into() };
        let target = StoreId::Shard(shard.clone());
        self.stream_of(&target, width, request, cancel, row, |mut client, request| {
            Box::pin(async move { client.search(request).await })
        })
    }

    fn shards(&self) -> Result<Vec<ShardId>, StoreError> {
        let caller = self.caller.clone();
        let map = self.caller.block(async move { caller.locate(Vec::new()).await })?;
        let mut shards: Vec<_> = map.shards.keys().chain(&map.lost).cloned().collect();
        shards.sort();
        shards.dedup();
        Ok(shards)
    }

    fn excludes(&self, shard: &ShardId, predicate: &Predicate) -> Result<bool, StoreError> {
        let mut request = v1::ExcludesRequest { shard: shard.to_string(), ..v1::ExcludesRequest::default() };
        match predicate.clone() {
            Predicate::In(column, texts) => {
                request.column = column;
                request.values = Some(v1::Texts { texts });
            }
            Predicate::Between(column, low, high) => {
                (request.column, request.low, request.high) = (column, low, high);
            }
        }
        let reply =
            self.caller.call_blocking(StoreId::Shard(shard.clone()), request, |mut client, request| {
                Box::pin(async move { client.excludes(request).await })
            });
        lacks_nothing(&self.caller.locator.map(), shard)?;
        Ok(reply?.count > 0)
    }
}

/// Rows of files that no shard has, however they are made.
pub trait LedgerFileRows: Send + Sync {
    /// Streams them until `row` returns false.
    ///
    /// # Errors
    /// [`StoreError`] if the ledger cannot be read.
    fn rows(&self, row: &mut dyn FnMut(Vec<Cell>) -> bool) -> Result<(), StoreError>;
}

/// Columns of a row of [`LedgerFileRows`].
pub const LEDGER_FILES_WIDTH: usize = 9;

impl LedgerFileRows for RemoteLeaf {
    fn rows(&self, row: &mut dyn FnMut(Vec<Cell>) -> bool) -> Result<(), StoreError> {
        let (width, cancel) = (LEDGER_FILES_WIDTH, Arc::default());
        let request = v1::LedgerFilesRequest {};
        self.stream_of(&StoreId::Home, width, request, &cancel, row, |mut client, request| {
            Box::pin(async move { client.ledger_files(request).await })
        })
    }
}
