//! Storing and removing the row of one file.

use std::sync::LazyLock;

use hashbrown::HashSet;
use rusqlite::{CachedStatement, OptionalExtension, ToSql, Transaction, params};
use shardex_catalog::{AttributeId, Fence, FileName, FileRow, Level, Operation, PackedUid, Value, attribute};

use super::counts::Counts;
use super::directories::PathValue;
use super::headers::{BoundValue, HeaderCache, HeaderIds};
use super::twins;
use crate::packed;
use crate::schema::level_columns;

/// Carries out one operation. `directories` are the row ids that the batch's directories have; UIDs
/// with several files, now or before, are noted in `unsettled` for [`twins::settle`].
pub(crate) fn apply(
    inserts: &mut Inserts<'_>,
    operation: &Operation,
    directories: &[i64],
    fence: Fence,
    headers: &mut HeaderCache,
    counts: &mut Counts,
    unsettled: &mut HashSet<StoredUid>,
) -> rusqlite::Result<()> {
    let row_id = |directory: u32| directories[directory as usize];
    match operation {
        Operation::Upsert { directory, row } => {
            upsert(inserts, row_id(*directory), row, fence, headers, counts, unsettled)
        }
        Operation::Remove { directory, name } => {
            remove(inserts.transaction, row_id(*directory), name, counts, unsettled)
        }
    }
}

/// Stores a row. The common case, a new file of a new instance, is one INSERT; whether it is the
/// common case, the unique indexes tell.
fn upsert(
    inserts: &mut Inserts<'_>,
    directory: i64,
    row: &FileRow,
    fence: Fence,
    headers: &mut HeaderCache,
    counts: &mut Counts,
    unsettled: &mut HashSet<StoredUid>,
) -> rusqlite::Result<()> {
    let transaction = inserts.transaction;
    let ids = headers.resolve(transaction, &row.stack)?;
    if inserts.insert(directory, row, ids, fence, 0)? {
        counts.count_file(ids, 1);
        counts.count_live(ids, 1, row.stamp.size.cast_signed());
        return Ok(());
    }
    // The name is known, or the SOP Instance UID is, or both.
    remove(transaction, directory, &row.name, counts, unsettled)?;
    let uid = StoredUid::new(&row.sop_instance_uid);
    let twin = twins::free_number(transaction, &uid)?;
    let inserted = inserts.insert(directory, row, ids, fence, twin)?;
    assert!(inserted, "a removed name and a free twin number leave no conflict");
    counts.count_file(ids, 1);
    counts.count_live(ids, 1, row.stamp.size.cast_signed());
    unsettled.insert(uid);
    Ok(())
}

fn remove(
    transaction: &Transaction<'_>,
    directory: i64,
    name: &FileName,
    counts: &mut Counts,
    unsettled: &mut HashSet<StoredUid>,
) -> rusqlite::Result<()> {
    let deleted = transaction
        .prepare_cached(
            "DELETE FROM file WHERE directory = ?1 AND name = ?2 \
             RETURNING stack, size, is_primary, sop_instance_uid",
        )?
        .query_row(params![directory, PathValue(name.as_bytes())], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((stack, size, is_primary, uid)) = deleted else { return Ok(()) };
    let ids = ids_of_stack(transaction, stack)?;
    counts.count_file(ids, -1);
    if is_primary {
        counts.count_live(ids, -1, size);
    }
    unsettled.insert(StoredUid::from_stored(uid));
    Ok(())
}

/// Row ids of a stack header and those above.
pub(crate) fn ids_of_stack(transaction: &Transaction<'_>, stack: i64) -> rusqlite::Result<HeaderIds> {
    transaction
        .prepare_cached(
            "SELECT k.series, s.study FROM stack_header k JOIN series_header s ON k.series = s.id WHERE k.id = ?1",
        )?
        .query_row([stack], |row| Ok(HeaderIds { stack, series: row.get(0)?, study: row.get(1)? }))
}

/// A SOP Instance UID as it is stored: packed where it can be, else its text.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum StoredUid {
    Packed(PackedUid),
    Text(String),
    Bytes(Vec<u8>),
}

