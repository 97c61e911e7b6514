//! Upkeep of the files of an archive that changes none of their content.

mod size;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use shardex_catalog::ShardId;
use shardex_seams::StoreError;

use crate::archive::{Archive, size_with_log};
use crate::error::{io_error, label, store_error};
use crate::layout::Layout;
use crate::ledger::LEDGER;
use crate::registry::REGISTRY;
use crate::schema::SHARD;
use crate::sqlite::{self, Format};
use crate::state::STATE;
pub use size::{FileSize, ObjectSize};

const CACHE_BYTES: u64 = 32 << 20;
const INSTRUCTIONS_BETWEEN_CHECKS: i32 = 10_000;
/// Rows of an index that ANALYZE looks at: enough for the planner, and quick.
const ANALYSIS_LIMIT: u32 = 1000;

/// What is done to each file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Statistics for the query planner.
    Analyze,
    /// What SQLite holds to be worth while: statistics where they are missing or old.
    Optimize,
    /// Indexes made anew from their tables.
    Reindex,
    /// The file written anew without free pages.
    Vacuum,
}

impl Work {
    fn statements(self) -> String {
        match self {
            Self::Analyze => format!("PRAGMA analysis_limit = {ANALYSIS_LIMIT}; ANALYZE;"),
            Self::Optimize => format!("PRAGMA analysis_limit = {ANALYSIS_LIMIT}; PRAGMA optimize = 0x10002;"),
            Self::Reindex => "REINDEX;".to_owned(),
            Self::Vacuum => "VACUUM;".to_owned(),
        }
    }
}

/// A file that was, or would be, worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintained {
    /// Its name inside the archive.
    pub file: String,
    /// Bytes before, its log included.
    pub bytes_before: u64,
    /// Bytes afterwards; for a dry run of a vacuum an estimate, else as before.
    pub bytes_after: u64,
}

impl Archive {
    /// Works on one shard, or on every file of the archive, one after the other; each file's work is
    /// one transaction, so that an end in the middle leaves it as it was. With `is_dry` nothing is
    /// changed. Tells `done` after each file.
    ///
    /// # Errors
    /// [`StoreError`] of the first file that fails, or that has too little space; or if it was
    /// cancelled. Files that were done before stay done.
    pub fn maintain(
        &self,
        work: Work,
        shard: Option<&ShardId>,
        is_dry: bool,
        cancel: &Arc<AtomicBool>,
        done: &mut dyn FnMut(Maintained),
    ) -> Result<(), StoreError> {
        for (path, format) in files(self.layout(), shard)? {
            if cancel.load(Ordering::Relaxed) {
                return Err(StoreError::Query("interrupted".into()));
            }
            let bytes_before = size_with_log(&path);
            if bytes_before == 0 {
                continue;
            }
            let bytes_after = if is_dry {
                expected(&path, format, work, bytes_before)?
            } else {
                self.maintain_file(&path, format, work, cancel)?;
                size_with_log(&path)
            };
            done(Maintained { file: label(&path), bytes_before, bytes_after });
        }
        Ok(())
    }

    fn maintain_file(
        &self,
        path: &Path,
        format: &'static Format,
        work: Work,
        cancel: &Arc<AtomicBool>,
    ) -> Result<(), StoreError> {
        if work == Work::Vacuum {
            needs_space(path)?;
        }
        let mut connection = sqlite::open_writer(path, format, self.sqlite_settings(), CACHE_BYTES)?;
        let stop = Arc::clone(cancel);
        connection
            .progress_handler(INSTRUCTIONS_BETWEEN_CHECKS, Some(move || stop.load(Ordering::Relaxed)))
            .and_then(|()| connection.execute_batch(&work.statements()))
            .and_then(|()| sqlite::truncate_log(&connection))
            .map_err(|error| match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::OperationInterrupted) => StoreError::Query("interrupted".into()),
                _ => store_error(path, error),
            })
    }
}

fn files(layout: &Layout, shard: Option<&ShardId>) -> Result<Vec<(PathBuf, &'static Format)>, StoreError> {
    if let Some(shard) = shard {
        let path = layout.shard(shard);
        if !path.exists() {
            let detail = format!("the archive has no shard `{shard}`");
            return Err(StoreError::Query(detail));
        }
        return Ok(vec![(path, &SHARD)]);
    }
    let shards = layout.list_shards().map_err(|error| io_error(&layout.shards(), &error))?;
    let mut files: Vec<(PathBuf, &'static Format)> =
        shards.iter().map(|shard| (layout.shard(shard), &SHARD)).collect();
    files.push((layout.ledger(), &LEDGER));
    files.push((layout.registry(), &REGISTRY));
    files.push((layout.jobs(), &STATE));
    Ok(files)
}

/// Bytes of a file after the work, as far as can be told without doing it.
fn expected(path: &Path, format: &Format, work: Work, before: u64) -> Result<u64, StoreError> {
    if work != Work::Vacuum {
        return Ok(before);
    }
    let Some(connection) = sqlite::open_reader(path, format, 1 << 20)? else { return Ok(before) };
    let (page_size, pages, free) = pages(&connection).map_err(|error| store_error(path, error))?;
    Ok(page_size * (pages - free))
}

/// Bytes of a page, pages, and free pages of a file.
fn pages(connection: &Connection) -> rusqlite::Result<(u64, u64, u64)> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    Ok((number("page_size")?, number("page_count")?, number("freelist_count")?))
}

/// VACUUM writes the content once into a temporary file and once into the log.
fn needs_space(path: &Path) -> Result<(), StoreError> {
    let needed = 2 * size_with_log(path);
    let system = rustix::fs::statvfs(path).map_err(|error| io_error(path, &error.into()))?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    if free < needed {
        let detail = format!(
            "vacuum needs {needed} bytes free on its disk, there are {free}: free some, or vacuum other shards by --shard"
        );
        return Err(StoreError::Unusable { file: label(path), detail });
    }
    Ok(())
}
