//! Carries out what the map says of stores that come and go.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use shardex_catalog::{ShardId, StoreId};
use shardex_proto::v1::ArrivedShard;
use shardex_remote::{Gate, Locator, Map, StoreFetcher};
use shardex_seams::StoreError;
use shardex_shard_store::Moving;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::directory::Directory;

/// Time between two looks at the map.
const EVERY: Duration = Duration::from_millis(100);
/// Time before a store that could not be fetched is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// What the map asks of this worker for one store.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It has arrived, and is ours.
    Install,
    /// It has arrived; the leader is to hear that.
    Report,
    /// What has arrived is not wanted any more.
    Discard,
    /// It is to come.
    Fetch(u64),
    /// Another worker has it.
    Remove,
    /// It was to go, and stays.
    Stay,
    Nothing,
}

/// For a shard. `arrived`: the number of the move for which it has come. `is_leaving`: its last pass began here. Pure.
fn step(map: &Map, worker: &str, shard: &ShardId, arrived: Option<u64>, is_leaving: bool) -> Step {
    let store = shard.into();
    let owner = map.shards.get(shard).map(String::as_str);
    let coming = map.moves.get(&store).filter(|known| known.to == worker).map(|known| known.number);
    let is_settled = !map.moves.contains_key(&store);
    match (arrived, coming) {
        (Some(_), None) if is_settled && owner == Some(worker) => Step::Install,
        (Some(arrived), Some(number)) if arrived == number => Step::Report,
        (Some(_), None) => Step::Discard,
        // Ordered again, it is fetched again.
        (_, Some(number)) if owner.is_some_and(|owner| !owner.is_empty()) => Step::Fetch(number),
        _ if is_leaving && is_settled && owner == Some(worker) => Step::Stay,
        _ if is_leaving && is_settled && owner.is_some() => Step::Remove,
        _ => Step::Nothing,
    }
}

/// A worker's part in moves.
pub(super) struct Mover {
    pub(super) worker: String,
    pub(super) moving: Arc<Moving>,
    pub(super) fetcher: Arc<StoreFetcher>,
    pub(super) gate: Arc<Gate>,
    pub(super) directory: Arc<Directory>,
    /// Whether ledger and registry here are the cluster's, as reports say it.
    pub(super) is_home: Arc<AtomicBool>,
    /// Lets the worker report at once.
    pub(super) wake: Arc<Notify>,
}

impl Mover {
    /// Carries out moves for as long as the process runs.
    pub(super) async fn run(self) {
        let mut fetching: Option<JoinHandle<()>> = None;
        loop {
            tokio::time::sleep(EVERY).await;
            let map = self.directory.map();
            // Nothing was heard of the leader yet.
            if map.version == 0 {
                continue;
            }
            let is_free = fetching.as_ref().is_none_or(JoinHandle::is_finished);
            match self.look(&map).await {
                Ok(Some((store, number))) if is_free => fetching = Some(self.fetch(store, number)),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "a move cannot go on");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            if self.gate.is_handing_over() {
                self.wake.notify_one();
            }
        }
    }

    /// Takes all steps but fetching; gives a store that is to be fetched.
    async fn look(&self, map: &Map) -> Result<Option<(StoreId, u64)>, StoreError> {
        let arrived = self.moving.arrived()?;
        let mut arrived: HashMap<_, _> = arrived.into_iter().map(|one| (one.store, one.number)).collect();
        let leaving = self.moving.leaving()?;
        let mut stores: Vec<_> = map.moves.keys().chain(arrived.keys()).chain(&leaving).cloned().collect();
        stores.sort();
        stores.dedup();
        let mut to_fetch = self.look_at_home(arrived.get(&StoreId::Home).copied()).await?;
        for store in stores {
            let StoreId::Shard(shard) = &store else { continue };
            let step = step(map, &self.worker, shard, arrived.get(&store).copied(), leaving.contains(&store));
            if matches!(step, Step::Install | Step::Discard) {
                arrived.remove(&store);
            }
            let fetched = self.carry_out(step, store).await?;
            to_fetch = to_fetch.or(fetched);
        }
        let comes = |store: &StoreId| map.moves.get(store).is_some_and(|known| known.to == self.worker);
        self.gate.keep_expecting(|store| match store {
            // The step that ends it says so.
            StoreId::Home => true,
            StoreId::Shard(_) => arrived.contains_key(store) || comes(store),
        });
        Ok(to_fetch)
    }

