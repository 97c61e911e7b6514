//! Stubs of a hierarchical storage manager: files whose content lies on tape, and whose opening would
//! bring it back. Pure.

use shardex_catalog::{FileStamp, FileState, LedgerEntry};

/// What to do about a file of a source that may hold stubs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stub {
    /// It is none: go on as with any file.
    None,
    /// It is one, and what is recorded still holds.
    Known,
    /// It is one, and its content is not known.
    Offline,
}

/// Tells a stub by its size and the blocks that it has on disk, which are none. Small files that a
/// file system keeps in its inodes look the same, so a source must be opted in.
///
/// `has_lost_row`: the shard that the entry rests on has lost it.
pub(crate) fn decide(known: Option<&LedgerEntry>, stamp: FileStamp, blocks: u64, has_lost_row: bool) -> Stub {
    if stamp.size == 0 || blocks > 0 {
        return Stub::None;
    }
    let Some(known) = known.filter(|known| !known.missing && !has_lost_row) else { return Stub::Offline };
    // Sending a file to tape touches its status change time, not what it holds.
    let is_same = known.stamp.size == stamp.size && known.stamp.mtime_ns == stamp.mtime_ns;
    match known.state {
        FileState::Deleted => Stub::Offline,
        _ if is_same => Stub::Known,
        _ => Stub::Offline,
    }
}

#[cfg(test)]
mod tests {
    use shardex_catalog::{FileKind, FileName};

    use super::*;

    const STAMP: FileStamp = FileStamp { size: 4096, mtime_ns: 2, ctime_ns: 3 };

    fn entry(state: FileState) -> LedgerEntry {
        LedgerEntry {
            name: FileName::new(b"x"),
            stamp: STAMP,
            state,
            kind: FileKind::Other,
            reason: None,
            shard: None,
            racy: false,
            missing: false,
            detail: None,
        }
    }

    #[test]
    fn a_file_with_content_is_no_stub() {
        for known in [None, Some(&entry(FileState::Offline)), Some(&entry(FileState::Indexed))] {
            assert_eq!(decide(known, STAMP, 8, false), Stub::None);
            assert_eq!(decide(known, FileStamp { size: 0, ..STAMP }, 0, false), Stub::None);
        }
    }

    #[test]
    fn what_is_known_of_a_stub_is_kept() {
        assert_eq!(decide(None, STAMP, 0, false), Stub::Offline);
        for state in [FileState::Indexed, FileState::Warning, FileState::NotDicom, FileState::Offline] {
            let known = entry(state);
            let sent_to_tape = FileStamp { ctime_ns: 9, ..STAMP };
            assert_eq!(decide(Some(&known), STAMP, 0, false), Stub::Known, "{state:?}");
            assert_eq!(decide(Some(&known), sent_to_tape, 0, false), Stub::Known, "{state:?}");
            for changed in [FileStamp { size: 9, ..STAMP }, FileStamp { mtime_ns: 9, ..STAMP }] {
                assert_eq!(decide(Some(&known), changed, 0, false), Stub::Offline, "{state:?}");
            }
        }
    }

    #[test]
    fn what_is_not_known_any_more_is_offline() {
        assert_eq!(decide(Some(&entry(FileState::Deleted)), STAMP, 0, false), Stub::Offline);
        assert_eq!(decide(Some(&entry(FileState::Indexed)), STAMP, 0, true), Stub::Offline);
        let missing = LedgerEntry { missing: true, ..entry(FileState::Indexed) };
        assert_eq!(decide(Some(&missing), STAMP, 0, false), Stub::Offline);
    }
}
