//! Before a walk: shards that were put back from an older copy, or lost.

use std::collections::{BTreeMap, HashMap};

use shardex_catalog::{DirectoryRange, Fence, FileName, LedgerChange, Operation, RowBatch, ShardId};
use shardex_seams::{History, Ledger, ShardWriter, StoreError};

use crate::error::Error;

/// Files that are compared at a time.
const PAGE: u32 = 4096;

/// What was found and mended.
#[derive(Clone, Debug, Default)]
pub struct HealReport {
    /// Shards that lacked batches which records rest on; their files are read again.
    pub rolled_back: Vec<ShardId>,
    /// Shards on which no record rests.
    pub unknown: Vec<ShardId>,
    /// Rows that were removed because the ledger does not know them.
    pub rows_removed: u64,
    /// Shards that cannot be read, with the reason.
    pub unreadable: Vec<(ShardId, String)>,
}

/// Who else writes meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Nobody does.
    Nobody,
    /// Units of jobs over other sources may: what they have sent and not recorded yet lies in directories with open marks.
    MayWrite,
}

/// Compares every shard with the ledger's positions. From a shard that was rolled back, rows are
/// removed that the ledger does not list there; the others it has lost are read again when their
/// directories are visited. Returns the histories of all shards.
///
/// # Errors
/// A store that fails for another reason than a damaged shard.
///
/// # Cancel safety
/// Safe to drop: it is done again by the next run.
pub async fn heal(
    shards: &dyn ShardWriter,
    ledger: &dyn Ledger,
    fence: Fence,
    others: Others,
) -> Result<(HashMap<ShardId, History>, HealReport), Error> {
    let mut report = HealReport::default();
    let mut histories = HashMap::new();
    for shard in shards.shards().await? {
        match shards.history(shard.clone()).await {
            Ok(history) => {
                histories.insert(shard, history);
            }
            Err(
                error @ (StoreError::Corrupt { .. } | StoreError::Unusable { .. } | StoreError::Newer { .. }),
            ) => {
                report.unreadable.push((shard, error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    for (shard, position) in ledger.positions().await? {
        let is_unreadable = report.unreadable.iter().any(|(unreadable, _)| *unreadable == shard);
        let is_kept = histories.get(&shard).is_some_and(|history| history.contains(position));
        if !is_kept && !is_unreadable && !report.rolled_back.contains(&shard) {
            report.rolled_back.push(shard);
        }
    }
    // A shard on which no record rests: rows of a run that recorded nothing, or a copy of a shard
    // that was emptied since. What is right of it is read again.
    let positions = ledger.positions().await?;
    let unknown = histories.keys().filter(|shard| !positions.iter().any(|(known, _)| known == *shard));
    report.unknown = unknown.cloned().collect();
    for shard in report.rolled_back.iter().chain(&report.unknown) {
        let removed = remove_unknown(shards, ledger, shard, fence, others).await?;
        report.rows_removed += removed.rows;
        if removed.has_open && report.unknown.contains(shard) {
            // Nothing is known of it until those are recorded who write to it: the next run looks again.
            continue;
        }
        // A batch of its own tells this copy of the shard from every other from now on.
        let exists = histories.get(shard).is_some_and(|history| !history.0.is_empty());
        let applied = if exists {
            let (directories, operations) = (Vec::new(), Vec::new());
            let batch = RowBatch { shard: shard.clone(), fence, directories, operations };
            let applied = shards.apply(batch).await?;
            shards.barrier(shard.clone()).await?;
            Some(applied)
        } else {
            None
        };
        let change = match applied {
            // What it lacks is still to be found, by the next run.
            Some(applied) if removed.has_open => LedgerChange::Position { shard: shard.clone(), applied },
            applied => LedgerChange::Healed { shard: shard.clone(), applied },
        };
        ledger.commit(vec![change]).await?;
    }
    Ok((histories, report))
}

/// What became of the rows of a shard that the ledger does not know.
struct Removed {
    rows: u64,
    /// Some stay, in directories with open marks: somebody is about to record them, or whoever visits the directory
    /// next finds them.
    has_open: bool,
}

/// Removes the rows of a shard that no live entry of the ledger rests on, and that nobody has sent who has not recorded
/// them yet.
async fn remove_unknown(
    shards: &dyn ShardWriter,
    ledger: &dyn Ledger,
    shard: &ShardId,
    fence: Fence,
    others: Others,
) -> Result<Removed, Error> {
    let mut removed = Removed { rows: 0, has_open: false };
    let mut after = None;
    loop {
        let files = shards.files_after(shard.clone(), after, PAGE).await?;
        let Some(last) = files.last().cloned() else { break };
        let mut by_directory: BTreeMap<_, Vec<FileName>> = BTreeMap::new();
        for file in files {
            by_directory.entry((file.source, file.directory)).or_default().push(file.name);
        }
        let mut batch =
            RowBatch { shard: shard.clone(), fence, directories: Vec::new(), operations: Vec::new() };
        for ((source, path), names) in by_directory {
            let range = DirectoryRange::whole(source, path);
            // Before the entries: what is not open any more is among them.
            let is_open = others == Others::MayWrite && ledger.is_open(&range)?;
            let known = ledger.shards_of(&range, &names)?;
            if is_open {
                removed.has_open |= known.iter().any(|known| known.as_ref() != Some(shard));
                continue;
            }
            let directory = u32::try_from(batch.directories.len()).expect("at most a page of directories");
            let unknown = names.into_iter().zip(known).filter(|(_, known)| known.as_ref() != Some(shard));
            batch.operations.extend(unknown.map(|(name, _)| Operation::Remove { directory, name }));
            batch.directories.push(range);
        }
        if !batch.operations.is_empty() {
            removed.rows += batch.operations.len() as u64;
            shards.apply(batch).await?;
            shards.barrier(shard.clone()).await?;
        }
        after = Some(last);
    }
    Ok(removed)
}
