//! Shards of other processes, written to.

use async_trait::async_trait;
use shardex_catalog::{
    Applied, DirectoryRange, Fence, FileName, Incarnation, RelativePath, RowBatch, ShardId, SourceName,
    StoreId,
};
use shardex_proto::packed::{BATCH_BYTES_MAX, batch_out, range_out};
use shardex_proto::v1::{self, Writer};
use shardex_seams::{History, ShardWriter, StoreError, StoredName};

use crate::gate::Store;
use crate::peers::Caller;
use crate::service::OwnedStores;

pub(crate) struct RemoteShards {
    pub(crate) caller: Caller,
    pub(crate) writer: Writer,
}

pub(crate) fn applied_in(applied: v1::Applied) -> Applied {
    Applied { incarnation: Incarnation(applied.incarnation), sequence: applied.sequence }
}

pub(crate) fn applied_out(applied: Applied) -> v1::Applied {
    v1::Applied { incarnation: applied.incarnation.0, sequence: applied.sequence }
}

/// A name or path that no file has.
pub(crate) fn nonsense() -> StoreError {
    StoreError::Query("a store's answer makes no sense: is it of another version?".to_owned())
}

pub(crate) fn name_in(name: &[u8]) -> Result<FileName, StoreError> {
    let fits = !name.is_empty() && !name.iter().any(|byte| matches!(byte, 0 | b'/'));
    if fits { Ok(FileName::new(name)) } else { Err(nonsense()) }
}

pub(crate) fn names_out(names: &[FileName]) -> Vec<shardex_proto::Bytes> {
    names.iter().map(|name| name.as_bytes().to_vec().into()).collect()
}

fn stored_in(file: v1::StoredFile) -> Result<StoredName, StoreError> {
    let source = SourceName::new(&file.source).map_err(|_| nonsense())?;
    if file.directory.starts_with(b"/") || file.directory.ends_with(b"/") {
        return Err(nonsense());
    }
    Ok(StoredName { source, directory: RelativePath::new(&file.directory), name: name_in(&file.name)? })
}

#[async_trait]
impl ShardWriter for RemoteShards {
    async fn apply(&self, batch: RowBatch) -> Result<Applied, StoreError> {
        let shard = batch.shard.clone();
        let local = self.caller.local.as_ref().filter(|_| batch.fence.0 == self.writer.fence);
        if let Some(write) = local.and_then(|local| local.write(self.writer, Store::Shard(&shard))) {
            let apply = |stores: OwnedStores| async move { stores.shards.apply(batch).await };
            return write.run(&self.caller.handle, apply).await;
        }
        let packed = tokio::task::spawn_blocking(move || batch_out(&batch)).await;
        let packed = packed.map_err(|_| StoreError::Closed)?;
        if packed.len() > BATCH_BYTES_MAX {
            let detail = "a batch of rows is longer than 32 MiB: write fewer rows at once".to_owned();
            return Err(StoreError::Unusable { file: shard.to_string(), detail });
        }
        let request = v1::PackedWrite { writer: Some(self.writer), packed: packed.into() };
        self.caller
            .call(StoreId::Shard(shard), request, |mut client, request| {
                Box::pin(async move { client.apply(request).await })
            })
            .await
            .map(applied_in)
    }

    async fn barrier(&self, shard: ShardId) -> Result<(), StoreError> {
        let request = v1::ShardWrite { writer: Some(self.writer), shard: shard.to_string() };
        self.caller
            .call(StoreId::Shard(shard), request, |mut client, request| {
                Box::pin(async move { client.barrier(request).await })
            })
            .await
            .map(|v1::Done {}| ())
    }

    async fn shards(&self) -> Result<Vec<ShardId>, StoreError> {
        let map = self.caller.locate(Vec::new()).await?;
        let mut shards: Vec<_> = map.shards.keys().cloned().collect();
        shards.sort();
        Ok(shards)
    }

    async fn history(&self, shard: ShardId) -> Result<History, StoreError> {
        let request = v1::ShardRequest { shard: shard.to_string() };
        let reply = self
            .caller
            .call(StoreId::Shard(shard), request, |mut client, request| {
                Box::pin(async move { client.history(request).await })
            })
            .await?;
        Ok(History(
            reply.lives.into_iter().map(applied_in).map(|life| (life.incarnation, life.sequence)).collect(),
        ))
    }

    async fn names(&self, shard: ShardId, range: DirectoryRange) -> Result<Vec<FileName>, StoreError> {
        let range = range_out(&range).into();
        let request = v1::NamesRequest { shard: shard.to_string(), range, names: Vec::new() };
        let reply = self
            .caller
            .call(StoreId::Shard(shard), request, |mut client, request| {
                Box::pin(async move { client.names(request).await })
            })
            .await?;
        reply.names.iter().map(|name| name_in(name)).collect()
    }

    async fn files_after(
        &self,
        shard: ShardId,
        after: Option<StoredName>,
        limit: u32,
    ) -> Result<Vec<StoredName>, StoreError> {
        let after = after.map(|after| v1::StoredFile {
            source: after.source.to_string(),
            directory: after.directory.as_bytes().to_vec().into(),
            name: after.name.as_bytes().to_vec().into(),
        });
        let request = v1::FilesAfterRequest { shard: shard.to_string(), after, limit };
        let reply = self
            .caller
            .call(StoreId::Shard(shard), request, |mut client, request| {
                Box::pin(async move { client.files_after(request).await })
            })
            .await?;
        reply.files.into_iter().map(stored_in).collect()
    }

    async fn moved(
        &self,
        shard: ShardId,
        range: DirectoryRange,
        names: Vec<FileName>,
        since: Fence,
    ) -> Result<u64, StoreError> {
        let request = v1::MovedRequest {
            shard: shard.to_string(),
            range: range_out(&range).into(),
            names: names_out(&names),
            since: since.0,
        };
        self.caller
            .call(StoreId::Shard(shard), request, |mut client, request| {
                Box::pin(async move { client.moved(request).await })
            })
            .await
            .map(|reply| reply.count)
    }
}
