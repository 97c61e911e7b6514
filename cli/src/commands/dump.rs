//! `shardex dump`: the logical dump, defined in docs/formats.md.

use std::io::Write;

use clap::Args;
use shardex_catalog::View;
use shardex_shard_router::QueryOptions;
use shardex_shard_store::view_columns;

use super::reading;
use crate::args::{Asked, Format};
use crate::exit::ExitCode;
use crate::output::{self, Rows};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex dump --archive ./archive > archive.jsonl
  shardex dump --router http://127.0.0.1:7400 > cluster.jsonl
  diff <(shardex dump -a ./one) <(shardex dump -a ./other)

docs/formats.md says what is in it. The whole dump is sorted in memory.")]
pub(crate) struct Dump {
    #[command(flatten)]
    pub(crate) asked: Asked,
}

/// Columns of `instances` that say when or where something was stored, not what.
const NOT_LOGICAL: [&str; 3] = ["mtime", "file_path", "state"];

pub(crate) fn run(dump: &Dump) -> anyhow::Result<ExitCode> {
    let answering = reading::ask(&dump.asked)?;
    let [one] = &answering[..] else {
        return Err(reading::WrongUsage::new("a dump is of one archive").into());
    };
    let mut lines = Vec::new();
    let columns = view_columns(View::Instances).iter().map(|column| column.name.as_str());
    let columns: Vec<_> =
        columns.filter(|name| !NOT_LOGICAL.contains(name)).map(|name| format!("\"{name}\"")).collect();
    let statements = [
        format!("SELECT 'instance' AS record, {} FROM instances", columns.join(", ")),
        "SELECT 'file' AS record, domain, source, path, size, state, reason, kind, SOPInstanceUID FROM files \
         WHERE state <> 'deleted'"
            .to_owned(),
        "SELECT 'odd_value' AS record, domain, source, path, keyword, raw FROM odd_values".to_owned(),
    ];
    for statement in &statements {
        let options = QueryOptions {
            cancel: shardex_daemon::stop_on_signals()?,
            rows_max: Some(u64::MAX >> 2),
            ..QueryOptions::default()
        };
        let mut text = Vec::new();
        reading::query(&*one.answers, statement, &options, Rows::new(&mut text, Format::Jsonl))?;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            lines.push(without_nulls(line)?);
        }
    }
    lines.sort_unstable();
    let mut to = output::answer();
    for line in lines {
        writeln!(to, "{line}")?;
    }
    to.flush()?;
    Ok(ExitCode::Done)
}

fn without_nulls(line: &[u8]) -> anyhow::Result<String> {
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line)?;
    object.retain(|_, value| !value.is_null());
    Ok(output::json_text(&object.into()))
}
