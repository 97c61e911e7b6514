//! Who may use the stores of this process now.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use shardex_catalog::ShardId;
use shardex_proto::Fault;
use shardex_proto::v1::error_detail::Reason;
use shardex_seams::Clock;
use tokio::sync::RwLockReadGuard;

use crate::map::Map;
use crate::sessions::{NoBegin, Sessions, Table};

/// Guards the stores of an owner: they serve while its lease holds, what is its own, to units that began.
pub struct Gate {
    worker: String,
    clock: Arc<dyn Clock>,
    /// Writes hold it shared while they are applied, so that whoever begins waits for them.
    sessions: tokio::sync::RwLock<Sessions>,
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
            sessions: tokio::sync::RwLock::default(),
            owned: RwLock::default(),
        }
    }

    /// Takes the leader's word: the fences of held units with the last fence given, a newer map, and the
    /// moment (of [`Clock::elapsed`]) until which the stores serve.
    pub async fn take(&self, fences: HashMap<u64, u64>, last_fence: u64, map: Option<Map>, until: Duration) {
        self.sessions.write().await.set_table(Table { fences, last_fence });
        let mut owned = self.owned.write().unwrap_or_else(PoisonError::into_inner);
        owned.until = until;
        if let Some(map) = map {
            owned.map = map;
        }
    }

    /// Begins the session of a unit, after all writes that are being applied.
    pub(crate) async fn begin(&self, unit: u64, fence: u64) -> Result<(), Fault> {
        self.serves()?;
        self.sessions.write().await.begin(unit, fence).map_err(|why| match why {
            NoBegin::Fenced => fenced(),
            NoBegin::NoTable => self.not_now("has not heard of the leader yet"),
        })
    }

    /// Lets a write in; it counts as being applied while the guard lives.
    pub(crate) async fn write(
        &self,
        writer: Option<shardex_proto::v1::Writer>,
        store: Store<'_>,
    ) -> Result<RwLockReadGuard<'_, Sessions>, Fault> {
        let writer = writer.unwrap_or_default();
        let sessions = self.sessions.read().await;
        self.read(store)?;
        if sessions.may_write(writer.unit, writer.fence) { Ok(sessions) } else { Err(fenced()) }
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
