//! Counts of files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What units have done. Counts of files, unless the name says another thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Totals {
    pub(crate) files: u64,
    pub(crate) opened: u64,
    pub(crate) unchanged: u64,
    pub(crate) directories: u64,
    pub(crate) bytes: u64,
    /// By state.
    pub(crate) states: BTreeMap<String, u64>,
    pub(crate) new_files: u64,
    pub(crate) changed: u64,
    pub(crate) returned: u64,
    pub(crate) missing: u64,
    pub(crate) deleted: u64,
    pub(crate) moved: u64,
    /// Files that a count that runs ahead has found.
    pub(crate) estimate: Option<u64>,
}

impl Totals {
    /// Adds what another unit did.
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.files, other.files),
            (&mut self.opened, other.opened),
            (&mut self.unchanged, other.unchanged),
            (&mut self.directories, other.directories),
            (&mut self.bytes, other.bytes),
            (&mut self.new_files, other.new_files),
            (&mut self.changed, other.changed),
            (&mut self.returned, other.returned),
            (&mut self.missing, other.missing),
            (&mut self.deleted, other.deleted),
            (&mut self.moved, other.moved),
        ];
        for (sum, more) in pairs {
            *sum = sum.saturating_add(more);
        }
        for (state, count) in &other.states {
            let sum = self.states.entry(state.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        if let Some(more) = other.estimate {
            self.estimate = Some(self.estimate.unwrap_or_default().saturating_add(more));
        }
    }
}
