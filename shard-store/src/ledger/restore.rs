//! A ledger made anew from what shards hold.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use shardex_catalog::{Claim, DirectoryRange, DirectoryRecord, Fence, LedgerEntry, name_hash};
use shardex_seams::StoreError;

use super::query::Shards;
use super::{CACHE_BYTES, LEDGER, changes, query};
use crate::error::store_error;
use crate::sqlite::{self, SqliteSettings};

const ENTRIES_A_RECORD: u64 = 2048;

/// Enters files into an emptied ledger. Every directory gets an open mark, so that the next run
/// compares it with its shards.
pub(crate) struct Restorer {
    path: PathBuf,
    connection: Connection,
    shards: Shards,
}

impl Restorer {
    /// Empties the ledger.
    pub(crate) fn begin(path: &Path, settings: &SqliteSettings) -> Result<Self, StoreError> {
        let connection = sqlite::open_writer(path, &LEDGER, settings, CACHE_BYTES)?;
        connection
            .execute_batch(
                "BEGIN IMMEDIATE; DELETE FROM record; DELETE FROM open_mark; DELETE FROM unreadable; \
                 DELETE FROM position; DELETE FROM shard; COMMIT;",
            )
            .map_err(|error| store_error(path, error))?;
        Ok(Self { path: path.to_owned(), connection, shards: Shards::default() })
    }

    /// Adds files of one directory that rest on one shard to what was added of it before.
    pub(crate) fn add(
        &mut self,
        range: &DirectoryRange,
        entries: Vec<LedgerEntry>,
        claim: &Claim,
    ) -> Result<(), StoreError> {
        self.add_in_transaction(range, entries, claim).map_err(|error| store_error(&self.path, error))
    }

    fn add_in_transaction(
        &mut self,
        range: &DirectoryRange,
        entries: Vec<LedgerEntry>,
        claim: &Claim,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        let bits = range_bits(entries.len() as u64);
        let mut parts: Vec<Vec<LedgerEntry>> = vec![Vec::new(); 1 << bits];
        for entry in entries {
            parts[part_of(entry.name.as_bytes(), bits)].push(entry);
        }
        for (n, entries) in (0_u32..).zip(parts).filter(|(_, entries)| !entries.is_empty()) {
            let part = part_range(range, n, bits);
            let mut record = query::record(&transaction, &self.shards, &part)?
                .unwrap_or_else(|| DirectoryRecord { extract_version: 0, ..DirectoryRecord::default() });
            record.entries.extend(entries);
            record.entries.sort_by(|a, b| a.name.cmp(&b.name));
            record.entries.dedup_by(|a, b| a.name == b.name);
            record.claims.retain(|known| known.shard != claim.shard);
            record.claims.push(claim.clone());
            changes::replace(&transaction, &self.shards, &part, &record)?;
        }
        changes::open(&transaction, std::slice::from_ref(range), Fence(0))?;
        transaction.commit()
    }
}

/// How many leading bits of the hash cut a directory into records of a good size.
fn range_bits(entries: u64) -> u32 {
    (entries / ENTRIES_A_RECORD).checked_ilog2().map_or(0, |bits| (bits + 1).min(16))
}

fn part_of(name: &[u8], bits: u32) -> usize {
    if bits == 0 { 0 } else { (name_hash(name) >> (32 - bits)) as usize }
}

fn part_range(range: &DirectoryRange, n: u32, bits: u32) -> DirectoryRange {
    if bits == 0 {
        return range.clone();
    }
    let width = 32 - bits;
    DirectoryRange { hash_from: n << width, hash_to: (n << width) | ((1 << width) - 1), ..range.clone() }
}
