//! One half of a shard as a file of its own.

use std::fs::File;
use std::ops::Add;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use shardex_catalog::{Domain, Fence, Incarnation, ShardSplit, StudyKey};
use shardex_seams::StoreError;

use super::place::{self, Part};
use crate::error::{io_error, store_error};
use crate::history::Life;
use crate::layout::Layout;
use crate::pool::random_u64;
use crate::private;
use crate::schema::SHARD;
use crate::sqlite::{self, SqliteSettings};

pub(super) const CACHE_BYTES: u64 = 64 << 20;
const INSTRUCTIONS_BETWEEN_CHECKS: i32 = 10_000;

/// Which studies a copy takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Stays,
    Goes,
}

/// How much a shard holds: what two halves together have as much of as the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Studies.
    pub studies: u64,
    /// Header rows.
    pub headers: u64,
    /// Rows of files.
    pub files: u64,
    /// Files that are shown.
    pub live: u64,
    /// Bytes of these files, not of the shard.
    pub live_bytes: u64,
}

impl Add for Contents {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            studies: self.studies + other.studies,
            headers: self.headers + other.headers,
            files: self.files + other.files,
            live: self.live + other.live,
            live_bytes: self.live_bytes + other.live_bytes,
        }
    }
}

/// How much a shard holds.
pub(super) fn contents_of(path: &Path) -> Result<Contents, StoreError> {
    match sqlite::open_tidy_reader(path, &SHARD)? {
        Some(connection) => contents(&connection).map_err(|error| store_error(path, error)),
        None => Ok(Contents::default()),
    }
}

fn contents(connection: &Connection) -> rusqlite::Result<Contents> {
    let number =
        |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0).map(i64::cast_unsigned));
    let headers = |table: &str| number(&format!("SELECT count(*) FROM {table}"));
    let sum = |column: &str| number(&format!("SELECT coalesce(sum({column}), 0) FROM study_header"));
    Ok(Contents {
        studies: number(
            "SELECT count(*) FROM (SELECT DISTINCT domain, \"StudyInstanceUID\" FROM study_header)",
        )?,
        headers: headers("study_header")? + headers("series_header")? + headers("stack_header")?,
        files: number("SELECT count(*) FROM file")?,
        live: sum("n_live")?,
        live_bytes: sum("live_bytes")?,
    })
}

/// Makes the file of one half, durably; returns what it holds.
pub(super) fn make(
    layout: &Layout,
    settings: &SqliteSettings,
    split: &ShardSplit,
    half: Half,
    cancel: &Arc<AtomicBool>,
) -> Result<Contents, StoreError> {
    if cancel.load(Ordering::Relaxed) {
        return Err(StoreError::Query("interrupted".into()));
    }
    let from = layout.shard(&split.from);
    let part = if half == Half::Goes { Part::Goes } else { Part::Stays };
    let to = place::file(layout, &split.from, part);
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => StoreError::Query("interrupted".into()),
        _ => store_error(&to, error),
    };
    let mut connection = sqlite::open_writer(&to, &SHARD, settings, CACHE_BYTES)?;
    let stop = Arc::clone(cancel);
    connection
        .progress_handler(INSTRUCTIONS_BETWEEN_CHECKS, Some(move || stop.load(Ordering::Relaxed)))
        .and_then(|()| fill(&connection, &from, split, half))
        .map_err(failed)?;
    let found = sound(&connection, &to)?;
    // Its own life, with a batch, tells it from every other copy of the shard; see `rebuild::begin_life`.
    let life = Life::begin(&connection, Incarnation(random_u64())).map_err(failed)?;
    sqlite::durably(&mut connection, settings.synchronous, |transaction| life.advance(transaction, Fence(0)))
        .and_then(|_| sqlite::truncate_log(&connection))
        .map_err(failed)?;
    drop(connection);
    let synced = File::open(&to).and_then(|file| file.sync_all()).and_then(|()| private::sync_parent(&to));
    synced.map_err(|error| io_error(&to, &error))?;
    Ok(found)
}

