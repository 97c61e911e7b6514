//! What an ingest left, as rows of (section, name, …): `query.proto` documents them.

use std::collections::BTreeMap;

use shardex_catalog::Cell;
use shardex_seams::StoreError;
use shardex_shard_store::ReadArchive;

use super::{Lines, number, text};
use crate::commands::reading;

/// Columns of the rows.
pub(crate) const STATUS_COLUMNS: [&str; 8] =
    ["section", "name", "count", "bytes", "domain", "root", "began_ns", "ended_ns"];

pub(super) fn write(archive: &ReadArchive, lines: &mut Lines<'_>) -> Result<(), StoreError> {
    let (mut states, mut reasons, mut missing) = (BTreeMap::new(), BTreeMap::new(), 0);
    let ledger = archive.ledger()?;
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
    let sizes = archive.shard_sizes().map_err(super::told)?;
    lines.columns(&STATUS_COLUMNS);
    let mut row = |section: &str, name: Cell, count: Cell, more: [Cell; 5]| {
        // A status is wanted whole.
        let _ = lines.row(&[&[text(section), name, count], &more[..]].concat());
    };
    let none = || [const { Cell::Null }; 5];
    let sized = |bytes| [number(bytes), Cell::Null, Cell::Null, Cell::Null, Cell::Null];
    row("partition", text(archive.partition().to_string()), Cell::Null, none());
    let bytes = sizes.iter().map(|(_, bytes)| bytes).sum();
    row("shards", Cell::Null, number(sizes.len() as u64), sized(bytes));
    row("other", Cell::Null, Cell::Null, sized(archive.other_bytes()));
    states.into_iter().for_each(|(state, count)| row("state", text(state), number(count), none()));
    reasons.into_iter().for_each(|(reason, count)| row("reason", text(reason), number(count), none()));
    row("missing", Cell::Null, number(missing), none());
    if let Some(ledger) = &ledger {
        row("unreadable", Cell::Null, number(ledger.unreadable()?.len() as u64), none());
        row("open", Cell::Null, number(ledger.open_marks()?), none());
    }
    for source in reading::sources(archive).map_err(super::told)? {
        let root = text(source.root.to_string_lossy());
        let more = [Cell::Null, text(source.domain.to_string()), root, Cell::Null, Cell::Null];
        row("source", text(source.name.to_string()), Cell::Null, more);
    }
    for job in reading::jobs(archive).map_err(super::told)? {
        let ended = job.ended_ns.map_or(Cell::Null, Cell::Integer);
        let more = [Cell::Null, Cell::Null, Cell::Null, Cell::Integer(job.began_ns), ended];
        row("job", job.outcome.map_or(Cell::Null, text), number(job.files), more);
    }
    Ok(())
}
