//! All stores of a cluster for one unit.

use std::sync::Arc;
use std::time::Duration;

use shardex_catalog::Fence;
use shardex_proto::v1::{self, Writer};
use shardex_seams::{Ledger, Registry, ShardWriter, StoreError};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::ledger::RemoteLedger;
use crate::local::LocalStores;
use crate::map::Locator;
use crate::peers::{Caller, Peers};
use crate::registry::RemoteRegistry;
use crate::shards::RemoteShards;

/// Owners at which a unit begins at once.
const BEGINS_MAX: usize = 64;
/// Time in which a worker that owns nothing yet must hear of a unit.
const IDLE_OWNER_MAX: Duration = Duration::from_secs(2);

/// All stores of a cluster, as one unit uses them.
pub struct RemoteStores {
    caller: Caller,
    writer: Writer,
}

impl RemoteStores {
    /// The stores for a unit with a fence. What may succeed later is tried for `patience`. Calls run on
    /// `handle`'s runtime, whatever runtime or thread makes them.
    #[must_use]
    pub fn new(
        peers: Arc<Peers>,
        locator: Arc<dyn Locator>,
        unit: u64,
        fence: Fence,
        patience: Duration,
        handle: Handle,
    ) -> Self {
        let caller = Caller { peers, locator, patience, handle, local: None, absent: None };
        Self { caller, writer: Writer { unit, fence: fence.0 } }
    }

    /// Uses the stores of this process without a call where they are the ones that are meant.
    #[must_use]
    pub fn with_local(mut self, local: Option<LocalStores>) -> Self {
        self.caller.local = local;
        self
    }

    /// Begins the unit's session at every store, at many at once: most have to ask the leader first, who has given the fence
    /// just now.
    ///
    /// # Errors
    /// [`StoreError`] if one does not answer, or knows a higher fence: the unit must not read then.
    ///
    /// # Cancel safety
    /// Dropped, some stores may know the session; beginning again is harmless.
    pub async fn begin(&self) -> Result<(), StoreError> {
        let map = self.caller.locator.locate(&[]).await?;
        let mut beginning = JoinSet::new();
        for worker in map.owners() {
            if beginning.len() >= BEGINS_MAX {
                begun(&mut beginning).await?;
            }
            let (caller, writer) = (self.caller.clone(), self.writer);
            let (worker, owns_nothing) = (worker.to_owned(), map.owns_nothing(worker));
            beginning.spawn(async move { begin_at(&caller, &worker, writer, owns_nothing).await });
        }
        while !beginning.is_empty() {
            begun(&mut beginning).await?;
        }
        Ok(())
    }

    /// The shards.
    #[must_use]
    pub fn shards(&self) -> Arc<dyn ShardWriter> {
        Arc::new(RemoteShards { caller: self.caller.clone(), writer: self.writer })
    }

    /// The registry.
    #[must_use]
    pub fn registry(&self) -> Arc<dyn Registry> {
        Arc::new(RemoteRegistry { caller: self.caller.clone(), writer: self.writer })
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(RemoteLedger { caller: self.caller.clone(), writer: self.writer })
    }
}

/// Begins a unit's session at the stores of one owner.
async fn begin_at(
    caller: &Caller,
    worker: &str,
    writer: Writer,
    owns_nothing: bool,
) -> Result<(), StoreError> {
    let begun = caller.call_worker(worker, writer, |mut client, request| {
        Box::pin(async move { client.begin(request).await })
    });
    if owns_nothing {
        // It may be gone for good. If it is given a shard before it has heard of the unit, it refuses the unit's
        // rows, and the unit begins anew.
        let _ = tokio::time::timeout(IDLE_OWNER_MAX, begun).await;
        return Ok(());
    }
    begun.await.map(|v1::Done {}| ())
}

/// Waits for the next of those that begin.
async fn begun(beginning: &mut JoinSet<Result<(), StoreError>>) -> Result<(), StoreError> {
    let next = beginning.join_next().await;
    next.map_or(Ok(()), |begun| begun.map_err(|_| StoreError::Closed)?)
}
