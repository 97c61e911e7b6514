//! Why a statement could not be analysed or run.

use rusqlite::ErrorCode;

/// A statement was refused, stopped or failed. Texts are for the one who asked: they quote the
/// statement and must not be logged.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// It is not one statement that only reads the views, or it does not fit them.
    #[error("{0}")]
    Refused(String),
    /// The stop check said so while it ran.
    #[error("the statement was stopped")]
    Stopped,
    /// Rows and intermediate results need more disk space than allowed.
    #[error("the statement needs more than {bytes_max} bytes of temporary space")]
    Full {
        /// The limit.
        bytes_max: u64,
    },
    /// It failed while it ran: a value too large, a number out of range.
    #[error("{0}")]
    Failed(String),
}

/// The message of SQLite alone: rusqlite's own text would repeat the statement.
pub(super) fn message(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}

/// The error of a statement that was running, or of rows being inserted.
pub(super) fn running(error: &rusqlite::Error, bytes_max: u64, is_disk_full: bool) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) if is_disk_full => Error::Full { bytes_max },
        Some(ErrorCode::OperationInterrupted) => Error::Stopped,
        Some(ErrorCode::DiskFull) => Error::Full { bytes_max },
        _ => Error::Failed(message(error)),
    }
}
