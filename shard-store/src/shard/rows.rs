//! Storing and removing the row of one file.

use std::sync::LazyLock;

use hashbrown::HashSet;
use rusqlite::{CachedStatement, ErrorCode, OptionalExtension, Statement, ToSql, Transaction, params};
use shardex_catalog::{AttributeId, Fence, FileName, FileRow, Level, Operation, PackedUid, Value, attribute};

use super::counts::Counts;
use super::directories::PathValue;
use super::headers::{BoundValue, HeaderCache, HeaderIds};
use super::twins;
use crate::packed;
use crate::schema::level_columns;

/// What storing a batch's rows needs and changes.
pub(crate) struct Stored<'a> {
    /// Row ids that the batch's directories have.
    pub(crate) directories: &'a [i64],
    pub(crate) fence: Fence,
    pub(crate) headers: &'a mut HeaderCache,
    pub(crate) counts: &'a mut Counts,
    /// UIDs with several files, now or before, for [`twins::settle`].
    pub(crate) unsettled: &'a mut HashSet<StoredUid>,
}

/// Carries out the operations of a batch, in order.
pub(crate) fn apply(
    transaction: &Transaction<'_>,
    operations: &[Operation],
    mut stored: Stored<'_>,
) -> rusqlite::Result<()> {
    let mut inserts = Inserts::prepare(transaction)?;
    let mut rows = Vec::with_capacity(TOGETHER);
    for operation in operations {
        match operation {
            Operation::Upsert { directory, row } => {
                let ids = stored.headers.resolve(transaction, &row.stack)?;
                rows.push(Row { directory: stored.directories[*directory as usize], row, ids });
                if rows.len() == TOGETHER {
                    upsert(&mut inserts, &mut rows, &mut stored)?;
                }
            }
            Operation::Remove { directory, name } => {
                upsert(&mut inserts, &mut rows, &mut stored)?;
                let directory = stored.directories[*directory as usize];
                remove(transaction, directory, name, stored.counts, stored.unsettled)?;
            }
        }
    }
    upsert(&mut inserts, &mut rows, &mut stored)
}

/// Stores rows and leaves none. The common case, new files of new instances, is one INSERT for many;
/// whether it is the common case, the unique indexes tell.
fn upsert(
    inserts: &mut Inserts<'_>,
    rows: &mut Vec<Row<'_>>,
    stored: &mut Stored<'_>,
) -> rusqlite::Result<()> {
    let new = inserts.insert_new(rows, stored.fence)?;
    for (n, row) in rows.drain(..).enumerate() {
        if n >= new {
            upsert_one(inserts, row, stored)?;
        }
        let Row { ids, row, .. } = row;
        stored.counts.count_file(ids, 1);
        stored.counts.count_live(ids, 1, row.stamp.size.cast_signed());
    }
    Ok(())
}

fn upsert_one(inserts: &mut Inserts<'_>, row: Row<'_>, stored: &mut Stored<'_>) -> rusqlite::Result<()> {
    if inserts.insert(row, stored.fence, 0)? {
        return Ok(());
    }
    // The name is known, or the SOP Instance UID is, or both.
    let transaction = inserts.transaction;
    remove(transaction, row.directory, &row.row.name, stored.counts, stored.unsettled)?;
    let uid = StoredUid::new(&row.row.sop_instance_uid);
    let twin = twins::free_number(transaction, &uid)?;
    let inserted = inserts.insert(row, stored.fence, twin)?;
    assert!(inserted, "a removed name and a free twin number leave no conflict");
    stored.unsettled.insert(uid);
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
    one: String,
    together: String,
    /// The attributes in columns of their own, each with whether it is packed.
    columns: Vec<(AttributeId, bool)>,
}

static INSERT: LazyLock<Insert> = LazyLock::new(|| {
    let columns: Vec<_> =
        level_columns(Level::File).map(|id| (id, packed::is_packed(attribute(id)))).collect();
    let names: Vec<_> = columns.iter().map(|(id, _)| format!(", \"{}\"", attribute(*id).keyword)).collect();
    let into = format!(
        "INTO file(id, directory, name, stack, sop_instance_uid, twin, is_primary, size, mtime_ns, fence, \
         digest, warnings, odd{})",
        names.concat()
    );
    let marks = format!("(NULL, {})", vec!["?"; FIXED_COLUMNS + columns.len()].join(", "));
    let one = format!("INSERT {into} VALUES {marks} ON CONFLICT DO NOTHING");
    let together = format!("INSERT OR FAIL {into} VALUES {}", vec![&*marks; TOGETHER].join(", "));
    Insert { one, together, columns }
});

