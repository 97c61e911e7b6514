//! How files come to their places, and marks to theirs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use shardex_catalog::{StoreFile, StoreId};
use shardex_seams::StoreError;

use crate::error::{io_error, label};
use crate::layout::Layout;
use crate::private;

/// Writes a small file, all of it or nothing, durably.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let new = beside(path, "-new");
    private::create_file(&new)?;
    fs::write(&new, text)?;
    File::open(&new)?.sync_all()?;
    fs::rename(&new, path)?;
    private::sync_parent(path)
}

pub(super) fn write_mark<M: serde::Serialize>(path: &Path, mark: &M) -> Result<(), StoreError> {
    let text = serde_json::to_string(mark).map_err(|error| StoreError::Query(error.to_string()))?;
    write_whole(path, &text).map_err(|error| io_error(path, &error))
}

/// `None` if it is not there.
pub(super) fn read_mark<M: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<M>, StoreError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, &error)),
    };
    let nonsense =
        |error: serde_json::Error| StoreError::Unusable { file: label(path), detail: error.to_string() };
    serde_json::from_str(&text).map(Some).map_err(nonsense)
}

/// Turns a mark into another one. Nothing happens if it is not there.
pub(super) fn rename_mark(layout: &Layout, store: &StoreId, old: &str, new: &str) -> Result<(), StoreError> {
    let (old, new) = (layout.moving_mark(store, old), layout.moving_mark(store, new));
    if !old.exists() {
        return Ok(());
    }
    let renamed = fs::rename(&old, &new).and_then(|()| private::sync_parent(&new));
    renamed.map_err(|error| io_error(&new, &error))
}

/// Puts a file that has come in the place of what is there. May be repeated after a crash. The log goes first: a log
/// without its file is nothing, a file without its log has lost rows.
pub(super) fn place_file(layout: &Layout, file: &StoreFile) -> io::Result<()> {
    let to = layout.file(file);
    if let Some(folder) = to.parent() {
        private::create_folder(folder)?;
    }
    let (main, log) = (layout.moving_file(file, "sqlite"), layout.moving_file(file, "sqlite-wal"));
    if log.exists() {
        remove(&to)?;
        remove(&beside(&to, "-shm"))?;
        fs::rename(&log, log_of(&to))?;
        private::sync_parent(&to)?;
    }
    if main.exists() {
        fs::rename(&main, &to)?;
        private::sync_parent(&to)?;
    }
    remove(&layout.moving_file(file, "sqlite-shm"))
}

/// Removes a database file with all that is beside it.
pub(super) fn remove_database(path: &Path) -> io::Result<()> {
    [PathBuf::from(path), log_of(path), beside(path, "-shm")].iter().try_for_each(|path| remove(path))
}

pub(crate) fn log_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
