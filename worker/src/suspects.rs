//! Files that may have killed the process that read them.
//!
//! After a run that died, the next one leaves a breadcrumb a reader: the file it is at. If it dies too,
//! the run after that knows the few files which may have been the cause. Each is read alone in a
//! child process, and only what happens to the child convicts it: a run that was killed from
//! outside leaves breadcrumbs of innocent files. Who is convicted stays so until a run has come to its end.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use shardex_catalog::{FileName, RelativePath, SourceName};

const PREFIX: &str = "reading-";
/// In the place of a reader's number.
const CONVICT: &str = "convict-";
/// Each of them costs every run a child process, as long as runs die.
const CONVICTS_MAX: usize = 1000;
/// Longest breadcrumb, bytes: a path and a name.
const BYTES_MAX: usize = 1 << 20;

/// What became of a child process that read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It ended by itself.
    Fine,
    /// It crashed.
    Crashed,
    /// It did not end in time.
    Hung,
}

/// Reads a file in a process of its own.
pub trait Probe: Send + Sync {
    /// Reads the file; waits `patience` at most, then kills the process.
    ///
    /// # Errors
    /// The process could not be started.
    fn probe(&self, file: &Path, patience: Duration) -> io::Result<Verdict>;
}

/// A file by where it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Suspect {
    /// Its source.
    pub source: SourceName,
    /// Its directory.
    pub directory: RelativePath,
    /// Its name.
    pub name: FileName,
}

impl Suspect {
    fn to_bytes(&self) -> Vec<u8> {
        let parts = [self.source.as_str().as_bytes(), self.directory.as_bytes(), self.name.as_bytes()];
        let body = parts.join(&0);
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        [&length.to_le_bytes()[..], &body].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (length, body) = bytes.split_first_chunk::<4>()?;
        let body = body.get(..u32::from_le_bytes(*length) as usize)?;
        // No path and no name holds a NUL.
        let mut parts = body.split(|byte| *byte == 0);
        let (source, directory, name) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            source: SourceName::new(std::str::from_utf8(source).ok()?).ok()?,
            directory: RelativePath::new(directory),
            name: FileName::new(name),
        })
    }

    /// Its path below the root of its source.
    pub(crate) fn path(&self, root: &Path) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        let path = self.directory.join(self.name.as_bytes());
        root.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
    }
}

/// Where one reader says which file it is at.
#[derive(Debug)]
pub(crate) struct Breadcrumb(File);

impl Breadcrumb {
    pub(crate) fn create(folder: &Path, reader: usize) -> io::Result<Self> {
        let path = folder.join(format!("{PREFIX}{reader}"));
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map(Self)
    }

    /// Leaves it. A process that is killed keeps what it wrote; a power cut convicts nobody.
    pub(crate) fn leave(&self, suspect: &Suspect) -> io::Result<()> {
        self.0.write_all_at(&suspect.to_bytes(), 0)
    }
}

/// Leaves word of files that were convicted: until what is to be said of them is recorded, a run that dies of another
/// one would forget them.
pub(crate) fn keep<'a>(folder: &Path, convicts: impl Iterator<Item = &'a Suspect>) -> io::Result<()> {
    for (number, convict) in convicts.take(CONVICTS_MAX).enumerate() {
        let path = folder.join(format!("{PREFIX}{CONVICT}{number}"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Breadcrumb(file).leave(convict)?;
    }
    Ok(())
}

/// The files that readers of an earlier run were at.
pub(crate) fn read(folder: &Path) -> io::Result<HashSet<Suspect>> {
    let mut suspects = HashSet::new();
    for path in breadcrumbs(folder)? {
        let file = File::open(path)?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, BYTES_MAX as u64), &mut bytes)?;
        suspects.extend(Suspect::from_bytes(&bytes));
    }
    Ok(suspects)
}

/// Removes all breadcrumbs.
pub(crate) fn clear(folder: &Path) -> io::Result<()> {
    breadcrumbs(folder)?.iter().try_for_each(std::fs::remove_file)
}

fn breadcrumbs(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_file_of_each_reader_is_suspect() {
        let folder = tempfile::tempdir().expect("a folder");
        let suspect = |name: &[u8]| Suspect {
            source: SourceName::new("s").expect("a name"),
            directory: RelativePath::new(b"a/\xFFb"),
            name: FileName::new(name),
        };
        let first = Breadcrumb::create(folder.path(), 0).expect("made");
        first.leave(&suspect(b"a long name.dcm")).expect("left");
        first.leave(&suspect(b"x")).expect("left");
        Breadcrumb::create(folder.path(), 1).expect("made");
        assert_eq!(read(folder.path()).expect("read"), HashSet::from([suspect(b"x")]));
        assert_eq!(suspect(b"x").path(Path::new("/r")).as_os_str().as_encoded_bytes(), b"/r/a/\xFFb/x");
        keep(folder.path(), [suspect(b"y"), suspect(b"z")].iter()).expect("kept");
        let all = HashSet::from([suspect(b"x"), suspect(b"y"), suspect(b"z")]);
        assert_eq!(read(folder.path()).expect("read"), all, "whatever readers leave");
        clear(folder.path()).expect("removed");
        assert!(read(folder.path()).expect("read").is_empty());
    }

    #[test]
    fn garbage_names_nobody() {
        for bytes in [&b""[..], b"abc", b"\xFF\xFF\xFF\xFFabc", b"\x02\0\0\0ab", b"\x05\0\0\0a b\0c"] {
            assert_eq!(Suspect::from_bytes(bytes), None, "{bytes:?}");
        }
    }
}
