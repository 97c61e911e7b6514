//! The parts of reports that the files of an archive say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rusqlite::Connection;
use shardex_catalog::{Cell, FileState, ShardId};
use shardex_seams::{HomePart, ReportParts, ShardPart, StoreError};

use super::rows::{number, text};
use super::{distinct, findings, gone, groups, of_shard, on_shard, reports};
use crate::archive::{ReadArchive, size_with_log};
use crate::leaf::shards_to_ask;
use crate::ledger::LedgerReader;

impl ReportParts for ReadArchive {
    fn shards(&self) -> Result<Vec<ShardId>, StoreError> {
        shards_to_ask(self.layout())
    }

    fn of_shard(
        &self,
        shard: &ShardId,
        part: &ShardPart,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        if *part == ShardPart::Size {
            row(vec![number(size_with_log(&self.layout().shard(shard)))]);
            return Ok(());
        }
        on_shard(self.layout(), shard, cancel, &mut |connection| say(connection, part, row)).map(|_| ())
    }

    fn of_home(
        &self,
        part: HomePart,
        _cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        let Some(ledger) = self.ledger()? else { return Ok(()) };
        match part {
            HomePart::Moves => gone::moves(&ledger, row),
            HomePart::Deletions => gone::deletions(&ledger, row),
            HomePart::Unreadable => gone::unreadable(&ledger, row),
            HomePart::Counts => {
                let other = text_row("other", None, 0, self.other_bytes());
                let mut counts = vec![other];
                counts.extend(file_counts(&ledger)?);
                // A sink that wants no more gets no more.
                let _ = counts.into_iter().all(row);
                Ok(())
            }
        }
    }
}

fn say(
    connection: &Connection,
    part: &ShardPart,
    row: &mut dyn FnMut(Vec<Cell>) -> bool,
) -> rusqlite::Result<()> {
    match part {
        ShardPart::Duplicates => reports::run(connection, &reports::duplicates(), None, row),
        ShardPart::Dates { today } => reports::run(connection, &reports::dates(), Some(today), row),
        ShardPart::SplitStudies => reports::run(connection, &reports::split_studies(), None, row),
        ShardPart::Counts { today, file_rows_max } => {
            let counts = of_shard(connection, today, *file_rows_max)?;
            counts.to_rows(&mut |cells| {
                // Counts are wanted whole.
                let _ = row(cells);
            });
            Ok(())
        }
        ShardPart::Keys { of, pass, passes } => distinct::keys_of_shard(connection, *of, *pass, *passes, row),
        ShardPart::Size => Ok(()),
        ShardPart::Totals { headers_max } => {
            let snapshot = connection.unchecked_transaction()?;
            let (studies, series) = groups::studies_and_series(&snapshot)?;
            let sql = "SELECT coalesce(sum(n_live), 0) FROM study_header";
            let instances = snapshot.query_row(sql, [], |row| row.get(0))?;
            let varied = findings::varied_series(&snapshot, *headers_max)?;
            row([studies, series, instances, varied].map(number).to_vec());
            Ok(())
        }
    }
}

fn text_row(section: &str, name: Option<&str>, count: u64, bytes: u64) -> Vec<Cell> {
    vec![text(section), name.map_or(Cell::Null, text), number(count), number(bytes)]
}

/// What the ledger knows of the files of all sources.
fn file_counts(ledger: &LedgerReader) -> Result<Vec<Vec<Cell>>, StoreError> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let (mut files, mut bytes, mut missing) = (0, 0, 0);
    ledger.rows(&mut |row| {
        let entry = row.entry;
        *counts.entry(("state", entry.state.as_str())).or_default() += 1;
        missing += u64::from(entry.missing);
        if entry.state == FileState::NotDicom {
            *counts.entry(("kind", entry.kind.as_str())).or_default() += 1;
        }
        if let Some(reason) = entry.reason.filter(|_| !entry.state.is_live()) {
            *counts.entry((entry.state.as_str(), reason.as_str())).or_default() += 1;
        }
        if entry.state != FileState::Deleted {
            files += 1;
            bytes += entry.stamp.size;
        }
        true
    })?;
    let unreadable = ledger.unreadable()?.len() as u64;
    let single = [
        text_row("files", None, files, bytes),
        text_row("missing", None, missing, 0),
        text_row("unreadable", None, unreadable, 0),
        text_row("open", None, ledger.open_marks()?, 0),
    ];
    let counted = counts.iter().map(|((section, name), count)| text_row(section, Some(name), *count, 0));
    Ok(single.into_iter().chain(counted).collect())
}
