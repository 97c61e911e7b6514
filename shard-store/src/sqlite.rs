//! Opening SQLite files: settings, formats, migrations.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use shardex_seams::StoreError;

use crate::error::{io_error, label, store_error};
use crate::private;

/// Durability of an ordinary commit; a barrier is always durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// Write-ahead log synced at barriers and checkpoints (default).
    Normal,
    /// Write-ahead log synced at every commit.
    Full,
}

/// Settings of the SQLite files that are written. Defaults by measurement, see `bench/RESULTS.md`.
#[derive(Clone, Debug)]
pub struct SqliteSettings {
    /// Bytes of a page of a new file: 512 to 65,536, a power of two.
    pub page_size: u32,
    /// Bytes of page cache for all open shards together.
    pub cache_bytes: u64,
    /// Pages in the write-ahead log after which a commit checkpoints.
    pub checkpoint_pages: u32,
    /// Bytes of a file that are memory-mapped; 0 for none.
    pub mmap_bytes: u64,
    /// Durability of ordinary commits.
    pub synchronous: Synchronous,
    /// Refuse to share files with other processes; needed on network file systems.
    pub exclusive: bool,
    /// Shards open for writing at once.
    pub open_shards: usize,
    /// Further pragmas, run as they are when a file is opened for writing.
    pub pragmas: Vec<(String, String)>,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self {
            page_size: 4096,
            cache_bytes: 64 << 20,
            checkpoint_pages: 4000,
            mmap_bytes: 0,
            synchronous: Synchronous::Normal,
            exclusive: false,
            open_shards: 64,
            pragmas: Vec::new(),
        }
    }
}

/// What a kind of file is, and how it came to its present schema.
pub(crate) struct Format {
    /// `PRAGMA application_id`.
    pub(crate) application_id: i32,
    /// Statements that lead from version n to n + 1, from version 0 on; its length is the version.
    pub(crate) migrations: &'static [fn() -> String],
}

impl Format {
    fn version(&self) -> i64 {
        i64::try_from(self.migrations.len()).expect("a handful of migrations")
    }
}

/// Opens a file for writing, creates or migrates it, all in one transaction.
pub(crate) fn open_writer(
    path: &Path,
    format: &Format,
    settings: &SqliteSettings,
    cache_bytes: u64,
) -> Result<Connection, StoreError> {
    private::create_file(path).map_err(|error| io_error(path, &error))?;
    let fail = |error| store_error(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(fail)?;
    configure(&connection, settings, cache_bytes).map_err(fail)?;
    migrate(&connection, path, format)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// What is to be done about a file of an archive that is not there.
const GONE: &str = "it is gone: put it back, or run `shardex recover` and ingest again";

/// Opens a file for reading while others may write to it. `None` for a file without content: its
/// writer died before its first commit.
pub(crate) fn open_reader(
    path: &Path,
    format: &Format,
    cache_bytes: u64,
) -> Result<Option<Connection>, StoreError> {
    let connection = open_read_only(path).map_err(|error| match path.try_exists() {
        Ok(false) => StoreError::Unusable { file: label(path), detail: GONE.into() },
        _ => store_error(path, error),
    })?;
    let fail = |error| store_error(path, error);
    connection.busy_timeout(Duration::from_secs(10)).map_err(fail)?;
    connection.pragma_update(None, "cache_size", cache_kib(cache_bytes)).map_err(fail)?;
    connection.pragma_update(None, "query_only", true).map_err(fail)?;
    if check_format(&connection, path, format)? == 0 {
        return Ok(None);
    }
    connection.set_prepared_statement_cache_capacity(32);
    Ok(Some(connection))
}

/// Opens a file for reading in the process that may write it: it leaves no log behind, as read-only connections do, which
/// may not remove it.
pub(crate) fn open_tidy_reader(path: &Path, format: &Format) -> Result<Option<Connection>, StoreError> {
    let fail = |error| store_error(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(fail)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(fail)?;
    connection.pragma_update(None, "query_only", true).map_err(fail)?;
    Ok((check_format(&connection, path, format)? > 0).then_some(connection))
}

/// Checkpoints the whole write-ahead log into the file and empties it, as far as readers allow. Closing
/// removes the log then, unless somebody else has it open.
pub(crate) fn truncate_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    checkpoint_on_close(connection)
}

/// Lets closing checkpoint and remove the log, as SQLite does by itself.
pub(crate) fn checkpoint_on_close(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop)
}

/// Commits what `change` does, durably: the log is synced with all frames before it.
///
/// `change` must change at least a byte, else SQLite syncs nothing.
pub(crate) fn durably<T>(
    connection: &mut Connection,
    usual: Synchronous,
    change: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    let result = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).and_then(
        |transaction| {
            let value = change(&transaction)?;
            transaction.commit()?;
            Ok(value)
        },
    );
    if usual == Synchronous::Normal {
        connection.pragma_update(None, "synchronous", "NORMAL")?;
    }
    result
}

fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let uri = |query: &str| format!("file:{}{query}", percent_encoded(path));
    let open = |query: &str| {
        let connection = Connection::open_with_flags(uri(query), flags)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    };
    open("").or_else(|error| {
        // On read-only media the shared-memory file cannot be made. Without a log there is no
        // writer to coordinate with, and the file can be read as it is.
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        if Path::new(&log).exists() { Err(error) } else { open("?immutable=1").map_err(|_| error) }
    })
}

/// Has SQLite look at all pages of a file that nobody writes; its log counts if it has one.
///
/// # Errors
/// [`StoreError::Corrupt`] with the first thing that SQLite finds; or why the file cannot be read.
pub(crate) fn check_pages(path: &Path, format: &Format) -> Result<(), StoreError> {
    let fail = |error| store_error(path, error);
    let connection = open_still(path, format)?;
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(fail)?;
    if said == "ok" { Ok(()) } else { Err(StoreError::Corrupt { file: label(path), detail: said }) }
}

/// Opens a file that nobody else knows, on whatever file system: without locks.
pub(crate) fn open_alone(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{}?nolock=1", percent_encoded(path)), flags)
}

/// Opens a file that nobody writes.
pub(crate) fn open_still(path: &Path, format: &Format) -> Result<Connection, StoreError> {
    let connection = if crate::moving::log_of(path).exists() {
        open_read_only(path)
    } else {
        // So that the look leaves no empty log beside it.
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(format!("file:{}?immutable=1", percent_encoded(path)), flags)
    };
    let connection = connection.map_err(|error| store_error(path, error))?;
    check_format(&connection, path, format)?;
    Ok(connection)
}

fn percent_encoded(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+".contains(&b);
    path.as_os_str()
        .as_bytes()
        .iter()
        .map(|b| if plain(*b) { char::from(*b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Applies the settings to a connection that writes.
pub(crate) fn configure(
    connection: &Connection,
    settings: &SqliteSettings,
    cache_bytes: u64,
) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "page_size", settings.page_size)?;
    if settings.exclusive {
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match settings.synchronous {
        Synchronous::Normal => "NORMAL",
        Synchronous::Full => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", settings.checkpoint_pages)?;
    connection.pragma_update(None, "cache_size", cache_kib(cache_bytes))?;
    connection.pragma_update(None, "mmap_size", i64::try_from(settings.mmap_bytes).unwrap_or(i64::MAX))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Closing is quick after Ctrl-C; a normal end empties the log by itself.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    for (name, value) in &settings.pragmas {
        connection.pragma_update(None, name, value)?;
    }
    Ok(())
}

/// Negative: SQLite counts KiB then, not pages.
fn cache_kib(bytes: u64) -> i64 {
    -i64::try_from(bytes / 1024).unwrap_or(i64::MAX).max(64)
}

fn migrate(connection: &Connection, path: &Path, format: &Format) -> Result<(), StoreError> {
    let found = check_format(connection, path, format)?;
    if found >= format.version() {
        return Ok(());
    }
    let from = usize::try_from(found).unwrap_or_default();
    connection.execute_batch(&migration(format, from)).map_err(|error| {
        let error = store_error(path, error);
        let _ = connection.execute_batch("ROLLBACK");
        error
    })
}

/// The transaction that leads from a version to the present one.
pub(crate) fn migration(format: &Format, from: usize) -> String {
    let mut script = String::from("BEGIN IMMEDIATE;\n");
    format.migrations.iter().skip(from).for_each(|step| script.push_str(&step()));
    script.push_str(&format!("PRAGMA application_id = {};\n", format.application_id));
    script.push_str(&format!("PRAGMA user_version = {};\nCOMMIT;", format.version()));
    script
}

/// Whether a file is of the version of its format that is written now.
pub(crate) fn is_of_today(connection: &Connection, format: &Format) -> rusqlite::Result<bool> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(version == format.version())
}

/// The file's version, 0 for a file without content.
fn check_format(connection: &Connection, path: &Path, format: &Format) -> Result<i64, StoreError> {
    let fail = |error| store_error(path, error);
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let application_id = number("application_id").map_err(fail)?;
    let found = number("user_version").map_err(fail)?;
    let is_empty = application_id == 0 && found == 0;
    if !is_empty && application_id != i64::from(format.application_id) {
        return Err(StoreError::Corrupt { file: label(path), detail: "it is a file of another kind".into() });
    }
    if found > format.version() {
        return Err(StoreError::Newer { file: label(path), found, known: format.version() });
    }
    Ok(found)
}
