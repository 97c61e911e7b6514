//! The end of a complete walk: what an interrupted run left behind, and files that are gone.

use shardex_catalog::{
    Applied, DirectoryRange, DirectoryRecord, FileKind, FileName, FileStamp, FileState, LedgerChange,
    LedgerEntry, Reason, ShardId, SourceName,
};

use crate::error::Error;
use crate::hold::{self, Findings};
use crate::outcome::HeldSource;
use crate::record;
use crate::sequencer::Sequencer;

/// Ranges that are worked off at a time.
const PAGE: u32 = 64;

/// Rows of a directory that an interrupted run sent and nobody recorded.
pub(crate) struct Orphans {
    /// Entries for files without one: live, and missing until a listing finds them.
    pub(crate) entries: Vec<LedgerEntry>,
    /// Rows of files that have their row elsewhere, or none.
    pub(crate) obsolete: Vec<(ShardId, FileName)>,
    /// Where the shards of the new entries stand.
    pub(crate) positions: Vec<(ShardId, Applied)>,
}

fn orphan(name: FileName, shard: ShardId) -> LedgerEntry {
    LedgerEntry {
        name,
        stamp: FileStamp::default(),
        state: FileState::Indexed,
        kind: FileKind::Dicom,
        reason: None,
        shard: Some(shard),
        racy: true,
        missing: true,
        detail: None,
    }
}

/// What the sweep of a source did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Swept {
    pub(crate) missing: u64,
    pub(crate) deleted: u64,
    pub(crate) moved: u64,
    pub(crate) held: Option<HeldSource>,
}

impl Sequencer {
    /// Compares the entries of a range with what the shards hold of it. A shard that cannot be read
    /// counts as failed, and the others are compared all the same.
    pub(crate) async fn orphans(
        &mut self,
        range: &DirectoryRange,
        entries: &[LedgerEntry],
    ) -> Result<Orphans, Error> {
        let mut found = Orphans { entries: Vec::new(), obsolete: Vec::new(), positions: Vec::new() };
        for shard in self.stores.shards.shards().await? {
            if self.failed.contains_key(&shard) {
                continue;
            }
            let names = match self.stores.shards.names(shard.clone(), range.clone()).await {
                Ok(names) => names,
                Err(error) => {
                    self.shard_failed(&shard, error)?;
                    continue;
                }
            };
            let mut has_orphans = false;
            for name in names {
                match entries.binary_search_by(|entry| entry.name.cmp(&name)) {
                    Ok(at) if entries[at].shard.as_ref() == Some(&shard) => {}
                    Ok(_) => found.obsolete.push((shard.clone(), name)),
                    Err(_) if found.entries.iter().any(|entry| entry.name == name) => {
                        found.obsolete.push((shard.clone(), name));
                    }
                    Err(_) => {
                        has_orphans = true;
                        found.entries.push(orphan(name, shard.clone()));
                    }
                }
            }
            if has_orphans && let Some(last) = self.stores.shards.history(shard.clone()).await?.last() {
                self.hear(&shard, last);
                found.positions.push((shard, last));
            }
        }
        Ok(found)
    }

    /// Records what an interrupted run left behind in directories that this walk did not visit:
    /// they are gone, or not entered any more. While a shard cannot be read, it stays as it is.
    pub(crate) async fn adopt_leftovers(&mut self, source: &SourceName) -> Result<(), Error> {
        while self.failed.is_empty() {
            let ranges = self.stores.ledger.open_before(source.clone(), self.fence, PAGE).await?;
            if ranges.is_empty() {
                return Ok(());
            }
            let mut changes = Vec::new();
            let mut removals = Vec::new();
            for range in ranges {
                let previous = self.stores.ledger.record(&range)?.unwrap_or_default();
                let found = self.orphans(&range, &previous.entries).await?;
                let dirty = self.dirty_shards(&previous).await?;
                let removed = found.obsolete.into_iter().map(|(shard, name)| (range.clone(), shard, name));
                removals.extend(removed);
                let mut entries = previous.entries;
                let present = entries.iter_mut().filter(|entry| entry.state != FileState::Deleted);
                present.for_each(|entry| entry.missing = true);
                entries.extend(found.entries);
                entries.sort_by(|a, b| a.name.cmp(&b.name));
                let applied = found.positions.into_iter().collect();
                let record = record::build(
                    previous.extract_version,
                    entries,
                    previous.children,
                    &previous.claims,
                    &dirty,
                    &applied,
                );
                changes.push(LedgerChange::Replace { range, record, keep_open: false });
            }
            let shards = removals.iter().map(|(_, shard, _)| shard.clone()).collect();
            let removed = self.remove(removals).await?;
            for change in &mut changes {
                if let LedgerChange::Replace { record, .. } = change {
                    record::rest_on(record, &shards, &removed);
                }
            }
            if !self.failed.is_empty() {
                break;
            }
            changes.extend(self.positions().await?);
            self.commit(changes).await?;
        }
        Ok(())
    }

