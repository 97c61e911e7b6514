//! The traits between the roles and the stores: where a role ends and what it talks to begins.
//!
//! A role (coordinator, worker, router) knows these traits over catalog types and nothing of what
//! stands behind: SQLite files of this process in embedded mode, other processes over gRPC in a
//! cluster. Nothing else belongs here.

mod clock;
mod error;
mod leaf;
mod ledger;
mod parts;
mod registry;
mod shard;
mod state;
mod transfer;

pub use clock::Clock;
pub use error::{Retry, StoreError};
pub use leaf::Leaf;
pub use ledger::Ledger;
pub use parts::{HomePart, KeysOf, ReportParts, ShardPart};
pub use registry::{Registry, SiteClaim, StudyClaim};
pub use shard::{History, ShardWriter, StoredName};
pub use state::{CHANGES_MAX, Change, Expect, StateStore, Swap, Versioned};
pub use transfer::{BLOCK_BYTES, Block, DIGEST_BYTES, Departure, Lengths, Sinks, StoreSink, StoreSource};
