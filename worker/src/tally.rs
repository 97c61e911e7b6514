//! Counts of what was read, for the summary.

use std::collections::BTreeMap;

use shardex_catalog::{FileKind, FileRow, FileState, LedgerEntry, Reason, WarningClass};

use crate::part::Part;

/// Counts of files that were not as recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) reasons: BTreeMap<Reason, u64>,
    pub(crate) warnings: BTreeMap<WarningClass, u64>,
    pub(crate) kinds: BTreeMap<FileKind, u64>,
    pub(crate) new: u64,
    pub(crate) changed: u64,
    pub(crate) returned: u64,
}

impl Tally {
    /// Counts one file.
    pub(crate) fn count(&mut self, part: &Part, entry: &LedgerEntry, row: Option<&FileRow>) {
        let known = part.previous.entries.binary_search_by(|known| known.name.cmp(&entry.name));
        match known.map(|at| &part.previous.entries[at]) {
            Err(_) => self.new += 1,
            Ok(known) if known.state == FileState::Deleted || known.missing => self.returned += 1,
            Ok(_) => self.changed += 1,
        }
        if let Some(reason) = entry.reason {
            *self.reasons.entry(reason).or_default() += 1;
        }
        if entry.state == FileState::NotDicom {
            *self.kinds.entry(entry.kind).or_default() += 1;
        }
        for class in row.into_iter().flat_map(|row| row.warnings.iter()) {
            *self.warnings.entry(class).or_default() += 1;
        }
    }
}
