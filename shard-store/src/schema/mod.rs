//! Schema of a shard: tables by level, views by table of attributes.

mod columns;
mod search;
mod tables;
mod views;

pub(crate) use columns::defined_view;
pub use columns::view_columns;
pub(crate) use search::{Statement, add_functions, is_own_function, search_select};
pub(crate) use tables::{SHARD, STORED_UID_COLUMN, level_columns, table_of_level};
pub(crate) use views::{has_files, leaf_select};
