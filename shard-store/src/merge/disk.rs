//! Disk space that SQLite's temporary files take.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

/// Makes SQLite put its temporary files into a folder, from now on and for the whole process.
pub(super) fn use_folder(connection: &Connection, folder: &Path) {
    static IN_USE: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    if in_use.as_deref() == Some(folder) {
        return;
    }
    // A folder that cannot be written to, as that of an archive on read-only media, is refused by
    // SQLite; temporary files go where they would go without one then.
    let is_set = folder
        .to_str()
        .is_some_and(|folder| connection.pragma_update(None, "temp_store_directory", folder).is_ok());
    if is_set {
        *in_use = Some(folder.to_owned());
    }
}

/// Bytes on disk of all temporary SQLite files of this process, those of other statements
/// included. SQLite opens them without a name or unlinks them at once, so no folder shows them; the
/// open descriptors do.
///
/// 0 where descriptors cannot be listed: the bound on the merge tables themselves still holds.
pub(super) fn temporary_bytes() -> u64 {
    let Ok(descriptors) = fs::read_dir("/proc/self/fd") else { return 0 };
    descriptors
        .flatten()
        .filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| is_temporary(&target)))
        .filter_map(|entry| fs::metadata(entry.path()).ok())
        .map(|metadata| metadata.blocks() * 512)
        .sum()
}

/// Whether a descriptor's link shows a file that is SQLite's and nobody else's: without a name
/// (O_TMPFILE), or with SQLITE_TEMP_FILE_PREFIX of its sources.
fn is_temporary(link: &Path) -> bool {
    let name = link.file_name().unwrap_or_default().as_encoded_bytes();
    let Some(name) = name.strip_suffix(b" (deleted)") else { return false };
    name.starts_with(b"etilqs_")
        || name.strip_prefix(b"#").is_some_and(|number| number.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nameless_files_count() {
        for (link, expected) in [
            ("/var/tmp/#2162692 (deleted)", true),
            ("/tmp/etilqs_0a1b2c (deleted)", true),
            ("/tmp/etilqs_0a1b2c", false),
            ("/data/#12", false),
            ("/data/scan.dcm (deleted)", false),
            ("socket:[1234]", false),
        ] {
            assert_eq!(is_temporary(Path::new(link)), expected, "{link}");
        }
    }
}
