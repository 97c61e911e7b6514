//! What an archive holds, in numbers: sums over header tables, one shard after the other.
//!
//! Every figure of a shard is a sum or a set of groups that adds up with those of the other shards,
//! because a study lives whole in one of them. What does not add up (patients, series that two
//! studies share) is counted by `distinct` in bounded memory.

mod distinct;
mod filled;
mod findings;
mod gone;
mod groups;
mod parts;
mod reports;
mod rows;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use shardex_catalog::{Cell, ShardId, WarningClass};
use shardex_seams::{ReportParts, ShardPart, StoreError};

use crate::archive::ReadArchive;
use crate::error::store_error;
use crate::layout::Layout;
use crate::registry::{self, REGISTRY};
use crate::schema::SHARD;
use crate::sqlite;
pub use filled::{Filled, Share};
pub use findings::{Findings, HEADERS_OF_SERIES_MAX};
pub use groups::{Group, GroupBy, GroupName};
pub use rows::{COUNT_COLUMNS, Numbers, count_row};

const CACHE_BYTES: u64 = 4 << 20;
const INSTRUCTIONS_BETWEEN_CHECKS: i32 = 10_000;

/// What to count, and how exactly.
#[derive(Clone, Debug)]
pub struct OverviewOptions {
    /// Today as `YYYYMMDD`: dates after it lie in the future.
    pub today: String,
    /// Rows of files that are read for the attributes which files store themselves; where there are
    /// more, evenly spread samples of each shard are read. `None` reads all.
    pub file_rows_max: Option<u64>,
    /// Threads that read shards.
    pub threads: usize,
    /// Set to stop.
    pub cancel: Arc<AtomicBool>,
}

/// What an archive holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overview {
    /// Patients: (domain, IssuerOfPatientID, PatientID); without a PatientID one a study.
    pub patients: u64,
    /// Studies: (domain, StudyInstanceUID).
    pub studies: u64,
    /// Series: (domain, StudyInstanceUID, SeriesInstanceUID).
    pub series: u64,
    /// Live instances.
    pub instances: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows of files, further copies of instances included.
    pub files: u64,
    /// Counts by what groups them.
    pub groups: BTreeMap<GroupBy, BTreeMap<GroupName, Group>>,
    /// Share of instances with a value, by attribute.
    pub filled: Filled,
    /// Files by warning class. A file counts in each of its classes.
    pub warnings: BTreeMap<WarningClass, u64>,
    /// What deserves a look.
    pub findings: Findings,
}

impl Overview {
    /// Adds another shard's figures.
    fn add(&mut self, other: Self) {
        self.studies += other.studies;
        self.series += other.series;
        self.instances += other.instances;
        self.bytes += other.bytes;
        self.files += other.files;
        for (by, groups) in other.groups {
            groups::add(self.groups.entry(by).or_default(), groups);
        }
        self.filled.add(&other.filled);
        for (class, count) in other.warnings {
            *self.warnings.entry(class).or_default() += count;
        }
        self.findings.add(&other.findings);
    }
}

/// Counts what the shards hold. Memory is bounded by the number of groups, not of rows.
///
/// # Errors
/// [`StoreError`] of the first shard that cannot be read: sums without it would be wrong.
pub fn overview(parts: &dyn ReportParts, options: &OverviewOptions) -> Result<Overview, StoreError> {
    let shards = parts.shards()?;
    let total = Mutex::new(Overview::default());
    let file_rows_max = options.file_rows_max.map(|rows| rows / shards.len().max(1) as u64);
    let part = ShardPart::Counts { today: options.today.clone(), file_rows_max };
    each(&shards, options, &|shard| {
        let (mut one, mut failed) = (Overview::default(), Ok(()));
        parts.of_shard(shard, &part, &options.cancel, &mut |cells| {
            failed = one.take_row(&cells);
            failed.is_ok()
        })?;
        failed?;
        total.lock().unwrap_or_else(PoisonError::into_inner).add(one);
        Ok(())
    })?;
    let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    distinct::count(parts, &shards, options, &mut total)?;
    Ok(total)
}

