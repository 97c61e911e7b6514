//! The ledger against the shards, entry by entry and back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use shardex_catalog::{DirectoryRange, LedgerEntry, RelativePath, ShardId, SourceName, name_hash};
use shardex_seams::StoreError;

use super::lookup::{Lookup, StoredRow};
use super::{Finding, Kind, Watch, refused, settle, stop_on};
use crate::archive::ReadArchive;
use crate::ledger::LedgerReader;
use crate::shard::path_bytes;

/// An indexed file, as ledger and shard know it.
#[derive(Clone, Copy, Debug)]
pub struct CheckedEntry<'a> {
    /// Name of the source.
    pub source: &'a str,
    /// The directory, relative to the source.
    pub directory: &'a [u8],
    /// What the ledger has.
    pub entry: &'a LedgerEntry,
    /// What its shard has.
    pub row: StoredRow,
}

impl ReadArchive {
    /// Checks that every live entry of the ledger has its row, and every row its entry. Gives each
    /// entry with a row to `each`. Advances by entries. Memory does not grow with the archive.
    ///
    /// # Errors
    /// [`StoreError`] if the ledger cannot be read, or if it was cancelled.
    pub fn check_entries(
        &self,
        cancel: &Arc<AtomicBool>,
        watch: &mut dyn Watch,
        each: &mut dyn FnMut(CheckedEntry<'_>),
    ) -> Result<(), StoreError> {
        let ledger = match self.ledger() {
            Ok(Some(ledger)) => ledger,
            Ok(None) => return Ok(()),
            Err(error) => {
                watch.found(refused("ledger", &error));
                return Ok(());
            }
        };
        let open = ledger.open_marks()?;
        if open > 0 {
            let detail =
                format!("{open} directories are half-recorded; what is found in them may be of no account");
            watch.found(Finding::at(Kind::Interrupted, "ledger", detail));
        }
        let matched = self.entries_to_rows(&ledger, cancel, watch, each)?;
        for shard in self.shards()? {
            let Some(mut connection) = self.checked_shard(&shard, watch) else { continue };
            let expected = matched.get(&shard).copied().unwrap_or(0);
            let result = stop_on(&mut connection, cancel)
                .and_then(|()| rows_to_entries(&connection, &shard, expected, &ledger, watch));
            settle(result, &shard, &self.layout().shard(&shard), watch)?;
        }
        Ok(())
    }

    /// Number of entries with a row, by shard.
    fn entries_to_rows(
        &self,
        ledger: &LedgerReader,
        cancel: &Arc<AtomicBool>,
        watch: &mut dyn Watch,
        each: &mut dyn FnMut(CheckedEntry<'_>),
    ) -> Result<HashMap<ShardId, u64>, StoreError> {
        let mut lookup = Lookup::new(self.layout().clone());
        let mut matched: HashMap<ShardId, u64> = HashMap::new();
        let mut unreadable: HashMap<ShardId, ()> = HashMap::new();
        ledger.rows(&mut |row| {
            let (entry, source, directory) = (row.entry, row.source, row.directory);
            let Some(shard) = entry.shard.as_ref().filter(|shard| !unreadable.contains_key(*shard)) else {
                return !cancel.load(Ordering::Relaxed);
            };
            let found = |kind, detail: &str| Finding {
                kind,
                place: source.to_owned(),
                path: Some(joined(directory, entry.name.as_bytes())),
                detail: format!("{detail} in shard {shard}"),
            };
            match lookup.find(shard, source, directory, entry.name.as_bytes()) {
                Ok(Some(stored)) => {
                    *matched.entry(shard.clone()).or_default() += 1;
                    if (stored.size, stored.mtime_ns) != (entry.stamp.size, entry.stamp.mtime_ns) {
                        watch.found(found(Kind::RowDiffers, "its row has another size or time"));
                    }
                    each(CheckedEntry { source, directory, entry, row: stored });
                }
                Ok(None) => watch.found(found(Kind::RowMissing, "it has no row")),
                Err(error) => {
                    watch.found(refused(shard, &error));
                    unreadable.insert(shard.clone(), ());
                }
            }
            watch.advance(1);
            !cancel.load(Ordering::Relaxed)
        })?;
        if cancel.load(Ordering::Relaxed) {
            return Err(StoreError::Query("interrupted".into()));
        }
        Ok(matched)
    }
}

/// Where a shard has other than the expected number of rows, finds those without an entry.
fn rows_to_entries(
    connection: &Connection,
    shard: &ShardId,
    expected: u64,
    ledger: &LedgerReader,
    watch: &mut dyn Watch,
) -> rusqlite::Result<()> {
    let rows: i64 =
        connection.query_row("SELECT coalesce(sum(n_files), 0) FROM study_header", [], |row| row.get(0))?;
    let counted: i64 = connection.query_row("SELECT count(*) FROM file", [], |row| row.get(0))?;
    if counted.cast_unsigned() == expected && rows == counted {
        return Ok(());
    }
    let mut statement = connection.prepare(
        "SELECT r.name, d.path, f.name FROM directory d JOIN source r ON d.source = r.id \
         JOIN file f ON f.directory = d.id ORDER BY d.id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let source = row.get_ref(0)?.as_str().unwrap_or_default();
        let (directory, name) = (path_bytes(row.get_ref(1)?), path_bytes(row.get_ref(2)?));
        let Ok(source) = SourceName::new(source) else { continue };
        let hash = name_hash(name);
        let range = DirectoryRange {
            source: source.clone(),
            path: RelativePath::new(directory),
            hash_from: hash,
            hash_to: hash,
        };
        let is_entered = |record: &shardex_catalog::DirectoryRecord| {
            record
                .entries
                .iter()
                .any(|entry| entry.name.as_bytes() == name && entry.shard.as_ref() == Some(shard))
        };
        // A record that cannot be read was found by the pass over the ledger.
        let entered = ledger.record(&range).is_ok_and(|record| record.as_ref().is_some_and(is_entered));
        if !entered {
            watch.found(Finding {
                kind: Kind::RowWithoutEntry,
                place: source.to_string(),
                path: Some(joined(directory, name)),
                detail: format!("shard {shard} has a row for it, the ledger has no such entry"),
            });
        }
    }
    Ok(())
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}
