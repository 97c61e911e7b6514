//! `shardex report`: what in an archive a data manager may want to act on, row by row.

use std::ops::ControlFlow;

use clap::{Args, ValueEnum};
use shardex_catalog::Cell;
use shardex_shard_router::{Answers, QueryOptions, ReportRequest, ResultColumn, RowSink};

use super::reading::{self, WrongUsage};
use crate::args::{Asked, Format};
use crate::exit::ExitCode;
use crate::output::{self, Rows};

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
    pub(crate) asked: Asked,
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
    let format = if report.json { Format::Json } else { report.format };
    if report.limit == Some(0) {
        return Err(WrongUsage::new("--limit 0 lists nothing: leave it out, or say 1 or more").into());
    }
    let answering = reading::ask(&report.asked)?;
    let options = QueryOptions { cancel: shardex_daemon::stop_on_signals()?, ..QueryOptions::default() };
    let request = ReportRequest { kind: report.kind.into(), is_exact: false };
    let question = |answers: &dyn Answers, sink: &mut dyn RowSink| {
        answers.report(&request, &options, &mut Only { first: report.only.as_deref(), sink })
    };
    let rows = Rows::new(output::answer(), format);
    let (_, listed) = reading::query_all(&answering, report.limit, rows, &question)?;
    if format == Format::Table {
        say(report.kind, listed, report.limit);
    }
    Ok(ExitCode::Done)
}

/// Passes on the rows whose first column is wanted.
struct Only<'s> {
    first: Option<&'s str>,
    sink: &'s mut dyn RowSink,
}

impl RowSink for Only<'_> {
    fn columns(&mut self, columns: &[ResultColumn]) {
        self.sink.columns(columns);
    }

    fn row(&mut self, cells: &[Cell]) -> ControlFlow<()> {
        let is_wanted = self.first.is_none_or(|first| matches!(&cells[0], Cell::Text(text) if text == first));
        if is_wanted { self.sink.row(cells) } else { ControlFlow::Continue(()) }
    }
}

impl From<ReportKind> for shardex_shard_router::ReportKind {
    fn from(kind: ReportKind) -> Self {
        match kind {
            ReportKind::Conflicts => Self::Conflicts,
            ReportKind::Duplicates => Self::Duplicates,
            ReportKind::Moves => Self::Moves,
            ReportKind::Deletions => Self::Deletions,
            ReportKind::Dates => Self::Dates,
            ReportKind::SplitStudies => Self::SplitStudies,
            ReportKind::Unreadable => Self::Unreadable,
        }
    }
}

fn say(kind: ReportKind, listed: u64, limit: Option<u64>) {
    if listed == 0 {
        output::say("none");
        return;
    }
    let more = if Some(listed) == limit { "; --limit was reached, there may be more" } else { "" };
    output::say(&format!("{listed} row{}{more}", if listed == 1 { "" } else { "s" }));
    output::say(match kind {
        ReportKind::Conflicts => {
            "Files of one study or series disagree on these. Answers show the value that most instances have; \
             view `instances` has each file's own. If two patients share a study, correct the files at their origin."
        }
        ReportKind::Duplicates => {
            "Queries use the file whose role is `shown`. A copy with the same content can be deleted at its source. \
             Where several instances share a UID, one of them was made without a new UID: correct it at its origin. \
             Those that files of several shards share are found by: shardex sql \"SELECT SOPInstanceUID, count(*) FROM \
             instances GROUP BY domain, 1 HAVING count(*) > 1\""
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
