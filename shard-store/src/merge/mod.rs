//! The merge database: where rows pulled from shards become tables, and the user's own text runs.
//!
//! [`Analyser`] prepares a statement against all views, empty, and says what it reads;
//! [`MergeDatabase`] takes the rows of these columns and runs the text unchanged. Both are
//! sandboxed: read-only, without access to files, bounded in size, depth, time and disk. Nothing
//! here knows shards or where rows come from.

mod analyse;
mod authorize;
mod database;
mod disk;
mod error;
mod joins;
mod limits;
mod list;
mod loader;
mod names;
mod text;

pub use analyse::{Analyser, Analysis, Columns, ResultColumn};
pub(crate) use authorize::is_allowed_function;
pub use database::{MergeDatabase, StopCheck};
pub use error::Error;
pub use limits::Limits;
pub use list::{LIST_BYTES_MAX, LIST_ROWS_MAX, List};
pub use loader::Loader;
