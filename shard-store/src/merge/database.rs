//! The database in which a statement runs: just the views and columns that it reads.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use shardex_catalog::{Cell, Column, ColumnType, View};

use super::authorize::{SharedSeen, confine};
use super::disk;
use super::error::{Error, message, running};
use super::limits::Limits;
use super::list::List;
use super::loader::Loader;

/// Asked again and again while a statement runs: whether it shall stop (a deadline, a cancel).
pub type StopCheck = Arc<dyn Fn() -> bool + Send + Sync>;

/// Instructions of SQLite's machine between two stop checks: some tens of microseconds.
const STOP_CHECK_INSTRUCTIONS: i32 = 2000;

/// Stop checks between two looks at the temporary files, which cost some system calls.
const DISK_CHECK_EVERY: u32 = 1000;

/// A private database of one statement. Beyond its cache it lives in temporary files that no
/// folder shows, and it is gone when dropped.
#[derive(Debug)]
pub struct MergeDatabase {
    connection: Connection,
    limits: Limits,
    is_disk_full: Arc<AtomicBool>,
    lists: Vec<String>,
}

impl MergeDatabase {
    /// An empty database.
    ///
    /// # Errors
    /// [`Error::Failed`] if SQLite cannot make one.
    pub fn create(limits: Limits) -> Result<Self, Error> {
        Self::open(&limits)
            .map(|connection| Self { connection, limits, is_disk_full: Arc::default(), lists: Vec::new() })
            .map_err(|error| Error::Failed(message(&error)))
    }

    /// Adds a view as an empty table of these columns.
    ///
    /// # Errors
    /// [`Error::Failed`] if there is such a table already.
    pub fn add_table(&self, view: View, columns: &[Column]) -> Result<(), Error> {
        self.connection.execute_batch(&create_table(view, columns)).map_err(|error| self.error(&error))
    }

    /// Adds a user's list, with its rows.
    ///
    /// # Errors
    /// [`Error::Full`] if there is no space for it, [`Error::Failed`] if there is such a table already.
    pub fn add_list(&mut self, list: &List) -> Result<(), Error> {
        let added = list.create(&self.connection).and_then(|()| list.fill(&self.connection));
        added.map_err(|error| self.error(&error))?;
        self.lists.push(list.name().to_owned());
        Ok(())
    }

