//! `shardex report`: what in an archive a data manager may want to act on, row by row.

mod ledger;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Args, ValueEnum};
use shardex_catalog::Cell;
use shardex_daemon::SystemClock;
use shardex_seams::Clock;
use shardex_shard_router::QueryOptions;
use shardex_shard_store::ReadArchive;
use shardex_shard_store::overview::ShardReport;

use super::reading;
use crate::args::{ArchiveArgument, Format};
use crate::exit::ExitCode;
use crate::output::{self, Rows, dates};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportKind {
    /// Attributes on which files of one study or series disagree.
    Conflicts,
    /// Files that share a SOP Instance UID: copies, and UIDs given twice.
    Duplicates,
    /// Files that are gone, paired with the file that they became.
    Moves,
    /// Files that are gone, and those whose deletion is held.
    Deletions,
    /// Studies whose dates cannot be right.
    Dates,
    /// Studies whose files disagree on patient, date or institution.
    SplitStudies,
    /// Directories that could not be listed.
    Unreadable,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex report duplicates --archive ./archive --format csv
  shardex report conflicts --only PatientID -a ./archive
  shardex report dates --only future -a ./archive")]
pub(crate) struct Report {
    /// What to list.
    #[arg(value_enum)]
    pub(crate) kind: ReportKind,
    #[command(flatten)]
    pub(crate) archive: ArchiveArgument,
    /// Only rows with this in their first column: a keyword, problem, role, state or source.
    #[arg(long, value_name = "VALUE")]
    pub(crate) only: Option<String>,
    /// At most this many rows.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// How the list is written.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    /// As --format json.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(report: &Report) -> anyhow::Result<ExitCode> {
    let cancel = shardex_daemon::stop_on_signals()?;
    let format = if report.json { Format::Json } else { report.format };
    let limit = report.limit.unwrap_or(u64::MAX);
    if limit == 0 {
        anyhow::bail!("--limit 0 lists nothing: leave it out, or say 1 or more");
    }
    let rows = Rows::new(output::answer(), format);
    let listed = match report.kind {
        ReportKind::Conflicts => conflicts(report, &cancel, rows)?,
        ReportKind::Duplicates => of_shards(report, ShardReport::Duplicates, &cancel, rows)?,
        ReportKind::Dates => of_shards(report, ShardReport::Dates, &cancel, rows)?,
        ReportKind::SplitStudies => of_shards(report, ShardReport::SplitStudies, &cancel, rows)?,
        ReportKind::Deletions => ledger::deletions(report, rows)?,
        ReportKind::Moves => ledger::moves(report, rows)?,
        ReportKind::Unreadable => ledger::unreadable(report, rows)?,
    };
    if format == Format::Table {
        say(report.kind, listed, limit);
    }
    Ok(ExitCode::Done)
}

fn say(kind: ReportKind, listed: u64, limit: u64) {
    if listed == 0 {
        output::say("none");
        return;
    }
    let more = if listed == limit { "; --limit was reached, there may be more" } else { "" };
    output::say(&format!("{listed} row{}{more}", if listed == 1 { "" } else { "s" }));
    output::say(match kind {
        ReportKind::Conflicts => {
            "Files of one study or series disagree on these. Answers show the value that most instances have; \
             view `instances` has each file's own. If two patients share a study, correct the files at their origin."
        }
        ReportKind::Duplicates => {
            "Queries use the file whose role is `shown`. A copy with the same content can be deleted at its source. \
             Where several instances share a UID, one of them was made without a new UID: correct it at its origin. \
             UIDs shared between shards are not listed here."
        }
        ReportKind::Dates => {
            "Such studies are found by everything but their date. Correct the files at their origin and ingest \
             again; `undated` and `early` ones lie in partition `undated` if the archive is partitioned by date."
        }
        ReportKind::SplitStudies => {
            "A study lies whole in the partition of its first file. Where patients differ, two studies were given \
             one UID: correct the files at their origin."
        }
        ReportKind::Deletions => {
            "`deleted` files are out of the index. `missing` ones are still in it: if they are really gone, ingest \
             with --accept-deletions; if a mount was absent, mount it and ingest again."
        }
        ReportKind::Unreadable => {
            "What is in these directories is not known, and nothing below them is taken for deleted. Grant the reader \
             access, or mend the storage, and ingest again."
        }
        ReportKind::Moves => {
            "Pairs of a file that is gone and one of the same size and modification time that is there: most \
             likely it was moved or renamed. Nothing needs to be done."
        }
    });
}

/// Rows up to a limit, and only those whose first column is wanted.
struct Limited<W: Write> {
    rows: Rows<W>,
    limit: u64,
    only: Option<String>,
    written: u64,
    failed: Option<std::io::Error>,
}

impl<W: Write> Limited<W> {
    fn new(report: &Report, mut rows: Rows<W>, columns: &[&str]) -> std::io::Result<Self> {
        rows.columns(columns.iter().map(|name| (*name).to_owned()).collect())?;
        let limit = report.limit.unwrap_or(u64::MAX);
        Ok(Self { rows, limit, only: report.only.clone(), written: 0, failed: None })
    }

    /// Writes a row; false once no more are wanted.
    fn row(&mut self, cells: &[Cell]) -> bool {
        let is_wanted =
            self.only.as_ref().is_none_or(|only| matches!(&cells[0], Cell::Text(first) if first == only));
        if !is_wanted {
            return true;
        }
        if let Err(error) = self.rows.row(cells) {
            self.failed = Some(error);
            return false;
        }
        self.written += 1;
        self.written < self.limit
    }

    fn end(self) -> std::io::Result<u64> {
        self.failed.map_or(Ok(()), Err)?;
        self.rows.end()
    }
}

fn of_shards<W: Write>(
    report: &Report,
    kind: ShardReport,
    cancel: &Arc<AtomicBool>,
    rows: Rows<W>,
) -> anyhow::Result<u64> {
    let archive = ReadArchive::open(&report.archive.archive)?;
    let today = dates::compact(dates::day_of(SystemClock.wall_ns()) + 1);
    let mut limited = Limited::new(report, rows, kind.columns())?;
    archive.report(kind, &today, cancel, &mut |cells| limited.row(&cells))?;
    Ok(limited.end()?)
}

fn conflicts<W: Write>(report: &Report, cancel: &Arc<AtomicBool>, rows: Rows<W>) -> anyhow::Result<u64> {
    let reading = reading::open(&report.archive.archive)?;
    let only = report.only.as_ref();
    let only = only.map_or(String::new(), |keyword| format!(" WHERE keyword = {}", reading::quoted(keyword)));
    let limit = report.limit.map_or(String::new(), |limit| format!(" LIMIT {}", limit.min(i64::MAX as u64)));
    let statement = format!(
        "SELECT keyword, level, domain, StudyInstanceUID, SeriesInstanceUID, n_values, value_min, value_max \
         FROM conflicts{only}{limit}"
    );
    let options =
        QueryOptions { cancel: Arc::clone(cancel), rows_max: Some(u64::MAX >> 2), ..Default::default() };
    Ok(reading::query(&reading.router, &statement, &options, rows)?.1)
}
