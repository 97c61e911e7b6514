//! An ingest from beginning to end.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use shardex_catalog::{Domain, Fence, FileState, ShardId, SourceName, Span};
use shardex_seams::{Clock, History, Ledger, Registry, ShardWriter};
use tokio::sync::{Notify, mpsc};

use crate::error::Error;
use crate::frontier::Frontier;
use crate::hold::Findings;
use crate::outcome::{Ended, Outcome};
use crate::pace::Pace;
use crate::part::SourceContext;
use crate::progress::{Phase, Progress};
use crate::reader::{self, Event, Shared};
use crate::sequencer::Sequencer;
use crate::settings::{Coverage, Readers, Settings};
use crate::suspects::{Suspect, Verdict};
use crate::sweep::Swept;
use crate::threads::Threads;
use crate::ticker::{Go, Ticker};
use crate::{heal, suspects, tree};

/// Events that wait for the sequencer.
const EVENTS_MAX: usize = 64;
const TICK: Duration = Duration::from_millis(50);
/// Events are taken together after a rest: to be woken for each costs as much as to read some files.
const REST: Duration = Duration::from_millis(2);

/// A source and where it is mounted.
#[derive(Clone, Debug)]
pub struct SourceRoot {
    /// Its name.
    pub name: SourceName,
    /// Its domain.
    pub domain: Domain,
    /// Its root on this machine.
    pub root: PathBuf,
    /// The root is not the file system that it was: nothing is deleted.
    pub identity_changed: bool,
    /// It may hold stubs of a hierarchical storage manager, which are not opened: files of some size
    /// without a block on disk.
    pub skips_stubs: bool,
}

/// Where an ingest writes, and its clock.
#[derive(Clone)]
pub struct Stores {
    /// The shards.
    pub shards: Arc<dyn ShardWriter>,
    /// The registry.
    pub registry: Arc<dyn Registry>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// How an ingest is watched and stopped.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// Set it to stop soon: what was applied is recorded, the same command goes on.
    pub cancel: Arc<AtomicBool>,
    /// Live counts.
    pub progress: Arc<Progress>,
    /// What is left of a walk can be given to others.
    pub rest: Rest,
    /// Told when a walk has read all that it covers: what is left then waits for the stores.
    pub has_read: Arc<Notify>,
}

/// What is left of a walk.
#[derive(Clone, Default)]
pub struct Rest(pub(crate) Arc<Frontier>);

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rest")
    }
}

impl Rest {
    /// Sets a part of it aside, which is not walked here any more; the walk does not end before
    /// [`Rest::give_away`] or [`Rest::stop`]. `None` while there is too little, or something is set aside.
    #[must_use]
    pub fn set_aside(&self) -> Option<Span> {
        self.0.set_aside()
    }

    /// Others walk what was set aside.
    pub fn give_away(&self) {
        self.0.give_away();
    }

    /// Ends the walk where it is; what is set aside is not walked here.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Ingests sources. Blocks until the end.
///
/// # Errors
/// [`Error`] if a root cannot be opened or a store fails; what was recorded before stays valid.
pub fn ingest(
    sources: Vec<SourceRoot>,
    fence: Fence,
    settings: Settings,
    stores: Stores,
    control: Control,
) -> Result<Outcome, Error> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(Error::Thread)?;
    runtime.block_on(run(sources, fence, settings, stores, control))
}

async fn run(
    sources: Vec<SourceRoot>,
    fence: Fence,
    mut settings: Settings,
    stores: Stores,
    control: Control,
) -> Result<Outcome, Error> {
    let coverage = std::mem::replace(&mut settings.coverage, Coverage::Full);
    let contexts = open_sources(&sources, &stores, fence).await?;
    let (histories, healed) =
        heal::heal(&*stores.shards, &*stores.ledger, fence, heal::Others::Nobody).await?;
    let shared = share(settings, &coverage, &stores, &control, histories, &contexts);
    let mut sequencer = Sequencer::new(Arc::clone(&shared), stores, fence, fence);
    sequencer.failed.extend(healed.unreadable);
    let is_interrupted = walk(&mut sequencer, &contexts, coverage, &control).await?;
    let mut swept = Vec::new();
    if !is_interrupted && shared.is_full && !shared.settings.dry_run {
        control.progress.enter(Phase::Deleting);
        for (at, source) in sources.iter().enumerate() {
            let findings =
                Findings { identity_changed: source.identity_changed, ..shared.roots[at].findings() };
            swept.push(finish_source(&mut sequencer, &source.name, findings).await?);
        }
    }
    control.progress.enter(Phase::Done);
    Ok(outcome(&sequencer, &shared, &swept, is_interrupted))
}

