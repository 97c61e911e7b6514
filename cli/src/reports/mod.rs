//! The reports of an archive on this machine: for the commands, and for a server.

mod ledger;
mod status;
mod summary;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shardex_catalog::Cell;
use shardex_daemon::SystemClock;
use shardex_seams::{Clock, StoreError};
use shardex_shard_router::{ReportKind, ReportRequest, Reports, RowSink, report_columns};
use shardex_shard_store::ReadArchive;
use shardex_shard_store::overview::ShardReport;

use crate::output::dates;

pub(crate) use status::STATUS_COLUMNS;
pub(crate) use summary::{SUMMARY_COLUMNS, finding_counts};

/// Reports from the files of an archive, opened for each: a server must see what was written since it began.
pub(crate) struct FromArchive(ReadArchive);

impl FromArchive {
    pub(crate) fn new(archive: ReadArchive) -> Self {
        Self(archive)
    }
}

impl Reports for FromArchive {
    fn report(
        &self,
        request: &ReportRequest,
        cancel: &Arc<AtomicBool>,
        sink: &mut dyn RowSink,
    ) -> Result<(), StoreError> {
        let archive = &self.0;
        match request.kind {
            ReportKind::Duplicates => of_shards(archive, ShardReport::Duplicates, cancel, sink),
            ReportKind::Dates => of_shards(archive, ShardReport::Dates, cancel, sink),
            ReportKind::SplitStudies => of_shards(archive, ShardReport::SplitStudies, cancel, sink),
            ReportKind::Deletions => ledger::deletions(archive, &mut Lines::new(sink)),
            ReportKind::Moves => ledger::moves(archive, &mut Lines::new(sink)),
            ReportKind::Unreadable => ledger::unreadable(archive, &mut Lines::new(sink)),
            ReportKind::Summary => summary::write(archive, request.is_exact, cancel, &mut Lines::new(sink)),
            ReportKind::Status => status::write(archive, &mut Lines::new(sink)),
            ReportKind::Conflicts => {
                Err(StoreError::Query("conflicts are a view: ask the router".to_owned()))
            }
        }
    }
}

fn of_shards(
    archive: &ReadArchive,
    report: ShardReport,
    cancel: &Arc<AtomicBool>,
    sink: &mut dyn RowSink,
) -> Result<(), StoreError> {
    let mut lines = Lines::new(sink);
    lines.columns(report.columns());
    archive.report(report, &tomorrow(), cancel, &mut |cells| lines.row(&cells))
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
