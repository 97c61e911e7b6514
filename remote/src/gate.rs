//! Who may use the stores of this process now.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use shardex_catalog::{ShardId, StoreId};
use shardex_proto::Fault;
use shardex_proto::v1::error_detail::Reason;
use shardex_seams::{Clock, StoreError};
use tokio::sync::{Notify, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock as AsyncRwLock};

use crate::map::Map;
use crate::sessions::{NoBegin, Permit, Sessions, Table};

/// Held while a store may change, or a shard is opened to be written: it does not leave meanwhile.
#[derive(Debug)]
pub struct Use {
    _guard: OwnedRwLockReadGuard<()>,
}

/// Guards the stores of an owner: they serve while its lease holds, what is its own, to units that began.
pub struct Gate {
    worker: String,
    clock: Arc<dyn Clock>,
    sessions: Mutex<Sessions>,
    /// A unit wants to begin that the leader has not spoken of yet.
    table_wanted: Notify,
    owned: RwLock<Owned>,
    uses: Mutex<HashMap<StoreId, Arc<AsyncRwLock<()>>>>,
    /// Stores whose last pass has begun, with the number of the move: nobody writes them.
    leaving: Mutex<HashMap<StoreId, (u64, OwnedRwLockWriteGuard<()>)>>,
    /// Stores that have arrived and are not in their place yet.
    arriving: RwLock<HashSet<StoreId>>,
    /// The `home_begun` of a map for which what ledger and registry held before is out of the way.
    begun: AtomicU64,
}

/// The right to write once.
pub(crate) struct Pass {
    _permit: Permit,
    _use: Use,
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

impl Store<'_> {
    fn id(self) -> StoreId {
        match self {
            Self::Shard(shard) => shard.into(),
            Self::Home => StoreId::Home,
        }
    }
}

