//! Changes of the ledger.

use rusqlite::{OptionalExtension, Transaction, params};
use shardex_catalog::{
    Applied, DirectoryRange, DirectoryRecord, Fence, FileState, LedgerChange, RelativePath, ShardId,
};

use super::merge;
use super::query::{self, Shards, Stored};

/// Marks directories open.
pub(crate) fn open(
    transaction: &Transaction<'_>,
    ranges: &[DirectoryRange],
    fence: Fence,
) -> rusqlite::Result<()> {
    // A page must change for the commit to be synced, even where all marks stand already.
    transaction.execute("UPDATE barrier SET n = n + 1", [])?;
    let mut mark = transaction.prepare_cached(
        "INSERT INTO open_mark(source, path, hash_from, hash_to, fence) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET fence = excluded.fence",
    )?;
    for range in ranges {
        mark.execute(params![
            range.source.as_str(),
            range.path.as_bytes(),
            range.hash_from,
            range.hash_to,
            fence.0.cast_signed()
        ])?;
    }
    Ok(())
}

/// Carries out one change.
pub(crate) fn carry_out(
    transaction: &Transaction<'_>,
    shards: &Shards,
    change: &LedgerChange,
) -> rusqlite::Result<()> {
    match change {
        LedgerChange::Replace { range, record, keep_open } => {
            replace(transaction, shards, range, record)?;
            if *keep_open { Ok(()) } else { close(transaction, range) }
        }
        LedgerChange::Merge { range, record, keep_open } => {
            merge::merge(transaction, shards, range, record)?;
            if *keep_open { Ok(()) } else { close(transaction, range) }
        }
        LedgerChange::Unreadable { range, reason } => transaction
            .prepare_cached(
                "INSERT INTO unreadable(source, path, reason) VALUES (?1, ?2, ?3) \
                 ON CONFLICT DO UPDATE SET reason = excluded.reason",
            )?
            .execute(params![range.source.as_str(), range.path.as_bytes(), reason.as_str()])
            .map(drop),
        LedgerChange::Vanished { range } => vanished(transaction, shards, range),
        LedgerChange::Position { shard, applied } => note(transaction, shards, shard, *applied),
        LedgerChange::Healed { shard, applied } => {
            transaction
                .prepare_cached("DELETE FROM position WHERE shard = (SELECT id FROM shard WHERE name = ?1)")?
                .execute([shard.as_str()])?;
            applied.map_or(Ok(()), |applied| note(transaction, shards, shard, applied))
        }
    }
}

/// Remembers that something rests on a batch.
pub(super) fn note(
    transaction: &Transaction<'_>,
    shards: &Shards,
    shard: &ShardId,
    applied: Applied,
) -> rusqlite::Result<()> {
    let number = shards.number_or_insert(transaction, shard)?;
    transaction
        .prepare_cached(
            "INSERT INTO position(shard, incarnation, sequence) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET sequence = max(sequence, excluded.sequence)",
        )?
        .execute(params![number, applied.incarnation.0.cast_signed(), applied.sequence.cast_signed()])
        .map(drop)
}

/// Ends the open mark of a range, and what was said of its being unreadable.
fn close(transaction: &Transaction<'_>, range: &DirectoryRange) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "DELETE FROM open_mark WHERE source = ?1 AND path = ?2 AND hash_from >= ?3 AND hash_to <= ?4",
        )?
        .execute(params![range.source.as_str(), range.path.as_bytes(), range.hash_from, range.hash_to])?;
    transaction
        .prepare_cached("DELETE FROM unreadable WHERE source = ?1 AND path = ?2")?
        .execute(params![range.source.as_str(), range.path.as_bytes()])
        .map(drop)
}

