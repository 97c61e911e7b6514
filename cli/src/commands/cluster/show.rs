//! Jobs and units as people and machines read them.

use std::io::Write;

use serde_json::{Map, Value as Json, json};
use shardex_proto::v1;

use crate::output::{self, Table, byte_size, duration, escaped, grouped};

/// A job for a machine.
pub(super) fn job_json(job: &v1::Job) -> Json {
    let source = |source: &v1::JobSource| {
        let totals = source.totals.as_ref().map(totals_json);
        json!({ "name": source.name, "domain": source.domain, "totals": totals })
    };
    let sources: Vec<_> = job.sources.iter().map(source).collect();
    let slowest = job.totals.iter().flat_map(|totals| &totals.slowest).map(slow_json);
    json!({
        "job": job.job,
        "state": job.state,
        "sources": sources,
        "priority": job.priority,
        "began_ns": job.began_ns,
        "ended_ns": job.ended_ns,
        "totals": job.totals.as_ref().map(totals_json),
        "unreadable_directories": job.unreadable_directories,
        "slowest_directories": slowest.collect::<Vec<_>>(),
        "held": job.held,
        "units": job.units.iter().map(unit_json).collect::<Vec<_>>(),
        "dead": job.dead.iter().map(unit_json).collect::<Vec<_>>(),
    })
}

fn totals_json(totals: &v1::UnitTotals) -> Json {
    let states: Map<String, Json> = totals
        .states
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(state, count)| (state.clone(), json!(count)))
        .collect();
    json!({
        "files": totals.files,
        "opened": totals.opened,
        "unchanged": totals.unchanged,
        "directories": totals.directories,
        "bytes": totals.bytes,
        "states": states,
        "new": totals.new_files,
        "changed": totals.changed,
        "returned": totals.returned,
        "missing": totals.missing,
        "deleted": totals.deleted,
        "moved": totals.moved,
        "estimated_files": totals.estimate,
    })
}

fn slow_json(slow: &v1::SlowDirectory) -> Json {
    json!({
        "source": slow.source,
        "directory": String::from_utf8_lossy(&slow.directory),
        "milliseconds": slow.milliseconds,
        "files": slow.files,
    })
}

fn unit_json(unit: &v1::Unit) -> Json {
    json!({
        "unit": unit.unit,
        "kind": kind(unit),
        "source": unit.source,
        "span": span(unit),
        "exclusions": unit.exclusions,
        "worker": unit.worker,
        "attempts": unit.attempts,
        "failure": unit.failure,
        "files": unit.totals.as_ref().map_or(0, |totals| totals.files),
    })
}

fn kind(unit: &v1::Unit) -> &'static str {
    match unit.kind() {
        v1::UnitKind::Heal => "heal",
        v1::UnitKind::Walk => "walk",
        v1::UnitKind::Finish => "finish",
        v1::UnitKind::Unspecified => "unknown",
    }
}

/// A span as `directory/` with all below it, or `directory/[from..to)`.
fn span(unit: &v1::Unit) -> String {
    let Some(span) = &unit.root else { return String::new() };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let directory = match text(&span.directory) {
        directory if directory.is_empty() => directory,
        directory => format!("{directory}/"),
    };
    if span.is_whole {
        format!("{directory}*")
    } else {
        format!("{directory}[{}..{})", text(&span.from), text(&span.to))
    }
}

/// Jobs, a line each.
pub(super) fn jobs(to: &mut impl Write, jobs: &[v1::Job]) -> std::io::Result<()> {
    let mut table = Table::new(&["job", "state", "sources", "files", "opened", "units", "dead", "began"]);
    for job in jobs {
        let sources: Vec<_> = job.sources.iter().map(|source| source.name.as_str()).collect();
        let totals = job.totals.clone().unwrap_or_default();
        table.row([
            job.job.to_string(),
            job.state.clone(),
            sources.join(","),
            grouped(totals.files),
            grouped(totals.opened),
            job.units.len().to_string(),
            job.dead.len().to_string(),
            output::dates::moment(job.began_ns),
        ]);
    }
    table.write(to, true)
}

