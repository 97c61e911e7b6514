//! Opening directories and files below a root, never outside it and never through a link.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use shardex_catalog::FileStamp;

/// Longest path that one system call takes, with room for its NUL.
const PATH_PIECE_MAX: usize = 4000;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// Opens the root of a source. The root itself may be a link.
///
/// # Errors
/// Whatever the system says.
pub fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a directory by its path relative to a root; the path may be longer than PATH_MAX.
///
/// # Errors
/// Whatever the system says.
pub fn open_directory(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    if path.is_empty() {
        return Ok(fs::openat(root, c".", DIRECTORY, Mode::empty())?);
    }
    let mut open: Option<OwnedFd> = None;
    for piece in pieces(path) {
        let base = open.as_ref().map_or(root, AsFd::as_fd);
        open = Some(open_piece(base, piece)?);
    }
    open.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Opens a regular file by name; anything else is opened too, but without waiting or side effects.
///
/// # Errors
/// Whatever the system says.
pub fn open_file(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(fs::openat(directory, name, flags, Mode::empty())?)
}

/// Stat of a name in a directory, of a link itself if it is one.
///
/// # Errors
/// Whatever the system says.
pub fn stat_name(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<Stat> {
    Ok(fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Size and times of a stat.
pub fn stamp(stat: &Stat) -> FileStamp {
    let nanoseconds =
        |seconds: i64, nanoseconds: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds);
    FileStamp {
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime_ns: nanoseconds(stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        ctime_ns: nanoseconds(stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0)),
    }
}

fn open_piece(base: BorrowedFd<'_>, piece: &[u8]) -> io::Result<OwnedFd> {
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match fs::openat2(base, piece, DIRECTORY, Mode::empty(), beneath) {
        // Kernels before 5.6, and sandboxes that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => open_component_by_component(base, piece),
        result => Ok(result?),
    }
}

fn open_component_by_component(base: BorrowedFd<'_>, piece: &[u8]) -> io::Result<OwnedFd> {
    let mut open: Option<OwnedFd> = None;
    for component in piece.split(|byte| *byte == b'/') {
        let base = open.as_ref().map_or(base, AsFd::as_fd);
        open = Some(fs::openat(base, component, DIRECTORY, Mode::empty())?);
    }
    open.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// A path cut at slashes into pieces that a system call takes.
fn pieces(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = path;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if rest.len() <= PATH_PIECE_MAX {
            return Some(std::mem::take(&mut rest));
        }
        // A component is at most 255 bytes, so there is a slash to cut at.
        let at = rest[..PATH_PIECE_MAX].iter().rposition(|byte| *byte == b'/').unwrap_or(PATH_PIECE_MAX);
        let piece = &rest[..at];
        rest = rest.get(at + 1..).unwrap_or(&[]);
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_are_cut_at_slashes() {
        let path = vec!["x".repeat(250); 40].join("/");
        let cut: Vec<_> = pieces(path.as_bytes()).collect();
        assert!(cut.len() > 1 && cut.iter().all(|piece| piece.len() <= PATH_PIECE_MAX));
        assert_eq!(cut.join(&b'/'), path.as_bytes());
    }

    #[test]
    fn nothing_outside_the_root_is_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("root/in")).expect("made");
        std::fs::create_dir_all(folder.path().join("out")).expect("made");
        std::os::unix::fs::symlink(folder.path().join("out"), folder.path().join("root/link"))
            .expect("linked");
        let root = open_root(&folder.path().join("root")).expect("opened");
        assert!(open_directory(root.as_fd(), b"in").is_ok());
        assert!(open_directory(root.as_fd(), b"../out").is_err());
        assert!(open_directory(root.as_fd(), b"link").is_err());
    }
}
