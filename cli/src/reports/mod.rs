//! Reports that are no query: for the commands, for a server of an archive, and for a cluster's router.

mod status;
mod summary;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shardex_catalog::{Cell, PartitionScheme};
use shardex_daemon::SystemClock;
use shardex_seams::{Clock, HomePart, ReportParts, ShardPart, StoreError};
use shardex_shard_router::{ReportKind, ReportRequest, Reports, RowSink, report_columns};
use shardex_shard_store::ReadArchive;
pub(crate) use shardex_shard_store::overview::COUNT_COLUMNS as SUMMARY_COLUMNS;
use shardex_shard_store::overview::OverviewOptions;

use crate::commands::reading;
use crate::output::dates;

pub(crate) use status::STATUS_COLUMNS;

const DUPLICATES: [&str; 10] = [
    "role",
    "domain",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "source",
    "path",
    "size",
    "same_content",
    "sharing_instances",
];
const DATES: [&str; 7] =
    ["problem", "domain", "StudyInstanceUID", "PatientID", "StudyDate", "other_date", "instances"];
const SPLIT_STUDIES: [&str; 6] = ["keyword", "domain", "StudyInstanceUID", "n_values", "values", "instances"];
const MOVES: [&str; 6] = ["source", "path", "to_source", "to_path", "size", "same_name"];
const DELETIONS: [&str; 5] = ["state", "source", "path", "size", "mtime"];
const UNREADABLE: [&str; 3] = ["source", "path", "reason"];

/// What a status tells of the writing side.
#[derive(Default)]
pub(crate) struct About {
    pub(crate) partition: Option<PartitionScheme>,
    pub(crate) sources: Vec<KnownSource>,
    pub(crate) jobs: Vec<KnownJob>,
}

pub(crate) struct KnownSource {
    pub(crate) name: String,
    pub(crate) domain: String,
    /// Where it is mounted. `None`: that differs from worker to worker.
    pub(crate) root: Option<String>,
}

pub(crate) struct KnownJob {
    pub(crate) outcome: Option<String>,
    pub(crate) files: u64,
    pub(crate) began_ns: i64,
    pub(crate) ended_ns: Option<i64>,
}

/// Knows jobs and sources.
pub(crate) trait Writing: Send + Sync {
    /// What is known now.
    fn about(&self) -> Result<About, StoreError>;
}

impl Writing for ReadArchive {
    fn about(&self) -> Result<About, StoreError> {
        let sources = reading::sources(self).map_err(told)?.into_iter().map(|source| KnownSource {
            name: source.name.to_string(),
            domain: source.domain.to_string(),
            root: Some(source.root.to_string_lossy().into_owned()),
        });
        let jobs = reading::jobs(self).map_err(told)?.into_iter().map(|job| KnownJob {
            outcome: job.outcome,
            files: job.files,
            began_ns: job.began_ns,
            ended_ns: job.ended_ns,
        });
        Ok(About { partition: Some(self.partition()), sources: sources.collect(), jobs: jobs.collect() })
    }
}

/// Makes reports of what the stores say, wherever they are. Each is asked anew: a server must see what was
/// written since it began.
pub(crate) struct FromStores {
    parts: Arc<dyn ReportParts>,
    writing: Arc<dyn Writing>,
}

impl FromStores {
    pub(crate) fn new(parts: Arc<dyn ReportParts>, writing: Arc<dyn Writing>) -> Self {
        Self { parts, writing }
    }
}

impl Reports for FromStores {
    fn report(
        &self,
        request: &ReportRequest,
        cancel: &Arc<AtomicBool>,
        sink: &mut dyn RowSink,
    ) -> Result<(), StoreError> {
        let mut lines = Lines::new(sink);
        let (parts, writing) = (&*self.parts, &*self.writing);
        match request.kind {
            ReportKind::Duplicates => {
                of_shards(parts, &ShardPart::Duplicates, &DUPLICATES, cancel, &mut lines)
            }
            ReportKind::Dates => {
                of_shards(parts, &ShardPart::Dates { today: tomorrow() }, &DATES, cancel, &mut lines)
            }
            ReportKind::SplitStudies => {
                of_shards(parts, &ShardPart::SplitStudies, &SPLIT_STUDIES, cancel, &mut lines)
            }
            ReportKind::Deletions => of_home(parts, HomePart::Deletions, &DELETIONS, cancel, &mut lines),
            ReportKind::Moves => of_home(parts, HomePart::Moves, &MOVES, cancel, &mut lines),
            ReportKind::Unreadable => of_home(parts, HomePart::Unreadable, &UNREADABLE, cancel, &mut lines),
            ReportKind::Summary => summary::write(parts, writing, request.is_exact, cancel, &mut lines),
            ReportKind::Status => status::write(parts, writing, cancel, &mut lines),
            ReportKind::Conflicts => {
                Err(StoreError::Query("conflicts are a view: ask the router".to_owned()))
            }
        }
    }
}

