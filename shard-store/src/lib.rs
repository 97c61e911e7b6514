//! The SQLite files of an archive, and the only crate that knows SQLite.
//!
//! A *shard* holds the rows of the studies of one partition; the *ledger* holds what is known of
//! every path seen; the *registry* says which shard a study lives in; *state* holds the embedded
//! coordinator's jobs and sources. The traits of `shardex-seams` are implemented here for files of
//! this process. Nothing here knows how files are walked, read or planned for.

mod account;
mod archive;
pub mod check;
mod error;
mod history;
mod layout;
mod leaf;
mod ledger;
pub mod maintain;
mod manifest;
mod membership;
pub mod merge;
mod moving;
pub mod overview;
mod packed;
mod pool;
mod private;
mod rebuild;
mod registry;
mod schema;
mod shard;
pub mod snapshot;
mod split;
mod sqlite;
mod state;
mod template;
mod thread;

pub use archive::{Archive, ArchiveError, ArchiveSettings, ReadArchive, SourceRoots, StateFolder};
pub use leaf::LeafPool;
pub use ledger::{LedgerFile, LedgerReader, LedgerRow};
pub use manifest::{placement_from_text, placement_to_text};
pub use membership::{Membership, is_workers};
pub use moving::{ArrivedStore, Moving};
pub use pool::ShardPool;
pub use rebuild::Healed;
pub use registry::RegistryFile;
pub use schema::view_columns;
pub use split::{Built, Contents, SplitMark, Splitting};
pub use sqlite::{SqliteSettings, Synchronous};
pub use state::{StateFile, StateReader};