impl<'a> From<&'a StoreId> for Store<'a> {
    fn from(store: &'a StoreId) -> Self {
        store.shard().map_or(Self::Home, Self::Shard)
    }
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
            begun: AtomicU64::new(0),
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
        self.leaving().retain(|store, (number, _)| is_move(&map, store, *number));
        owned.map = Arc::new(map);
    }

    /// The map that came with the last table: who acts by it knows that sessions of earlier units are over here.
    #[must_use]
    pub fn heard(&self) -> Arc<Map> {
        Arc::clone(&self.owned.read().unwrap_or_else(PoisonError::into_inner).map)
    }

    /// Says that a store comes: it is not served before it is in its place, whatever the map says.
    pub fn expect(&self, store: &StoreId) {
        self.arriving.write().unwrap_or_else(PoisonError::into_inner).insert(store.clone());
    }

    /// Keeps only these of the stores that are expected.
    pub fn keep_expecting(&self, is_expected: impl Fn(&StoreId) -> bool) {
        self.arriving.write().unwrap_or_else(PoisonError::into_inner).retain(is_expected);
    }

    /// Says that ledger and registry may be served by a map of this `home_begun`: what they held before that is out of
    /// the way.
    pub fn has_begun(&self, home_begun: u64) {
        self.begun.fetch_max(home_begun, Ordering::Relaxed);
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
        Still { _guard: self.lock_of(&shard.into()).write_owned().await }
    }

    /// Lets this process write ledger and registry without a unit's session.
    ///
    /// # Errors
    /// [`StoreError::Away`] while they are not its own, or leave.
    pub fn use_home(&self) -> Result<Use, StoreError> {
        self.hold(Store::Home).map_err(|fault| crate::status::back(fault, &self.worker))
    }

    /// Looks whether ledger and registry may be read at this moment: once they have left, others are in their places.
    pub(crate) fn reads_home(&self) -> Result<(), StoreError> {
        self.read(Store::Home).map_err(|fault| crate::status::back(fault, &self.worker))
    }

    /// Whether a store is about to leave, so that the leader's next word is urgent.
    #[must_use]
    pub fn is_handing_over(&self) -> bool {
        !self.leaving().is_empty()
    }

    /// Looks whether the map wants a store moved so.
    pub(crate) fn moves(&self, store: &StoreId, to: &str, number: u64) -> Result<(), Fault> {
        self.read(store.into())?;
        let owned = self.owned.read().unwrap_or_else(PoisonError::into_inner);
        match owned.map.moves.get(store) {
            Some(known) if known.to == to && known.number == number => Ok(()),
            _ => Err(self.not_now("knows of no such move")),
        }
    }

    /// Lets nobody write a store until the map says how its move ended. Waits for writes under way.
    pub(crate) async fn pause(&self, store: &StoreId, to: &str, number: u64) -> Result<(), Fault> {
        let is_paused = |leaving: &HashMap<StoreId, (u64, _)>| {
            leaving.get(store).is_some_and(|(paused, _)| *paused == number)
        };
        if is_paused(&self.leaving()) {
            return Ok(());
        }
        let guard = self.lock_of(store).write_owned().await;
        self.leaving().insert(store.clone(), (number, guard));
        // Called off meanwhile, it would stay so for ever.
        let wanted = self.moves(store, to, number);
        if wanted.is_err() {
            self.leaving().remove(store);
        }
        wanted
    }

    fn leaving(&self) -> std::sync::MutexGuard<'_, HashMap<StoreId, (u64, OwnedRwLockWriteGuard<()>)>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_of(&self, store: &StoreId) -> Arc<AsyncRwLock<()>> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(uses.entry(store.clone()).or_default())
    }

    /// Lets somebody use a store as its writer does. The store does not leave while that is held.
    pub(crate) fn hold(&self, store: Store<'_>) -> Result<Use, Fault> {
        self.read(store)?;
        let held = self.lock_of(&store.id()).try_read_owned();
        let held = held.map_err(|_| self.not_now("is handing over what is asked for"))?;
        // Again: between the two it may have gone.
        self.read(store)?;
        Ok(Use { _guard: held })
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
        let held = self.hold(store)?;
        let permit = self.sessions().enter(writer.unit, writer.fence).ok_or_else(fenced)?;
        Ok(Pass { _permit: permit, _use: held })
    }

    /// Lets a read in.
    pub(crate) fn read(&self, store: Store<'_>) -> Result<(), Fault> {
        self.serves()?;
        let owned = self.owned.read().unwrap_or_else(PoisonError::into_inner);
        let id = store.id();
        if owned.map.owner(&id) != Some(&*self.worker) {
            return Err(self.not_now("does not own what is asked for, as far as it knows"));
        }
        let is_arriving = self.arriving.read().unwrap_or_else(PoisonError::into_inner).contains(&id);
        let has_begun = id != StoreId::Home || self.begun.load(Ordering::Relaxed) >= owned.map.home_begun;
        if is_arriving || !has_begun {
            return Err(self.not_now("has just got what is asked for, and is putting it in its place"));
        }
        Ok(())
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serves(&self) -> Result<(), Fault> {
        let until = self.owned.read().unwrap_or_else(PoisonError::into_inner).until;
        if self.clock.elapsed() < until {
            Ok(())
        } else {
            Err(self.later(Reason::NoLease, "may not serve: its lease is over"))
        }
    }

    fn not_now(&self, why: &str) -> Fault {
        self.later(Reason::NotFound, why)
    }

    fn later(&self, reason: Reason, why: &str) -> Fault {
        let mut fault = Fault::new(reason, format!("worker `{}` {why}", self.worker));
        fault.detail.may_retry = true;
        fault
    }
}

fn is_move(map: &Map, store: &StoreId, number: u64) -> bool {
    map.moves.get(store).is_some_and(|known| known.number == number)
}

fn fenced() -> Fault {
    Fault::new(Reason::Fenced, "the unit is held by somebody else, or did not begin here")
}
