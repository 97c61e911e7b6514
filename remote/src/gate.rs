//! Who may use the stores of this process now.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use shardex_catalog::ShardId;
use shardex_proto::Fault;
use shardex_proto::v1::error_detail::Reason;
use shardex_seams::Clock;
use tokio::sync::{Notify, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock as AsyncRwLock};

use crate::map::Map;
use crate::sessions::{NoBegin, Permit, Sessions, Table};

/// Held while a shard may change, or is opened to be written.
type Use = OwnedRwLockReadGuard<()>;

/// Guards the stores of an owner: they serve while its lease holds, what is its own, to units that began.
pub struct Gate {
    worker: String,
    clock: Arc<dyn Clock>,
    sessions: Mutex<Sessions>,
    /// A unit wants to begin that the leader has not spoken of yet.
    table_wanted: Notify,
    owned: RwLock<Owned>,
    uses: Mutex<HashMap<ShardId, Arc<AsyncRwLock<()>>>>,
    /// Shards whose last pass has begun, with the number of the move: nobody writes them.
    leaving: Mutex<HashMap<ShardId, (u64, OwnedRwLockWriteGuard<()>)>>,
    /// Shards that have arrived and are not in their place yet.
    arriving: RwLock<HashSet<ShardId>>,
}

/// The right to write once.
pub(crate) struct Pass {
    _permit: Permit,
    _use: Option<Use>,
}

/// Nobody uses a shard as its writer does while this lives.
#[derive(Debug)]
pub struct Still {
    _guard: OwnedRwLockWriteGuard<()>,
}

#[derive(Default)]
struct Owned {
    map: Arc<Map>,
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
            uses: Mutex::default(),
            leaving: Mutex::default(),
            arriving: RwLock::default(),
        }
    }

    /// The worker whose stores these are.
    #[must_use]
    pub fn worker(&self) -> &str {
        &self.worker
    }

    /// Takes the leader's word: the fences of held units with the last fence given, a newer map, and the
    /// moment (of [`Clock::elapsed`]) until which the stores serve.
    pub fn take(&self, fences: HashMap<u64, u64>, last_fence: u64, map: Option<Map>, until: Duration) {
        self.sessions().set_table(Table { fences, last_fence });
        let mut owned = self.owned.write().unwrap_or_else(PoisonError::into_inner);
        owned.until = until;
        let Some(map) = map else { return };
        // Writes go on where a move was called off. Where it is done, the map names another owner.
        self.leaving().retain(|shard, (number, _)| is_move(&map, shard, *number));
        owned.map = Arc::new(map);
    }

    /// The map that came with the last table: who acts by it knows that sessions of earlier units are over here.
    #[must_use]
    pub fn heard(&self) -> Arc<Map> {
        Arc::clone(&self.owned.read().unwrap_or_else(PoisonError::into_inner).map)
    }

    /// Says that a shard comes: it is not served before it is in its place, whatever the map says.
    pub fn expect(&self, shard: &ShardId) {
        self.arriving.write().unwrap_or_else(PoisonError::into_inner).insert(shard.clone());
    }

    /// Keeps only these of the shards that are expected.
    pub fn keep_expecting(&self, is_expected: impl Fn(&ShardId) -> bool) {
        self.arriving.write().unwrap_or_else(PoisonError::into_inner).retain(is_expected);
    }

    /// Waits until nothing is written any more by units that are over.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn quiet(&self) {
        let ending = self.sessions().ending();
        for writing in ending {
            drop(writing.write().await);
        }
    }

    /// Waits until nobody uses a shard as its writer does, and lets nobody while what it gives is held.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn still(&self, shard: &ShardId) -> Still {
        Still { _guard: self.lock_of(shard).write_owned().await }
    }

    /// Whether a shard is about to leave, so that the leader's next word is urgent.
    #[must_use]
    pub fn is_handing_over(&self) -> bool {
        !self.leaving().is_empty()
    }

    /// Looks whether the map wants a shard moved so.
    pub(crate) fn moves(&self, shard: &ShardId, to: &str, number: u64) -> Result<(), Fault> {
        self.read(Store::Shard(shard))?;
        let owned = self.owned.read().unwrap_or_else(PoisonError::into_inner);
        match owned.map.moves.get(shard) {
            Some(known) if known.to == to && known.number == number => Ok(()),
            _ => Err(self.not_now("knows of no such move")),
        }
    }

    /// Lets nobody write a shard until the map says how its move ended. Waits for writes under way.
    pub(crate) async fn pause(&self, shard: &ShardId, to: &str, number: u64) -> Result<(), Fault> {
        let is_paused = |leaving: &HashMap<ShardId, (u64, _)>| {
            leaving.get(shard).is_some_and(|(paused, _)| *paused == number)
        };
        if is_paused(&self.leaving()) {
            return Ok(());
        }
        let guard = self.lock_of(shard).write_owned().await;
        self.leaving().insert(shard.clone(), (number, guard));
        // Called off meanwhile, it would stay so for ever.
        let wanted = self.moves(shard, to, number);
        if wanted.is_err() {
            self.leaving().remove(shard);
        }
        wanted
    }

    fn leaving(&self) -> std::sync::MutexGuard<'_, HashMap<ShardId, (u64, OwnedRwLockWriteGuard<()>)>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_of(&self, shard: &ShardId) -> Arc<AsyncRwLock<()>> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(uses.entry(shard.clone()).or_default())
    }

    /// Lets somebody use a shard as its writer does. The shard does not leave while that is held.
    pub(crate) fn hold(&self, shard: &ShardId) -> Result<Use, Fault> {
        self.read(Store::Shard(shard))?;
        let held = self.lock_of(shard).try_read_owned();
        let held = held.map_err(|_| self.not_now("is handing the shard over"))?;
        // Again: between the two it may have gone.
        self.read(Store::Shard(shard))?;
        Ok(held)
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
    ) -> Result<Pass, Fault> {
        let writer = writer.unwrap_or_default();
        let held = match store {
            Store::Shard(shard) => Some(self.hold(shard)?),
            Store::Home => {
                self.read(store)?;
                None
            }
        };
        let permit = self.sessions().enter(writer.unit, writer.fence).ok_or_else(fenced)?;
        Ok(Pass { _permit: permit, _use: held })
    }

    /// Lets a read in.
    pub(crate) fn read(&self, store: Store<'_>) -> Result<(), Fault> {
        self.serves()?;
        let owned = self.owned.read().unwrap_or_else(PoisonError::into_inner);
        let owner = match store {
            Store::Shard(shard) => owned.map.shards.get(shard),
            Store::Home => owned.map.home.as_ref(),
        };
        if owner != Some(&self.worker) {
            return Err(self.not_now("does not own what is asked for, as far as it knows"));
        }
        let arriving = self.arriving.read().unwrap_or_else(PoisonError::into_inner);
        match store {
            Store::Shard(shard) if arriving.contains(shard) => {
                Err(self.not_now("has just got the shard, and is putting it in its place"))
            }
            _ => Ok(()),
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

fn is_move(map: &Map, shard: &ShardId, number: u64) -> bool {
    map.moves.get(shard).is_some_and(|known| known.number == number)
}

fn fenced() -> Fault {
    Fault::new(Reason::Fenced, "the unit is held by somebody else, or did not begin here")
}
