//! Carries out what the map says of shards that are split.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shardex_catalog::{ShardId, ShardSplit};
use shardex_proto::v1::{SplitReport, SplitStage};
use shardex_remote::{Gate, Map, MapSplit};
use shardex_seams::{ShardWriter, StoreError};
use shardex_shard_store::{LedgerFile, RegistryFile, SplitMark, Splitting};
use tokio::sync::Notify;

/// Time between two looks at the map.
const EVERY: Duration = Duration::from_millis(100);
/// Time before what failed is tried again.
const PAUSE: Duration = Duration::from_secs(2);
/// Files that are relabelled at a time.
const PAGE: u32 = 4096;

/// What the map asks of the owner of a shard. Pure.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Make both halves.
    Build,
    /// Put them in their places.
    Place,
    /// The leader is to hear how far it is.
    Report,
    /// They are not wanted any more.
    Discard,
    /// The leader knows that they are in their places, and so does the home.
    End,
    Nothing,
}

/// `known`: what the map says of the shard's split; `mark`: what has been made here.
fn step(worker: &str, known: Option<&MapSplit>, mark: Option<&SplitMark>) -> Step {
    let known = known.filter(|known| known.owner == worker);
    let Some(mark) = mark else {
        return match known {
            Some(known) if known.stage == SplitStage::Building => Step::Build,
            _ => Step::Nothing,
        };
    };
    let known = known.filter(|known| known.split == mark.split && known.number == mark.number);
    match known.map(|known| known.stage) {
        Some(SplitStage::Done) if mark.is_placed => Step::End,
        Some(SplitStage::Relabelling) if mark.is_placed => Step::Nothing,
        // The map may have been lost; what is decided stays so.
        _ if mark.is_placed => Step::Report,
        _ if mark.is_decided => Step::Place,
        Some(SplitStage::Placing) => Step::Place,
        Some(SplitStage::Building) => Step::Report,
        Some(SplitStage::Relabelling | SplitStage::Done) => Step::Place,
        Some(SplitStage::Waiting | SplitStage::Unspecified) | None => Step::Discard,
    }
}

/// What a worker has done for splits, as its reports say it.
#[derive(Default)]
pub(super) struct Done {
    failed: Mutex<Vec<SplitReport>>,
    relabelled: Mutex<Vec<SplitReport>>,
}