/// One job at length. `per_second`: files a second of late, where that is known.
pub(super) fn job(to: &mut impl Write, job: &v1::Job, per_second: Option<f64>) -> std::io::Result<()> {
    let totals = job.totals.clone().unwrap_or_default();
    write!(to, "job {} is {}: {} files", job.job, job.state, grouped(totals.files))?;
    if let Some(estimate) = totals.estimate.filter(|estimate| *estimate > totals.files) {
        write!(to, " of about {}", grouped(estimate))?;
    }
    if let Some(per_second) = per_second.filter(|per_second| *per_second > 0.0) {
        write!(to, ", {per_second:.0}/s")?;
        let left = totals.estimate.and_then(|estimate| estimate.checked_sub(totals.files));
        if let Some(left) = left.filter(|left| *left > 0) {
            write!(to, ", ETA ~{}", duration(left as f64 / per_second))?;
        }
    }
    writeln!(
        to,
        "; {} opened, {} unchanged, {} new, {} changed, {} deleted, {} missing",
        grouped(totals.opened),
        grouped(totals.unchanged),
        grouped(totals.new_files),
        grouped(totals.changed),
        grouped(totals.deleted),
        grouped(totals.missing)
    )?;
    for (source, why) in &job.held {
        writeln!(
            to,
            "source {source}: deletions are held, because {why}; if that is right, submit with --accept-deletions"
        )?;
    }
    if job.unreadable_directories > 0 {
        writeln!(to, "{} directories could not be read", grouped(job.unreadable_directories))?;
    }
    by_source(to, job)?;
    slowest(to, &totals.slowest)?;
    units(to, "units", &job.units)?;
    units(to, "given up (`shardex job retry` tries them again)", &job.dead)
}

/// What was done of each source, and what is wrong with its files.
fn by_source(to: &mut impl Write, job: &v1::Job) -> std::io::Result<()> {
    let mut table = Table::new(&[
        "source",
        "files",
        "of about",
        "done",
        "size",
        "indexed",
        "warnings",
        "quarantined",
        "other",
    ]);
    for source in &job.sources {
        let totals = source.totals.clone().unwrap_or_default();
        let state = |name: &str| totals.states.get(name).copied().unwrap_or_default();
        let (indexed, warnings, quarantined) = (state("indexed"), state("warning"), state("quarantined"));
        let other = totals.states.values().sum::<u64>().saturating_sub(indexed + warnings + quarantined);
        let estimate = totals.estimate.filter(|estimate| *estimate > 0);
        let done = estimate.map(|estimate| format!("{:.0} %", share(totals.files, estimate)));
        table.row([
            source.name.clone(),
            grouped(totals.files),
            estimate.map_or_else(String::new, grouped),
            done.unwrap_or_default(),
            byte_size(totals.bytes),
            grouped(indexed),
            grouped(warnings),
            grouped(quarantined),
            grouped(other),
        ]);
    }
    writeln!(to)?;
    table.write(to, true)
}

/// Percent, at most 100.
fn share(part: u64, whole: u64) -> f64 {
    (part as f64 / whole as f64 * 100.0).min(100.0)
}

fn slowest(to: &mut impl Write, slowest: &[v1::SlowDirectory]) -> std::io::Result<()> {
    if slowest.is_empty() {
        return Ok(());
    }
    writeln!(to, "\nslowest directories now")?;
    let mut table = Table::new(&["source", "directory", "readers' time", "files"]);
    for slow in slowest {
        table.row([
            slow.source.clone(),
            escaped(&String::from_utf8_lossy(&slow.directory)).into_owned(),
            duration(slow.milliseconds as f64 / 1e3),
            grouped(slow.files),
        ]);
    }
    table.write(to, true)
}

fn units(to: &mut impl Write, title: &str, units: &[v1::Unit]) -> std::io::Result<()> {
    if units.is_empty() {
        return Ok(());
    }
    writeln!(to, "\n{title}")?;
    let mut table =
        Table::new(&["unit", "kind", "source", "span", "worker", "files", "attempts", "last failure"]);
    for unit in units {
        table.row([
            unit.unit.to_string(),
            kind(unit).to_owned(),
            unit.source.clone(),
            escaped(&span(unit)).into_owned(),
            unit.worker.clone(),
            grouped(unit.totals.as_ref().map_or(0, |totals| totals.files)),
            unit.attempts.to_string(),
            unit.failure.clone(),
        ]);
    }
    table.write(to, true)
}