    /// What inserts rows into a table made with the same columns.
    ///
    /// # Errors
    /// [`Error::Failed`] if there is no such table.
    pub fn loader(&self, view: View, columns: &[Column]) -> Result<Loader<'_>, Error> {
        Loader::new(&self.connection, view, columns, self.limits.disk_bytes_max)
            .map_err(|error| self.error(&error))
    }

    /// Indexes a column, so that joins and correlated subqueries need not scan.
    ///
    /// # Errors
    /// [`Error::Full`] if there is no space for it.
    pub fn index(&self, view: View, column: &str) -> Result<(), Error> {
        let name = quoted(&format!("{view}.{column}"));
        let table = quoted(view.as_str());
        let column = quoted(column);
        self.connection
            .execute_batch(&format!("CREATE INDEX {name} ON {table}({column})"))
            .map_err(|error| self.error(&error))
    }

    /// Runs a statement that [`super::Analyser`] accepted; rows go to `row` until it breaks off.
    ///
    /// The sandbox closes here for good: nothing can be loaded afterwards.
    ///
    /// # Errors
    /// [`Error::Stopped`] soon after `stop` says so, [`Error::Full`] if the statement needs more
    /// space than allowed, [`Error::Failed`] if it fails by itself.
    pub fn run(
        mut self,
        sql: &str,
        stop: StopCheck,
        row: &mut dyn FnMut(&[Cell]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let seen = SharedSeen::default();
        self.close_sandbox(&seen, stop).map_err(|error| self.error(&error))?;
        let mut statement = self.connection.prepare(sql).map_err(|error| {
            let refused = seen.lock().unwrap_or_else(PoisonError::into_inner).refused.take();
            refused.map_or_else(|| self.error(&error), Error::Refused)
        })?;
        let mut cells = Vec::with_capacity(statement.column_count());
        let width = statement.column_count();
        let mut rows = statement.query([]).map_err(|error| self.error(&error))?;
        while let Some(found) = rows.next().map_err(|error| self.error(&error))? {
            cells.clear();
            for n in 0..width {
                cells.push(found.get_ref(n).map(cell).map_err(|error| self.error(&error))?);
            }
            if row(&cells).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn open(limits: &Limits) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // No name: SQLite makes a file of its own when the cache is full, and unlinks it at once.
        let connection = Connection::open_with_flags("", flags)?;
        if let Some(folder) = &limits.temporary_folder {
            disk::use_folder(&connection, folder);
        }
        let cache_kib = i64::try_from(limits.cache_bytes / 1024).unwrap_or(i64::MAX);
        let pages_max = i64::try_from(limits.disk_bytes_max / PAGE_BYTES).unwrap_or(i64::MAX).max(16);
        connection.execute_batch(&format!(
            "PRAGMA page_size = {PAGE_BYTES};
             PRAGMA cache_size = -{cache_kib};
             PRAGMA max_page_count = {pages_max};
             PRAGMA temp_store = FILE;
             PRAGMA journal_mode = OFF;
             PRAGMA synchronous = OFF;
             PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA cell_size_check = OFF;
             BEGIN"
        ))?;
        Ok(connection)
    }

    fn close_sandbox(&mut self, seen: &SharedSeen, stop: StopCheck) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT; PRAGMA query_only = ON")?;
        self.limits.apply(&self.connection)?;
        confine(&mut self.connection, seen, std::mem::take(&mut self.lists))?;
        let is_disk_full = Arc::clone(&self.is_disk_full);
        let bytes_max = self.limits.disk_bytes_max;
        let mut checks = 0_u32;
        let check = move || {
            checks = checks.wrapping_add(1);
            if checks.is_multiple_of(DISK_CHECK_EVERY) && disk::temporary_bytes() > bytes_max {
                is_disk_full.store(true, Ordering::Relaxed);
            }
            is_disk_full.load(Ordering::Relaxed) || stop()
        };
        self.connection.progress_handler(STOP_CHECK_INSTRUCTIONS, Some(check))
    }

    fn error(&self, error: &rusqlite::Error) -> Error {
        running(error, self.limits.disk_bytes_max, self.is_disk_full.load(Ordering::Relaxed))
    }
}

const PAGE_BYTES: u64 = 8192;

/// DDL of a view as a table. Affinity follows the catalog, so that a comparison means here what it
/// means in a shard: `PatientID = 12345` finds the text.
pub(super) fn create_table(view: View, columns: &[Column]) -> String {
    let definition = |column: &Column| {
        let affinity = match column.column_type {
            ColumnType::Text | ColumnType::Items => "TEXT",
            ColumnType::Integer => "INTEGER",
            ColumnType::Real => "REAL",
        };
        format!("{} {affinity}", quoted(&column.name))
    };
    let mut definitions: Vec<String> = columns.iter().map(definition).collect();
    if definitions.is_empty() {
        // Only the number of rows matters, but a table needs a column.
        definitions.push("\"(none)\"".into());
    }
    format!("CREATE TABLE {}({})", quoted(view.as_str()), definitions.join(", "))
}

