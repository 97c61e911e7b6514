//! One unit of a cluster's job: a part of what [`crate::ingest`] does in one go.

use std::collections::HashMap;
use std::sync::Arc;

use shardex_catalog::{Fence, ShardId, Span};
use shardex_seams::{History, ShardWriter, StoreError};
use tokio::task::JoinSet;

use crate::error::Error;
use crate::heal::{self, Others};
use crate::hold::Findings;
use crate::ingest::{self, Control, SourceRoot, Stores};
use crate::outcome::Outcome;
use crate::progress::Phase;
use crate::reader;
use crate::sequencer::Sequencer;
use crate::settings::{Coverage, Settings};

/// Shards that are asked for their histories at once.
const ASKED_AT_ONCE: usize = 16;

/// What walks have seen of the root of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RootSeen {
    /// It could be listed.
    pub was_listed: bool,
    /// It had no entries.
    pub is_empty: bool,
}

/// What a unit is to do.
#[derive(Clone, Debug)]
pub enum Task {
    /// Compare the shards with the ledger's positions, and heal what was put back or lost.
    Heal,
    /// Walk a part of a source.
    Walk {
        /// The source.
        source: SourceRoot,
        /// The part.
        span: Span,
        /// What others walk of it.
        excluded: Vec<Span>,
    },
    /// Record what walks of a source have left behind, and carry out its deletions.
    Finish {
        /// The source.
        source: SourceRoot,
        /// What the walks have seen of its root.
        root: RootSeen,
    },
}

/// A unit with its fences.
#[derive(Clone, Debug)]
pub struct Unit {
    /// What is to be done.
    pub task: Task,
    /// Carried by every write.
    pub fence: Fence,
    /// The lowest fence of its job.
    pub since: Fence,
}

/// What a unit did.
#[derive(Clone, Debug)]
pub struct UnitOutcome {
    /// As of an ingest; `None` for a heal.
    pub outcome: Option<Outcome>,
    /// What a walk from the root has seen of it.
    pub root: Option<RootSeen>,
}

/// Works a unit off. Blocks until its end.
///
/// # Errors
/// [`Error`] if the root cannot be opened or a store fails; what was recorded before stays valid, and
/// whoever takes the unit next goes on from there.
pub fn run_unit(
    unit: Unit,
    settings: Settings,
    stores: Stores,
    control: &Control,
) -> Result<UnitOutcome, Error> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(Error::Thread)?;
    let Unit { task, fence, since } = unit;
    runtime.block_on(async {
        match task {
            Task::Heal => {
                heal::heal(&*stores.shards, &*stores.ledger, fence, Others::MayWrite).await?;
                Ok(UnitOutcome { outcome: None, root: None })
            }
            Task::Walk { source, span, excluded } => {
                let from_root = span.names().is_none() && span.directory().is_root();
                let coverage = Coverage::Part { span, excluded };
                let (mut sequencer, contexts) =
                    prepare(source, &coverage, (fence, since), settings, stores, control).await?;
                let is_interrupted = ingest::walk(&mut sequencer, &contexts, coverage, control).await?;
                let root = from_root.then(|| root_seen(&sequencer.shared));
                control.progress.enter(Phase::Done);
                let outcome = ingest::outcome(&sequencer, &sequencer.shared, &[], is_interrupted);
                Ok(UnitOutcome { outcome: Some(outcome), root })
            }
            Task::Finish { source, root } => {
                let findings = Findings {
                    root_was_listed: root.was_listed,
                    root_is_empty: root.is_empty,
                    identity_changed: source.identity_changed,
                    ..Findings::default()
                };
                let name = source.name.clone();
                let (mut sequencer, _) =
                    prepare(source, &Coverage::Full, (fence, since), settings, stores, control).await?;
                control.progress.enter(Phase::Deleting);
                let swept = ingest::finish_source(&mut sequencer, &name, findings).await?;
                control.progress.enter(Phase::Done);
                let outcome = ingest::outcome(&sequencer, &sequencer.shared, &[swept], false);
                Ok(UnitOutcome { outcome: Some(outcome), root: None })
            }
        }
    })
}

async fn prepare(
    source: SourceRoot,
    coverage: &Coverage,
    (fence, since): (Fence, Fence),
    settings: Settings,
    stores: Stores,
    control: &Control,
) -> Result<(Sequencer, Vec<Arc<crate::part::SourceContext>>), Error> {
    let contexts = ingest::open_sources(&[source], &stores, fence).await?;
    let histories = histories(&stores.shards).await?;
    let shared = ingest::share(settings, coverage, &stores, control, histories, &contexts);
    Ok((Sequencer::new(shared, stores, fence, since), contexts))
}

/// The histories of all shards. One that cannot be had fails the unit: it is tried again later.
async fn histories(shards: &Arc<dyn ShardWriter>) -> Result<HashMap<ShardId, History>, Error> {
    let mut wanted = shards.shards().await?.into_iter();
    let (mut asked, mut histories) = (JoinSet::new(), HashMap::new());
    loop {
        for shard in wanted.by_ref().take(ASKED_AT_ONCE - asked.len()) {
            let shards = Arc::clone(shards);
            asked.spawn(async move { shards.history(shard.clone()).await.map(|history| (shard, history)) });
        }
        let Some(answer) = asked.join_next().await else { return Ok(histories) };
        let (shard, history) = answer.map_err(|_| StoreError::Closed)??;
        histories.insert(shard, history);
    }
}

fn root_seen(shared: &reader::Shared) -> RootSeen {
    let findings = shared.roots.first().map(reader::RootFindings::findings).unwrap_or_default();
    RootSeen { was_listed: findings.root_was_listed, is_empty: findings.root_is_empty }
}
