//! The one task that decides what is written when.
//!
//! Rows wait in buffers until their studies are claimed and their directories marked open; then they
//! go to their shards, several batches in flight. A barrier sends what waits, makes all shards
//! durable, removes rows that have become obsolete, and records the directories that are complete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use shardex_catalog::{
    Applied, DirectoryRange, Fence, FileName, FileRow, LedgerChange, LedgerEntry, Operation, RowBatch,
    ShardId,
};
use shardex_seams::StoreError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::buffers::{Buffer, Buffers};
use crate::error::Error;
use crate::ingest::Stores;
use crate::part::{Part, ReadFile};
use crate::reader::{Event, Shared};
use crate::record;
use crate::routes::Routes;
use crate::tally::Tally;

/// Rows that are claimed and marked together.
const UNROUTED_MAX: usize = 4096;
/// What a part takes beside its entries, in entries: where each file has a folder, parts are the most of it.
const PART_ENTRIES: usize = 24;
/// Batches on their way to shards.
const IN_FLIGHT_MAX: usize = 8;

/// A part whose record is not committed yet.
struct OpenPart {
    part: Arc<Part>,
    read: Vec<LedgerEntry>,
    rows_out: usize,
    applied: BTreeMap<ShardId, Applied>,
    is_marked: bool,
    has_ended: bool,
    /// A row could not be stored; the part is never recorded.
    is_lost: bool,
}

/// A row that has no shard yet.
struct Unrouted {
    /// Number of its part.
    part: u64,
    /// Place of its entry among those read.
    entry: usize,
    row: FileRow,
}

struct Sent {
    shard: ShardId,
    bytes: usize,
    /// As [`Buffer::parts`].
    parts: Vec<(u64, usize)>,
    result: Result<Applied, StoreError>,
}

/// State of the task.
pub(crate) struct Sequencer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stores: Stores,
    pub(crate) fence: Fence,
    /// The lowest fence of the job: rows with it or a higher one were written by it.
    pub(crate) since: Fence,
    pub(crate) tally: Tally,
    /// Shards that cannot be written, with the reason.
    pub(crate) failed: BTreeMap<ShardId, String>,
    parts: HashMap<u64, OpenPart>,
    routes: Routes,
    unrouted: Vec<Unrouted>,
    buffers: Buffers,
    in_flight: JoinSet<Sent>,
    in_flight_bytes: usize,
    busy: BTreeSet<ShardId>,
    dirty: BTreeSet<ShardId>,
    /// Where shards were heard to stand last.
    heard: HashMap<ShardId, Applied>,
    /// Shards whose life is another one than was known, with where they stood in that.
    doubtful: BTreeMap<ShardId, Applied>,
    finished: Vec<u64>,
    finished_entries: usize,
    changes: Vec<LedgerChange>,
    last_barrier: Duration,
}

impl Sequencer {
    pub(crate) fn new(shared: Arc<Shared>, stores: Stores, fence: Fence, since: Fence) -> Self {
        let last_barrier = stores.clock.elapsed();
        Self {
            shared,
            stores,
            fence,
            since,
            tally: Tally::default(),
            failed: BTreeMap::new(),
            parts: HashMap::new(),
            routes: Routes::default(),
            unrouted: Vec::new(),
            buffers: Buffers::default(),
            in_flight: JoinSet::new(),
            in_flight_bytes: 0,
            busy: BTreeSet::new(),
            dirty: BTreeSet::new(),
            heard: HashMap::new(),
            doubtful: BTreeMap::new(),
            finished: Vec::new(),
            finished_entries: 0,
            changes: Vec::new(),
            last_barrier,
        }
    }

    /// Whether more may be taken from the readers.
    pub(crate) fn has_room(&self) -> bool {
        self.buffers.bytes() + self.in_flight_bytes <= self.shared.settings.row_budget_bytes
    }

