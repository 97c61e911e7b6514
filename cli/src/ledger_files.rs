//! Files that are not indexed, from the ledger, for view `files`.

use shardex_catalog::Cell;
use shardex_seams::StoreError;
use shardex_shard_router::{LedgerFiles, ledger_files_row};
use shardex_shard_store::ReadArchive;

use crate::commands::reading::domains;

/// The ledger of an archive, opened for each question: a server must see what was written since it
/// began, and most questions do not need it.
pub(crate) struct FromLedger {
    archive: ReadArchive,
}

impl FromLedger {
    /// The files of an archive.
    pub(crate) fn new(archive: ReadArchive) -> Self {
        Self { archive }
    }
}

impl LedgerFiles for FromLedger {
    fn rows(&self, row: &mut dyn FnMut(Vec<Cell>) -> bool) -> Result<(), StoreError> {
        let Some(ledger) = self.archive.ledger()? else { return Ok(()) };
        let domains = domains(&self.archive).map_err(|error| StoreError::Query(format!("{error:#}")))?;
        ledger.rows(&mut |found| {
            let domain = domains.get(found.source).map_or("default", String::as_str);
            ledger_files_row(domain, found.source, found.directory, found.entry).is_none_or(&mut *row)
        })
    }
}