/// A name as an SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Cell::Text(text.to_owned()),
            // A statement can cast any bytes to text.
            Err(_) => Cell::Blob(bytes.to_owned()),
        },
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn columns() -> Vec<Column> {
        [("PatientID", ColumnType::Text), ("Rows", ColumnType::Integer), ("SliceThickness", ColumnType::Real)]
            .map(|(name, column_type)| Column { name: name.into(), column_type })
            .into()
    }

    fn database(limits: &Limits, rows: &[[Cell; 3]]) -> MergeDatabase {
        let database = MergeDatabase::create(limits.clone()).expect("a database");
        database.add_table(View::Series, &columns()).expect("a table");
        let mut loader = database.loader(View::Series, &columns()).expect("a loader");
        rows.iter().for_each(|row| loader.insert(row).expect("it fits"));
        drop(loader);
        database
    }

    fn run(database: MergeDatabase, sql: &str, stop: StopCheck) -> Result<Vec<Vec<Cell>>, Error> {
        let mut rows = Vec::new();
        let mut keep = |row: &[Cell]| {
            rows.push(row.to_vec());
            ControlFlow::Continue(())
        };
        database.run(sql, stop, &mut keep).map(|()| rows)
    }

    fn never() -> StopCheck {
        Arc::new(|| false)
    }

    #[test]
    fn values_take_their_columns_affinity() {
        let text = |text: &str| Cell::Text(text.into());
        let rows = [
            [Cell::Integer(12), text("5"), Cell::Integer(2)],
            [Cell::Blob(vec![255]), text("x"), Cell::Null],
        ];
        let all = run(database(&Limits::default(), &rows), "SELECT * FROM series", never()).expect("rows");
        assert_eq!(all[0], [text("12"), Cell::Integer(5), Cell::Real(2.0)]);
        assert_eq!(all[1], [Cell::Blob(vec![255]), text("x"), Cell::Null]);
        let sql = "SELECT count(*) FROM SERIES WHERE patientid = 12 AND rows = '5'";
        assert_eq!(run(database(&Limits::default(), &rows), sql, never()), Ok(vec![vec![Cell::Integer(1)]]));
    }

    #[test]
    fn rows_taken_back_do_not_count() {
        let database = database(&Limits::default(), &[]);
        let mut loader = database.loader(View::Series, &columns()).expect("a loader");
        let row = |n| [Cell::Null, Cell::Integer(n), Cell::Null];
        (0..4).for_each(|n| loader.insert(&row(n)).expect("it fits"));
        loader.discard(2..4).expect("removed");
        loader.insert(&row(9)).expect("it fits");
        assert_eq!((loader.next(), loader.insert(&[Cell::Null]).is_err()), (6, true));
        drop(loader);
        let rows =
            run(database, "SELECT group_concat(Rows) FROM (SELECT Rows FROM series ORDER BY 1)", never());
        assert_eq!(rows, Ok(vec![vec![Cell::Text("0,3,9".into())]]));
    }

    #[test]
    fn the_sandbox_is_closed_when_a_statement_runs() {
        for sql in
            ["DELETE FROM series", "PRAGMA user_version", "ATTACH 'x' AS y", "SELECT name FROM sqlite_schema"]
        {
            let result = run(database(&Limits::default(), &[]), sql, never());
            assert!(matches!(result, Err(Error::Refused(_))), "{sql}: {result:?}");
        }
    }

    #[test]
    fn a_statement_stops_when_it_is_told_to() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let stop: StopCheck = Arc::new(move || count.fetch_add(1, Ordering::Relaxed) > 10);
        let sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
        assert_eq!(run(database(&Limits::default(), &[]), sql, stop), Err(Error::Stopped));
        assert!(asked.load(Ordering::Relaxed) > 10);
    }

    #[test]
    fn tables_that_outgrow_their_space_are_refused() {
        let limits = Limits { disk_bytes_max: 1 << 20, ..Limits::default() };
        let database = database(&limits, &[]);
        let mut loader = database.loader(View::Series, &columns()).expect("a loader");
        let row = [Cell::Text("x".repeat(1000)), Cell::Null, Cell::Null];
        let error = (0..2000).find_map(|_| loader.insert(&row).err());
        assert_eq!(error, Some(Error::Full { bytes_max: 1 << 20 }));
    }

    #[test]
    fn temporary_files_stand_in_the_folder_given_and_are_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = Limits {
            cache_bytes: 1 << 20,
            temporary_folder: Some(folder.path().to_owned()),
            ..Limits::default()
        };
        let wide = [Cell::Text("x".repeat(1000)), Cell::Null, Cell::Null];
        let database = database(&limits, &vec![wide; 8000]);
        let descriptors = std::fs::read_dir("/proc/self/fd").expect("Linux").flatten();
        let mut links = descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        assert!(links.any(|link| link.starts_with(folder.path())));
        assert!(disk::temporary_bytes() > 4 << 20);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        drop(database);
    }
}