impl Done {
    fn of(list: &Mutex<Vec<SplitReport>>) -> Vec<SplitReport> {
        list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(list: &Mutex<Vec<SplitReport>>, report: SplitReport) {
        list.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    }

    /// Forgets what the map does not ask for any more.
    fn keep(&self, map: &Map) {
        for list in [&self.failed, &self.relabelled] {
            list.lock().unwrap_or_else(PoisonError::into_inner).retain(|said| {
                let shard = ShardId::new(&said.shard).ok();
                let known = shard.and_then(|shard| map.splits.get(&shard));
                known.is_some_and(|known| known.number == said.number)
            });
        }
    }

    /// What the home knows of.
    pub(super) fn relabelled(&self) -> Vec<SplitReport> {
        Self::of(&self.relabelled)
    }

    /// What was made here, and what could not be made.
    pub(super) fn splits(&self, splitting: &Splitting) -> Result<Vec<SplitReport>, StoreError> {
        let made = splitting.marks()?.into_iter();
        let made = made.map(|mark| report(&mark.split, mark.number, mark.is_placed, String::new()));
        Ok(made.chain(Self::of(&self.failed)).collect())
    }
}

fn report(split: &ShardSplit, number: u64, is_placed: bool, failed: String) -> SplitReport {
    SplitReport {
        shard: split.from.to_string(),
        to: split.to.to_string(),
        moved: split.moved.to_string(),
        number,
        is_placed,
        failed,
    }
}

/// A worker's part in splits.
pub(super) struct Splitter {
    pub(super) worker: String,
    pub(super) splitting: Arc<Splitting>,
    pub(super) done: Arc<Done>,
    pub(super) ledger: Arc<LedgerFile>,
    pub(super) registry: Arc<RegistryFile>,
    /// Of all owners.
    pub(super) shards: Arc<dyn ShardWriter>,
    pub(super) gate: Arc<Gate>,
    /// Lets the worker report at once.
    pub(super) wake: Arc<Notify>,
}

impl Splitter {
    /// Carries out splits for as long as the process runs.
    pub(super) async fn run(self) {
        let mut known_version = 0;
        loop {
            tokio::time::sleep(EVERY).await;
            // Not the newest that anybody has asked for: its table of units must have been taken, too.
            let map = self.gate.heard();
            // Nothing was heard of the leader yet.
            if map.version == 0 {
                continue;
            }
            self.done.keep(&map);
            if let Err(error) = self.look(&map, &mut known_version).await {
                tracing::warn!(%error, "a split cannot go on");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn look(&self, map: &Map, known_version: &mut u64) -> Result<(), StoreError> {
        let marks = self.splitting.marks()?;
        let mut shards: Vec<_> = map.splits.keys().chain(marks.iter().map(|mark| &mark.split.from)).collect();
        shards.sort();
        shards.dedup();
        for shard in shards {
            let mark = marks.iter().find(|mark| mark.split.from == *shard);
            self.carry_out(step(&self.worker, map.splits.get(shard), mark), map, shard).await?;
        }
        if map.home.as_ref() != Some(&self.worker) {
            return Ok(());
        }
        // While both leave, they are not changed. Whoever is home next goes on.
        let Ok(_held) = self.gate.use_home() else { return Ok(()) };
        if *known_version != map.version {
            // A registry that was begun anew knows of no split.
            let split = map.shards.keys().filter(|shard| shard.as_str().contains("/0.")).cloned().collect();
            self.registry.know(split).await?;
            *known_version = map.version;
        }
        for known in map.splits.values().filter(|known| known.stage == SplitStage::Relabelling) {
            self.relabel(known).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, step: Step, map: &Map, shard: &ShardId) -> Result<(), StoreError> {
        match step {
            Step::Build => {
                if let Some(known) = map.splits.get(shard) {
                    self.build(known).await;
                    self.wake.notify_one();
                }
            }
            Step::Place => {
                let _still = self.gate.still(shard).await;
                self.splitting.place(shard).await?;
                tracing::info!("a shard was split");
                self.wake.notify_one();
            }
            Step::Report => self.wake.notify_one(),
            Step::Discard => self.splitting.discard(shard)?,
            Step::End => {
                self.splitting.end(shard)?;
                self.wake.notify_one();
            }
            Step::Nothing => {}
        }
        Ok(())
    }

    /// Makes both halves; a failure is told to the leader, which gives the split up.
    async fn build(&self, known: &MapSplit) {
        if Done::of(&self.done.failed).iter().any(|said| said.number == known.number) {
            return;
        }
        // The leader has said that no unit is held. What one of them wrote last is being applied at most.
        self.gate.quiet().await;
        let still = self.gate.still(&known.split.from).await;
        let built = match self.splitting.close(&known.split.from).await {
            Ok(()) => {
                let (splitting, known) = (Arc::clone(&self.splitting), known.clone());
                let build = move || splitting.build(&known.split, known.number);
                tokio::task::spawn_blocking(build).await.unwrap_or(Err(StoreError::Closed))
            }
            Err(error) => Err(error),
        };
        drop(still);
        if let Err(error) = built {
            tracing::warn!(%error, "a shard could not be split");
            Done::add(&self.done.failed, report(&known.split, known.number, false, error.without_files()));
        }
    }

    /// Lets ledger and registry name the new shard for what it has. Done again from its beginning after a crash.
    async fn relabel(&self, known: &MapSplit) -> Result<(), StoreError> {
        let split = &known.split;
        if self
            .done
            .relabelled()
            .iter()
            .any(|said| said.number == known.number && said.to == split.to.as_str())
        {
            self.wake.notify_one();
            return Ok(());
        }
        // A record of a unit that is over would name the old shard again.
        self.gate.quiet().await;
        self.registry.relabel_split(split.clone()).await?;
        let mut after = None;
        loop {
            let files = self.shards.files_after(split.to.clone(), after, PAGE).await?;
            let Some(last) = files.last().cloned() else { break };
            self.ledger.relabel(split.clone(), files).await?;
            after = Some(last);
        }
        let stays = self.shards.history(split.from.clone()).await?;
        let goes = self.shards.history(split.to.clone()).await?;
        self.ledger.finish_split(split.clone(), stays, goes).await?;
        Done::add(&self.done.relabelled, report(split, known.number, true, String::new()));
        self.wake.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shardex_catalog::KeyPrefix;

    use super::*;

    fn split() -> ShardSplit {
        let shard = |id| ShardId::new(id).expect("an id");
        ShardSplit { from: shard("p/0"), to: shard("p/0.1"), moved: KeyPrefix::new("1").expect("bits") }
    }

    fn known(number: u64, stage: SplitStage) -> MapSplit {
        MapSplit { owner: "a".to_owned(), split: split(), number, stage }
    }

    fn mark(number: u64, is_decided: bool, is_placed: bool) -> SplitMark {
        SplitMark { split: split(), number, is_decided, is_placed }
    }

    #[test]
    fn halves_are_made_reported_placed_and_ended() {
        let at = |stage, mark: Option<SplitMark>| step("a", Some(&known(7, stage)), mark.as_ref());
        assert_eq!(at(SplitStage::Waiting, None), Step::Nothing, "somebody may write");
        assert_eq!(at(SplitStage::Building, None), Step::Build);
        assert_eq!(at(SplitStage::Building, Some(mark(7, false, false))), Step::Report);
        assert_eq!(at(SplitStage::Placing, Some(mark(7, false, false))), Step::Place);
        assert_eq!(at(SplitStage::Placing, Some(mark(7, true, false))), Step::Place);
        assert_eq!(at(SplitStage::Placing, Some(mark(7, true, true))), Step::Report);
        assert_eq!(at(SplitStage::Relabelling, Some(mark(7, true, true))), Step::Nothing);
        assert_eq!(at(SplitStage::Done, Some(mark(7, true, true))), Step::End);
        assert_eq!(at(SplitStage::Done, None), Step::Nothing);
        assert_eq!(step("b", Some(&known(7, SplitStage::Building)), None), Step::Nothing);
    }

    #[test]
    fn what_is_decided_stays_so_whatever_the_map_says() {
        assert_eq!(step("a", None, Some(&mark(7, false, false))), Step::Discard);
        assert_eq!(
            step("a", Some(&known(9, SplitStage::Building)), Some(&mark(7, false, false))),
            Step::Discard
        );
        assert_eq!(step("a", None, Some(&mark(7, true, false))), Step::Place);
        assert_eq!(step("a", None, Some(&mark(7, true, true))), Step::Report);
    }
}
