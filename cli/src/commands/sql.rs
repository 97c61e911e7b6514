//! `shardex sql`.

use std::time::Duration;

use clap::Args;
use shardex_shard_router::{Answers, Completeness, QueryOptions, RowSink};

use super::reading;
use crate::args::{Asked, Format};
use crate::exit::ExitCode;
use crate::lists;
use crate::output::{self, Rows};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex sql \"SELECT Modality, count(*) FROM instances GROUP BY Modality\" --archive ./archive
  shardex sql \"SELECT file_path FROM dicom_metadata WHERE patient_id = 'P1'\" -a ./archive --json
  shardex sql \"SELECT arm, count(*) FROM studies JOIN cohort ON AccessionNumber=acc GROUP BY 1\" \\
    --with cohort=list.csv -a ./archive

Views: patients, studies, series, instances, files, odd_values, dicom_metadata, radiopharmaceuticals, conflicts. \
`shardex schema` lists their columns.")]
pub(crate) struct Sql {
    /// One SELECT, in SQLite's dialect.
    pub(crate) statement: String,
    /// How the answer is written.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    /// As --format json.
    #[arg(long)]
    pub(crate) json: bool,
    /// A CSV file as a table of texts; its first line names the columns. May be repeated.
    #[arg(long, value_name = "NAME=FILE")]
    pub(crate) with: Vec<String>,
    /// Seconds that the query may take.
    #[arg(long, value_name = "N")]
    pub(crate) timeout: Option<u32>,
    /// Rows of one view that may be read [default: 5,000,000].
    #[arg(long, value_name = "N")]
    pub(crate) max_rows: Option<u64>,
    /// Answer without shards that fail, and say so (exit code 5).
    #[arg(long)]
    pub(crate) allow_partial: bool,
    // Last, because its heading holds for what follows.
    #[command(flatten)]
    pub(crate) asked: Asked,
}

pub(crate) fn run(sql: &Sql) -> anyhow::Result<ExitCode> {
    let lists: Vec<_> = sql.with.iter().map(|given| lists::table(given)).collect::<anyhow::Result<_>>()?;
    let answering = reading::ask(&sql.asked)?;
    let options = QueryOptions {
        deadline: sql.timeout.map(|seconds| Duration::from_secs(seconds.into())),
        cancel: shardex_daemon::stop_on_signals()?,
        allow_partial: sql.allow_partial,
        rows_max: sql.max_rows,
        lists: lists.into(),
    };
    let format = if sql.json { Format::Json } else { sql.format };
    let rows = Rows::new(output::answer(), format);
    let question =
        |answers: &dyn Answers, sink: &mut dyn RowSink| answers.sql(&sql.statement, &options, sink);
    let (completeness, count) = reading::query_all(&answering, None, rows, &question)?;
    if format == Format::Table {
        output::say(&format!("{count} row{}", if count == 1 { "" } else { "s" }));
    }
    Ok(tell_partial(&completeness))
}

/// Says what is missing in an answer.
pub(crate) fn tell_partial(completeness: &Completeness) -> ExitCode {
    if completeness.is_complete() {
        return ExitCode::Done;
    }
    let failed = completeness.failed.len();
    output::say(&format!("warning: partial answer: {failed} of {} shards failed", completeness.total));
    for shard in &completeness.failed {
        output::say(&format!("  {}: {}", shard.shard, shard.reason));
    }
    ExitCode::Partial
}
