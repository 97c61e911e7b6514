//! A part of a directory, of at most a few thousand names: the unit that a ledger record covers.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use shardex_catalog::{
    DirectoryRange, DirectoryRecord, Domain, FileName, FileRow, FileState, LedgerEntry, ShardId, SourceName,
    name_hash,
};
use shardex_seams::History;

use crate::list::Kind;

/// Names that one record covers, about.
const NAMES_MAX: usize = 4096;

/// Files that are read as one piece of work.
const CHUNK_FILES: usize = 128;

/// Parts of a directory that are looked at together, in order of names: files that lie side by side are
/// often of one series, and then cost less.
pub(crate) const PARTS_TOGETHER: usize = 8;

/// A source as all threads know it.
#[derive(Debug)]
pub(crate) struct SourceContext {
    /// Place among the sources of the run.
    pub(crate) number: usize,
    pub(crate) name: SourceName,
    pub(crate) domain: Domain,
    pub(crate) path: PathBuf,
    pub(crate) root: OwnedFd,
    pub(crate) device: u64,
    /// An earlier run left open marks: directories must be looked up.
    pub(crate) has_open_marks: bool,
    /// Files without blocks on disk are not opened.
    pub(crate) skips_stubs: bool,
}

/// A listed part whose files are being read.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) number: u64,
    pub(crate) source: Arc<SourceContext>,
    pub(crate) range: DirectoryRange,
    /// What was recorded before.
    pub(crate) previous: DirectoryRecord,
    /// Shards that lost what the record rests on.
    pub(crate) dirty: Vec<ShardId>,
    /// Indices of recorded entries that are not in the listing, though they should be.
    pub(crate) gone: Vec<u32>,
    /// Sub-directories now, ascending.
    pub(crate) children: Vec<FileName>,
    /// An earlier run left it half-written.
    pub(crate) was_open: bool,
    /// Only some names were looked at: what is read is merged into the record.
    pub(crate) is_merged: bool,
    /// Something differs from the record, so that it must be written anew.
    pub(crate) has_changed: AtomicBool,
    /// Chunks that are not read yet.
    pub(crate) chunks_left: AtomicUsize,
}

/// A name to look at, with the index of its entry in the record.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) name: FileName,
    pub(crate) kind: Kind,
    pub(crate) known: Option<u32>,
    pub(crate) excluded: bool,
    /// Place of its part among those of the chunk.
    pub(crate) part: usize,
}

/// Neighbouring names of a directory, of one part or several.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Open while its files are read, and no longer: parts wait by the thousand for their rows.
    pub(crate) directory: Arc<OwnedFd>,
    pub(crate) parts: Arc<[Arc<Part>]>,
    /// The parts that count this chunk among those they wait for.
    pub(crate) touched: Vec<usize>,
    pub(crate) items: Vec<Item>,
}

impl Chunk {
    /// The part of an item.
    pub(crate) fn part(&self, item: &Item) -> &Arc<Part> {
        &self.parts[item.part]
    }
}

/// Cuts items into chunks of neighbouring names, and tells the parts how many to wait for. Every part
/// is in one chunk at least, so that its end is noticed.
pub(crate) fn chunks(directory: &Arc<OwnedFd>, parts: Arc<[Arc<Part>]>, mut items: Vec<Item>) -> Vec<Chunk> {
    if parts.len() > 1 {
        items.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    }
    let count = items.len().div_ceil(CHUNK_FILES).max(1);
    let mut chunks = Vec::with_capacity(count);
    let mut rest = items.into_iter();
    for at in 0..count {
        let items: Vec<Item> = rest.by_ref().take(CHUNK_FILES).collect();
        let mut touched: Vec<usize> = items.iter().map(|item| item.part).collect();
        if at == 0 {
            touched.extend(0..parts.len());
        }
        touched.sort_unstable();
        touched.dedup();
        for part in &touched {
            parts[*part].chunks_left.fetch_add(1, Ordering::Relaxed);
        }
        chunks.push(Chunk { directory: Arc::clone(directory), parts: Arc::clone(&parts), touched, items });
    }
    chunks
}

