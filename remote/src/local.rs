//! The stores of this very process, as its own units use them: behind the same gate, without the wire.

use std::sync::Arc;

use shardex_proto::Fault;
use shardex_proto::v1::Writer;
use shardex_seams::StoreError;

use crate::gate::{Gate, Pass, Store};
use crate::service::OwnedStores;
use crate::status;

/// The stores that this process owns, with the gate in front of them.
#[derive(Clone)]
pub struct LocalStores {
    stores: OwnedStores,
    gate: Arc<Gate>,
}

impl std::fmt::Debug for LocalStores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalStores").finish_non_exhaustive()
    }
}

impl LocalStores {
    /// Stores that nobody uses but through `gate`.
    #[must_use]
    pub fn new(stores: OwnedStores, gate: Arc<Gate>) -> Self {
        Self { stores, gate }
    }

    /// The stores for one read, where this process owns what is read. Elsewhere, and while its lease is
    /// over, the owner is called, which knows what to wait for.
    pub(crate) fn read(&self, store: Store<'_>) -> Option<&OwnedStores> {
        self.gate.read(store).ok().map(|()| &self.stores)
    }

    /// Lets a unit write once, as [`LocalStores::read`] does.
    pub(crate) fn write(&self, writer: Writer, store: Store<'_>) -> Option<LocalWrite> {
        let permit = self.gate.write(Some(writer), store).ok()?;
        Some(LocalWrite { permit, stores: self.stores.clone(), worker: self.gate.worker().to_owned() })
    }

    /// What a failure of these stores is to a unit: the same as if it had come from elsewhere.
    pub(crate) fn failed(&self, error: &StoreError) -> StoreError {
        failed(error, self.gate.worker())
    }
}

/// The right to write once.
pub(crate) struct LocalWrite {
    permit: Pass,
    stores: OwnedStores,
    worker: String,
}

impl LocalWrite {
    /// Writes in a task of its own: a unit that goes away leaves a write that goes on, and whoever begins
    /// has to wait for its end.
    pub(crate) async fn run<T: Send + 'static, W>(
        self,
        handle: &tokio::runtime::Handle,
        work: impl FnOnce(OwnedStores) -> W,
    ) -> Result<T, StoreError>
    where
        W: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let Self { permit, stores, worker } = self;
        let work = work(stores);
        let done = handle.spawn(async move {
            let done = work.await;
            drop(permit);
            done
        });
        done.await.unwrap_or(Err(StoreError::Closed)).map_err(|error| failed(&error, &worker))
    }
}

fn failed(error: &StoreError, worker: &str) -> StoreError {
    status::back(Fault::from(status::out(error)), worker)
}
