//! Reading the ledger.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use rusqlite::{Connection, Row, Transaction, params};
use shardex_catalog::{
    Applied, DirectoryRange, DirectoryRecord, Fence, FileName, Incarnation, LedgerEntry, RelativePath,
    ShardId, SourceName,
};

use super::codec::{self, ShardNumbers};

/// One entry of a record, with where it is.
#[derive(Clone, Copy, Debug)]
pub struct LedgerRow<'a> {
    /// Name of the source.
    pub source: &'a str,
    /// The directory, relative to the source.
    pub directory: &'a [u8],
    /// The entry.
    pub entry: &'a LedgerEntry,
}

/// A record with the hash range under which it is stored.
pub(crate) struct Stored {
    pub(crate) hash_from: u32,
    pub(crate) hash_to: u32,
    pub(crate) record: DirectoryRecord,
}

/// Numbers that records use for shards. Grows only; a reader that meets an unknown number reads
/// the table again.
#[derive(Default)]
pub(crate) struct Shards(RwLock<ShardMap>);

#[derive(Default)]
pub(crate) struct ShardMap {
    numbers: HashMap<ShardId, u64>,
    shards: HashMap<u64, ShardId>,
}

impl ShardNumbers for RwLockReadGuard<'_, ShardMap> {
    fn number(&self, shard: &ShardId) -> Option<u64> {
        self.numbers.get(shard).copied()
    }

    fn shard(&self, number: u64) -> Option<ShardId> {
        self.shards.get(&number).cloned()
    }
}

impl Shards {
    /// Reads the table of numbers.
    pub(crate) fn refresh(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached("SELECT id, name FROM shard")?;
        let mut map = ShardMap::default();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let shard = shard_id(&row.get::<_, String>(1)?)?;
            let number = row.get::<_, i64>(0)?.cast_unsigned();
            map.numbers.insert(shard.clone(), number);
            map.shards.insert(number, shard);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = map;
        Ok(())
    }

    /// The number of a shard, given to it now if it has none.
    pub(crate) fn number_or_insert(
        &self,
        transaction: &Transaction<'_>,
        shard: &ShardId,
    ) -> rusqlite::Result<u64> {
        if let Some(number) = self.map().number(shard) {
            return Ok(number);
        }
        transaction.execute("INSERT INTO shard(name) VALUES (?1)", [shard.as_str()])?;
        let number = transaction.last_insert_rowid().cast_unsigned();
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        map.numbers.insert(shard.clone(), number);
        map.shards.insert(number, shard.clone());
        Ok(number)
    }

    /// Encodes a record whose shards all have numbers.
    pub(crate) fn encode(&self, record: &DirectoryRecord) -> rusqlite::Result<Vec<u8>> {
        codec::encode(record, &self.map()).map_err(|shard| {
            // A live entry without a claim on its shard: never to be stored.
            conversion_error(format!("an entry rests on `{shard}` without a claim"))
        })
    }

    fn decode(&self, connection: &Connection, body: &[u8]) -> rusqlite::Result<DirectoryRecord> {
        if let Ok(record) = codec::decode(body, &self.map()) {
            return Ok(record);
        }
        self.refresh(connection)?;
        codec::decode(body, &self.map()).map_err(|codec::Damaged| conversion_error("a damaged record".into()))
    }

    fn map(&self) -> RwLockReadGuard<'_, ShardMap> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stored records that overlap a range.
pub(crate) fn overlapping(
    connection: &Connection,
    shards: &Shards,
    range: &DirectoryRange,
) -> rusqlite::Result<Vec<Stored>> {
    let mut stored = Vec::new();
    each_overlapping(connection, shards, range, |one| stored.push(one))?;
    Ok(stored)
}

/// The shards that the entries of some names rest on, one record in memory at a time.
pub(crate) fn shards_of(
    connection: &Connection,
    shards: &Shards,
    range: &DirectoryRange,
    names: &[FileName],
) -> rusqlite::Result<Vec<Option<ShardId>>> {
    let mut found = vec![None; names.len()];
    each_overlapping(connection, shards, range, |stored| {
        for (name, found) in names.iter().zip(&mut found) {
            if let Ok(at) = stored.record.entries.binary_search_by(|entry| entry.name.cmp(name)) {
                found.clone_from(&stored.record.entries[at].shard);
            }
        }
    })?;
    Ok(found)
}

fn each_overlapping(
    connection: &Connection,
    shards: &Shards,
    range: &DirectoryRange,
    mut each: impl FnMut(Stored),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT hash_from, hash_to, body FROM record \
         WHERE source = ?1 AND path = ?2 AND hash_from <= ?4 AND hash_to >= ?3 ORDER BY hash_from",
    )?;
    let mut rows = statement.query(params![
        range.source.as_str(),
        range.path.as_bytes(),
        range.hash_from,
        range.hash_to
    ])?;
    while let Some(row) = rows.next()? {
        let record = shards.decode(connection, row.get_ref(2)?.as_blob()?)?;
        each(Stored { hash_from: row.get(0)?, hash_to: row.get(1)?, record });
    }
    Ok(())
}

