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
        report.rows_removed += remove_unknown(shards, ledger, shard, fence).await?;
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
        ledger.commit(vec![LedgerChange::Healed { shard: shard.clone(), applied }]).await?;
    }
    Ok((histories, report))
}

/// Removes the rows of a shard that no live entry of the ledger rests on.
async fn remove_unknown(
    shards: &dyn ShardWriter,
    ledger: &dyn Ledger,
    shard: &ShardId,
    fence: Fence,
) -> Result<u64, Error> {
    let mut removed = 0;
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
            let known = ledger.shards_of(&range, &names)?;
            let directory = u32::try_from(batch.directories.len()).expect("at most a page of directories");
            let unknown = names.into_iter().zip(known).filter(|(_, known)| known.as_ref() != Some(shard));
            batch.operations.extend(unknown.map(|(name, _)| Operation::Remove { directory, name }));
            batch.directories.push(range);
        }
        if !batch.operations.is_empty() {
            removed += batch.operations.len() as u64;
            shards.apply(batch).await?;
            shards.barrier(shard.clone()).await?;
        }
        after = Some(last);
    }
    Ok(removed)
}