/// Puts a record in the place of all that is recorded of its range. Of a record that reaches over
/// the range, the rest stays.
pub(crate) fn replace(
    transaction: &Transaction<'_>,
    shards: &Shards,
    range: &DirectoryRange,
    record: &DirectoryRecord,
) -> rusqlite::Result<()> {
    for stored in query::overlapping(transaction, shards, range)? {
        transaction
            .prepare_cached("DELETE FROM record WHERE source = ?1 AND path = ?2 AND hash_from = ?3")?
            .execute(params![range.source.as_str(), range.path.as_bytes(), stored.hash_from])?;
        for rest in outside(&stored, range) {
            insert(transaction, shards, range, &rest)?;
        }
    }
    if !(record.entries.is_empty() && record.children.is_empty()) {
        let stored = Stored { hash_from: range.hash_from, hash_to: range.hash_to, record: record.clone() };
        insert(transaction, shards, range, &stored)?;
    }
    for claim in record.claims.iter().filter(|claim| !claim.is_unmet()) {
        note(transaction, shards, &claim.shard, claim.applied)?;
    }
    Ok(())
}

/// The parts of a stored record below and above a range.
fn outside(stored: &Stored, range: &DirectoryRange) -> Vec<Stored> {
    let below = (stored.hash_from < range.hash_from).then(|| (stored.hash_from, range.hash_from - 1));
    let above = (stored.hash_to > range.hash_to).then(|| (range.hash_to + 1, stored.hash_to));
    let parts = below.into_iter().chain(above);
    parts
        .map(|(hash_from, hash_to)| {
            let part = DirectoryRange { hash_from, hash_to, ..range.clone() };
            let mut record = stored.record.clone();
            record.entries.retain(|entry| part.contains(entry.name.as_bytes()));
            record.children.retain(|child| part.contains(child.as_bytes()));
            Stored { hash_from, hash_to, record }
        })
        .filter(|part| !(part.record.entries.is_empty() && part.record.children.is_empty()))
        .collect()
}

pub(super) fn insert(
    transaction: &Transaction<'_>,
    shards: &Shards,
    range: &DirectoryRange,
    stored: &Stored,
) -> rusqlite::Result<()> {
    for claim in &stored.record.claims {
        shards.number_or_insert(transaction, &claim.shard)?;
    }
    let body = shards.encode(&stored.record)?;
    let present = stored.record.entries.iter().filter(|entry| entry.state != FileState::Deleted);
    let missing = present.clone().filter(|entry| entry.missing).count();
    transaction
        .prepare_cached(
            "INSERT INTO record(source, path, hash_from, hash_to, n_present, n_missing, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            range.source.as_str(),
            range.path.as_bytes(),
            stored.hash_from,
            stored.hash_to,
            present.count() as u64,
            missing as u64,
            body
        ])
        .map(drop)
}

/// Makes every entry of a subtree missing that is not deleted, one record at a time.
fn vanished(transaction: &Transaction<'_>, shards: &Shards, range: &DirectoryRange) -> rusqlite::Result<()> {
    let mut after: Option<(Vec<u8>, u32)> = None;
    loop {
        let next = transaction
            .prepare_cached(
                "SELECT path, hash_from, hash_to FROM record \
                 WHERE source = ?1 AND (path = ?2 OR (path > ?3 AND path < ?4)) \
                 AND n_present > n_missing AND (?5 IS NULL OR (path, hash_from) > (?5, ?6)) \
                 ORDER BY path, hash_from LIMIT 1",
            )?
            .query_row(
                params![
                    range.source.as_str(),
                    range.path.as_bytes(),
                    [range.path.as_bytes(), b"/"].concat(),
                    [range.path.as_bytes(), b"0"].concat(),
                    after.as_ref().map(|(path, _)| path),
                    after.as_ref().map(|(_, hash)| hash),
                ],
                |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, u32>(1)?, row.get::<_, u32>(2)?)),
            )
            .optional()?;
        let Some((path, hash_from, hash_to)) = next else { return Ok(()) };
        let part = DirectoryRange {
            source: range.source.clone(),
            path: RelativePath::new(&path),
            hash_from,
            hash_to,
        };
        if let Some(mut record) = query::record(transaction, shards, &part)? {
            let present = record.entries.iter_mut().filter(|entry| entry.state != FileState::Deleted);
            present.for_each(|entry| entry.missing = true);
            transaction
                .prepare_cached("DELETE FROM record WHERE source = ?1 AND path = ?2 AND hash_from = ?3")?
                .execute(params![part.source.as_str(), path, hash_from])?;
            insert(transaction, shards, &part, &Stored { hash_from, hash_to, record })?;
        }
        after = Some((path, hash_from));
    }
}
