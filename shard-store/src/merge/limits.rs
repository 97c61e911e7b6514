//! Bounds of the sandbox.

use std::path::PathBuf;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

/// Nested parentheses in a statement. SQLite's parser has no bound of its own for them, and what
/// walks its syntax tree later recurses.
pub(super) const PARENTHESES_MAX: usize = 200;

/// Bounds of one merge database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a statement's text.
    pub text_bytes_max: u32,
    /// Bytes of one value or row, intermediate ones included.
    pub value_bytes_max: u32,
    /// Bytes of page cache; rows beyond spill to temporary files.
    pub cache_bytes: u64,
    /// Bytes of temporary files, those of sorting and grouping included.
    pub disk_bytes_max: u64,
    /// Private folder for temporary files. SQLite knows one a process: the last one set serves all.
    /// Where it cannot be written to, and with `None`, the system's own is used; files have no name
    /// there, so that nobody can open them.
    pub temporary_folder: Option<PathBuf>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text_bytes_max: 1 << 20,
            value_bytes_max: 16 << 20,
            cache_bytes: 64 << 20,
            disk_bytes_max: 8 << 30,
            temporary_folder: None,
        }
    }
}

impl Limits {
    /// Puts the bounds of statements on a connection.
    pub(super) fn apply(&self, connection: &Connection) -> rusqlite::Result<()> {
        let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        for (limit, value) in [
            (Limit::SQLITE_LIMIT_LENGTH, int(self.value_bytes_max)),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, int(self.text_bytes_max)),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, 1000),
            (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 100),
            (Limit::SQLITE_LIMIT_FUNCTION_ARG, 100),
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
            (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
            (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 2000),
            (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 0),
            (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        ] {
            connection.set_limit(limit, value)?;
        }
        for (setting, value) in [
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
            // A misspelt column in double quotes must not silently become a text.
            (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
            (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        ] {
            connection.set_db_config(setting, value)?;
        }
        Ok(())
    }
}
