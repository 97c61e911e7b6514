//! `bench-rows ARCHIVE ROWS SCHEME`: an archive of synthetic instances, given to the shard store directly. The same
//! rows whatever the scheme (`none`: 1 shard, `date:year`: 12, `institution,date:year`: 60,
//! `institution,date:quarter`: 240).

mod instances;

use std::collections::HashMap;
use std::error::Error;

use instances::{SERIES, SLICES};
use shardex_catalog::{
    DirectoryRange, Domain, Fence, Operation, PartitionInput, PartitionScheme, RelativePath, RowBatch, ShardId,
    SourceName, shard_of,
};
use shardex_seams::ShardWriter;
use shardex_shard_store::{Archive, ArchiveSettings, SourceRoots};

const BATCH_ROWS: usize = 5000;

fn shard(scheme: PartitionScheme, study: u64) -> ShardId {
    let (date, institution, domain) = (instances::date(study), instances::institution(study), Domain::default());
    let input = PartitionInput { domain: &domain, study_date: Some(&date), institution: Some(&institution) };
    shard_of(&scheme.partition(input))
}

/// Appends a study's rows to a batch; gives how many there were.
fn add_study(batch: &mut RowBatch, source: &SourceName, number: u64, most: u64) -> Result<u64, Box<dyn Error>> {
    let study = instances::study(number);
    let mut rows = 0;
    for series in 0..SERIES {
        let stack = instances::series(&study, number, series);
        let directory = u32::try_from(batch.directories.len())?;
        let path = format!("P{:08}/{number}/{series}", number / 2);
        batch.directories.push(DirectoryRange::whole(source.clone(), RelativePath::new(path.as_bytes())));
        for slice in (0..SLICES).take(usize::try_from(most - rows)?) {
            let row = instances::row(&stack, number * SERIES + series, slice);
            batch.operations.push(Operation::Upsert { directory, row });
            rows += 1;
        }
    }
    Ok(rows)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [path, rows, scheme] = &arguments[..] else { return Err("usage: bench-rows ARCHIVE ROWS SCHEME".into()) };
    let (rows, scheme): (u64, PartitionScheme) = (rows.parse()?, scheme.parse()?);
    let settings = ArchiveSettings { partition: Some(scheme), ..ArchiveSettings::default() };
    let archive = Archive::create_or_open(path.as_ref(), &settings)?;
    let source = SourceName::new("synthetic")?;
    let roots = SourceRoots::new([(source.clone(), b"/synthetic".to_vec())]);
    let pool = archive.shards(2, roots)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let empty = |shard: ShardId| RowBatch { shard, fence: Fence(1), directories: vec![], operations: vec![] };
    runtime.block_on(async {
        let mut waiting: HashMap<ShardId, RowBatch> = HashMap::new();
        let (mut left, mut study) = (rows, 0);
        while left > 0 {
            let shard = shard(scheme, study);
            let batch = waiting.entry(shard.clone()).or_insert_with(|| empty(shard.clone()));
            left -= add_study(batch, &source, study, left)?;
            study += 1;
            if batch.operations.len() >= BATCH_ROWS {
                pool.apply(std::mem::replace(batch, empty(shard))).await?;
            }
        }
        for (shard, batch) in waiting {
            if !batch.operations.is_empty() {
                pool.apply(batch).await?;
            }
            pool.barrier(shard).await?;
        }
        archive.truncate_logs(&pool).await?;
        Ok::<_, Box<dyn Error>>(())
    })?;
    println!("{{\"rows\": {rows}}}");
    Ok(())
}
