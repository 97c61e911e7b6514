//! `shardex files`.

use clap::Args;
use shardex_catalog::FileState;
use shardex_shard_router::{Answers, QueryOptions, RowSink};

use super::reading::{self, WrongUsage};
use crate::args::{Asked, Format};
use crate::exit::ExitCode;
use crate::output::{self, Rows};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex files --state quarantined --archive ./archive
  shardex files --state not_dicom --format csv -a ./archive
  shardex files --state indexed --format paths0 -a ./archive | xargs -0 ls -l")]
pub(crate) struct Files {
    /// Only files of this state: indexed, warning, not_dicom, skipped, non_patient, offline,
    /// quarantined or deleted. May be repeated.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Vec<String>,
    /// Only files of this source.
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// How the list is written.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    /// With --format paths or paths0: paths relative to their sources.
    #[arg(long)]
    pub(crate) relative: bool,
    /// As --format json.
    #[arg(long)]
    pub(crate) json: bool,
    // Last, because its heading holds for what follows.
    #[command(flatten)]
    pub(crate) asked: Asked,
}

pub(crate) fn run(files: &Files) -> anyhow::Result<ExitCode> {
    let answering = reading::ask(&files.asked)?;
    let mut conditions = Vec::new();
    if !files.state.is_empty() {
        let known = |state: &String| {
            let names: Vec<_> = FileState::ALL.iter().map(|state| state.as_str()).collect();
            let wrong = |_| WrongUsage::new(format!("`{state}` is no state; there are {}", names.join(", ")));
            state.parse::<FileState>().map_err(wrong)
        };
        let states: Vec<_> = files.state.iter().map(known).collect::<Result<_, _>>()?;
        let list: Vec<_> = states.iter().map(|state| reading::quoted(state.as_str())).collect();
        conditions.push(format!("state IN ({})", list.join(", ")));
    }
    if let Some(source) = &files.source {
        conditions.push(format!("source = {}", reading::quoted(source)));
    }
    let condition =
        if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let format = if files.json { Format::Json } else { files.format };
    let columns = columns(format, files.relative)?;
    let statement = format!("SELECT {columns} FROM files{condition}");
    let options = QueryOptions {
        cancel: shardex_daemon::stop_on_signals()?,
        rows_max: Some(u64::MAX >> 2),
        ..Default::default()
    };
    let rows = Rows::new(output::answer(), format);
    let question = |answers: &dyn Answers, sink: &mut dyn RowSink| answers.sql(&statement, &options, sink);
    let (_, count) = reading::query_all(&answering, None, rows, &question)?;
    if format == Format::Table {
        output::say(&format!("{count} file{}", if count == 1 { "" } else { "s" }));
    }
    Ok(ExitCode::Done)
}

/// People want what and why; `rsync` and `xargs` a path; other machines all there is.
fn columns(format: Format, is_relative: bool) -> anyhow::Result<&'static str> {
    match (format, is_relative) {
        (Format::Paths | Format::Paths0, true) => Ok("path"),
        (Format::Paths | Format::Paths0, false) => Ok("file_path"),
        (_, true) => Err(WrongUsage::new("--relative goes with --format paths or paths0".to_owned()).into()),
        (Format::Table, false) => Ok("source, path, size, state, reason, kind"),
        (_, false) => Ok("*"),
    }
}
