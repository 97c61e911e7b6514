//! What an ingest left, as rows of (section, name, …): `query.proto` documents them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shardex_catalog::{Cell, FileState};
use shardex_seams::{ReportParts, StoreError};
use shardex_shard_store::overview::totals;

use super::{Lines, Stores, Writing, number, reading_options, text};

/// Columns of the rows.
pub(crate) const STATUS_COLUMNS: [&str; 8] =
    ["section", "name", "count", "bytes", "domain", "root", "began_ns", "ended_ns"];

pub(super) fn write(
    parts: &dyn ReportParts,
    writing: &dyn Writing,
    cancel: &Arc<AtomicBool>,
    lines: &mut Lines<'_>,
) -> Result<(), StoreError> {
    let stores = Stores::ask(parts, cancel)?;
    let totals = totals(parts, &reading_options(None, cancel))?;
    let about = writing.about()?;
    lines.columns(&STATUS_COLUMNS);
    let mut row = |section: &str, name: Cell, count: Cell, more: [Cell; 5]| {
        // A status is wanted whole.
        let _ = lines.row(&[&[text(section), name, count], &more[..]].concat());
    };
    let none = || [const { Cell::Null }; 5];
    let sized = |bytes| [number(bytes), Cell::Null, Cell::Null, Cell::Null, Cell::Null];
    if let Some(partition) = about.partition {
        row("partition", text(partition.to_string()), Cell::Null, none());
    }
    for (name, count) in [
        ("patients", totals.patients),
        ("studies", totals.studies),
        ("series", totals.series),
        ("instances", totals.instances),
        ("varied_series", totals.varied_series),
    ] {
        row("count", text(name), number(count), none());
    }
    row("shards", Cell::Null, number(stores.shards), sized(stores.shard_bytes));
    row("other", Cell::Null, Cell::Null, sized(stores.single("other").1));
    stores.named("state").for_each(|(state, count)| row("state", text(state), number(count), none()));
    for state in FileState::ALL.iter().map(|state| state.as_str()) {
        for (reason, count) in stores.named(state) {
            row("reason", text(format!("{state}: {reason}")), number(count), none());
        }
    }
    for section in ["missing", "unreadable", "open"] {
        row(section, Cell::Null, number(stores.single(section).0), none());
    }
    for source in about.sources {
        let root = source.root.map_or(Cell::Null, text);
        let more = [Cell::Null, text(source.domain), root, Cell::Null, Cell::Null];
        row("source", text(source.name), Cell::Null, more);
    }
    for job in about.jobs {
        let ended = job.ended_ns.map_or(Cell::Null, Cell::Integer);
        let more = [Cell::Null, Cell::Null, Cell::Null, Cell::Integer(job.began_ns), ended];
        row("job", job.outcome.map_or(Cell::Null, text), number(job.files), more);
    }
    Ok(())
}
