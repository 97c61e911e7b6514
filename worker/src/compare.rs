//! Whether a known file must be read again. Pure.

use shardex_catalog::{FileStamp, FileState, LedgerEntry};

/// A clock tick of the kernel, with room: two changes inside one leave the same stamp.
const TICK_NS: i64 = 20_000_000;
/// File systems without fractions of a second (FAT has two seconds).
const COARSE_TICK_NS: i64 = 2_000_000_000;

/// Whether a file with this stamp is what its entry says, so that it need not be opened.
///
/// `is_dirty`: the shard that the entry rests on has lost it.
pub(crate) fn is_unchanged(
    entry: &LedgerEntry,
    stamp: FileStamp,
    is_dirty: bool,
    retry_quarantined: bool,
) -> bool {
    let is_known = match entry.state {
        // Who asks has seen that it is a stub no longer, or wants it all the same.
        FileState::Deleted | FileState::Offline => false,
        FileState::Quarantined => !retry_quarantined,
        _ => true,
    };
    is_known && !entry.racy && !is_dirty && entry.stamp == stamp
}

/// Whether a file changed so shortly before it was read that a later change may leave its stamp.
pub(crate) fn is_racy(stamp: FileStamp, read_at_ns: i64) -> bool {
    let is_coarse = stamp.mtime_ns % 1_000_000_000 == 0 && stamp.ctime_ns % 1_000_000_000 == 0;
    let tick = if is_coarse { COARSE_TICK_NS } else { TICK_NS };
    // The status change time cannot be set by hand, so it alone tells when a file was touched last;
    // a modification time in the future, as copies from other machines have, says nothing.
    stamp.ctime_ns > read_at_ns.saturating_sub(tick)
}

#[cfg(test)]
mod tests {
    use shardex_catalog::{FileKind, FileName};

    use super::*;

    const STAMP: FileStamp = FileStamp { size: 1, mtime_ns: 2, ctime_ns: 3 };

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
    fn only_what_is_known_for_sure_is_not_read() {
        let known = entry(FileState::Indexed);
        assert!(is_unchanged(&known, STAMP, false, false));
        assert!(!is_unchanged(&known, STAMP, true, false));
        for stamp in [
            FileStamp { size: 9, ..STAMP },
            FileStamp { mtime_ns: 9, ..STAMP },
            FileStamp { ctime_ns: 9, ..STAMP },
        ] {
            assert!(!is_unchanged(&known, stamp, false, false), "{stamp:?}");
        }
        assert!(!is_unchanged(&LedgerEntry { racy: true, ..known }, STAMP, false, false));
        assert!(!is_unchanged(&entry(FileState::Deleted), STAMP, false, false));
        assert!(!is_unchanged(&entry(FileState::Offline), STAMP, false, false));
        assert!(is_unchanged(&entry(FileState::Quarantined), STAMP, false, false));
        assert!(!is_unchanged(&entry(FileState::Quarantined), STAMP, false, true));
    }

    #[test]
    fn a_file_is_racy_within_a_tick_of_its_reading() {
        let at = |ctime_ns| FileStamp { size: 1, mtime_ns: 5, ctime_ns };
        assert!(is_racy(at(1_000_000_001), 1_000_000_001 + TICK_NS - 1));
        assert!(!is_racy(at(1_000_000_001), 1_000_000_001 + TICK_NS));
        let coarse = FileStamp { size: 1, mtime_ns: 0, ctime_ns: 3_000_000_000 };
        assert!(is_racy(coarse, 4_900_000_000));
        assert!(!is_racy(coarse, 5_000_000_000));
    }
}
