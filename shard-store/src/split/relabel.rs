//! After a split: ledger and registry name the new shard for what has gone to it.

use shardex_catalog::ShardSplit;
use shardex_seams::{History, StoreError};

use crate::error::store_error;
use crate::history;
use crate::layout::Layout;
use crate::ledger::Relabeller;
use crate::registry::RegistryFile;
use crate::schema::SHARD;
use crate::shard::files_after;
use crate::sqlite::{self, SqliteSettings};

/// Files that are relabelled in one transaction.
const PAGE: u32 = 4096;

/// Relabels what has gone, as the new shard's file says. The shard's files are in their places. May be done again.
pub(super) fn relabel(
    layout: &Layout,
    settings: &SqliteSettings,
    split: &ShardSplit,
) -> Result<(), StoreError> {
    RegistryFile::relabel(&layout.registry(), settings, split)?;
    let path = layout.shard(&split.to);
    let mut ledger = Relabeller::open(&layout.ledger(), settings, split)?;
    let fail = |error| store_error(&path, error);
    if let Some(connection) = sqlite::open_tidy_reader(&path, &SHARD)? {
        let mut after = None;
        loop {
            let files = files_after(&connection, after.as_ref(), PAGE).map_err(fail)?;
            let Some(last) = files.last().cloned() else { break };
            ledger.page(&files)?;
            after = Some(last);
        }
    }
    let lives = |shard| -> Result<History, StoreError> {
        let path = layout.shard(shard);
        match sqlite::open_tidy_reader(&path, &SHARD)? {
            Some(connection) => history::read(&connection).map_err(|error| store_error(&path, error)),
            None => Ok(History::default()),
        }
    };
    ledger.finish(&lives(&split.from)?, &lives(&split.to)?)
}
