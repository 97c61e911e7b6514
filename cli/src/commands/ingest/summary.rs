//! What an ingest did.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use shardex_worker::{Ended, Outcome};

use super::{Ingest, ended_name};
use crate::output::{self, Table, byte_size, grouped};

/// Writes the summary: JSON to standard output, or a table.
pub(crate) fn write(ingest: &Ingest, outcome: &Outcome, elapsed: Duration) -> anyhow::Result<()> {
    let mut to = output::answer();
    if ingest.json {
        writeln!(to, "{}", output::json_text(&as_json(outcome, elapsed)))?;
        to.flush()?;
        return Ok(());
    }
    let mut table = Table::new(&["files", "count"]);
    for (state, count) in &outcome.states {
        table.row([state.to_string(), grouped(*count)]);
    }
    table.row(["all".to_owned(), grouped(outcome.files)]);
    table.write(&mut to, true)?;
    writeln!(to, "\n{}", changes(outcome))?;
    writeln!(
        to,
        "{} directories, {} left out; {} in {}, {} files/s",
        grouped(outcome.directories),
        grouped(outcome.directories_skipped),
        byte_size(outcome.bytes),
        output::elapsed(elapsed.as_secs_f64()),
        grouped(outcome.files * 1000 / u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1)),
    )?;
    notes(&mut to, ingest, outcome)?;
    to.flush()?;
    Ok(())
}

/// What is different from before, in one line.
fn changes(outcome: &Outcome) -> String {
    let of_files = [
        (outcome.new, "new"),
        (outcome.changed, "changed"),
        (outcome.returned, "returned"),
        (outcome.unchanged, "unchanged"),
        (outcome.deleted, "deleted"),
        (outcome.missing, "missing"),
        (outcome.moved, "moved"),
    ];
    let some = of_files.iter().filter(|(count, _)| *count > 0);
    let mut parts: Vec<_> = some.map(|(count, what)| format!("{} {what}", grouped(*count))).collect();
    parts.push(format!("{} opened", grouped(outcome.opened)));
    parts.join(", ")
}

fn notes(to: &mut impl Write, ingest: &Ingest, outcome: &Outcome) -> std::io::Result<()> {
    for (reason, count) in &outcome.reasons {
        writeln!(to, "  {} {reason}", grouped(*count))?;
    }
    for (class, count) in &outcome.warnings {
        writeln!(to, "  {} with warning {class}", grouped(*count))?;
    }
    let archives: u64 =
        outcome.kinds.iter().filter(|(kind, _)| kind.is_archive()).map(|(_, count)| count).sum();
    if archives > 0 {
        writeln!(to, "  {} archives (zip, tar, …) were not opened", grouped(archives))?;
    }
    if !ingest.dry_run && outcome.states.contains_key(&shardex_catalog::FileState::Quarantined) {
        let archive = output::shell_quoted(&ingest.archive.archive);
        writeln!(to, "look at quarantined files: shardex files --state quarantined --archive {archive}")?;
    }
    match &outcome.ended {
        Ended::Complete => {}
        Ended::Interrupted => writeln!(to, "interrupted: run the same command again to go on")?,
        Ended::Held(sources) => {
            for held in sources {
                writeln!(
                    to,
                    "source {}: {} of {} known files are gone, and {}; nothing was deleted. If that is right, run the \
                     same command with --accept-deletions",
                    held.source,
                    grouped(held.vanished),
                    grouped(held.live),
                    held.why
                )?;
            }
        }
        Ended::Incomplete { unreadable_directories, failed_shards } => {
            if *unreadable_directories > 0 {
                writeln!(
                    to,
                    "incomplete: {unreadable_directories} directories or listed paths could not be read; list \
                     directories by: shardex report unreadable --archive {}",
                    output::shell_quoted(&ingest.archive.archive)
                )?;
                if ingest.files_from.is_some() {
                    writeln!(
                        to,
                        "paths of --files-from that lie in no source are among them: give them absolute, as the \
                         source's root is given, or relative to the only source, without `..`"
                    )?;
                }
            }
            for (shard, why) in failed_shards {
                writeln!(to, "incomplete: shard {shard} could not be written: {why}")?;
            }
        }
    }
    if ingest.dry_run {
        writeln!(to, "dry run: nothing was written")?;
    }
    Ok(())
}

fn counts<'a, K: Display + 'a>(of: impl IntoIterator<Item = (&'a K, &'a u64)>) -> Map<String, Json> {
    of.into_iter().map(|(key, count)| (key.to_string(), json!(count))).collect()
}

fn as_json(outcome: &Outcome, elapsed: Duration) -> Json {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let held: Vec<_> = match &outcome.ended {
        Ended::Held(sources) => sources
            .iter()
            .map(|held| {
                json!({ "source": held.source.as_str(), "vanished": held.vanished, "live": held.live, "why": held.why })
            })
            .collect(),
        _ => Vec::new(),
    };
    let failed_shards: Map<String, Json> = match &outcome.ended {
        Ended::Incomplete { failed_shards, .. } => {
            failed_shards.iter().map(|(shard, why)| (shard.to_string(), json!(why))).collect()
        }
        _ => Map::new(),
    };
    json!({
        "ended": ended_name(outcome),
        "files": outcome.files,
        "states": counts(&outcome.states),
        "reasons": counts(&outcome.reasons),
        "warnings": counts(&outcome.warnings),
        "kinds": counts(&outcome.kinds),
        "opened": outcome.opened,
        "unchanged": outcome.unchanged,
        "new": outcome.new,
        "changed": outcome.changed,
        "returned": outcome.returned,
        "missing": outcome.missing,
        "deleted": outcome.deleted,
        "moved": outcome.moved,
        "directories": outcome.directories,
        "directories_skipped": outcome.directories_skipped,
        "unreadable_directories": outcome.unreadable_directories,
        "bytes": outcome.bytes,
        "held": held,
        "failed_shards": failed_shards,
        "seconds": elapsed.as_secs_f64(),
        "files_per_second": outcome.files as f64 / elapsed.as_secs_f64().max(1e-9),
        "cpu_seconds": cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        "peak_rss_bytes": peak_rss_bytes(),
    })
}

/// Largest resident set so far, from /proc.
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}
