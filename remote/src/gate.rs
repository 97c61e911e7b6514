//! Who may use the stores of this process now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use shardex_catalog::ShardId;
use shardex_proto::Fault;
use shardex_proto::v1::error_detail::Reason;
use shardex_seams::Clock;
use tokio::sync::Notify;

use crate::map::Map;
use crate::sessions::{NoBegin, Permit, Sessions, Table};

/// Guards the stores of an owner: they serve while its lease holds, what is its own, to units that began.
pub struct Gate {
    worker: String,
    clock: Arc<dyn Clock>,
    sessions: Mutex<Sessions>,
    /// A unit wants to begin that the leader has not spoken of yet.
    table_wanted: Notify,
    owned: RwLock<Owned>,
}

#[derive(Default)]
struct Owned {
    map: Map,
    until: Duration,
}

/// What a call is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Store<'a> {
    Shard(&'a ShardId),
    /// Ledger and registry.
    Home,
}

impl Gate {
    /// A gate that lets nobody in before it has heard of the leader.
    #[must_use]
    pub fn new(worker: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            worker: worker.to_owned(),
            clock,
            sessions: Mutex::default(),
            table_wanted: Notify::new(),
            owned: RwLock::default(),
        }
    }

    /// Takes the leader's word: the fences of held units with the last fence given, a newer map, and the
    /// moment (of [`Clock::elapsed`]) until which the stores serve.
    pub fn take(&self, fences: HashMap<u64, u64>, last_fence: u64, map: Option<Map>, until: Duration) {
        self.sessions().set_table(Table { fences, last_fence });
        let mut owned = self.owned.write().unwrap_or_else(PoisonError::into_inner);
        owned.until = until;
        if let Some(map) = map {
            owned.map = map;
        }
    }

    /// Waits until a unit wants to begin that the last table is too old for: it begins as soon as the
    /// leader was asked again.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn table_is_wanted(&self) {
        self.table_wanted.notified().await;
    }

    /// Begins the session of a unit. Afterwards no write of a session that is over is being applied.
    pub(crate) async fn begin(&self, unit: u64, fence: u64) -> Result<(), Fault> {
        self.serves()?;
        let begun = self.sessions().begin(unit, fence);
        let ending = begun.map_err(|why| match why {
            NoBegin::Fenced => fenced(),
            NoBegin::OldTable => {
                self.table_wanted.notify_one();
                self.not_now("has not heard yet who holds the unit")
            }
        })?;
        for writing in ending {
            drop(writing.write().await);
        }
        Ok(())
    }

    /// Lets a write in; it counts as being applied while the permit lives.
    pub(crate) fn write(
        &self,
        writer: Option<shardex_proto::v1::Writer>,
        store: Store<'_>,
    ) -> Result<Permit, Fault> {
        let writer = writer.unwrap_or_default();
        self.read(store)?;
        self.sessions().enter(writer.unit, writer.fence).ok_or_else(fenced)
    }

    /// Lets a read in.
    pub(crate) fn read(&self, store: Store<'_>) -> Result<(), Fault> {
        self.serves()?;
        let owned = self.owned.read().unwrap_or_else(PoisonError::into_inner);
        let owner = match store {
            Store::Shard(shard) => owned.map.shards.get(shard),
            Store::Home => owned.map.home.as_ref(),
        };
        if owner == Some(&self.worker) {
            Ok(())
        } else {
            Err(self.not_now("does not own what is asked for, as far as it knows"))
        }
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serves(&self) -> Result<(), Fault> {
        let until = self.owned.read().unwrap_or_else(PoisonError::into_inner).until;
        if self.clock.elapsed() < until {
            Ok(())
        } else {
            Err(self.not_now("may not serve: its lease is over"))
        }
    }

    fn not_now(&self, why: &str) -> Fault {
        let mut fault = Fault::new(Reason::NotFound, format!("worker `{}` {why}", self.worker));
        fault.detail.may_retry = true;
        fault
    }
}

fn fenced() -> Fault {
    Fault::new(Reason::Fenced, "the unit is held by somebody else, or did not begin here")
}