/// What is recorded of a range, merged from the records that overlap it.
pub(crate) fn record(
    connection: &Connection,
    shards: &Shards,
    range: &DirectoryRange,
) -> rusqlite::Result<Option<DirectoryRecord>> {
    let mut stored = overlapping(connection, shards, range)?.into_iter();
    let Some(first) = stored.next() else { return Ok(None) };
    let fits = |stored: &Stored| range.hash_from <= stored.hash_from && stored.hash_to <= range.hash_to;
    let mut all_fit = fits(&first);
    let mut merged = first.record;
    let mut is_merged = false;
    for more in stored {
        all_fit &= fits(&more);
        is_merged = true;
        // The oldest reader's work decides whether files are to be read again.
        merged.extract_version = merged.extract_version.min(more.record.extract_version);
        merged.entries.extend(more.record.entries);
        merged.children.extend(more.record.children);
        merged.claims.extend(
            more.record.claims.into_iter().filter(|claim| !merged.claims.contains(claim)).collect::<Vec<_>>(),
        );
    }
    if !all_fit {
        merged.entries.retain(|entry| range.contains(entry.name.as_bytes()));
        merged.children.retain(|child| range.contains(child.as_bytes()));
    }
    if is_merged {
        merged.entries.sort_by(|a, b| a.name.cmp(&b.name));
        merged.children.sort();
    }
    Ok(Some(merged))
}

/// Every entry of every record.
pub(crate) fn rows(
    connection: &Connection,
    shards: &Shards,
    each: &mut dyn FnMut(LedgerRow<'_>) -> bool,
) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare("SELECT source, path, body FROM record ORDER BY source, path, hash_from")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let record = shards.decode(connection, row.get_ref(2)?.as_blob()?)?;
        let (source, directory) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_blob()?);
        for entry in &record.entries {
            if !each(LedgerRow { source, directory, entry }) {
                return Ok(());
            }
        }
    }
    Ok(())
}

pub(crate) fn is_open(connection: &Connection, range: &DirectoryRange) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM open_mark WHERE source = ?1 AND path = ?2 AND hash_from <= ?4 AND hash_to >= ?3",
        )?
        .exists(params![range.source.as_str(), range.path.as_bytes(), range.hash_from, range.hash_to])
}

pub(crate) fn open_marks(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .query_row("SELECT count(*) FROM open_mark", [], |row| row.get::<_, i64>(0))
        .map(i64::cast_unsigned)
}

pub(crate) fn open_before(
    connection: &Connection,
    source: &SourceName,
    fence: Fence,
    limit: u32,
) -> rusqlite::Result<Vec<DirectoryRange>> {
    let mut statement = connection.prepare_cached(
        "SELECT path, hash_from, hash_to FROM open_mark WHERE source = ?1 AND fence < ?2 ORDER BY path LIMIT ?3",
    )?;
    let ranges = statement
        .query_map(params![source.as_str(), fence.0.cast_signed(), limit], |row| range_of(source, row))?;
    ranges.collect()
}

pub(crate) fn with_missing(
    connection: &Connection,
    source: &SourceName,
    after: Option<&DirectoryRange>,
    limit: u32,
) -> rusqlite::Result<Vec<DirectoryRange>> {
    let mut statement = connection.prepare_cached(
        "SELECT path, hash_from, hash_to FROM record WHERE source = ?1 AND n_missing > 0 \
         AND (?2 IS NULL OR (path, hash_from) > (?2, ?3)) ORDER BY path, hash_from LIMIT ?4",
    )?;
    let path = after.map(|after| after.path.as_bytes());
    let hash_from = after.map(|after| after.hash_from);
    let ranges =
        statement.query_map(params![source.as_str(), path, hash_from, limit], |row| range_of(source, row))?;
    ranges.collect()
}

pub(crate) fn present_and_missing(
    connection: &Connection,
    source: &SourceName,
) -> rusqlite::Result<(u64, u64)> {
    connection
        .prepare_cached(
            "SELECT coalesce(sum(n_present), 0), coalesce(sum(n_missing), 0) FROM record WHERE source = ?1",
        )?
        .query_row([source.as_str()], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
        })
}

pub(crate) fn positions(
    connection: &Connection,
    shards: &Shards,
) -> rusqlite::Result<Vec<(ShardId, Applied)>> {
    let mut statement = connection.prepare_cached("SELECT shard, incarnation, sequence FROM position")?;
    let mut rows = statement.query([])?;
    let mut positions = Vec::new();
    while let Some(row) = rows.next()? {
        let number = row.get::<_, i64>(0)?.cast_unsigned();
        let Some(shard) = shards.map().shard(number) else { continue };
        let incarnation = Incarnation(row.get::<_, i64>(1)?.cast_unsigned());
        positions.push((shard, Applied { incarnation, sequence: row.get::<_, i64>(2)?.cast_unsigned() }));
    }
    Ok(positions)
}

pub(crate) fn unreadable(connection: &Connection) -> rusqlite::Result<Vec<(String, Vec<u8>, String)>> {
    let mut statement =
        connection.prepare("SELECT source, path, reason FROM unreadable ORDER BY source, path")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

fn range_of(source: &SourceName, row: &Row<'_>) -> rusqlite::Result<DirectoryRange> {
    Ok(DirectoryRange {
        source: source.clone(),
        path: RelativePath::new(row.get_ref(0)?.as_blob()?),
        hash_from: row.get(1)?,
        hash_to: row.get(2)?,
    })
}

fn shard_id(name: &str) -> rusqlite::Result<ShardId> {
    ShardId::new(name).map_err(|error| conversion_error(error.to_string()))
}

fn conversion_error(text: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, text.into())
}
