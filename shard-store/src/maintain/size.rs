//! What takes the room in an archive.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use shardex_seams::StoreError;

use super::pages;
use crate::archive::{ReadArchive, size_with_log};
use crate::error::{label, store_error};
use crate::sqlite;

/// Room that one file takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSize {
    /// Its name inside the archive.
    pub file: String,
    /// Bytes, its log included.
    pub bytes: u64,
    /// Bytes of a page.
    pub page_size: u64,
    /// Pages.
    pub pages: u64,
    /// Pages that hold nothing; `maintain vacuum` gives them back.
    pub free_pages: u64,
    /// Tables and indexes; `None` where SQLite was built without `dbstat`.
    pub objects: Option<Vec<ObjectSize>>,
}

/// Room that a table or an index takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSize {
    /// Its name.
    pub name: String,
    /// Whether it is an index.
    pub is_index: bool,
    /// Bytes of its pages.
    pub bytes: u64,
    /// Bytes in its pages that hold nothing.
    pub unused: u64,
}

impl ReadArchive {
    /// What takes the room, file by file. Reads every page's header.
    ///
    /// # Errors
    /// [`StoreError`] of the first file that cannot be read.
    pub fn sizes(&self) -> Result<Vec<FileSize>, StoreError> {
        let mut sizes = Vec::new();
        for (path, format) in self.sqlite_files()? {
            let Some(connection) = sqlite::open_reader(&path, format, 4 << 20)? else { continue };
            sizes.push(of_file(&connection, &path).map_err(|error| store_error(&path, error))?);
        }
        Ok(sizes)
    }
}

fn of_file(connection: &Connection, path: &Path) -> rusqlite::Result<FileSize> {
    let (page_size, pages, free_pages) = pages(connection)?;
    let objects = has_dbstat(connection)?.then(|| objects(connection)).transpose()?;
    Ok(FileSize { file: label(path), bytes: size_with_log(path), page_size, pages, free_pages, objects })
}

fn has_dbstat(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM pragma_module_list WHERE name = 'dbstat'";
    Ok(connection.query_row(sql, [], |_| Ok(())).optional()?.is_some())
}

fn objects(connection: &Connection) -> rusqlite::Result<Vec<ObjectSize>> {
    let mut statement = connection.prepare(
        "SELECT s.name, coalesce(m.type = 'index', 0), s.pgsize, s.unused FROM dbstat('main', 1) s \
         LEFT JOIN sqlite_schema m ON m.name = s.name ORDER BY s.pgsize DESC",
    )?;
    let objects = statement.query_map([], |row| {
        Ok(ObjectSize { name: row.get(0)?, is_index: row.get(1)?, bytes: row.get(2)?, unused: row.get(3)? })
    })?;
    objects.collect()
}