/// What became of a file that is not as recorded. A live entry has no shard until its row is routed.
#[derive(Debug)]
pub(crate) struct ReadFile {
    pub(crate) entry: LedgerEntry,
    pub(crate) row: Option<FileRow>,
}

/// Hash ranges that cut `names` names of a pass of a directory into parts.
pub(crate) fn part_ranges(range: &DirectoryRange, names: usize) -> Vec<DirectoryRange> {
    let parts = names.div_ceil(NAMES_MAX / 2).next_power_of_two() as u64;
    if names <= NAMES_MAX {
        return vec![range.clone()];
    }
    let from = u64::from(range.hash_from);
    let width = (u64::from(range.hash_to) + 1 - from) / parts;
    let low = |n: u64| u32::try_from(from + n * width).expect("inside a 32-bit range");
    let high = |n: u64| u32::try_from(from + (n + 1) * width - 1).expect("inside a 32-bit range");
    (0..parts).map(|n| DirectoryRange { hash_from: low(n), hash_to: high(n), ..range.clone() }).collect()
}

/// Which of equal ranges a name lies in.
pub(crate) fn part_of(ranges: &[DirectoryRange], name: &[u8]) -> usize {
    if ranges.len() == 1 {
        return 0;
    }
    let hash = name_hash(name);
    ranges.partition_point(|range| range.hash_to < hash).min(ranges.len() - 1)
}

/// Shards of a record's claims that do not hold what is claimed.
pub(crate) fn dirty_shards(record: &DirectoryRecord, histories: &HashMap<ShardId, History>) -> Vec<ShardId> {
    let is_kept = |claim: &&shardex_catalog::Claim| {
        !histories.get(&claim.shard).is_some_and(|history| history.contains(claim.applied))
    };
    record.claims.iter().filter(is_kept).map(|claim| claim.shard.clone()).collect()
}

/// Joins names with the entries of a record, both ascending. Returns the items, and the indices of
/// entries that should be in the listing and are not.
pub(crate) fn join(
    names: Vec<(FileName, Kind, bool)>,
    record: &DirectoryRecord,
    part: usize,
) -> (Vec<Item>, Vec<u32>) {
    let is_expected = |entry: &LedgerEntry| entry.state != FileState::Deleted && !entry.missing;
    let mut items = Vec::with_capacity(names.len());
    let mut gone = Vec::new();
    let mut entries = (0_u32..).zip(&record.entries).peekable();
    for (name, kind, excluded) in names {
        while let Some((at, entry)) = entries.next_if(|(_, entry)| entry.name < name) {
            gone.extend(is_expected(entry).then_some(at));
        }
        let known = entries.next_if(|(_, entry)| entry.name == name).map(|(at, _)| at);
        items.push(Item { name, kind, known, excluded, part });
    }
    gone.extend(entries.filter(|(_, entry)| is_expected(entry)).map(|(at, _)| at));
    (items, gone)
}

#[cfg(test)]
mod tests {
    use shardex_catalog::RelativePath;

    use super::*;

    #[test]
    fn ranges_cover_the_pass_without_overlap() {
        let whole = DirectoryRange::whole(SourceName::new("s").expect("a name"), RelativePath::default());
        for (range, names) in [
            (whole.clone(), 10),
            (whole.clone(), 5000),
            (DirectoryRange { hash_from: 1 << 31, ..whole.clone() }, 100_000),
        ] {
            let parts = part_ranges(&range, names);
            assert_eq!(parts.first().map(|part| part.hash_from), Some(range.hash_from));
            assert_eq!(parts.last().map(|part| part.hash_to), Some(range.hash_to));
            assert!(parts.windows(2).all(|two| two[0].hash_to + 1 == two[1].hash_from));
            for n in 0..200 {
                let name = format!("n{n}");
                if range.contains(name.as_bytes()) {
                    assert!(parts[part_of(&parts, name.as_bytes())].contains(name.as_bytes()));
                }
            }
        }
    }
}