    /// Does what the map asks, but fetching: gives what is to be fetched.
    pub(super) async fn carry_out(
        &self,
        step: Step,
        store: StoreId,
    ) -> Result<Option<(StoreId, u64)>, StoreError> {
        match step {
            Step::Install => {
                self.moving.install(&store).await?;
                tracing::info!("a store has moved here");
                self.wake.notify_one();
            }
            Step::Report => self.wake.notify_one(),
            Step::Discard => self.moving.discard(&store)?,
            Step::Fetch(number) => return Ok(Some((store, number))),
            Step::Remove => {
                self.moving.remove_left(&store).await?;
                tracing::info!("a store has moved away");
                self.wake.notify_one();
            }
            Step::Stay => self.moving.stays(&store)?,
            Step::Nothing => {}
        }
        Ok(None)
    }

    fn fetch(&self, store: StoreId, number: u64) -> JoinHandle<()> {
        let (moving, fetcher, gate) =
            (Arc::clone(&self.moving), Arc::clone(&self.fetcher), Arc::clone(&self.gate));
        tokio::spawn(async move {
            // From here on the map may make it ours before it is in its place.
            gate.expect(&store);
            if let Err(error) = fetch(moving, &fetcher, store, number).await {
                tracing::warn!(%error, "a store could not be fetched: it will be tried again");
                tokio::time::sleep(PAUSE).await;
            }
        })
    }
}

async fn fetch(
    moving: Arc<Moving>,
    fetcher: &StoreFetcher,
    store: StoreId,
    number: u64,
) -> Result<(), StoreError> {
    let (sinks_of, of) = (Arc::clone(&moving), store.clone());
    let sinks = tokio::task::spawn_blocking(move || sinks_of.sinks(&of)).await;
    let from_session = fetcher.fetch(number, sinks.unwrap_or(Err(StoreError::Closed))?).await?;
    let arrived = tokio::task::spawn_blocking(move || moving.arrive(&store, number, from_session)).await;
    arrived.unwrap_or(Err(StoreError::Closed))
}

/// What has arrived, for a report.
pub(super) fn arrived(moving: &Moving) -> Result<Vec<ArrivedShard>, StoreError> {
    let arrived = moving.arrived()?.into_iter().map(|one| ArrivedShard {
        shard: one.store.shard().map(ToString::to_string).unwrap_or_default(),
        r#move: one.number,
        from_session: one.from_session,
    });
    Ok(arrived.collect())
}

#[cfg(test)]
mod tests {
    use shardex_remote::StoreMove;

    use super::*;

    fn map(owner: &str, moves: Option<(&str, u64)>) -> Map {
        let shard = ShardId::new("p/0").expect("an id");
        let moves =
            moves.map(|(to, number)| (StoreId::from(&shard), StoreMove { to: to.to_owned(), number }));
        Map {
            version: 9,
            shards: HashMap::from([(shard, owner.to_owned())]),
            moves: moves.into_iter().collect(),
            ..Map::default()
        }
    }

    #[test]
    fn a_shard_is_fetched_reported_and_installed_and_removed_where_it_was() {
        let shard = ShardId::new("p/0").expect("an id");
        let at = |map: &Map, worker, arrived, is_leaving| step(map, worker, &shard, arrived, is_leaving);
        let ordered = map("a", Some(("b", 5)));
        assert_eq!(at(&ordered, "b", None, false), Step::Fetch(5));
        assert_eq!(at(&ordered, "a", None, true), Step::Nothing);
        assert_eq!(at(&ordered, "b", Some(5), false), Step::Report);
        let released = map("", Some(("b", 5)));
        assert_eq!(at(&released, "b", Some(5), false), Step::Report);
        assert_eq!(at(&released, "b", None, false), Step::Nothing, "nobody has it to give");
        assert_eq!(at(&released, "a", None, true), Step::Nothing, "not removed before another owns it");
        let done = map("b", None);
        assert_eq!(at(&done, "b", Some(5), false), Step::Install);
        assert_eq!(at(&done, "a", None, true), Step::Remove);
        assert_eq!(at(&done, "a", None, false), Step::Nothing, "never removed without its mark");
    }

    #[test]
    fn a_move_that_is_called_off_leaves_nothing_behind() {
        let shard = ShardId::new("p/0").expect("an id");
        let stays = map("a", None);
        assert_eq!(step(&stays, "a", &shard, None, true), Step::Stay);
        assert_eq!(step(&stays, "b", &shard, Some(5), false), Step::Discard);
        let again = map("a", Some(("b", 7)));
        assert_eq!(step(&again, "b", &shard, Some(5), false), Step::Fetch(7));
    }
}
