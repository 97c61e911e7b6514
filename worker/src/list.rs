//! Listing one directory: names by what they are, of one hash range at a time.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, RawDir};
use shardex_catalog::{FileName, name_hash};

use crate::tree;

const BUFFER_BYTES: usize = 32 << 10;

/// What is done with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    File,
    Symlink,
    Special,
}

/// A complete listing of the names of some hash range.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Everything but directories, ascending by name.
    pub(crate) files: Vec<(FileName, Kind)>,
    /// Directories, ascending by name.
    pub(crate) directories: Vec<FileName>,
    /// Names of the whole directory, those of other ranges included.
    pub(crate) total: usize,
}

/// Lists a directory. Of a directory with more than `names_max` names, only those of pass 0 of
/// [`passes`] are returned; list it again for each further pass.
///
/// # Errors
/// Any error of any read: what was seen before it is no complete listing and is dropped.
pub(crate) fn list(directory: BorrowedFd<'_>, names_max: usize) -> io::Result<(Listing, u32)> {
    let first = list_pass(directory, 0, 0, names_max)?;
    let bits = pass_bits(first.total, names_max);
    if bits == 0 { Ok((first, 0)) } else { Ok((list_pass(directory, 0, bits, usize::MAX)?, bits)) }
}

/// Lists the names whose hash begins with the `bits` bits `pass`. Names beyond `keep_max` are
/// counted, not kept.
pub(crate) fn list_pass(
    directory: BorrowedFd<'_>,
    pass: u32,
    bits: u32,
    keep_max: usize,
) -> io::Result<Listing> {
    // A descriptor of its own, so that every listing starts at the beginning.
    let directory = tree::open_directory(directory, b"")?;
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
    let mut entries = RawDir::new(&directory, &mut buffer);
    let mut listing = Listing::default();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        listing.total += 1;
        if in_pass(name, pass, bits) && listing.files.len() + listing.directories.len() < keep_max {
            add(&mut listing, directory.as_fd(), name, entry.file_type())?;
        }
    }
    listing.files.sort_unstable();
    listing.directories.sort_unstable();
    Ok(listing)
}

/// How many leading bits of the hash cut a directory into passes of at most `names_max` names.
pub(crate) fn pass_bits(total: usize, names_max: usize) -> u32 {
    // Hashes spread unevenly: passes are planned a quarter below the bound.
    let room = (names_max - names_max / 4).max(1);
    total.div_ceil(room).next_power_of_two().ilog2() * u32::from(total > names_max)
}

fn in_pass(name: &[u8], pass: u32, bits: u32) -> bool {
    bits == 0 || name_hash(name) >> (32 - bits) == pass
}

fn add(listing: &mut Listing, directory: BorrowedFd<'_>, name: &[u8], file_type: FileType) -> io::Result<()> {
    let file_type = if file_type == FileType::Unknown {
        match tree::stat_name(directory, name) {
            Ok(stat) => FileType::from_raw_mode(stat.st_mode),
            // Gone since it was listed: as if it had not been.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
    } else {
        file_type
    };
    match file_type {
        FileType::Directory => listing.directories.push(FileName::new(name)),
        FileType::RegularFile => listing.files.push((FileName::new(name), Kind::File)),
        FileType::Symlink => listing.files.push((FileName::new(name), Kind::Symlink)),
        _ => listing.files.push((FileName::new(name), Kind::Special)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_stay_below_the_bound() {
        for (total, bits) in [(0, 0), (100, 0), (101, 1), (150, 1), (151, 2), (1_000_000, 14)] {
            assert_eq!(pass_bits(total, 100), bits, "{total}");
        }
    }

    #[test]
    fn passes_together_are_the_directory() {
        let folder = tempfile::tempdir().expect("a folder");
        for n in 0..300 {
            std::fs::write(folder.path().join(format!("f{n}")), "").expect("written");
        }
        std::fs::create_dir(folder.path().join("d")).expect("made");
        let directory = tree::open_root(folder.path()).expect("opened");
        let (first, bits) = list(directory.as_fd(), 100).expect("listed");
        assert_eq!((first.total, bits), (301, 3));
        let passes: Vec<_> = (0..1 << bits)
            .map(|pass| list_pass(directory.as_fd(), pass, bits, usize::MAX).expect("listed"))
            .collect();
        assert_eq!(passes.iter().map(|pass| pass.files.len()).sum::<usize>(), 300);
        assert_eq!(passes.iter().map(|pass| pass.directories.len()).sum::<usize>(), 1);
        assert!(passes.iter().all(|pass| pass.files.len() <= 100));
    }
}