/// What all threads of a run share.
pub(crate) fn share(
    settings: Settings,
    coverage: &Coverage,
    stores: &Stores,
    control: &Control,
    histories: HashMap<ShardId, History>,
    contexts: &[Arc<SourceContext>],
) -> Arc<Shared> {
    Arc::new(Shared {
        pace: settings.files_per_second.map(Pace::new),
        is_full: matches!(coverage, Coverage::Full | Coverage::Part { .. }),
        is_sample: matches!(coverage, Coverage::Sample),
        frontier: Arc::clone(&control.rest.0),
        ledger: Arc::clone(&stores.ledger),
        clock: Arc::clone(&stores.clock),
        histories,
        progress: Arc::clone(&control.progress),
        cancel: Arc::clone(&control.cancel),
        wanted: AtomicUsize::new(0),
        busy_ns: AtomicU64::new(0),
        part_numbers: AtomicU64::new(0),
        unreadable: AtomicU64::new(0),
        directories_skipped: AtomicU64::new(0),
        slots: std::sync::Mutex::default(),
        convicts: try_suspects(&settings, contexts),
        roots: contexts.iter().map(|_| reader::RootFindings::default()).collect(),
        settings,
    })
}

/// Reads all that is to be covered, and records it. Returns whether it was interrupted.
pub(crate) async fn walk(
    sequencer: &mut Sequencer,
    contexts: &[Arc<SourceContext>],
    coverage: Coverage,
    control: &Control,
) -> Result<bool, Error> {
    let read = read_all(sequencer, contexts, coverage).await;
    let is_interrupted = control.cancel.load(Ordering::Relaxed);
    control.progress.enter(Phase::Writing);
    control.has_read.notify_one();
    read?;
    sequencer.barrier().await?;
    if let Some(folder) = &sequencer.shared.settings.breadcrumbs {
        // Nothing died, so nobody is suspect.
        let _ = suspects::clear(folder);
    }
    Ok(is_interrupted)
}

/// Records what walks of a source have left behind, and carries out its deletions.
pub(crate) async fn finish_source(
    sequencer: &mut Sequencer,
    source: &SourceName,
    findings: Findings,
) -> Result<Swept, Error> {
    sequencer.adopt_leftovers(source).await?;
    sequencer.sweep(source, findings).await
}

/// Reads the files, at which the readers of a run that died were, each in a process of its own. Those
/// that crash or hang it are not read again.
fn try_suspects(settings: &Settings, sources: &[Arc<SourceContext>]) -> HashMap<Suspect, Verdict> {
    let Some(probe) = &settings.probe else { return HashMap::new() };
    let mut convicts = HashMap::new();
    let left = settings.breadcrumbs.as_deref().and_then(|folder| suspects::read(folder).ok());
    let left = left.unwrap_or_default();
    for suspect in left.into_iter().chain(settings.suspects.iter().cloned()) {
        let Some(source) = sources.iter().find(|source| source.name == suspect.source) else { continue };
        match probe.probe(&suspect.path(&source.path), settings.patience) {
            Ok(Verdict::Fine) | Err(_) => {}
            Ok(verdict) => {
                convicts.insert(suspect, verdict);
            }
        }
    }
    if let Some(folder) = &settings.breadcrumbs
        && let Err(error) = suspects::keep(folder, convicts.keys())
    {
        tracing::warn!(%error, "there is no place for breadcrumbs");
    }
    convicts
}

pub(crate) async fn open_sources(
    sources: &[SourceRoot],
    stores: &Stores,
    fence: Fence,
) -> Result<Vec<Arc<SourceContext>>, Error> {
    let mut contexts = Vec::with_capacity(sources.len());
    for (number, source) in sources.iter().enumerate() {
        let failed = |error| Error::Root { path: source.root.clone(), source: error };
        let root = tree::open_root(&source.root).map_err(failed)?;
        let device = rustix::fs::fstat(root.as_fd()).map_err(|error| failed(error.into()))?.st_dev;
        let marks = stores.ledger.open_before(source.name.clone(), fence, 1).await?;
        contexts.push(Arc::new(SourceContext {
            number,
            name: source.name.clone(),
            domain: source.domain.clone(),
            path: source.root.clone(),
            root,
            device,
            has_open_marks: !marks.is_empty(),
            skips_stubs: source.skips_stubs,
        }));
    }
    Ok(contexts)
}

