//! SQLite's errors in the words of the seams.

use std::path::Path;

use rusqlite::{ErrorCode, ffi};
use shardex_seams::StoreError;

/// The error of a statement on a file of the archive.
pub(crate) fn store_error(file: &Path, error: rusqlite::Error) -> StoreError {
    let file = label(file);
    match &error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                StoreError::Corrupt { file, detail: error.to_string() }
            }
            ErrorCode::DiskFull => StoreError::Full { file },
            // What a reader meets on a full disk: it cannot make the index of a log that is there.
            _ if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE => StoreError::Full { file },
            ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => {
                StoreError::Unusable { file, detail: format!("{error} (code {})", failure.extended_code) }
            }
            _ => StoreError::Unusable { file, detail: error.to_string() },
        },
        _ => StoreError::Unusable { file, detail: error.to_string() },
    }
}

/// The error of a system call on a file of the archive.
pub(crate) fn io_error(file: &Path, error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            StoreError::Full { file: label(file) }
        }
        _ => StoreError::Unusable { file: label(file), detail: error.to_string() },
    }
}

/// The part of a path that names a file inside the archive, or a folder of snapshots: safe to log, enough to find it.
pub(crate) fn label(file: &Path) -> String {
    let parts: Vec<_> = file.components().rev().take(4).collect();
    let parts = parts.into_iter().rev().map(|part| part.as_os_str().to_string_lossy());
    let mut label = parts.collect::<Vec<_>>();
    if let Some(at) = label.iter().rposition(|part| matches!(&**part, "shards" | "ledger" | "registry")) {
        label.drain(..at);
    } else {
        label.drain(..label.len().saturating_sub(1));
    }
    label.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_name_files_inside_the_archive_only() {
        for (path, expected) in [
            ("/data/x/archive/shards/2019-ab/0.sqlite", "shards/2019-ab/0.sqlite"),
            ("/data/x/archive/ledger/0.sqlite", "ledger/0.sqlite"),
            ("/data/x/archive/jobs.sqlite", "jobs.sqlite"),
            ("/data/snapshots/shards/2019-ab/0/new", "shards/2019-ab/0/new"),
            ("/shards/archive/ledger/0.sqlite", "ledger/0.sqlite"),
        ] {
            assert_eq!(label(Path::new(path)), expected);
        }
    }
}
