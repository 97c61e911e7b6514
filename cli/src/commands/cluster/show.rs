//! Jobs and units as people and machines read them.

use std::io::Write;

use serde_json::{Map, Value as Json, json};
use shardex_catalog::TimeWindow;
use shardex_proto::v1;

use super::follow::Pace;
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
        "waits_for": filled(&job.waits_for),
        "sources": sources,
        "priority": job.priority,
        "windows": job.windows.iter().map(window).collect::<Vec<_>>(),
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

/// A text, if there is one.
fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A part of the day as `job submit --between` takes it.
fn window(window: &v1::TimeWindow) -> String {
    let minute = |minute: u32| u16::try_from(minute).unwrap_or(u16::MAX);
    let offset = i16::try_from(window.utc_offset_minutes).unwrap_or(i16::MAX);
    let known = TimeWindow::new(minute(window.from_minute), minute(window.to_minute), offset);
    known.map_or_else(|_| "unknown".to_owned(), |window| window.to_string())
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
        "worker": filled(&unit.worker),
        "waits_for": filled(&unit.waits_for),
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
    let mut table =
        Table::new(&["job", "state", "priority", "sources", "files", "opened", "units", "dead", "began"]);
    for job in jobs {
        let sources: Vec<_> = job.sources.iter().map(|source| source.name.as_str()).collect();
        let totals = job.totals.clone().unwrap_or_default();
        table.row([
            job.job.to_string(),
            standing(job),
            job.priority.to_string(),
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

/// The state of a job, and what it waits for.
fn standing(job: &v1::Job) -> String {
    match (&*job.state, &*job.waits_for) {
        ("waiting", what) if !what.is_empty() => format!("waiting for {what}"),
        (state, _) => state.to_owned(),
    }
}

/// One job in one line: where it stands, how far it is, how fast, and until when.
pub(super) fn headline(job: &v1::Job, pace: Option<&Pace>) -> String {
    let totals = job.totals.clone().unwrap_or_default();
    let mut line = format!("job {} is {}: {} files", job.job, standing(job), grouped(totals.files));
    if let Some(estimate) = totals.estimate.filter(|estimate| *estimate > totals.files) {
        line.push_str(&format!(" of about {} ({})", grouped(estimate), percent(totals.files, estimate)));
    }
    if let Some(ended_ns) = job.ended_ns {
        let seconds = ended_ns.saturating_sub(job.began_ns).max(0) as f64 / 1e9;
        line.push_str(&format!(" in {}", output::elapsed(seconds)));
    } else if let Some(per_second) = pace.and_then(Pace::of_all).filter(|_| job.state == "running") {
        line.push_str(&format!(", {}", rate(per_second)));
        if let Some(left) = time_left(&totals, per_second) {
            line.push_str(&format!(", ETA ~{left}"));
        }
    }
    line
}

fn rate(per_second: f64) -> String {
    format!("{per_second:.0}/s")
}

/// How long what is left takes, if it is known how much that is.
fn time_left(totals: &v1::UnitTotals, per_second: f64) -> Option<String> {
    let left = totals.estimate?.checked_sub(totals.files).filter(|left| *left > 0)?;
    (per_second > 0.5).then(|| duration(left as f64 / per_second))
}

/// One job at length. `pace`: how fast it goes, where that is known.
pub(super) fn job(to: &mut impl Write, job: &v1::Job, pace: Option<&Pace>) -> std::io::Result<()> {
    writeln!(to, "{}", headline(job, pace))?;
    let totals = job.totals.clone().unwrap_or_default();
    writeln!(
        to,
        "{} opened, {} unchanged, {} new, {} changed, {} deleted, {} missing",
        grouped(totals.opened),
        grouped(totals.unchanged),
        grouped(totals.new_files),
        grouped(totals.changed),
        grouped(totals.deleted),
        grouped(totals.missing)
    )?;
    if !job.windows.is_empty() {
        let zone = |window: &v1::TimeWindow| if window.utc_offset_minutes == 0 { " UTC" } else { "" };
        let windows: Vec<_> = job.windows.iter().map(|known| window(known) + zone(known)).collect();
        writeln!(to, "it runs at {} only", windows.join(" and "))?;
    }
    by_source(to, job, pace)?;
    troubles(to, job, &totals)?;
    slowest(to, &totals.slowest)?;
    units(to, "units", &job.units)?;
    units(to, &format!("given up (`shardex job retry {}` tries them again)", job.job), &job.dead)
}

/// What went wrong so far, each with what to do next.
fn troubles(to: &mut impl Write, job: &v1::Job, totals: &v1::UnitTotals) -> std::io::Result<()> {
    let quarantined = totals.states.get("quarantined").copied().unwrap_or_default();
    let mut lines = Vec::new();
    if quarantined > 0 {
        lines.push(format!(
            "{} files are quarantined: `shardex files --state quarantined --router URL` lists them with the reasons",
            grouped(quarantined)
        ));
    }
    if job.unreadable_directories > 0 {
        lines.push(format!(
            "{} directories could not be read: `shardex report unreadable --router URL` lists them",
            grouped(job.unreadable_directories)
        ));
    }
    for (source, why) in &job.held {
        lines.push(format!(
            "source {source}: deletions are held, because {why}; if that is right, submit with --accept-deletions"
        ));
    }
    if !lines.is_empty() {
        writeln!(to)?;
    }
    lines.iter().try_for_each(|line| writeln!(to, "{line}"))
}

/// What was done of each source, and what is wrong with its files.
fn by_source(to: &mut impl Write, job: &v1::Job, pace: Option<&Pace>) -> std::io::Result<()> {
    let is_paced = pace.is_some() && job.state == "running";
    let before = ["source", "files", "of about", "done"];
    let behind = ["size", "indexed", "warnings", "quarantined", "other"];
    let paced: &[&str] = if is_paced { &["rate", "time left"] } else { &[] };
    let mut table = Table::new(&[&before[..], paced, &behind[..]].concat());
    for (at, source) in job.sources.iter().enumerate() {
        let totals = source.totals.clone().unwrap_or_default();
        let state = |name: &str| totals.states.get(name).copied().unwrap_or_default();
        let (indexed, warnings, quarantined) = (state("indexed"), state("warning"), state("quarantined"));
        let other = totals.states.values().sum::<u64>().saturating_sub(indexed + warnings + quarantined);
        let estimate = totals.estimate.filter(|estimate| *estimate > 0);
        let per_second = pace.and_then(|pace| pace.of_source(at));
        let mut row = vec![
            source.name.clone(),
            grouped(totals.files),
            estimate.map_or_else(String::new, grouped),
            estimate.map(|estimate| percent(totals.files, estimate)).unwrap_or_default(),
        ];
        if is_paced {
            row.push(per_second.map(rate).unwrap_or_default());
            row.push(per_second.and_then(|per_second| time_left(&totals, per_second)).unwrap_or_default());
        }
        row.extend([byte_size(totals.bytes), grouped(indexed), grouped(warnings)]);
        row.extend([grouped(quarantined), grouped(other)]);
        table.row(row);
    }
    writeln!(to)?;
    table.write(to, true)
}

/// At most `100 %`.
fn percent(part: u64, whole: u64) -> String {
    format!("{:.0} %", (part as f64 / whole as f64 * 100.0).min(100.0))
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
    let mut table = Table::new(&[
        "unit",
        "kind",
        "source",
        "span",
        "worker",
        "files",
        "attempts",
        "waits for",
        "last failure",
    ]);
    for unit in units {
        table.row([
            unit.unit.to_string(),
            kind(unit).to_owned(),
            unit.source.clone(),
            escaped(&span(unit)).into_owned(),
            unit.worker.clone(),
            grouped(unit.totals.as_ref().map_or(0, |totals| totals.files)),
            unit.attempts.to_string(),
            unit.waits_for.clone(),
            unit.failure.clone(),
        ]);
    }
    table.write(to, true)
}
