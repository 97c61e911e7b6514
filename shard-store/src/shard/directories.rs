//! Directories of a shard, and the fences that guard them.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, ToSql, Transaction, params};
use shardex_catalog::{DirectoryRange, Fence, SourceName};

use crate::archive::SourceRoots;

/// Bytes of a path or name as SQLite stores them: text where they are UTF-8, else a blob.
pub(crate) struct PathValue<'a>(pub(crate) &'a [u8]);

impl ToSql for PathValue<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match std::str::from_utf8(self.0) {
            Ok(_) => ValueRef::Text(self.0),
            Err(_) => ValueRef::Blob(self.0),
        }))
    }
}

/// The bytes of a stored path or name.
pub(crate) fn path_bytes(value: ValueRef<'_>) -> &[u8] {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => &[],
    }
}

/// The id of a directory, created if need be, after the fence was checked and raised. `None` if a
/// higher fence was seen for an overlapping range.
pub(crate) fn enter(
    transaction: &Transaction<'_>,
    range: &DirectoryRange,
    fence: Fence,
    roots: &SourceRoots,
) -> rusqlite::Result<Option<i64>> {
    let source = source_id(transaction, &range.source, roots)?;
    let path = PathValue(range.path.as_bytes());
    let given = fence.0.cast_signed();
    let known = transaction
        .prepare_cached("SELECT id, fence FROM directory WHERE source = ?1 AND path = ?2")?
        .query_row(params![source, path], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
        .optional()?;
    let Some((id, whole)) = known else {
        let fence = if range.is_whole() { given } else { 0 };
        transaction
            .prepare_cached("INSERT INTO directory(source, path, fence) VALUES (?1, ?2, ?3)")?
            .execute(params![source, path, fence])?;
        let id = transaction.last_insert_rowid();
        if !range.is_whole() {
            raise_range(transaction, id, range, given)?;
        }
        return Ok(Some(id));
    };
    if given < whole || given < highest_overlapping(transaction, id, range)? {
        return Ok(None);
    }
    if !range.is_whole() {
        raise_range(transaction, id, range, given)?;
    } else if whole < given {
        transaction
            .prepare_cached("UPDATE directory SET fence = ?1 WHERE id = ?2")?
            .execute(params![given, id])?;
        transaction.prepare_cached("DELETE FROM directory_range WHERE directory = ?1")?.execute([id])?;
    }
    Ok(Some(id))
}

/// The id of a directory, if the shard has it.
pub(crate) fn find(
    connection: &rusqlite::Connection,
    range: &DirectoryRange,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT d.id FROM directory d JOIN source r ON d.source = r.id WHERE r.name = ?1 AND d.path = ?2",
        )?
        .query_row(params![range.source.as_str(), PathValue(range.path.as_bytes())], |row| row.get(0))
        .optional()
}

fn source_id(transaction: &Transaction<'_>, name: &SourceName, roots: &SourceRoots) -> rusqlite::Result<i64> {
    let root = PathValue(roots.root(name));
    let known = transaction
        .prepare_cached("SELECT id, root IS ?2 FROM source WHERE name = ?1")?
        .query_row(params![name.as_str(), root], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)))
        .optional()?;
    match known {
        Some((id, true)) => Ok(id),
        Some((id, false)) => {
            // The source was mounted elsewhere since.
            transaction.execute("UPDATE source SET root = ?1 WHERE id = ?2", params![root, id])?;
            Ok(id)
        }
        None => {
            transaction
                .execute("INSERT INTO source(name, root) VALUES (?1, ?2)", params![name.as_str(), root])?;
            Ok(transaction.last_insert_rowid())
        }
    }
}

/// Writes the roots of all sources that are mounted here.
pub(crate) fn move_roots(transaction: &Transaction<'_>, roots: &SourceRoots) -> rusqlite::Result<()> {
    let mut update =
        transaction.prepare_cached("UPDATE source SET root = ?1 WHERE name = ?2 AND root IS NOT ?1")?;
    for (source, root) in roots.each() {
        update.execute(params![PathValue(root), source.as_str()])?;
    }
    Ok(())
}

fn highest_overlapping(
    transaction: &Transaction<'_>,
    directory: i64,
    range: &DirectoryRange,
) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached(
            "SELECT coalesce(max(fence), 0) FROM directory_range \
             WHERE directory = ?1 AND hash_from <= ?3 AND hash_to >= ?2",
        )?
        .query_row(params![directory, range.hash_from, range.hash_to], |row| row.get(0))
}

fn raise_range(
    transaction: &Transaction<'_>,
    directory: i64,
    range: &DirectoryRange,
    fence: i64,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO directory_range(directory, hash_from, hash_to, fence) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET fence = excluded.fence",
        )?
        .execute(params![directory, range.hash_from, range.hash_to, fence])
        .map(drop)
}
