//! The folder of an archive: who may use it, and where it lies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use shardex_seams::StateStore;

use super::ArchiveError;
use crate::layout::Layout;
use crate::private;
use crate::sqlite::SqliteSettings;
use crate::state::StateFile;

pub(crate) fn prepare_folder(path: &Path) -> Result<(), ArchiveError> {
    let failed = |source| not_writable(path, source);
    private::create_folder(path).map_err(failed)?;
    // What an interrupted creation leaves behind is not in the way.
    let known = ["lock", "shards", "ledger", "registry", "tmp", "jobs.sqlite", "archive.toml.new"];
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if !known.iter().any(|known| name.starts_with(known)) {
            return Err(ArchiveError::NotEmpty { path: path.to_owned() });
        }
    }
    Ok(())
}

pub(crate) fn lock(layout: &Layout) -> Result<File, ArchiveError> {
    lock_folder(layout.root(), &layout.lock())
}

/// Takes the lock of a folder; it ends with the file.
pub(crate) fn lock_folder(folder: &Path, path: &Path) -> Result<File, ArchiveError> {
    let failed = |source| not_writable(path, source);
    private::create_file(path).map_err(failed)?;
    let file = OpenOptions::new().write(true).mode(0o600).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ArchiveError::Locked { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn not_writable(path: &Path, source: std::io::Error) -> ArchiveError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            ArchiveError::NotWritable { path, source }
        }
        _ => ArchiveError::Io { path, source },
    }
}

/// The state of a coordinator that has a folder of its own.
pub struct StateFolder {
    state: Arc<StateFile>,
    /// Held, not read: the lock ends with it.
    _lock: File,
}

impl StateFolder {
    /// Opens the folder, or makes it. One process at a time.
    ///
    /// # Errors
    /// [`ArchiveError`] if it cannot be used.
    pub fn create_or_open(path: &Path) -> Result<Self, ArchiveError> {
        private::create_folder(path).map_err(|source| ArchiveError::Io { path: path.to_owned(), source })?;
        let lock = lock_folder(path, &path.join("lock"))?;
        let state = Arc::new(StateFile::open(&path.join("state.sqlite"))?);
        Ok(Self { state, _lock: lock })
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> Arc<dyn StateStore> {
        Arc::clone(&self.state) as Arc<dyn StateStore>
    }
}

pub(super) fn refuse_network(path: &Path, settings: &SqliteSettings) -> Result<(), ArchiveError> {
    if settings.exclusive {
        return Ok(());
    }
    let statistics = rustix::fs::statfs(path)
        .map_err(|error| ArchiveError::Io { path: path.to_owned(), source: error.into() })?;
    match network_file_system(statistics.f_type) {
        Some(file_system) => Err(ArchiveError::NetworkFileSystem { path: path.to_owned(), file_system }),
        None => Ok(()),
    }
}

/// Name of the file system with this magic number (statfs(2)), if other machines can write to it.
fn network_file_system(magic: i64) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS"),
        0x517B => Some("SMB"),
        0xFF53_4D42 | 0xFE53_4D42 => Some("CIFS"),
        0x0BD0_0BD0 => Some("Lustre"),
        0x00C3_6400 => Some("Ceph"),
        0x4750_4653 => Some("GPFS"),
        0x5346_414F => Some("AFS"),
        0x1983_0326 => Some("BeeGFS"),
        0x7461_636F => Some("OCFS2"),
        0x0116_1970 => Some("GFS2"),
        0x0102_1997 => Some("9p"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_magic() {
        assert_eq!(network_file_system(0x6969), Some("NFS"));
        assert_eq!(network_file_system(0xEF53), None, "ext4");
        assert_eq!(network_file_system(0x0102_1994), None, "tmpfs");
    }
}
