//! The record of a part from what was known and what was read. Pure.

use std::collections::{BTreeMap, BTreeSet};

use shardex_catalog::{Applied, Claim, DirectoryRecord, FileName, FileState, LedgerEntry, ShardId};

use crate::part::Part;

/// Entries of a part after its files were read, ascending by name: entries of before, with what was
/// read in their place, and those that are gone marked.
pub(crate) fn entries(part: &Part, read: Vec<LedgerEntry>) -> Vec<LedgerEntry> {
    let read = last_of_each(read);
    if part.previous.entries.is_empty() {
        return read;
    }
    let mut read = read.into_iter().peekable();
    let mut gone = part.gone.iter().peekable();
    let mut entries = Vec::with_capacity(part.previous.entries.len() + read.len());
    for (at, known) in (0_u32..).zip(&part.previous.entries) {
        let is_gone = gone.next_if(|next| **next == at).is_some();
        while let Some(entry) = read.next_if(|entry| entry.name < known.name) {
            entries.push(entry);
        }
        entries.push(match read.next_if(|entry| entry.name == known.name) {
            Some(entry) => entry,
            // It keeps its state and its row until deletions are carried out.
            None if is_gone => LedgerEntry { missing: true, ..known.clone() },
            None => known.clone(),
        });
    }
    entries.extend(read);
    entries
}

/// Entries ascending by name; of a file that was read twice, what was read last.
fn last_of_each(mut read: Vec<LedgerEntry>) -> Vec<LedgerEntry> {
    read.sort_by(|a, b| a.name.cmp(&b.name));
    read.dedup_by(|later, kept| {
        let is_again = later.name == kept.name;
        if is_again {
            std::mem::swap(later, kept);
        }
        is_again
    });
    read
}

/// The tombstone of an entry.
pub(crate) fn deleted(known: &LedgerEntry) -> LedgerEntry {
    LedgerEntry {
        state: FileState::Deleted,
        reason: None,
        detail: None,
        shard: None,
        missing: false,
        racy: false,
        ..known.clone()
    }
}

/// Rows that must go because their file's row lies elsewhere now, or nowhere: (shard, name). `entries`
/// are ascending by name.
pub(crate) fn obsolete_rows(part: &Part, entries: &[LedgerEntry]) -> Vec<(ShardId, FileName)> {
    let now = |name: &FileName| {
        let at = entries.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
        Some(entries[at].shard.as_ref())
    };
    let before = part.previous.entries.iter().filter_map(|entry| Some((entry.shard.as_ref()?, &entry.name)));
    let is_obsolete =
        |(shard, name): &(&ShardId, &FileName)| now(name).is_some_and(|now| now != Some(*shard));
    before.filter(is_obsolete).map(|(shard, name)| (shard.clone(), name.clone())).collect()
}

/// The record, with a claim on every shard that an entry rests on: the last batch of this run, or
/// what was claimed before. A claim of before that its shard in `dirty` does not meet becomes one
/// that no shard meets, and so does a missing one.
pub(crate) fn build(
    extract_version: u16,
    entries: Vec<LedgerEntry>,
    children: Vec<FileName>,
    before: &[Claim],
    dirty: &[ShardId],
    applied: &BTreeMap<ShardId, Applied>,
) -> DirectoryRecord {
    let rests_on: BTreeSet<&ShardId> = entries.iter().filter_map(|entry| entry.shard.as_ref()).collect();
    let claim = |shard: &ShardId| {
        if let Some(applied) = applied.get(shard) {
            return Claim { shard: shard.clone(), applied: *applied };
        }
        let known = before.iter().find(|claim| claim.shard == *shard && !dirty.contains(shard));
        known.cloned().unwrap_or_else(|| Claim::unmet(shard.clone()))
    };
    let claims = rests_on.into_iter().map(claim).collect();
    DirectoryRecord { extract_version, entries, children, claims }
}

/// Lets a record rest on the batches that removed rows from these shards, too. Where it rests on rows that its shard has
/// lost, these are still to be read, whatever was removed.
pub(crate) fn rest_on(
    record: &mut DirectoryRecord,
    shards: &BTreeSet<ShardId>,
    removed: &BTreeMap<ShardId, Applied>,
) {
    for shard in shards {
        let is_unmet = record.claims.iter().any(|claim| claim.shard == *shard && claim.is_unmet());
        if let Some(applied) = removed.get(shard).filter(|_| !is_unmet) {
            record.claims.retain(|claim| claim.shard != *shard);
            record.claims.push(Claim { shard: shard.clone(), applied: *applied });
        }
    }
}

#[cfg(test)]
mod tests {
    use shardex_catalog::{FileKind, FileStamp};

    use super::*;

    fn entry(name: &[u8], size: u64) -> LedgerEntry {
        LedgerEntry {
            name: FileName::new(name),
            stamp: FileStamp { size, ..FileStamp::default() },
            state: FileState::Indexed,
            kind: FileKind::Dicom,
            reason: None,
            shard: None,
            racy: false,
            missing: false,
            detail: None,
        }
    }

    #[test]
    fn a_removal_does_not_make_up_for_lost_rows() {
        let shard = |name: &str| ShardId::new(name).expect("an id");
        let claim = |name: &str, sequence| Claim {
            shard: shard(name),
            applied: Applied { incarnation: shardex_catalog::Incarnation(7), sequence },
        };
        let claims = vec![Claim::unmet(shard("p/0")), claim("p/1", 1)];
        let mut record = DirectoryRecord { claims, ..DirectoryRecord::default() };
        let removed = ["p/0", "p/1", "p/2"].map(|name| (shard(name), claim(name, 2).applied)).into();
        rest_on(&mut record, &["p/0", "p/1", "p/2", "p/3"].map(shard).into(), &removed);
        assert_eq!(record.claims, [Claim::unmet(shard("p/0")), claim("p/1", 2), claim("p/2", 2)]);
    }

    #[test]
    fn of_a_file_read_twice_the_last_counts() {
        let read = vec![entry(b"b", 1), entry(b"a", 2), entry(b"b", 3), entry(b"c", 4), entry(b"b", 5)];
        let kept: Vec<_> =
            last_of_each(read).into_iter().map(|entry| (entry.name, entry.stamp.size)).collect();
        let expected = [(&b"a"[..], 2), (b"b", 5), (b"c", 4)].map(|(name, size)| (FileName::new(name), size));
        assert_eq!(kept, expected);
    }
}
