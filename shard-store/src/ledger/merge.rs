//! What a partial look at a directory adds to its records.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};
use shardex_catalog::{Claim, DirectoryRange, DirectoryRecord, FileName, LedgerEntry, name_hash};

use super::changes;
use super::query::{self, Shards};

/// Entries of one record, about: a larger one is cut in halves.
const ENTRIES_MAX: usize = 4096;

/// Adds entries, children and claims to what is recorded of a directory. Only the records in whose
/// ranges something falls are read and written.
pub(super) fn merge(
    transaction: &Transaction<'_>,
    shards: &Shards,
    range: &DirectoryRange,
    new: &DirectoryRecord,
) -> rusqlite::Result<()> {
    let slots = slots(transaction, range)?;
    let mut by_slot: BTreeMap<usize, (Vec<LedgerEntry>, Vec<FileName>)> = BTreeMap::new();
    let slot = |name: &[u8]| slots.partition_point(|(_, hash_to)| *hash_to < name_hash(name));
    for entry in &new.entries {
        by_slot.entry(slot(entry.name.as_bytes())).or_default().0.push(entry.clone());
    }
    for child in &new.children {
        by_slot.entry(slot(child.as_bytes())).or_default().1.push(child.clone());
    }
    for (slot, (entries, children)) in by_slot {
        let (hash_from, hash_to) = slots[slot];
        let part = DirectoryRange { hash_from, hash_to, ..range.clone() };
        let known = query::record(transaction, shards, &part)?;
        let version = known.as_ref().map_or(new.extract_version, |known| known.extract_version);
        let mut record = known.unwrap_or_default();
        // Files that were read by the oldest version are read again by a whole walk.
        record.extract_version = version.min(new.extract_version);
        if entries.is_empty() && children.iter().all(|child| record.children.contains(child)) {
            continue;
        }
        add(&mut record, entries, children, &new.claims);
        store(transaction, shards, part, record)?;
    }
    Ok(())
}

/// Ranges that cover all hashes, ascending: those of the stored records, and the gaps.
fn slots(transaction: &Transaction<'_>, range: &DirectoryRange) -> rusqlite::Result<Vec<(u32, u32)>> {
    let mut statement = transaction.prepare_cached(
        "SELECT hash_from, hash_to FROM record WHERE source = ?1 AND path = ?2 ORDER BY hash_from",
    )?;
    let mut rows = statement.query(params![range.source.as_str(), range.path.as_bytes()])?;
    let mut slots = Vec::new();
    let mut next = Some(0_u32);
    while let Some(row) = rows.next()? {
        let (from, to) = (row.get::<_, u32>(0)?, row.get::<_, u32>(1)?);
        slots.extend(next.filter(|next| *next < from).map(|next| (next, from - 1)));
        slots.push((from, to));
        next = to.checked_add(1);
    }
    slots.extend(next.map(|next| (next, u32::MAX)));
    Ok(slots)
}

/// Puts new entries in the place of those with their names. Pure.
fn add(record: &mut DirectoryRecord, entries: Vec<LedgerEntry>, children: Vec<FileName>, claims: &[Claim]) {
    let mut all: BTreeMap<FileName, LedgerEntry> =
        record.entries.drain(..).map(|entry| (entry.name.clone(), entry)).collect();
    all.extend(entries.into_iter().map(|entry| (entry.name.clone(), entry)));
    record.entries = all.into_values().collect();
    record.children.extend(children);
    record.children.sort();
    record.children.dedup();
    for claim in claims {
        // A claim that is not met speaks for entries that are still there: it must not be covered.
        let is_unmet = record.claims.iter().any(|known| known.shard == claim.shard && known.is_unmet());
        if !is_unmet {
            record.claims.retain(|known| known.shard != claim.shard);
            record.claims.push(claim.clone());
        }
    }
    let entries = &record.entries;
    record.claims.retain(|claim| entries.iter().any(|entry| entry.shard.as_ref() == Some(&claim.shard)));
}

/// Stores a record, cut into halves of its range until each is of a good size.
fn store(
    transaction: &Transaction<'_>,
    shards: &Shards,
    range: DirectoryRange,
    record: DirectoryRecord,
) -> rusqlite::Result<()> {
    let mut pieces = vec![(range, record)];
    while let Some((range, record)) = pieces.pop() {
        if record.entries.len() <= ENTRIES_MAX || range.hash_from == range.hash_to {
            changes::replace(transaction, shards, &range, &record)?;
            continue;
        }
        let middle = range.hash_from + (range.hash_to - range.hash_from) / 2;
        let low = DirectoryRange { hash_to: middle, ..range.clone() };
        let high = DirectoryRange { hash_from: middle + 1, ..range };
        let (low_record, high_record) = (part_of(&record, &low), part_of(&record, &high));
        pieces.push((low, low_record));
        pieces.push((high, high_record));
    }
    Ok(())
}

fn part_of(record: &DirectoryRecord, range: &DirectoryRange) -> DirectoryRecord {
    let mut part = record.clone();
    part.entries.retain(|entry| range.contains(entry.name.as_bytes()));
    part.children.retain(|child| range.contains(child.as_bytes()));
    let entries = &part.entries;
    part.claims.retain(|claim| entries.iter().any(|entry| entry.shard.as_ref() == Some(&claim.shard)));
    part
}