    /// Shards that do not meet the claims of a record, now.
    async fn dirty_shards(&self, record: &DirectoryRecord) -> Result<Vec<ShardId>, Error> {
        let mut dirty = Vec::new();
        for claim in &record.claims {
            let is_failed = self.failed.contains_key(&claim.shard);
            let is_met =
                !is_failed && self.stores.shards.history(claim.shard.clone()).await?.contains(claim.applied);
            if !is_met {
                dirty.push(claim.shard.clone());
            }
        }
        Ok(dirty)
    }

    /// Decides on the files of a source that are gone, and removes them if it may.
    pub(crate) async fn sweep(
        &mut self,
        source: &SourceName,
        mut findings: Findings,
    ) -> Result<Swept, Error> {
        let (present, missing) = self.stores.ledger.present_and_missing(source.clone()).await?;
        let mut swept = Swept { missing, ..Swept::default() };
        if missing == 0 {
            return Ok(swept);
        }
        swept.moved = self.count_moved(source).await?;
        findings = Findings { present, missing, moved: swept.moved, ..findings };
        let why = hold::why_held(findings);
        if let Some(why) = why.filter(|_| !self.shared.settings.accept_deletions || !findings.root_was_listed)
        {
            swept.held = Some(HeldSource {
                source: source.clone(),
                vanished: missing - swept.moved.min(missing),
                live: present,
                why,
            });
            return Ok(swept);
        }
        swept.deleted = self.delete_missing(source).await?;
        swept.missing -= swept.deleted.min(swept.missing);
        Ok(swept)
    }

    async fn count_moved(&mut self, source: &SourceName) -> Result<u64, Error> {
        let mut moved = 0;
        let mut after = None;
        loop {
            let ranges = self.stores.ledger.with_missing(source.clone(), after, PAGE).await?;
            for range in &ranges {
                let record = self.stores.ledger.record(range)?.unwrap_or_default();
                for (shard, names) in missing_by_shard(&record.entries) {
                    if self.failed.contains_key(&shard) {
                        continue;
                    }
                    let found =
                        self.stores.shards.moved(shard.clone(), range.clone(), names, self.since).await;
                    match found {
                        Ok(found) => moved += found,
                        Err(error) => self.shard_failed(&shard, error)?,
                    }
                }
            }
            match ranges.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => return Ok(moved),
            }
        }
    }

    async fn delete_missing(&mut self, source: &SourceName) -> Result<u64, Error> {
        let mut deleted = 0;
        let mut after = None;
        loop {
            let ranges = self.stores.ledger.with_missing(source.clone(), after, PAGE).await?;
            let Some(last) = ranges.last().cloned() else { return Ok(deleted) };
            // A run that dies in between leaves rows without entries nowhere: entries go last.
            self.stores.ledger.open(ranges.clone(), self.fence).await?;
            let mut removals = Vec::new();
            let mut changes = Vec::new();
            for range in ranges {
                let mut record = self.stores.ledger.record(&range)?.unwrap_or_default();
                for (shard, names) in missing_by_shard(&record.entries) {
                    removals.extend(names.into_iter().map(|name| (range.clone(), shard.clone(), name)));
                }
                for entry in record.entries.iter_mut().filter(|entry| entry.missing) {
                    *entry = gone(entry);
                    deleted += 1;
                }
                let dirty = self.dirty_shards(&record).await?;
                let DirectoryRecord { extract_version, entries, children, claims } = record;
                let applied = std::collections::BTreeMap::new();
                let record = record::build(extract_version, entries, children, &claims, &dirty, &applied);
                changes.push((range, record));
            }
            let removed = self.remove(removals.clone()).await?;
            for (range, record) in &mut changes {
                let own = removals.iter().filter(|(other, _, _)| other == range);
                record::rest_on(record, &own.map(|(_, shard, _)| shard.clone()).collect(), &removed);
            }
            let failed = &self.failed;
            let lost: Vec<_> = removals.iter().filter(|(_, shard, _)| failed.contains_key(shard)).collect();
            let changes =
                changes.into_iter().filter(|(range, _)| !lost.iter().any(|(other, _, _)| other == range));
            let changes = changes
                .map(|(range, record)| LedgerChange::Replace { range, record, keep_open: false })
                .collect();
            self.commit(changes).await?;
            after = Some(last);
        }
    }
}

fn gone(entry: &LedgerEntry) -> LedgerEntry {
    let tombstone = record::deleted(entry);
    if entry.reason == Some(Reason::Excluded) {
        return LedgerEntry {
            state: FileState::Skipped,
            kind: FileKind::Other,
            reason: entry.reason,
            // Without a stamp: once the filter is dropped, the file is read again.
            stamp: FileStamp::default(),
            ..tombstone
        };
    }
    tombstone
}

fn missing_by_shard(entries: &[LedgerEntry]) -> Vec<(ShardId, Vec<FileName>)> {
    let mut by_shard: std::collections::BTreeMap<ShardId, Vec<FileName>> = std::collections::BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.missing) {
        if let Some(shard) = &entry.shard {
            by_shard.entry(shard.clone()).or_default().push(entry.name.clone());
        }
    }
    by_shard.into_iter().collect()
}
