//! Entries of files that a split has taken to a new shard.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, params};
use shardex_catalog::{
    Applied, Claim, DirectoryRange, DirectoryRecord, FileName, ShardId, ShardSplit, name_hash,
};
use shardex_seams::{History, StoreError, StoredName};

use super::query::{self, Shards, Stored};
use super::{CACHE_BYTES, LEDGER, changes};
use crate::error::store_error;
use crate::sqlite::{self, SqliteSettings};

/// Relabels the entries of one split's files, by a connection of its own.
pub(crate) struct Relabeller {
    path: PathBuf,
    connection: Connection,
    settings: SqliteSettings,
    shards: Shards,
    split: ShardSplit,
}

impl Relabeller {
    /// Opens a ledger that nobody else writes.
    pub(crate) fn open(
        path: &Path,
        settings: &SqliteSettings,
        split: &ShardSplit,
    ) -> Result<Self, StoreError> {
        let connection = sqlite::open_writer(path, &LEDGER, settings, CACHE_BYTES)?;
        let shards = Shards::default();
        shards.refresh(&connection).map_err(|error| store_error(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            connection,
            settings: settings.clone(),
            shards,
            split: split.clone(),
        })
    }

    /// Lets the entries of some files of the new shard name it.
    pub(crate) fn page(&mut self, files: &[StoredName]) -> Result<(), StoreError> {
        let result = self.connection.transaction().and_then(|transaction| {
            page(&transaction, &self.shards, &self.split, files)?;
            transaction.commit()
        });
        result.map_err(|error| store_error(&self.path, error))
    }

    /// Notes what the ledger rests on now, durably, with all pages before.
    pub(crate) fn finish(&mut self, stays: &History, goes: &History) -> Result<(), StoreError> {
        let (shards, split) = (&self.shards, &self.split);
        let result = sqlite::durably(&mut self.connection, self.settings.synchronous, |transaction| {
            finish(transaction, shards, split, stays, goes)
        });
        result
            .and_then(|()| sqlite::truncate_log(&self.connection))
            .map_err(|error| store_error(&self.path, error))
    }
}

/// Relabels the entries of files that lie in the new shard and that the ledger has in the old one.
pub(crate) fn page(
    transaction: &Transaction<'_>,
    shards: &Shards,
    split: &ShardSplit,
    files: &[StoredName],
) -> rusqlite::Result<()> {
    let mut by_directory: BTreeMap<_, Vec<&FileName>> = BTreeMap::new();
    for file in files {
        by_directory.entry((&file.source, &file.directory)).or_default().push(&file.name);
    }
    for ((source, path), mut names) in by_directory {
        names.sort();
        let whole = DirectoryRange::whole(source.clone(), path.clone());
        for (hash_from, hash_to) in ranges(transaction, &whole)? {
            let in_range = |name: &&&FileName| (hash_from..=hash_to).contains(&name_hash(name.as_bytes()));
            let names: Vec<&FileName> = names.iter().filter(in_range).copied().collect();
            if names.is_empty() {
                continue;
            }
            let range = DirectoryRange { hash_from, hash_to, ..whole.clone() };
            let Some(mut record) = query::record(transaction, shards, &range)? else { continue };
            if relabel(&mut record, split, &names) {
                transaction
                    .prepare_cached("DELETE FROM record WHERE source = ?1 AND path = ?2 AND hash_from = ?3")?
                    .execute(params![source.as_str(), path.as_bytes(), hash_from])?;
                changes::insert(transaction, shards, &range, &Stored { hash_from, hash_to, record })?;
            }
        }
    }
    Ok(())
}

/// The ranges under which records of a directory are stored.
fn ranges(transaction: &Transaction<'_>, directory: &DirectoryRange) -> rusqlite::Result<Vec<(u32, u32)>> {
    let mut statement = transaction
        .prepare_cached("SELECT hash_from, hash_to FROM record WHERE source = ?1 AND path = ?2")?;
    let ranges = statement
        .query_map(params![directory.source.as_str(), directory.path.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    ranges.collect()
}

/// Lets entries of these names name the new shard, with the claim that the old one had: the new one was copied from
/// it, with its lives. Whether anything changed. Pure; `names` ascend.
fn relabel(record: &mut DirectoryRecord, split: &ShardSplit, names: &[&FileName]) -> bool {
    let gone = |name: &FileName| names.binary_search(&name).is_ok();
    let mut changed = false;
    for entry in &mut record.entries {
        if entry.shard.as_ref() == Some(&split.from) && gone(&entry.name) {
            entry.shard = Some(split.to.clone());
            changed = true;
        }
    }
    if !changed {
        return false;
    }
    let known = record.claims.iter().any(|claim| claim.shard == split.to);
    let old = record.claims.iter().find(|claim| claim.shard == split.from).map(|claim| claim.applied);
    if let Some(applied) = old.filter(|_| !known) {
        record.claims.push(Claim { shard: split.to.clone(), applied });
    }
    let entries = &record.entries;
    record.claims.retain(|claim| entries.iter().any(|entry| entry.shard.as_ref() == Some(&claim.shard)));
    true
}

/// What was to be found in the old shard must be found in both: one that was put back from an old copy before it was
/// split is noticed as ever. And each must be the copy that the split made, so that a copy of the old one that is put back
/// later is noticed. A shard on which nothing rested stays one.
pub(crate) fn finish(
    transaction: &Transaction<'_>,
    shards: &Shards,
    split: &ShardSplit,
    stays: &History,
    goes: &History,
) -> rusqlite::Result<()> {
    // A page must change for the commit to be synced.
    transaction.execute("UPDATE barrier SET n = n + 1", [])?;
    let positions: Vec<(ShardId, Applied)> = query::positions(transaction, shards)?;
    let mut rests = false;
    for (_, applied) in positions.iter().filter(|(shard, _)| *shard == split.from) {
        changes::note(transaction, shards, &split.to, *applied)?;
        rests = true;
    }
    if rests {
        for (shard, history) in [(&split.from, stays), (&split.to, goes)] {
            if let Some(applied) = last_batch(history) {
                changes::note(transaction, shards, shard, applied)?;
            }
        }
    }
    Ok(())
}

/// The last batch of a file; lives without one may have begun since and need not be durable.
fn last_batch(history: &History) -> Option<Applied> {
    let (incarnation, sequence) = history.0.iter().rev().find(|(_, sequence)| *sequence > 0)?;
    Some(Applied { incarnation: *incarnation, sequence: *sequence })
}