const FIXED_COLUMNS: usize = 12;

/// Rows of one statement. Beginning a statement and opening its six cursors is a seventh of what storing a row takes,
/// if each has its own.
const TOGETHER: usize = 32;

/// A row to be stored.
#[derive(Clone, Copy)]
struct Row<'b> {
    /// Row id of its directory.
    directory: i64,
    row: &'b FileRow,
    ids: HeaderIds,
}

/// A transaction with the statements that nearly all of its operations are.
struct Inserts<'t> {
    transaction: &'t Transaction<'t>,
    one: CachedStatement<'t>,
    /// Prepared where it is needed: it is long.
    together: Option<CachedStatement<'t>>,
    /// No row of this transaction was known; where one was, more will be.
    are_new: bool,
}

impl<'t> Inserts<'t> {
    /// Prepares the statements, once for all rows of the transaction.
    fn prepare(transaction: &'t Transaction<'t>) -> rusqlite::Result<Self> {
        Ok(Self { transaction, one: transaction.prepare_cached(&INSERT.one)?, together: None, are_new: true })
    }

    /// Inserts the first rows, as primaries, up to one whose name or UID is taken; returns how many those
    /// are. Fewer than a statement takes are left to [`Inserts::insert`].
    fn insert_new(&mut self, rows: &[Row<'_>], fence: Fence) -> rusqlite::Result<usize> {
        if rows.len() < TOGETHER || !self.are_new {
            return Ok(0);
        }
        let statement = match &mut self.together {
            Some(statement) => statement,
            none => none.insert(self.transaction.prepare_cached(&INSERT.together)?),
        };
        // Bindings of a cached statement stay from its last use, and most columns of a row are NULL.
        statement.clear_bindings();
        let width = FIXED_COLUMNS + INSERT.columns.len();
        for (n, row) in rows.iter().enumerate() {
            bind(statement, n * width, *row, fence, 0)?;
        }
        match statement.raw_execute() {
            Ok(inserted) => Ok(inserted),
            // FAIL keeps the rows before the one that broke a constraint.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                self.are_new = false;
                Ok(usize::try_from(self.transaction.changes()).unwrap_or(usize::MAX))
            }
            Err(error) => Err(error),
        }
    }

    /// Inserts a row as a primary; false if its name, or its UID with this twin number, is taken.
    fn insert(&mut self, row: Row<'_>, fence: Fence, twin: i64) -> rusqlite::Result<bool> {
        self.one.clear_bindings();
        bind(&mut self.one, 0, row, fence, twin)?;
        Ok(self.one.raw_execute()? == 1)
    }
}

/// Binds a row to the parameters after the first `before`.
fn bind(
    statement: &mut Statement<'_>,
    before: usize,
    row: Row<'_>,
    fence: Fence,
    twin: i64,
) -> rusqlite::Result<()> {
    let Row { directory, row, ids } = row;
    statement.raw_bind_parameter(before + 1, directory)?;
    statement.raw_bind_parameter(before + 2, PathValue(row.name.as_bytes()))?;
    statement.raw_bind_parameter(before + 3, ids.stack)?;
    statement.raw_bind_parameter(before + 4, StoredUid::new(&row.sop_instance_uid))?;
    statement.raw_bind_parameter(before + 5, twin)?;
    statement.raw_bind_parameter(before + 6, true)?;
    statement.raw_bind_parameter(before + 7, row.stamp.size.cast_signed())?;
    statement.raw_bind_parameter(before + 8, row.stamp.mtime_ns)?;
    statement.raw_bind_parameter(before + 9, fence.0.cast_signed())?;
    statement.raw_bind_parameter(before + 10, row.digest.as_ref().map(|digest| digest.0.as_slice()))?;
    statement.raw_bind_parameter(before + 11, row.warnings.to_text())?;
    statement.raw_bind_parameter(before + 12, row.values.odd_json())?;
    let mut entries = row.values.entries().iter().peekable();
    let mut buffer = packed::Buffer::new();
    for (n, (column, is_packed)) in INSERT.columns.iter().enumerate() {
        let parameter = before + FIXED_COLUMNS + n + 1;
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
    Ok(())
}