/// Rows of all shards, ascending.
fn of_shards(
    parts: &dyn ReportParts,
    part: &ShardPart,
    columns: &[&str],
    cancel: &Arc<AtomicBool>,
    lines: &mut Lines<'_>,
) -> Result<(), StoreError> {
    lines.columns(columns);
    let mut goes_on = true;
    for shard in parts.shards()? {
        parts.of_shard(&shard, part, cancel, &mut |cells| {
            goes_on = lines.row(&cells);
            goes_on
        })?;
        if !goes_on {
            break;
        }
    }
    Ok(())
}

fn of_home(
    parts: &dyn ReportParts,
    part: HomePart,
    columns: &[&str],
    cancel: &Arc<AtomicBool>,
    lines: &mut Lines<'_>,
) -> Result<(), StoreError> {
    lines.columns(columns);
    parts.of_home(part, cancel, &mut |cells| lines.row(&cells))
}

/// Number of shards, their bytes, and what the ledger counts.
struct Stores {
    shards: u64,
    shard_bytes: u64,
    /// (section, name, count, bytes).
    counts: Vec<(String, Option<String>, u64, u64)>,
}

impl Stores {
    fn ask(parts: &dyn ReportParts, cancel: &Arc<AtomicBool>) -> Result<Self, StoreError> {
        let mut stores = Self { shards: 0, shard_bytes: 0, counts: Vec::new() };
        for shard in parts.shards()? {
            stores.shards += 1;
            parts.of_shard(&shard, &ShardPart::Size, cancel, &mut |cells| {
                stores.shard_bytes += cells.first().map_or(0, counted);
                true
            })?;
        }
        parts.of_home(HomePart::Counts, cancel, &mut |cells| {
            if let [Cell::Text(section), name, count, bytes] = &cells[..] {
                let name = if let Cell::Text(name) = name { Some(name.clone()) } else { None };
                stores.counts.push((section.clone(), name, counted(count), counted(bytes)));
            }
            true
        })?;
        Ok(stores)
    }

    /// Count and bytes of a section without names.
    fn single(&self, section: &str) -> (u64, u64) {
        let found = self.counts.iter().find(|(known, ..)| known == section);
        found.map_or((0, 0), |(_, _, count, bytes)| (*count, *bytes))
    }

    /// Names and counts of a section.
    fn named<'s>(&'s self, section: &str) -> impl Iterator<Item = (&'s str, u64)> {
        let of = self.counts.iter().filter(move |(known, ..)| known == section);
        of.filter_map(|(_, name, count, _)| Some((name.as_deref()?, *count)))
    }
}

fn counted(cell: &Cell) -> u64 {
    if let Cell::Integer(number) = cell { number.cast_unsigned() } else { 0 }
}

/// How shards are read for a report.
fn reading_options(file_rows_max: Option<u64>, cancel: &Arc<AtomicBool>) -> OverviewOptions {
    OverviewOptions {
        today: tomorrow(),
        file_rows_max,
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8),
        cancel: Arc::clone(cancel),
    }
}

/// Dates after it lie in the future: clocks and time zones of scanners differ by up to a day.
fn tomorrow() -> String {
    dates::compact(dates::day_of(SystemClock.wall_ns()) + 1)
}

/// Rows on their way to a sink.
struct Lines<'s> {
    sink: &'s mut dyn RowSink,
}

impl<'s> Lines<'s> {
    fn new(sink: &'s mut dyn RowSink) -> Self {
        Self { sink }
    }

    fn columns(&mut self, names: &[&str]) {
        self.sink.columns(&report_columns(names));
    }

    /// Writes a row; false once no more are wanted.
    fn row(&mut self, cells: &[Cell]) -> bool {
        self.sink.row(cells).is_continue()
    }
}

/// What else went wrong, as a store says it.
fn told(error: impl Into<anyhow::Error>) -> StoreError {
    StoreError::Query(format!("{:#}", error.into()))
}

fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

fn number(number: u64) -> Cell {
    Cell::Integer(number.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_many_as_their_parts_have() {
        assert_eq!(DUPLICATES.len(), ShardPart::Duplicates.width());
        assert_eq!(DATES.len(), ShardPart::Dates { today: String::new() }.width());
        assert_eq!(SPLIT_STUDIES.len(), ShardPart::SplitStudies.width());
        assert_eq!(MOVES.len(), HomePart::Moves.width());
        assert_eq!(DELETIONS.len(), HomePart::Deletions.width());
        assert_eq!(UNREADABLE.len(), HomePart::Unreadable.width());
    }
}