impl ReadArchive {
    /// Counts by InstitutionName, as it is in the files.
    ///
    /// # Errors
    /// [`StoreError`] of the first shard that cannot be read.
    pub fn institutions(&self, options: &OverviewOptions) -> Result<BTreeMap<GroupName, Group>, StoreError> {
        let total = Mutex::new(BTreeMap::new());
        each(&self.shards()?, options, &|shard| {
            let found = on_shard(self.layout(), shard, &options.cancel, &mut |connection| {
                groups::grouped(connection, GroupBy::Site)
            })?;
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            groups::add(&mut total, found.unwrap_or_default());
            Ok(())
        })?;
        Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Unmapped institutions that have partitions of their own; `None` where that is not known.
    ///
    /// # Errors
    /// [`StoreError`] if the registry cannot be read.
    pub fn sites(&self) -> Result<Option<HashSet<String>>, StoreError> {
        let path = self.layout().registry();
        if !path.exists() {
            return Ok(None);
        }
        let Some(connection) = sqlite::open_reader(&path, &REGISTRY, CACHE_BYTES)? else { return Ok(None) };
        registry::sites(&connection).map_err(|error| store_error(&path, error))
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Patients, as of [`Overview`].
    pub patients: u64,
    /// Studies.
    pub studies: u64,
    /// Series.
    pub series: u64,
    /// Live instances.
    pub instances: u64,
    /// Series with more than [`HEADERS_OF_SERIES_MAX`] headers.
    pub varied_series: u64,
}

/// Counts how much there is, in less time than [`overview`].
///
/// # Errors
/// As [`overview`].
pub fn totals(parts: &dyn ReportParts, options: &OverviewOptions) -> Result<Totals, StoreError> {
    let shards = parts.shards()?;
    let total = Mutex::new(Totals::default());
    let part = ShardPart::Totals { headers_max: HEADERS_OF_SERIES_MAX };
    each(&shards, options, &|shard| {
        parts.of_shard(shard, &part, &options.cancel, &mut |cells| {
            let number = |at: usize| match cells.get(at) {
                Some(Cell::Integer(number)) => number.cast_unsigned(),
                _ => 0,
            };
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            total.studies += number(0);
            total.series += number(1);
            total.instances += number(2);
            total.varied_series += number(3);
            true
        })
    })?;
    let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.patients = distinct::patients(parts, &shards, options)?;
    Ok(total)
}

/// Does something with every shard, with several at once.
fn each(
    shards: &[ShardId],
    options: &OverviewOptions,
    act: &(dyn Fn(&ShardId) -> Result<(), StoreError> + Sync),
) -> Result<(), StoreError> {
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<StoreError>> = Mutex::default();
    let work = || {
        while let Some(shard) = shards.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = act(shard) {
                next.store(shards.len(), Ordering::Relaxed);
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = options.threads.clamp(1, shards.len().max(1));
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Reads a shard; `None` if it has no content yet.
fn on_shard<T>(
    layout: &Layout,
    shard: &ShardId,
    cancel: &Arc<AtomicBool>,
    read: &mut dyn FnMut(&Connection) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    let path = layout.shard(shard);
    let Some(mut connection) = sqlite::open_reader(&path, &SHARD, CACHE_BYTES)? else { return Ok(None) };
    let stop = Arc::clone(cancel);
    connection
        .progress_handler(INSTRUCTIONS_BETWEEN_CHECKS, Some(move || stop.load(Ordering::Relaxed)))
        .and_then(|()| read(&connection))
        .map(Some)
        .map_err(|error| interrupted(&path, error))
}

/// The error of a statement that a cancel may have ended.
fn interrupted(path: &Path, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::OperationInterrupted) => StoreError::Query("interrupted".into()),
        _ => store_error(path, error),
    }
}

fn of_shard(connection: &Connection, today: &str, file_rows_max: Option<u64>) -> rusqlite::Result<Overview> {
    // One snapshot: a writer that goes on must not make the figures disagree.
    let snapshot = connection.unchecked_transaction()?;
    let mut overview = Overview::default();
    (overview.files, overview.instances, overview.bytes) = snapshot.query_row(
        "SELECT coalesce(sum(n_files), 0), coalesce(sum(n_live), 0), coalesce(sum(live_bytes), 0) \
         FROM study_header",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    (overview.studies, overview.series) = groups::studies_and_series(&snapshot)?;
    overview.groups = groups::of_shard(&snapshot)?;
    overview.filled = filled::of_shard(&snapshot, file_rows_max)?;
    overview.warnings = warnings(&snapshot)?;
    overview.findings = findings::of_shard(&snapshot, today)?;
    Ok(overview)
}

fn warnings(connection: &Connection) -> rusqlite::Result<BTreeMap<WarningClass, u64>> {
    let mut statement = connection
        .prepare("SELECT warnings, count(*) FROM file WHERE warnings IS NOT NULL GROUP BY warnings")?;
    let mut rows = statement.query([])?;
    let mut classes = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let count: u64 = row.get(1)?;
        for class in shardex_catalog::Warnings::from_text(row.get_ref(0)?.as_str()?).iter() {
            *classes.entry(class).or_default() += count;
        }
    }
    Ok(classes)
}
