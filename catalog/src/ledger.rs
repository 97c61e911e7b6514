//! What the ledger knows of a directory: one entry for every name ever seen in it.

use crate::{
    Applied, DirectoryRange, FileKind, FileName, FileStamp, FileState, Incarnation, Reason, ShardId,
};

/// One file as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Name inside the directory.
    pub name: FileName,
    /// Size and times when it was read; zero for what was never opened.
    pub stamp: FileStamp,
    /// Its one state.
    pub state: FileState,
    /// What it is.
    pub kind: FileKind,
    /// Why it is quarantined or skipped.
    pub reason: Option<Reason>,
    /// The shard that holds its row; `Some` exactly for live states.
    pub shard: Option<ShardId>,
    /// It changed so shortly before it was read that a later change may have left the same stamp.
    pub racy: bool,
    /// It was not there in the last complete listing; it keeps its state, and its row if it has one,
    /// until deletions are carried out.
    pub missing: bool,
    /// For quarantined files: what was readable, and where reading broke, as a JSON object.
    pub detail: Option<Box<str>>,
}

/// What one shard must still contain for a record to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The shard.
    pub shard: ShardId,
    /// The last batch with rows of this directory.
    pub applied: Applied,
}

impl Claim {
    /// A claim that no shard meets: files that rest on it are read again. It takes the place of a
    /// claim that was found unmet, which must not be taken for met if an older copy of the shard
    /// that meets it comes back.
    #[must_use]
    pub fn unmet(shard: ShardId) -> Self {
        Self { shard, applied: Applied { incarnation: Incarnation(0), sequence: 0 } }
    }

    /// Whether it is one that no shard meets.
    #[must_use]
    pub fn is_unmet(&self) -> bool {
        self.applied.incarnation == Incarnation(0)
    }
}

/// What the ledger knows of one range of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryRecord {
    /// Version of the extraction that read the files; files read by another are read again.
    pub extract_version: u16,
    /// Files, ascending by name.
    pub entries: Vec<LedgerEntry>,
    /// Names of sub-directories, ascending.
    pub children: Vec<FileName>,
    /// One for each shard that holds a row of an entry.
    pub claims: Vec<Claim>,
}

/// One change of the ledger.
#[derive(Clone, Debug)]
pub enum LedgerChange {
    /// A range of a directory was read to the end: its record, and the end of its open mark.
    Replace {
        /// The range.
        range: DirectoryRange,
        /// Its record, which takes the place of all that was recorded for the range.
        record: DirectoryRecord,
        /// The open mark stays: some shard could not be asked for what an earlier run sent.
        keep_open: bool,
    },
    /// Some files of a directory were looked at: their entries take the place of those of the same
    /// names, children and claims are added; everything else stays.
    Merge {
        /// The whole directory.
        range: DirectoryRange,
        /// What is new.
        record: DirectoryRecord,
        /// The open mark stays: an earlier run left it, and nobody has compared the whole directory.
        keep_open: bool,
    },
    /// A directory could not be listed. Its record stays as it is.
    Unreadable {
        /// The whole directory.
        range: DirectoryRange,
        /// Why.
        reason: Reason,
    },
    /// A sub-directory is gone from a complete listing of its parent: every entry in the subtree
    /// that is not deleted becomes `missing`.
    Vanished {
        /// The whole directory.
        range: DirectoryRange,
    },
    /// Something rests on this batch of a shard.
    Position {
        /// The shard.
        shard: ShardId,
        /// The batch.
        applied: Applied,
    },
    /// A shard that had lost batches was made consistent with the ledger: of all its positions only
    /// this one counts. Claims of records stay, so that files are read again.
    Healed {
        /// The shard.
        shard: ShardId,
        /// The batch written for it, which no other copy of the shard has; `None` if there is no file.
        applied: Option<Applied>,
    },
}

/// Place of a name in the hash ranges of its directory: FNV-1a with a final avalanche.
#[must_use]
pub fn name_hash(name: &[u8]) -> u32 {
    let mut hash =
        name.iter().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85EB_CA6B);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xC2B2_AE35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_running_numbers_spread_evenly() {
        let mut buckets = [0_u32; 16];
        for n in 0..16_000 {
            buckets[(name_hash(format!("IM{n:06}.dcm").as_bytes()) >> 28) as usize] += 1;
        }
        assert!(buckets.iter().all(|count| (850..1150).contains(count)), "{buckets:?}");
    }
}