/// Starts readers and takes what they send until the last has ended.
async fn read_all(
    sequencer: &mut Sequencer,
    contexts: &[Arc<SourceContext>],
    coverage: Coverage,
) -> Result<(), Error> {
    let shared = Arc::clone(&sequencer.shared);
    shared.progress.enter(Phase::Reading);
    let (events, mut queue) = mpsc::channel(EVENTS_MAX);
    let mut threads = Threads::new(Arc::clone(&shared), events);
    match coverage {
        Coverage::FilesFrom { list, delimiter } => {
            threads.start_feeder(contexts.to_vec(), list, delimiter)?;
        }
        Coverage::Part { span, excluded } => {
            if let Some(source) = contexts.first() {
                shared.frontier.add_span(Arc::clone(source), span, excluded);
            }
            if shared.settings.count_ahead {
                threads.start_counter(contexts.to_vec())?;
            }
        }
        Coverage::Full | Coverage::Sample => {
            contexts.iter().rev().for_each(|source| shared.frontier.add_root(Arc::clone(source)));
            if shared.settings.count_ahead {
                threads.start_counter(contexts.to_vec())?;
            }
        }
    }
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let first = match shared.settings.readers {
        Readers::Fixed(readers) => readers.max(1),
        Readers::Adaptive { max } => cores.min(max.max(1)),
    };
    threads.set_wanted(first)?;
    let result = take_events(sequencer, &mut queue, &mut threads, cores).await;
    sequencer.shared.frontier.stop();
    queue.close();
    result
}

async fn take_events(
    sequencer: &mut Sequencer,
    queue: &mut mpsc::Receiver<Event>,
    threads: &mut Threads,
    cores: usize,
) -> Result<(), Error> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticker = Ticker::new(&sequencer.shared, cores);
    let mut ended = 0;
    let mut rest = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
    while ended < threads.started {
        tokio::select! {
            event = queue.recv(), if rest.is_elapsed() && sequencer.has_room() => match event {
                Some(Event::ReaderEnd) => ended += 1,
                Some(event) => {
                    sequencer.take(event)?;
                    if queue.is_empty() {
                        rest.set(tokio::time::sleep(REST));
                    }
                }
                None => break,
            },
            () = rest.as_mut(), if !rest.is_elapsed() => {}
            applied = sequencer.next_applied() => applied?,
            _ = ticks.tick() => {
                let is_backed_up = sequencer.is_backed_up(queue);
                if ticker.tick(sequencer, threads, is_backed_up)? == Go::WithoutReaders {
                    break;
                }
            }
        }
        sequencer.advance().await?;
    }
    Ok(())
}

pub(crate) fn outcome(
    sequencer: &Sequencer,
    shared: &Shared,
    swept: &[Swept],
    is_interrupted: bool,
) -> Outcome {
    let progress = shared.progress.snapshot();
    let sum = |of: fn(&Swept) -> u64| swept.iter().map(of).sum();
    let unreadable_directories = shared.unreadable.load(Ordering::Relaxed);
    let failed_shards: Vec<(ShardId, String)> =
        sequencer.failed.iter().map(|(shard, why)| (shard.clone(), why.clone())).collect();
    let held: Vec<_> = swept.iter().filter_map(|swept| swept.held.clone()).collect();
    let ended = if is_interrupted {
        Ended::Interrupted
    } else if unreadable_directories > 0 || !failed_shards.is_empty() {
        Ended::Incomplete { unreadable_directories, failed_shards }
    } else if !held.is_empty() {
        Ended::Held(held)
    } else {
        Ended::Complete
    };
    let tally = sequencer.tally.clone();
    Outcome {
        ended,
        states: progress
            .states
            .iter()
            .copied()
            .filter(|(state, n)| *n > 0 && *state != FileState::Deleted)
            .collect(),
        reasons: tally.reasons,
        warnings: tally.warnings,
        kinds: tally.kinds,
        files: progress.files,
        opened: progress.opened,
        unchanged: progress.unchanged,
        new: tally.new,
        changed: tally.changed,
        returned: tally.returned,
        missing: sum(|swept| swept.missing),
        deleted: sum(|swept| swept.deleted),
        moved: sum(|swept| swept.moved),
        directories: progress.directories,
        directories_skipped: shared.directories_skipped.load(Ordering::Relaxed),
        unreadable_directories,
        bytes: progress.bytes,
    }
}
