//! Readers that hang: which file it is, and how the others go on without it.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use shardex_catalog::{DirectoryRange, FileStamp, LedgerChange, Reason};

use crate::error::Error;
use crate::frontier::Visit;
use crate::part::{Chunk, Item};
use crate::read;
use crate::reader::{Event, Shared};
use crate::slot::{Sight, Slot, Work};
use crate::suspects::{Probe, Suspect, Verdict};
use crate::tree;

/// Waits, in units of the patience, after which a trial is over: storage that does not even answer a
/// stat makes it hang, too.
const TRIAL_MAX: u32 = 4;
/// Times that a file is found innocent in a child process and yet hangs its reader.
const ACQUITTALS_MAX: u32 = 2;

/// Watches the readers of a run.
#[derive(Default)]
pub(crate) struct Watch {
    seen: HashMap<usize, Seen>,
}

struct Seen {
    beat: u64,
    since: Duration,
    acquittals: u32,
    trial: Option<JoinHandle<Conviction>>,
}

/// What a trial gave, with the file's stamp if it has one.
type Conviction = (Verdict, FileStamp);

/// A reader that was given up.
pub(crate) struct GivenUp {
    pub(crate) slot: Arc<Slot>,
    /// What is told in its place.
    pub(crate) event: Event,
    /// What is told of the directory that it had not looked at to the end.
    pub(crate) unfinished: Option<Event>,
    /// What others must read.
    pub(crate) chunks: Vec<Chunk>,
}

const HUNG: Conviction = (Verdict::Hung, FileStamp { size: 0, mtime_ns: 0, ctime_ns: 0 });

impl Watch {
    /// Looks at all readers. Returns those that hang for good.
    pub(crate) fn look(&mut self, shared: &Shared, now: Duration) -> Result<Vec<GivenUp>, Error> {
        let mut given_up = Vec::new();
        for slot in shared.slots() {
            let Some(sight) = slot.sight() else {
                self.seen.remove(&slot.number);
                continue;
            };
            let seen = self.seen.entry(slot.number).or_insert_with(|| Seen::new(sight.beat, now));
            if seen.beat != sight.beat {
                *seen = Seen::new(sight.beat, now);
            }
            let Some(conviction) = seen.judge(&sight, shared, now)? else { continue };
            if let Some((rest, unfinished)) = slot.abandon(&sight) {
                self.seen.remove(&slot.number);
                let unfinished = unfinished.map(|visit| unreadable(&visit));
                given_up.push(GivenUp { unfinished, ..replacement(slot, sight, conviction, rest.into()) });
            }
        }
        Ok(given_up)
    }
}

impl Seen {
    fn new(beat: u64, since: Duration) -> Self {
        Self { beat, since, acquittals: 0, trial: None }
    }

    /// The verdict on what a reader is at, once there is one against it.
    fn judge(&mut self, sight: &Sight, shared: &Shared, now: Duration) -> Result<Option<Conviction>, Error> {
        let patience = shared.settings.patience;
        if let Some(trial) = self.trial.take_if(|trial| trial.is_finished()) {
            let conviction = trial.join().unwrap_or(HUNG);
            if conviction.0 != Verdict::Fine || self.acquittals >= ACQUITTALS_MAX {
                return Ok(Some(conviction));
            }
            self.acquittals += 1;
            self.since = now;
        }
        let waited = now.saturating_sub(self.since);
        if self.trial.is_some() {
            return Ok((waited > patience * TRIAL_MAX).then_some(HUNG));
        }
        if waited < patience {
            return Ok(None);
        }
        match (&sight.work, &shared.settings.probe) {
            (Work::Read(chunk), Some(probe)) => {
                let (probe, chunk) = (Arc::clone(probe), Arc::clone(chunk));
                self.trial = Some(try_alone(probe, chunk, sight.item, patience)?);
                Ok(None)
            }
            // A directory cannot be tried without hanging the one who tries.
            _ => Ok(Some(HUNG)),
        }
    }
}

/// The place of an item of a chunk.
fn suspect(chunk: &Chunk, item: &Item) -> Suspect {
    Suspect {
        source: chunk.part(item).source.name.clone(),
        directory: chunk.part(item).range.path.clone(),
        name: item.name.clone(),
    }
}

fn try_alone(
    probe: Arc<dyn Probe>,
    chunk: Arc<Chunk>,
    item: usize,
    patience: Duration,
) -> Result<JoinHandle<Conviction>, Error> {
    let run = move || {
        let item = &chunk.items[item];
        let file = suspect(&chunk, item).path(&chunk.part(item).source.path);
        let verdict = probe.probe(&file, patience).unwrap_or(Verdict::Hung);
        let stat = tree::stat_name(chunk.directory.as_fd(), item.name.as_bytes());
        (verdict, stat.map(|stat| tree::stamp(&stat)).unwrap_or_default())
    };
    std::thread::Builder::new().name("probe".to_owned()).spawn(run).map_err(Error::Thread)
}

/// What is told, and left to others, in the place of a reader that hangs.
fn replacement(slot: Arc<Slot>, sight: Sight, conviction: Conviction, mut chunks: Vec<Chunk>) -> GivenUp {
    let event = match sight.work {
        Work::List(visit) => unreadable(&visit),
        Work::Read(chunk) => {
            let mut items = chunk.items.clone();
            let item = items.remove(sight.item);
            let part = Arc::clone(chunk.part(&item));
            let (directory, parts) = (Arc::clone(&chunk.directory), Arc::clone(&chunk.parts));
            chunks.push(Chunk { directory, parts, touched: chunk.touched.clone(), items });
            // It is another file for the rest of the chunk, which tells that the part has changed.
            part.has_changed.store(true, std::sync::atomic::Ordering::Relaxed);
            let (verdict, stamp) = conviction;
            let files = vec![read::convicted(&item, stamp, verdict)];
            Event::Files { files: vec![(part, files)], ended: Vec::new() }
        }
    };
    GivenUp { slot, event, unfinished: None, chunks }
}

fn unreadable(visit: &Visit) -> Event {
    let range = DirectoryRange::whole(visit.source.name.clone(), visit.path.clone());
    Event::Change(LedgerChange::Unreadable { range, reason: Reason::ReadError })
}
