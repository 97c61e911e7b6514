//! `shardex search`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use shardex_catalog::query::{Given, GivenKey, SearchLevel, SearchRequest, SortKey};
use shardex_shard_router::{Answers, QueryOptions, RowSink};

use super::reading::{self, WrongUsage};
use super::sql::tell_partial;
use crate::args::{Asked, Format};
use crate::exit::ExitCode;
use crate::lists;
use crate::output::{self, Rows};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex search studies PatientName='müller*' StudyDate=2019-2021 --archive ./archive
  shardex search series Modality=PT Manufacturer='GE*' --sort -StudyDate --limit 20 -a ./archive
  shardex search studies AccessionNumber=@cohort.csv --count -a ./archive
  shardex search studies AccessionNumber=@cohort.csv --format paths0 -a ./archive | xargs -0 ls -l
  shardex search instances RadiopharmaceuticalInformationSequence.RadionuclideCodeValue=C-111A1
  shardex search studies AccessionNumber= --columns PatientID,file_path -a ./2019 -a ./2020

Keys are DICOM keywords (`PatientID`, `patient_id`), tags (`00100020`), other columns of `shardex schema`, or \
`Sequence.Keyword` for items. A value is compared as it is, person names without case and accents; `*` and `?` are \
wildcards; `A-B`, `A-` and `-B` are ranges of dates and times; a backslash parts values of which any may match; \
`KEY=` finds what has no value; `KEY=@FILE` takes a list of values from a CSV file (`@-`: standard input; `@@x`: the \
value `@x`). Something is found if one of its instances satisfies all keys.")]
pub(crate) struct Search {
    /// What to look for.
    #[arg(value_enum)]
    pub(crate) level: Level,
    /// What it must be like, all of it.
    #[arg(value_name = "KEY=VALUE|KEY=@FILE")]
    pub(crate) keys: Vec<String>,
    /// Columns to sort by, with a minus the largest first; the UIDs follow. Without it, by the UIDs. Of several
    /// archives each is sorted.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', allow_hyphen_values = true)]
    pub(crate) sort: Vec<String>,
    /// At most this many rows.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Say only how many there are.
    #[arg(long, conflicts_with_all = ["sort", "columns"])]
    pub(crate) count: bool,
    /// Columns of the answer, `*` for all.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// How the answer is written; `paths` and `paths0` list the files of all that is found.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    /// As --format json.
    #[arg(long)]
    pub(crate) json: bool,
    /// Seconds that the search may take.
    #[arg(long, value_name = "N")]
    pub(crate) timeout: Option<u32>,
    /// Rows that may be found; more is an error [default: no limit].
    #[arg(long, value_name = "N")]
    pub(crate) max_rows: Option<u64>,
    /// Answer without shards that fail, and say so (exit code 5).
    #[arg(long)]
    pub(crate) allow_partial: bool,
    // Last, because its heading holds for what follows.
    #[command(flatten)]
    pub(crate) asked: Asked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    Patients,
    Studies,
    Series,
    Instances,
}

impl From<Level> for SearchLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Patients => Self::Patients,
            Level::Studies => Self::Studies,
            Level::Series => Self::Series,
            Level::Instances => Self::Instances,
        }
    }
}

pub(crate) fn run(search: &Search) -> anyhow::Result<ExitCode> {
    let format = if search.json { Format::Json } else { search.format };
    let request = request(search, format)?;
    let answering = reading::ask(&search.asked)?;
    let options = QueryOptions {
        deadline: search.timeout.map(|seconds| Duration::from_secs(seconds.into())),
        cancel: shardex_daemon::stop_on_signals()?,
        allow_partial: search.allow_partial,
        rows_max: Some(search.max_rows.unwrap_or(u64::MAX >> 2)),
        ..QueryOptions::default()
    };
    let rows = Rows::new(output::answer(), format);
    // Every archive counts.
    let limit = search.limit.filter(|_| !search.count);
    let question = |answers: &dyn Answers, sink: &mut dyn RowSink| answers.search(&request, &options, sink);
    let (completeness, count) = reading::query_all(&answering, limit, rows, &question).map_err(as_usage)?;
    if format == Format::Table && !search.count {
        output::say(&format!("{count} row{}", if count == 1 { "" } else { "s" }));
    }
    Ok(tell_partial(&completeness))
}

/// A search that cannot be asked is the caller's mistake.
fn as_usage(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<shardex_shard_router::Error>() {
        Some(shardex_shard_router::Error::Refused(reason)) => WrongUsage::new(reason.clone()).into(),
        _ => error,
    }
}

fn request(search: &Search, format: Format) -> anyhow::Result<SearchRequest> {
    let wants_paths = matches!(format, Format::Paths | Format::Paths0);
    if wants_paths && (search.count || !search.columns.is_empty()) {
        let text = "--format paths lists files: it goes neither with --count nor with --columns";
        return Err(WrongUsage::new(text).into());
    }
    let level = SearchLevel::from(search.level);
    Ok(SearchRequest {
        level,
        keys: search.keys.iter().map(|text| key(text)).collect::<anyhow::Result<_>>()?,
        sort: search.sort.iter().map(|text| sort_key(text)).collect(),
        limit: search.limit,
        columns: if wants_paths { vec!["file_path".to_owned()] } else { search.columns.clone() },
        is_count: search.count,
        wants_instances: wants_paths && level != SearchLevel::Instances,
    })
}

fn key(text: &str) -> anyhow::Result<GivenKey> {
    let Some((name, value)) = text.split_once('=') else {
        let text = format!("`{text}` is no KEY=VALUE; `{text}=` finds what has no value");
        return Err(WrongUsage::new(text).into());
    };
    let given = match value.strip_prefix('@') {
        Some(literal) if literal.starts_with('@') => Given::Text(literal.to_owned()),
        Some("") => {
            let text = format!("`{name}=@` names no file; `{name}=@@` is the value `@`");
            return Err(WrongUsage::new(text).into());
        }
        Some(file) => Given::List(lists::values(file, name)?),
        None => Given::Text(value.to_owned()),
    };
    Ok(GivenKey { name: name.to_owned(), given })
}

fn sort_key(text: &str) -> SortKey {
    match text.strip_prefix('-') {
        Some(name) => SortKey { name: name.to_owned(), descending: true },
        None => SortKey { name: text.to_owned(), descending: false },
    }
}
