//! Where a dry run works: nothing of it may stay, and an archive that is not there is not made.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// An archive for a run that writes nothing, beside the one that it stands for.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// `None` where there is an archive, or something else that an ingest would refuse.
    pub(super) fn instead_of(archive: &Path) -> anyhow::Result<Option<Self>> {
        let is_free = match std::fs::read_dir(archive) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if !is_free {
            return Ok(None);
        }
        let mut folder = archive.ancestors().skip(1).find(|path| path.exists()).unwrap_or(Path::new("."));
        if folder.as_os_str().is_empty() {
            folder = Path::new(".");
        }
        let name = archive.file_name().with_context(|| format!("`{}` names no folder", archive.display()))?;
        let mut scratch = std::ffi::OsString::from(".");
        scratch.push(name);
        scratch.push(".dry-run");
        Ok(Some(Self(folder.join(scratch))))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is empty; the next dry run takes it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
