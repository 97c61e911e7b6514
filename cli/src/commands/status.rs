//! `shardex status`.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use serde_json::json;

use super::reading::{self, Reading};
use crate::args::ArchiveArgument;
use crate::exit::ExitCode;
use crate::output::{self, Table};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex status --archive ./archive
  shardex status -a ./archive --json | jq .jobs[-1]")]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) archive: ArchiveArgument,
    /// As one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Headers of one series above which its attributes vary as those of slices do.
const HEADERS_OF_SERIES_MAX: u64 = 16;

struct Facts {
    states: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
    missing: u64,
    counts: Vec<(&'static str, u64)>,
    shards: usize,
    shard_bytes: u64,
    other_bytes: u64,
    unreadable: u64,
    open_marks: u64,
    varied_series: u64,
    sources: Vec<(String, String, String)>,
    jobs: Vec<shardex_coordinator::JobRecord>,
}

pub(crate) fn run(status: &Status) -> anyhow::Result<ExitCode> {
    let reading = reading::open(&status.archive.archive)?;
    let facts = gather(&reading)?;
    let mut to = output::answer();
    if status.json {
        output::write_json_pretty(&mut to, &as_json(&reading, &facts))?;
        writeln!(to)?;
    } else {
        write(&mut to, &reading, &facts)?;
    }
    to.flush()?;
    Ok(ExitCode::Done)
}

fn gather(reading: &Reading) -> anyhow::Result<Facts> {
    let (mut states, mut reasons, mut missing) = (BTreeMap::new(), BTreeMap::new(), 0);
    let ledger = reading.archive.ledger()?;
    if let Some(ledger) = &ledger {
        ledger.rows(&mut |row| {
            *states.entry(row.entry.state.to_string()).or_insert(0) += 1;
            if let Some(reason) = row.entry.reason.filter(|_| !row.entry.state.is_live()) {
                *reasons.entry(format!("{}: {reason}", row.entry.state)).or_insert(0) += 1;
            }
            missing += u64::from(row.entry.missing);
            true
        })?;
    }
    let count = |statement: &str| -> anyhow::Result<u64> {
        let rows = reading::collect(&reading.router, statement)?;
        Ok(rows.first().and_then(|row| row["n"].as_u64()).unwrap_or(0))
    };
    let counts = vec![
        ("patients", count("SELECT count(*) AS n FROM patients")?),
        ("studies", count("SELECT count(*) AS n FROM studies")?),
        ("series", count("SELECT count(*) AS n FROM series")?),
        ("instances", count("SELECT sum(NumberOfStudyRelatedInstances) AS n FROM studies")?),
    ];
    let shard_sizes = reading.archive.shard_sizes()?;
    let state = reading.archive.state()?;
    let jobs = match &state {
        Some(state) => reading::block_on(shardex_coordinator::jobs(state))??,
        None => Vec::new(),
    };
    let sources = reading::sources(&reading.archive)?.into_iter();
    Ok(Facts {
        states,
        reasons,
        missing,
        counts,
        shards: shard_sizes.len(),
        shard_bytes: shard_sizes.iter().map(|(_, bytes)| bytes).sum(),
        other_bytes: reading.archive.other_bytes(),
        unreadable: ledger
            .as_ref()
            .map_or(Ok(0), |ledger| ledger.unreadable().map(|list| list.len() as u64))?,
        open_marks: ledger.as_ref().map_or(Ok(0), shardex_shard_store::LedgerReader::open_marks)?,
        varied_series: count(&format!(
            "SELECT count(*) AS n FROM series WHERE headers > {HEADERS_OF_SERIES_MAX}"
        ))?,
        sources: sources
            .map(|s| (s.name.to_string(), s.domain.to_string(), s.root.to_string_lossy().into_owned()))
            .collect(),
        jobs,
    })
}

fn as_json(reading: &Reading, facts: &Facts) -> serde_json::Value {
    let counts: BTreeMap<_, _> = facts.counts.iter().copied().collect();
    let sources: Vec<_> = facts
        .sources
        .iter()
        .map(|(name, domain, root)| json!({ "name": name, "domain": domain, "root": root }))
        .collect();
    json!({
        "partition": reading.archive.partition().to_string(),
        "counts": counts,
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

fn write(to: &mut impl Write, reading: &Reading, facts: &Facts) -> anyhow::Result<()> {
    let mut table = Table::new(&["what", "count"]);
    for (name, count) in &facts.counts {
        table.row([(*name).to_owned(), count.to_string()]);
    }
    for (state, count) in &facts.states {
        table.row([format!("files {state}"), count.to_string()]);
    }
    table.row(["shards".to_owned(), facts.shards.to_string()]);
    table.row(["archive MiB".to_owned(), ((facts.shard_bytes + facts.other_bytes) >> 20).to_string()]);
    table.write(to, true)?;
    writeln!(to, "\npartitioned by {}", reading.archive.partition())?;
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
