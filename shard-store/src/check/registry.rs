//! Every study of a shard is claimed for that shard.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rusqlite::Connection;
use shardex_catalog::{Domain, ShardId, StudyKey};
use shardex_seams::StoreError;

use super::{CACHE_BYTES, Finding, Kind, Watch, refused, settle, stop_on};
use crate::archive::ReadArchive;
use crate::registry::{REGISTRY, find};
use crate::sqlite;

impl ReadArchive {
    /// Checks the registry against the shards. Advances by shards. A claim without files is no
    /// finding: the registry claims before rows come, and keeps claims when they go.
    ///
    /// # Errors
    /// [`StoreError`] if folders cannot be listed, or if it was cancelled.
    pub fn check_registry(&self, cancel: &Arc<AtomicBool>, watch: &mut dyn Watch) -> Result<(), StoreError> {
        let path = self.layout().registry();
        let registry = match sqlite::open_reader(&path, &REGISTRY, CACHE_BYTES) {
            Ok(Some(registry)) => registry,
            Ok(None) => return Ok(()),
            Err(error) => {
                watch.found(refused("registry", &error));
                return Ok(());
            }
        };
        for shard in self.shards()? {
            if let Some(mut connection) = self.checked_shard(&shard, watch) {
                let result = stop_on(&mut connection, cancel)
                    .and_then(|()| compare(&connection, &registry, &shard, watch));
                settle(result, &shard, &self.layout().shard(&shard), watch)?;
            }
            watch.advance(1);
        }
        Ok(())
    }
}

fn compare(
    connection: &Connection,
    registry: &Connection,
    shard: &ShardId,
    watch: &mut dyn Watch,
) -> rusqlite::Result<()> {
    let mut statement = connection
        .prepare("SELECT DISTINCT domain, \"StudyInstanceUID\" FROM study_header WHERE n_files > 0")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let uid = row.get_ref(1)?.as_str().unwrap_or_default();
        let Ok(domain) = Domain::new(row.get_ref(0)?.as_str().unwrap_or_default()) else { continue };
        match find(registry, StudyKey::new(&domain, uid))? {
            Some(claimed) if claimed == *shard => {}
            Some(claimed) => {
                let detail = format!("study {uid} is claimed for shard {claimed}");
                watch.found(Finding::at(Kind::ClaimedElsewhere, shard, detail));
            }
            None => watch.found(Finding::at(Kind::Unclaimed, shard, format!("study {uid}"))),
        }
    }
    Ok(())
}
