//! New files of a format, copied from one that is made once, in memory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rusqlite::{Connection, MAIN_DB};
use shardex_seams::StoreError;

use crate::error::{io_error, store_error};
use crate::private;
use crate::sqlite::{self, Format, SqliteSettings};

/// Where a file says by which version of the format it is written and read; 2 stands for a write-ahead log
/// (SQLite's "Database File Format", 1.3.3).
const VERSIONS: std::ops::Range<usize> = 18..20;
const WITH_LOG: u8 = 2;

/// An empty file of a format. SQLite takes milliseconds to make a schema as large as a shard's, and writes it twice.
#[derive(Default)]
pub(crate) struct Template(OnceLock<Vec<u8>>);

impl Template {
    /// Makes a file that is not there, durably; one that is there is left as it is. Whether it was made. Only its writer may
    /// call this.
    ///
    /// # Errors
    /// [`StoreError`]; there is no file then, or a whole one.
    pub(crate) fn place(
        &self,
        path: &Path,
        format: &Format,
        settings: &SqliteSettings,
    ) -> Result<bool, StoreError> {
        // A link into a disk that is not mounted is there.
        match fs::symlink_metadata(path) {
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error(path, &error)),
        }
        let content = match self.0.get() {
            Some(content) => content,
            None => {
                let made = make(format, settings).map_err(|error| store_error(path, error))?;
                self.0.get_or_init(|| made)
            }
        };
        place(path, content).map(|()| true).map_err(|error| io_error(path, &error))
    }
}

/// Takes a file away again that was made just now and into which nothing was written.
pub(crate) fn take_away(path: &Path) {
    let _ = fs::remove_file(path);
    let _ = remove_logs(path);
}

fn make(format: &Format, settings: &SqliteSettings) -> rusqlite::Result<Vec<u8>> {
    let mut connection = Connection::open_in_memory()?;
    sqlite::configure(&connection, settings, 1 << 20)?;
    connection.execute_batch(&sqlite::migration(format, 0))?;
    let mut content = connection.serialize(MAIN_DB)?.to_vec();
    if let Some(versions) = content.get_mut(VERSIONS) {
        versions.fill(WITH_LOG);
    }
    Ok(content)
}

fn place(path: &Path, content: &[u8]) -> io::Result<()> {
    place_by(path, |file| file.write_all(content))
}

/// Puts what `write` writes in a database's place, durably, and all of it or nothing.
pub(crate) fn place_by(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let new = beside(path, ".new");
    remove(&new)?;
    let mut file = private::create_new(&new)?;
    let written = write(&mut file).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| {
        // A log that is there belongs to no file that comes now, not after a power cut either.
        if remove_logs(path)? {
            private::sync_parent(path)?;
        }
        fs::rename(&new, path)
    });
    if placed.is_err() {
        let _ = fs::remove_file(&new);
    }
    placed.and_then(|()| private::sync_parent(path))
}

/// Whether there was any.
fn remove_logs(path: &Path) -> io::Result<bool> {
    ["-wal", "-shm", "-journal"]
        .iter()
        .try_fold(false, |any, suffix| Ok(remove(&beside(path, suffix))? || any))
}

/// Whether it was there.
fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SHARD;

    #[test]
    fn a_new_file_is_as_sqlite_makes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = SqliteSettings { page_size: 8192, ..SqliteSettings::default() };
        let schema = |path: &Path| {
            let connection = sqlite::open_writer(path, &SHARD, &settings, 1 << 20).expect("opened");
            let pragma = |name| {
                connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
            };
            let pragmas =
                ["journal_mode", "page_size", "user_version", "application_id", "encoding"].map(pragma);
            let mut statement =
                connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY rowid").expect("valid");
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
            let rows: Vec<(String, Option<String>)> = rows.collect::<Result<_, _>>().expect("rows");
            (pragmas.map(|value| value.expect("a value")), rows)
        };
        let [copied, made] = ["copied.sqlite", "made.sqlite"].map(|name| folder.path().join(name));
        Template::default().place(&copied, &SHARD, &settings).expect("placed");
        assert!(fs::metadata(&copied).expect("a file").len() > 0);
        assert_eq!(schema(&copied), schema(&made));
    }

    #[test]
    fn a_log_without_its_file_is_not_taken_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0.sqlite");
        let (template, settings) = (Template::default(), SqliteSettings::default());
        template.place(&path, &SHARD, &settings).expect("placed");
        let connection = sqlite::open_writer(&path, &SHARD, &settings, 1 << 20).expect("opened");
        connection.execute("INSERT INTO source(name, root) VALUES ('pacs', '/')", []).expect("inserted");
        drop(connection);
        let log = folder.path().join("0.sqlite-wal");
        assert!(fs::metadata(&log).expect("a log").len() > 0);
        fs::remove_file(&path).expect("removed");

        template.place(&path, &SHARD, &settings).expect("placed");
        let connection = sqlite::open_writer(&path, &SHARD, &settings, 1 << 20).expect("opened");
        let sources: i64 =
            connection.query_row("SELECT count(*) FROM source", [], |row| row.get(0)).expect("a count");
        assert_eq!(sources, 0);

        let before = fs::read(&path).expect("read");
        template.place(&path, &SHARD, &settings).expect("placed");
        assert_eq!(fs::read(&path).expect("read"), before);
    }
}
