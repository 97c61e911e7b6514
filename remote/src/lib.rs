//! The stores of other processes: the traits of `shardex-seams` over gRPC, both ends.
//!
//! [`StoreService`] lets others use the stores that this process owns, guarded by a [`Gate`]: leases,
//! and the sessions of units (`docs/adr/0002-cluster.md`). [`RemoteStores`] uses those of others.

mod absent;
mod gate;
mod leaf;
mod ledger;
mod local;
mod map;
mod parts;
mod peers;
mod registry;
mod report_parts;
mod service;
mod sessions;
mod shards;
mod status;
mod stores;
mod transfer;

pub use gate::{Gate, Still, Use};
pub use leaf::{LEDGER_FILES_WIDTH, LedgerFileRows, RemoteLeaf};
pub use local::LocalStores;
pub use map::{Locator, Map, MapSplit, StoreMove};
pub use peers::Peers;
pub use service::{OwnedStores, StoreService};
pub use stores::RemoteStores;
pub use transfer::StoreFetcher;

/// A channel to the stores of one worker.
type Client = shardex_proto::v1::store_client::StoreClient<shardex_daemon::net::Peer>;