impl StoredUid {
    pub(crate) fn new(uid: &str) -> Self {
        PackedUid::pack(uid).map_or_else(|| Self::Text(uid.to_owned()), Self::Packed)
    }

    fn from_stored(value: rusqlite::types::Value) -> Self {
        match value {
            rusqlite::types::Value::Text(text) => Self::Text(text),
            rusqlite::types::Value::Blob(bytes) => Self::Bytes(bytes),
            _ => Self::Bytes(Vec::new()),
        }
    }
}

impl ToSql for StoredUid {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Packed(uid) => ValueRef::Blob(uid.as_bytes()),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

struct Insert {
    sql: String,
    /// The attributes in columns of their own, each with whether it is packed.
    columns: Vec<(AttributeId, bool)>,
}

static INSERT: LazyLock<Insert> = LazyLock::new(|| {
    let columns: Vec<_> =
        level_columns(Level::File).map(|id| (id, packed::is_packed(attribute(id)))).collect();
    let names: Vec<_> = columns.iter().map(|(id, _)| format!(", \"{}\"", attribute(*id).keyword)).collect();
    let marks = vec!["?"; FIXED_COLUMNS + columns.len()].join(", ");
    let sql = format!(
        "INSERT INTO file(directory, name, stack, sop_instance_uid, twin, is_primary, size, mtime_ns, fence, \
         digest, warnings, odd{}) VALUES ({marks}) ON CONFLICT DO NOTHING",
        names.concat()
    );
    Insert { sql, columns }
});

const FIXED_COLUMNS: usize = 12;

/// A transaction with the statement that nearly all of its operations are.
pub(crate) struct Inserts<'t> {
    transaction: &'t Transaction<'t>,
    statement: CachedStatement<'t>,
}

impl<'t> Inserts<'t> {
    /// Prepares the statement, once for all rows of the transaction.
    pub(crate) fn prepare(transaction: &'t Transaction<'t>) -> rusqlite::Result<Self> {
        Ok(Self { transaction, statement: transaction.prepare_cached(&INSERT.sql)? })
    }

    /// Inserts a row as a primary; false if its name, or its UID with this twin number, is taken.
    fn insert(
        &mut self,
        directory: i64,
        row: &FileRow,
        ids: HeaderIds,
        fence: Fence,
        twin: i64,
    ) -> rusqlite::Result<bool> {
        let statement = &mut self.statement;
        // Bindings of a cached statement stay from its last use, and most columns of a row are NULL.
        statement.clear_bindings();
        statement.raw_bind_parameter(1, directory)?;
        statement.raw_bind_parameter(2, PathValue(row.name.as_bytes()))?;
        statement.raw_bind_parameter(3, ids.stack)?;
        statement.raw_bind_parameter(4, StoredUid::new(&row.sop_instance_uid))?;
        statement.raw_bind_parameter(5, twin)?;
        statement.raw_bind_parameter(6, true)?;
        statement.raw_bind_parameter(7, row.stamp.size.cast_signed())?;
        statement.raw_bind_parameter(8, row.stamp.mtime_ns)?;
        statement.raw_bind_parameter(9, fence.0.cast_signed())?;
        statement.raw_bind_parameter(10, row.digest.as_ref().map(|digest| digest.0.as_slice()))?;
        statement.raw_bind_parameter(11, row.warnings.to_text())?;
        statement.raw_bind_parameter(12, row.values.odd_json())?;
        let mut entries = row.values.entries().iter().peekable();
        let mut buffer = packed::Buffer::new();
        for (n, (column, is_packed)) in INSERT.columns.iter().enumerate() {
            let parameter = FIXED_COLUMNS + n + 1;
            match entries.next_if(|(id, _)| id == column) {
                Some((_, Value::Text(text))) if *is_packed => match buffer.pack(text) {
                    Some(packed) => statement.raw_bind_parameter(parameter, packed)?,
                    None => statement.raw_bind_parameter(parameter, &**text)?,
                },
                Some((_, value)) => statement.raw_bind_parameter(parameter, BoundValue(value))?,
                None => {}
            }
        }
        assert!(entries.next().is_none(), "a file's values are those of its level");
        Ok(statement.raw_execute()? == 1)
    }
}
