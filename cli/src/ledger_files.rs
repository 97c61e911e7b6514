//! Files that are not indexed, from the ledger, for view `files`.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;

use shardex_catalog::Cell;
use shardex_seams::StoreError;
use shardex_shard_router::{LedgerFiles, ledger_files_row};
use shardex_shard_store::ReadArchive;

use crate::commands::reading::sources;

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
        let sources = sources(&self.archive).map_err(|error| StoreError::Query(format!("{error:#}")))?;
        let sources: HashMap<_, _> =
            sources.into_iter().map(|source| (source.name.to_string(), source)).collect();
        ledger.rows(&mut |found| {
            let source = sources.get(found.source);
            let domain = source.map_or("default", |source| source.domain.as_str());
            let root = source.map(|source| source.root.as_os_str().as_bytes());
            ledger_files_row(domain, found.source, root, found.directory, found.entry).is_none_or(&mut *row)
        })
    }
}
