//! `shardex status`.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use serde_json::{Value as Json, json};
use shardex_shard_router::{Answers, QueryOptions, ReportKind, ReportRequest};
use shardex_shard_store::overview::HEADERS_OF_SERIES_MAX;

use super::reading::{self, Line};
use crate::args::Asked;
use crate::exit::ExitCode;
use crate::output::{self, Table, byte_size, grouped};
use crate::reports::STATUS_COLUMNS;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex status --archive ./archive
  shardex status -a ./archive --json | jq .jobs[-1]")]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// As one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What the report of a status tells, and how much there is.
#[derive(Default)]
struct Facts {
    partition: String,
    states: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
    missing: u64,
    counts: BTreeMap<String, u64>,
    shards: u64,
    shard_bytes: u64,
    other_bytes: u64,
    unreadable: u64,
    open_marks: u64,
    varied_series: u64,
    sources: Vec<(String, String, String)>,
    jobs: Vec<Json>,
}

pub(crate) fn run(status: &Status) -> anyhow::Result<ExitCode> {
    let answers = reading::ask_one(&status.asked)?;
    let facts = gather(&*answers)?;
    let mut to = output::answer();
    if status.json {
        output::write_json_pretty(&mut to, &as_json(&facts))?;
        writeln!(to)?;
    } else {
        write(&mut to, &facts)?;
    }
    to.flush()?;
    Ok(ExitCode::Done)
}

fn gather(answers: &dyn Answers) -> anyhow::Result<Facts> {
    let request = ReportRequest { kind: ReportKind::Status, is_exact: false };
    let options = QueryOptions { cancel: shardex_daemon::stop_on_signals()?, ..QueryOptions::default() };
    let mut facts = Facts::default();
    for line in reading::report(answers, &request, &options, &STATUS_COLUMNS)? {
        facts.take(&line);
    }
    Ok(facts)
}

impl Facts {
    fn take(&mut self, line: &Line) {
        let (name, count, bytes) = (line.text("name"), line.number("count"), line.number("bytes"));
        match line.text("section") {
            "partition" => name.clone_into(&mut self.partition),
            "count" if name == "varied_series" => self.varied_series = count,
            "count" => drop(self.counts.insert(name.to_owned(), count)),
            "shards" => (self.shards, self.shard_bytes) = (count, bytes),
            "other" => self.other_bytes = bytes,
            "state" => drop(self.states.insert(name.to_owned(), count)),
            "reason" => drop(self.reasons.insert(name.to_owned(), count)),
            "missing" => self.missing = count,
            "unreadable" => self.unreadable = count,
            "open" => self.open_marks = count,
            "source" => {
                let (domain, root) = (line.text("domain").to_owned(), line.text("root").to_owned());
                self.sources.push((name.to_owned(), domain, root));
            }
            "job" => self.jobs.push(json!({
                "began_ns": line.integer_or_null("began_ns"),
                "ended_ns": line.integer_or_null("ended_ns"),
                "outcome": line.text_or_null("name"),
                "files": count,
            })),
            // A newer server may tell more.
            _ => {}
        }
    }
}

fn as_json(facts: &Facts) -> serde_json::Value {
    let sources: Vec<_> = facts
        .sources
        .iter()
        .map(|(name, domain, root)| json!({ "name": name, "domain": domain, "root": root }))
        .collect();
    json!({
        "partition": facts.partition,
        "counts": facts.counts,
        "files": facts.states,
        "reasons": facts.reasons,
        "missing": facts.missing,
        "shards": facts.shards,
        "shard_bytes": facts.shard_bytes,
        "other_bytes": facts.other_bytes,
        "unreadable_directories": facts.unreadable,
        "open_directories": facts.open_marks,
        "series_with_many_headers": facts.varied_series,
        "sources": sources,
        "jobs": facts.jobs,
    })
}

fn write(to: &mut impl Write, facts: &Facts) -> anyhow::Result<()> {
    let mut table = Table::new(&["what", "count"]);
    for name in ["patients", "studies", "series", "instances"] {
        table.row([name.to_owned(), grouped(facts.counts.get(name).copied().unwrap_or(0))]);
    }
    for (state, count) in &facts.states {
        table.row([format!("files {state}"), grouped(*count)]);
    }
    table.row(["shards".to_owned(), grouped(facts.shards)]);
    table.row(["archive".to_owned(), byte_size(facts.shard_bytes + facts.other_bytes)]);
    table.write(to, true)?;
    writeln!(to, "\npartitioned by {}", facts.partition)?;
    let mut sources = Table::new(&["source", "domain", "root"]);
    for (name, domain, root) in &facts.sources {
        sources.row([name.clone(), domain.clone(), root.clone()]);
    }
    writeln!(to)?;
    sources.write(to, true)?;
    let mut notes = Vec::new();
    for (reason, count) in &facts.reasons {
        notes.push(format!("{count} files {reason}"));
    }
    if facts.missing > 0 {
        notes.push(format!(
            "{} indexed files are gone from their source, their deletion is held",
            facts.missing
        ));
    }
    if facts.unreadable > 0 {
        notes.push(format!("{} directories could not be listed", facts.unreadable));
    }
    if facts.open_marks > 0 {
        notes.push(format!("{} directories are half-read: run the same ingest again", facts.open_marks));
    }
    if facts.varied_series > 0 {
        notes.push(format!("{} series have more than {HEADERS_OF_SERIES_MAX} headers", facts.varied_series));
    }
    if !notes.is_empty() {
        writeln!(to, "\nworth a look:")?;
        notes.iter().try_for_each(|note| writeln!(to, "  {note}"))?;
    }
    Ok(())
}