fn fill(connection: &Connection, from: &Path, split: &ShardSplit, half: Half) -> rusqlite::Result<()> {
    // Until it is whole the copy is nothing, so nothing of it need be kept from a crash.
    connection.execute_batch(
        "PRAGMA foreign_keys = OFF; PRAGMA main.journal_mode = OFF; PRAGMA main.synchronous = OFF;",
    )?;
    // Whatever bytes the path has.
    let path = ToSqlOutput::Borrowed(ValueRef::Text(from.as_os_str().as_bytes()));
    connection.execute("ATTACH ?1 AS whole", [path])?;
    connection.execute_batch("BEGIN; CREATE TEMP TABLE taken(id INTEGER PRIMARY KEY);")?;
    take_studies(connection, split, half)?;
    for (table, condition) in [
        ("history", "true"),
        ("source", "true"),
        // All of them, with their fences: who was too late to write to the shard is too late for its halves.
        ("directory", "true"),
        ("directory_range", "true"),
        ("study_header", "id IN (SELECT id FROM temp.taken)"),
        ("series_header", "study IN (SELECT id FROM temp.taken)"),
        ("stack_header", "series IN (SELECT id FROM main.series_header)"),
        ("file", "stack IN (SELECT id FROM main.stack_header)"),
    ] {
        let columns = columns(connection, table)?;
        connection.execute(
            &format!(
                "INSERT INTO main.{table}({columns}) SELECT {columns} FROM whole.{table} WHERE {condition}"
            ),
            [],
        )?;
    }
    connection.execute_batch(
        "DELETE FROM main.sqlite_sequence;
         INSERT INTO main.sqlite_sequence(name, seq) SELECT name, seq FROM whole.sqlite_sequence;
         UPDATE main.file SET twin = 0 WHERE id IN (
           SELECT f.id FROM main.file f WHERE f.twin > 0 AND NOT EXISTS (
             SELECT 1 FROM main.file g WHERE g.sop_instance_uid = f.sop_instance_uid AND g.twin < f.twin));
         DROP TABLE temp.taken;
         COMMIT;",
    )?;
    let is_analysed = connection
        .query_row("SELECT 1 FROM whole.sqlite_schema WHERE name = 'sqlite_stat1'", [], |_| Ok(()))
        .optional()?;
    connection
        .execute_batch("DETACH whole; PRAGMA main.journal_mode = WAL; PRAGMA main.synchronous = NORMAL;")?;
    if is_analysed.is_some() {
        connection.execute_batch("PRAGMA analysis_limit = 1000; ANALYZE;")?;
    }
    Ok(())
}

/// Notes the header rows of the studies that a half takes.
fn take_studies(connection: &Connection, split: &ShardSplit, half: Half) -> rusqlite::Result<()> {
    let mut studies =
        connection.prepare("SELECT id, domain, \"StudyInstanceUID\" FROM whole.study_header")?;
    let mut take = connection.prepare("INSERT INTO temp.taken(id) VALUES (?1)")?;
    let mut rows = studies.query([])?;
    while let Some(row) = rows.next()? {
        let domain = Domain::new(row.get_ref(1)?.as_str()?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error))
        })?;
        let key = StudyKey::new(&domain, row.get_ref(2)?.as_str()?);
        if split.moved.contains(key) == (half == Half::Goes) {
            take.execute(params![row.get::<_, i64>(0)?])?;
        }
    }
    Ok(())
}

/// By name: a file that was migrated may have them in another order.
fn columns(connection: &Connection, table: &str) -> rusqlite::Result<String> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1, 'main')")?;
    let names = statement.query_map([table], |row| row.get::<_, String>(0))?;
    let names: Vec<String> =
        names.map(|name| Ok(format!("\"{}\"", name?))).collect::<rusqlite::Result<_>>()?;
    Ok(names.join(", "))
}

/// What a finished copy holds, if SQLite finds nothing wrong with it and its headers count its files.
fn sound(connection: &Connection, path: &Path) -> Result<Contents, StoreError> {
    let failed = |error| store_error(path, error);
    let answer: String =
        connection.query_row("PRAGMA main.quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    let found = contents(connection).map_err(failed)?;
    let counted: i64 = connection
        .query_row("SELECT coalesce(sum(n_files), 0) FROM study_header", [], |row| row.get(0))
        .map_err(failed)?;
    if answer != "ok" || counted.cast_unsigned() != found.files {
        let detail = format!("a copy is not sound ({answer}; {} files, {counted} counted)", found.files);
        return Err(StoreError::Unusable { file: crate::error::label(path), detail });
    }
    Ok(found)
}