    /// Takes one event of the readers.
    pub(crate) fn take(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Files { files, ended } => {
                for (part, files) in files {
                    self.take_files(&part, files);
                }
                for part in ended {
                    let number = part.number;
                    self.open_part(&part).has_ended = true;
                    self.finish_if_complete(number);
                }
            }
            Event::Change(change) => self.changes.push(change),
            Event::Failed(error) => return Err(error.into()),
            Event::ReaderEnd => {}
        }
        Ok(())
    }

    /// Claims, marks and sends what is ready. A few rows wait for more, at most until the next barrier:
    /// claims and marks cost a sync each, however few they are.
    pub(crate) async fn advance(&mut self) -> Result<(), Error> {
        if self.unrouted.len() >= UNROUTED_MAX {
            self.route().await?;
        }
        self.send(false);
        let since = self.stores.clock.elapsed().saturating_sub(self.last_barrier);
        let waits = !self.unrouted.is_empty() || !self.buffers.is_empty();
        let is_settled = self.finished.is_empty() && self.dirty.is_empty() && !waits;
        let is_due = since >= self.shared.settings.barrier_interval && !is_settled;
        if is_due || self.finished_entries >= self.shared.settings.pending_entries_max {
            self.barrier().await?;
        }
        Ok(())
    }

    /// Waits for the next batch to be applied. Pending where none is on its way.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub(crate) async fn next_applied(&mut self) -> Result<(), Error> {
        match self.in_flight.join_next().await {
            Some(sent) => self.applied(sent.map_err(|_| StoreError::Closed)?),
            None => std::future::pending().await,
        }
    }

    /// Sends what waits, makes it durable, and records what is complete.
    pub(crate) async fn barrier(&mut self) -> Result<(), Error> {
        self.settle().await?;
        let finished = std::mem::take(&mut self.finished);
        self.finished_entries = 0;
        let mut records = Vec::with_capacity(finished.len());
        for number in finished {
            if let Some(open) = self.parts.remove(&number).filter(|open| !open.is_lost) {
                records.push(self.complete(open).await?);
            }
        }
        let reconciled = records.iter().any(|done| done.was_open);
        let removed = self.remove_obsolete(&records).await?;
        records.iter_mut().for_each(|done| {
            let shards: BTreeSet<_> = done.obsolete.iter().map(|(shard, _)| shard.clone()).collect();
            record::rest_on(&mut done.record, &shards, &removed);
        });
        let mut changes = std::mem::take(&mut self.changes);
        let failed = &self.failed;
        let is_sound = |done: &Completed| !done.obsolete.iter().any(|(shard, _)| failed.contains_key(shard));
        changes.extend(records.into_iter().filter(is_sound).map(Completed::into_change));
        if reconciled {
            changes.extend(self.positions().await?);
        }
        if !changes.is_empty() && !self.shared.settings.dry_run {
            self.commit(changes).await?;
        }
        self.routes.trim();
        self.last_barrier = self.stores.clock.elapsed();
        Ok(())
    }

    /// Records what rests on shards as they were known when this began. None of them may have been lost since: what is
    /// written into the one in its place would stand for rows that are not there.
    pub(crate) async fn commit(&mut self, changes: Vec<LedgerChange>) -> Result<(), Error> {
        for (shard, known) in std::mem::take(&mut self.doubtful) {
            if !self.stores.shards.history(shard.clone()).await?.contains(known) {
                return Err(Error::ShardLost { shard });
            }
        }
        Ok(self.stores.ledger.commit(changes).await?)
    }

    /// Notes where a shard stands.
    pub(crate) fn hear(&mut self, shard: &ShardId, stands: Applied) {
        let before = self.heard.insert(shard.clone(), stands);
        let known = before.or_else(|| self.shared.histories.get(shard)?.last());
        if let Some(known) = known.filter(|known| known.incarnation != stands.incarnation) {
            self.doubtful.entry(shard.clone()).or_insert(known);
        }
    }

    /// Applies removals and makes them durable: the sweep's way to shards. Returns the last batch of
    /// each shard: a record must rest on it, or a copy of the shard from before the removal would
    /// bring the rows back unnoticed.
    pub(crate) async fn remove(
        &mut self,
        removals: Vec<(DirectoryRange, ShardId, FileName)>,
    ) -> Result<BTreeMap<ShardId, Applied>, Error> {
        let mut applied = BTreeMap::new();
        let mut by_shard: BTreeMap<ShardId, Vec<(DirectoryRange, FileName)>> = BTreeMap::new();
        for (range, shard, name) in removals {
            by_shard.entry(shard).or_default().push((range, name));
        }
        for (shard, names) in by_shard {
            for names in names.chunks(self.shared.settings.batch_rows.max(1)) {
                let batch = removal_batch(shard.clone(), self.fence, names);
                let result = self.stores.shards.apply(batch).await;
                self.dirty.insert(shard.clone());
                match result {
                    Ok(batch) => {
                        self.hear(&shard, batch);
                        applied.insert(shard.clone(), batch);
                    }
                    Err(error) => {
                        self.shard_failed(&shard, error)?;
                        break;
                    }
                }
            }
        }
        self.sync_dirty().await?;
        Ok(applied)
    }

    fn take_files(&mut self, part: &Arc<Part>, files: Vec<ReadFile>) {
        let number = part.number;
        let dry_run = self.shared.settings.dry_run;
        for ReadFile { entry, row } in files {
            self.tally.count(part, &entry, row.as_ref());
            if dry_run {
                continue;
            }
            let open = self.open_part(part);
            let at = open.read.len();
            open.read.push(entry);
            if let Some(row) = row {
                open.rows_out += 1;
                self.unrouted.push(Unrouted { part: number, entry: at, row });
            }
        }
    }

    fn open_part(&mut self, part: &Arc<Part>) -> &mut OpenPart {
        self.parts.entry(part.number).or_insert_with(|| OpenPart {
            part: Arc::clone(part),
            read: Vec::new(),
            rows_out: 0,
            applied: BTreeMap::new(),
            is_marked: false,
            has_ended: false,
            is_lost: false,
        })
    }

    fn finish_if_complete(&mut self, number: u64) {
        let Some(open) = self.parts.get(&number) else { return };
        if open.has_ended && open.rows_out == 0 {
            self.finished_entries += PART_ENTRIES + open.read.len() + open.part.previous.entries.len();
            self.finished.push(number);
        }
    }

    /// Gives every waiting row its shard, after claims and open marks are durable.
    async fn route(&mut self) -> Result<(), Error> {
        let mut rows = std::mem::take(&mut self.unrouted);
        let unmarked: BTreeSet<u64> = rows.iter().map(|unrouted| unrouted.part).collect();
        self.mark_open(unmarked).await?;
        let stacks = rows.iter().map(|unrouted| &unrouted.row.stack);
        self.routes.claim(stacks, &self.shared.settings.placement, &*self.stores.registry).await?;
        let now = self.stores.clock.elapsed();
        for Unrouted { part, entry, row } in rows.drain(..) {
            let shard = self.routes.get(&row.stack).expect("it was just claimed").clone();
            let Some(open) = self.parts.get_mut(&part) else { continue };
            open.read[entry].shard = Some(shard.clone());
            if self.failed.contains_key(&shard) {
                self.lose(&[(part, 1)]);
            } else {
                self.buffers.push(&shard, (part, &open.part.range), row, now);
            }
        }
        self.unrouted = rows;
        Ok(())
    }

    async fn mark_open(&mut self, parts: BTreeSet<u64>) -> Result<(), Error> {
        let mut ranges = Vec::new();
        for number in parts {
            if let Some(open) = self.parts.get_mut(&number).filter(|open| !open.is_marked) {
                open.is_marked = true;
                ranges.push(open.part.range.clone());
            }
        }
        if !ranges.is_empty() {
            self.stores.ledger.open(ranges, self.fence).await?;
        }
        Ok(())
    }

    fn send(&mut self, all: bool) {
        let settings = &self.shared.settings;
        // Half of the budget waits, half is on its way.
        let budget = settings.row_budget_bytes / 2;
        while self.in_flight.len() < IN_FLIGHT_MAX {
            let busy = &self.busy;
            let next = self.buffers.next(settings.batch_rows, budget, all, |shard| busy.contains(shard));
            let Some(shard) = next else { break };
            let Buffer { directories, operations, parts, bytes, .. } = self.buffers.take(&shard);
            let batch = RowBatch { shard: shard.clone(), fence: self.fence, directories, operations };
            self.busy.insert(shard.clone());
            self.dirty.insert(shard.clone());
            self.in_flight_bytes += bytes;
            let shards = Arc::clone(&self.stores.shards);
            self.in_flight.spawn(async move {
                let result = shards.apply(batch).await;
                Sent { shard, bytes, parts, result }
            });
        }
    }

    fn applied(&mut self, sent: Sent) -> Result<(), Error> {
        self.busy.remove(&sent.shard);
        self.in_flight_bytes -= sent.bytes;
        match sent.result {
            Ok(applied) => {
                self.hear(&sent.shard, applied);
                for (number, rows) in sent.parts {
                    let Some(open) = self.parts.get_mut(&number) else { continue };
                    open.rows_out -= rows;
                    open.applied.insert(sent.shard.clone(), applied);
                    if open.rows_out == 0 {
                        self.finish_if_complete(number);
                    }
                }
                Ok(())
            }
            Err(error) => {
                self.lose(&sent.parts);
                self.shard_failed(&sent.shard, error)
            }
        }
    }

    /// Rows of these parts will never be stored in this run.
    fn lose(&mut self, parts: &[(u64, usize)]) {
        for (number, rows) in parts {
            if let Some(open) = self.parts.get_mut(number) {
                open.is_lost = true;
                open.rows_out -= rows;
                if open.rows_out == 0 {
                    self.finish_if_complete(*number);
                }
            }
        }
    }

    /// A damaged shard costs its own directories; what stops all writing ends the run.
    pub(crate) fn shard_failed(&mut self, shard: &ShardId, error: StoreError) -> Result<(), Error> {
        match error {
            StoreError::Corrupt { .. } | StoreError::Unusable { .. } | StoreError::Newer { .. } => {
                tracing::error!(shard = %shard, error = %error, "a shard cannot be written");
                self.failed.insert(shard.clone(), error.to_string());
                self.dirty.remove(shard);
                let parts = self.buffers.take(shard).parts;
                self.lose(&parts);
                Ok(())
            }
            error => Err(error.into()),
        }
    }

    /// Sends all rows, waits for them, and makes the shards durable.
    async fn settle(&mut self) -> Result<(), Error> {
        if !self.unrouted.is_empty() {
            self.route().await?;
        }
        loop {
            self.send(true);
            match self.in_flight.join_next().await {
                Some(sent) => self.applied(sent.map_err(|_| StoreError::Closed)?)?,
                None if self.buffers.is_empty() => break,
                None => {}
            }
        }
        self.sync_dirty().await
    }

    async fn sync_dirty(&mut self) -> Result<(), Error> {
        let mut barriers = JoinSet::new();
        for shard in std::mem::take(&mut self.dirty) {
            let shards = Arc::clone(&self.stores.shards);
            barriers.spawn(async move { (shard.clone(), shards.barrier(shard).await) });
        }
        while let Some(done) = barriers.join_next().await {
            let (shard, result) = done.map_err(|_| StoreError::Closed)?;
            if let Err(error) = result {
                // What was applied since the last barrier may be lost: nothing may rest on it.
                let rests = self.parts.values_mut().filter(|open| open.applied.contains_key(&shard));
                rests.for_each(|open| open.is_lost = true);
                self.shard_failed(&shard, error)?;
            }
        }
        Ok(())
    }

    async fn complete(&mut self, open: OpenPart) -> Result<Completed, Error> {
        let OpenPart { part, read, mut applied, is_marked, .. } = open;
        let names = part.is_merged.then(|| read.iter().map(|entry| entry.name.clone()).collect());
        let names: Option<BTreeSet<FileName>> = names;
        let mut entries = record::entries(&part, read);
        let mut obsolete = record::obsolete_rows(&part, &entries);
        let was_reconciled = part.was_open && !part.is_merged;
        let mut keep_open = part.was_open && part.is_merged;
        if was_reconciled {
            let found = self.orphans(&part.range, &entries).await?;
            obsolete.extend(found.obsolete);
            entries.extend(found.entries);
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            for (shard, position) in found.positions {
                applied.entry(shard).or_insert(position);
            }
            keep_open = !self.failed.is_empty();
        }
        if let Some(names) = &names {
            entries.retain(|entry| names.contains(&entry.name));
        }
        let (children, before) = (part.children.clone(), &part.previous.claims);
        let version = shardex_extract::VERSION;
        let record = record::build(version, entries, children, before, &part.dirty, &applied);
        let range = part.range.clone();
        let is_merged = part.is_merged;
        Ok(Completed { range, record, obsolete, is_marked, was_open: was_reconciled, is_merged, keep_open })
    }

    /// Where all shards stand that can be read. What was reconciled rests on them: a run that died may
    /// have removed rows and noted it nowhere, and an older copy of the shard still has them.
    pub(crate) async fn positions(&self) -> Result<Vec<LedgerChange>, Error> {
        let mut changes = Vec::new();
        for shard in self.stores.shards.shards().await? {
            if self.failed.contains_key(&shard) {
                continue;
            }
            let history = self.stores.shards.history(shard.clone()).await?;
            changes.extend(history.last().map(|applied| LedgerChange::Position { shard, applied }));
        }
        Ok(changes)
    }

    async fn remove_obsolete(
        &mut self,
        completed: &[Completed],
    ) -> Result<BTreeMap<ShardId, Applied>, Error> {
        let with_removals = || completed.iter().filter(|done| !done.obsolete.is_empty());
        let unmarked =
            with_removals().filter(|done| !done.is_marked).map(|done| done.range.clone()).collect::<Vec<_>>();
        if !unmarked.is_empty() {
            self.stores.ledger.open(unmarked, self.fence).await?;
        }
        let removals = with_removals().flat_map(|done| {
            done.obsolete.iter().map(|(shard, name)| (done.range.clone(), shard.clone(), name.clone()))
        });
        let removals: Vec<_> = removals.collect();
        if removals.is_empty() { Ok(BTreeMap::new()) } else { self.remove(removals).await }
    }

    /// Whether a reader would wait now.
    pub(crate) fn is_backed_up(&self, events: &mpsc::Receiver<Event>) -> bool {
        !self.has_room() || events.len() * 2 > events.max_capacity()
    }
}

/// A part ready to be recorded.
struct Completed {
    range: DirectoryRange,
    record: shardex_catalog::DirectoryRecord,
    obsolete: Vec<(ShardId, FileName)>,
    is_marked: bool,
    /// It was compared with what an earlier run left in the shards.
    was_open: bool,
    /// It holds only the files that were looked at.
    is_merged: bool,
    keep_open: bool,
}

impl Completed {
    fn into_change(self) -> LedgerChange {
        let Self { range, record, is_merged, keep_open, .. } = self;
        if is_merged {
            LedgerChange::Merge { range, record, keep_open }
        } else {
            LedgerChange::Replace { range, record, keep_open }
        }
    }
}

fn removal_batch(shard: ShardId, fence: Fence, names: &[(DirectoryRange, FileName)]) -> RowBatch {
    let mut directories: Vec<DirectoryRange> = Vec::new();
    let mut operations = Vec::with_capacity(names.len());
    for (range, name) in names {
        if directories.last() != Some(range) {
            directories.push(range.clone());
        }
        let directory = u32::try_from(directories.len() - 1).expect("a batch has few directories");
        operations.push(Operation::Remove { directory, name: name.clone() });
    }
    RowBatch { shard, fence, directories, operations }
}
