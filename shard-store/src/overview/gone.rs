//! What is gone, from the ledger.

use std::collections::HashMap;

use shardex_catalog::{Cell, FileState, LedgerEntry};
use shardex_seams::StoreError;

use super::rows::{number, text};
use crate::ledger::LedgerReader;

type Row<'r> = &'r mut dyn FnMut(Vec<Cell>) -> bool;

/// Files that are gone which are held in memory at once; more take further passes.
const GONE_MAX: usize = 200_000;

/// Files that are deleted, and those whose deletion is held.
pub(super) fn deletions(ledger: &LedgerReader, to: Row<'_>) -> Result<(), StoreError> {
    ledger.rows(&mut |row| {
        let Some(state) = gone(row.entry) else { return true };
        to(vec![
            text(state),
            text(row.source),
            path(row.directory, row.entry),
            number(row.entry.stamp.size),
            Cell::Real(row.entry.stamp.mtime_ns as f64 / 1e9),
        ])
    })
}

/// Directories whose last listing failed.
pub(super) fn unreadable(ledger: &LedgerReader, to: Row<'_>) -> Result<(), StoreError> {
    for (source, path, reason) in ledger.unreadable()? {
        if !to(vec![text(source), bytes(path), text(reason)]) {
            break;
        }
    }
    Ok(())
}

/// Files that are gone, paired with a present file of the same size and modification time.
pub(super) fn moves(ledger: &LedgerReader, to: Row<'_>) -> Result<(), StoreError> {
    let mut first = 0;
    loop {
        let mut pass = Pass::gather(ledger, first)?;
        let goes_on = pass.pair(ledger, to)?;
        if !goes_on || !pass.has_more {
            return Ok(());
        }
        first += GONE_MAX;
    }
}

/// Some of the files that are gone, by what a move leaves as it is.
struct Pass {
    gone: HashMap<(u64, i64), Vec<Gone>>,
    has_more: bool,
}

struct Gone {
    source: String,
    path: Cell,
    name: Vec<u8>,
    ctime_ns: i64,
}

impl Pass {
    /// The files that are gone from the `first` one on, as many as are held at once.
    fn gather(ledger: &LedgerReader, first: usize) -> Result<Self, StoreError> {
        let mut pass = Self { gone: HashMap::new(), has_more: false };
        let mut seen = 0;
        ledger.rows(&mut |row| {
            if gone(row.entry).is_none() || row.entry.stamp.size == 0 {
                return true;
            }
            seen += 1;
            if seen > first + GONE_MAX {
                pass.has_more = true;
                return false;
            }
            if seen > first {
                let stamp = row.entry.stamp;
                pass.gone.entry((stamp.size, stamp.mtime_ns)).or_default().push(Gone {
                    source: row.source.to_owned(),
                    path: path(row.directory, row.entry),
                    name: row.entry.name.as_bytes().to_vec(),
                    ctime_ns: stamp.ctime_ns,
                });
            }
            true
        })?;
        Ok(pass)
    }

    /// Lists the pairs; each file is in one. False once no more are wanted.
    fn pair(&mut self, ledger: &LedgerReader, to: Row<'_>) -> Result<bool, StoreError> {
        let mut goes_on = true;
        if self.gone.is_empty() {
            return Ok(goes_on);
        }
        ledger.rows(&mut |row| {
            let stamp = row.entry.stamp;
            if gone(row.entry).is_some() {
                return true;
            }
            let Some(candidates) = self.gone.get_mut(&(stamp.size, stamp.mtime_ns)) else { return true };
            let name = row.entry.name.as_bytes();
            // A move changes the status time; a file that always lay there keeps an old one.
            let fits = |gone: &&Gone| gone.ctime_ns < stamp.ctime_ns;
            let named = |gone: &Gone| fits(&gone) && gone.name == name;
            let at =
                candidates.iter().position(named).or_else(|| candidates.iter().position(|gone| fits(&gone)));
            let Some(at) = at else { return true };
            let gone = candidates.swap_remove(at);
            let same_name = if gone.name == name { "yes" } else { "no" };
            goes_on = to(vec![
                text(gone.source),
                gone.path,
                text(row.source),
                path(row.directory, row.entry),
                number(stamp.size),
                text(same_name),
            ]);
            goes_on
        })?;
        Ok(goes_on)
    }
}

fn gone(entry: &LedgerEntry) -> Option<&'static str> {
    match entry.state {
        FileState::Deleted => Some("deleted"),
        _ if entry.missing => Some("missing"),
        _ => None,
    }
}

fn path(directory: &[u8], entry: &LedgerEntry) -> Cell {
    let mut path = directory.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(entry.name.as_bytes());
    bytes(path)
}

fn bytes(path: Vec<u8>) -> Cell {
    String::from_utf8(path).map_or_else(|error| Cell::Blob(error.into_bytes()), Cell::Text)
}
