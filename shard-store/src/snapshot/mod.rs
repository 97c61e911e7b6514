//! Copies of shards in a folder beside the archive, and shards put back from them.
//!
//! The folder has the archive's manifest, and for each shard copies whose names are their digests, which are never written
//! again, and `latest.json`, which names the last one (`docs/formats.md`). The files are the truth, so only shards are
//! copied: ledger and registry are made from them, and what has changed since is read again.

mod folder;
mod restore;
mod take;

pub use restore::{Missed, Restored, restore};
pub use take::{SnapshotSettings, Taken};
