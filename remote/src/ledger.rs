//! The ledger of another process.

use async_trait::async_trait;
use shardex_catalog::{
    Applied, DirectoryRange, DirectoryRecord, Fence, FileName, LedgerChange, ShardId, SourceName, StoreId,
};
use shardex_proto::packed::{changes_out, range_in, range_out, record_in};
use shardex_proto::v1::{self, Writer};
use shardex_seams::{Ledger, StoreError};

use crate::gate::Store;
use crate::peers::Caller;
use crate::service::OwnedStores;
use crate::shards::{applied_in, names_out, nonsense};

/// Ranges of one question about records.
pub(crate) const RANGES_MAX: usize = 1000;

pub(crate) struct RemoteLedger {
    pub(crate) caller: Caller,
    pub(crate) writer: Writer,
}

fn ranges_in(reply: &v1::RangesReply) -> Result<Vec<DirectoryRange>, StoreError> {
    reply.ranges.iter().map(|range| range_in(range).map_err(|_| nonsense())).collect()
}

#[async_trait]
impl Ledger for RemoteLedger {
    fn record(&self, range: &DirectoryRange) -> Result<Option<DirectoryRecord>, StoreError> {
        Ok(self.records(std::slice::from_ref(range))?.pop().flatten())
    }

    fn records(&self, ranges: &[DirectoryRange]) -> Result<Vec<Option<DirectoryRecord>>, StoreError> {
        let local = self.caller.local.as_ref();
        if let Some((local, stores)) = local.and_then(|local| Some((local, local.read(Store::Home)?))) {
            return stores.ledger.records(ranges).map_err(|error| local.failed(&error));
        }
        let mut records = Vec::with_capacity(ranges.len());
        while records.len() < ranges.len() {
            let asked = &ranges[records.len()..];
            let asked = &asked[..asked.len().min(RANGES_MAX)];
            let request =
                v1::RecordsRequest { ranges: asked.iter().map(|range| range_out(range).into()).collect() };
            let reply = self.caller.call_blocking(StoreId::Home, request, |mut client, request| {
                Box::pin(async move { client.records(request).await })
            })?;
            if !(1..=asked.len()).contains(&reply.records.len()) {
                return Err(nonsense());
            }
            for sent in reply.records {
                let record = sent.record.map(|record| record_in(&record)).transpose();
                records.push(record.map_err(|_| nonsense())?);
            }
        }
        Ok(records)
    }

    fn shards_of(
        &self,
        range: &DirectoryRange,
        names: &[FileName],
    ) -> Result<Vec<Option<ShardId>>, StoreError> {
        let request = v1::NamesRequest {
            shard: String::new(),
            range: range_out(range).into(),
            names: names_out(names),
        };
        let reply = self.caller.call_blocking(StoreId::Home, request, |mut client, request| {
            Box::pin(async move { client.shards_of(request).await })
        })?;
        if reply.shards.len() != names.len() {
            return Err(nonsense());
        }
        let shard = |name: &String| match name.as_str() {
            "" => Ok(None),
            name => ShardId::new(name).map(Some).map_err(|_| nonsense()),
        };
        reply.shards.iter().map(shard).collect()
    }

    fn is_open(&self, range: &DirectoryRange) -> Result<bool, StoreError> {
        let request = v1::PackedRequest { range: range_out(range).into() };
        let reply = self.caller.call_blocking(StoreId::Home, request, |mut client, request| {
            Box::pin(async move { client.is_open(request).await })
        })?;
        Ok(reply.count > 0)
    }

    async fn open(&self, ranges: Vec<DirectoryRange>, fence: Fence) -> Result<(), StoreError> {
        debug_assert_eq!(fence.0, self.writer.fence, "a unit writes with its fence");
        let local = self.caller.local.as_ref();
        if let Some(write) = local.and_then(|local| local.write(self.writer, Store::Home)) {
            let open = |stores: OwnedStores| async move { stores.ledger.open(ranges, fence).await };
            return write.run(&self.caller.handle, open).await;
        }
        let ranges = ranges.iter().map(|range| range_out(range).into()).collect();
        let request = v1::OpenRequest { writer: Some(self.writer), ranges };
        self.caller
            .call(StoreId::Home, request, |mut client, request| {
                Box::pin(async move { client.open(request).await })
            })
            .await
            .map(|v1::Done {}| ())
    }

    async fn commit(&self, changes: Vec<LedgerChange>) -> Result<(), StoreError> {
        let local = self.caller.local.as_ref();
        if let Some(write) = local.and_then(|local| local.write(self.writer, Store::Home)) {
            let commit = |stores: OwnedStores| async move { stores.ledger.commit(changes).await };
            return write.run(&self.caller.handle, commit).await;
        }
        let request = v1::PackedWrite { writer: Some(self.writer), packed: changes_out(&changes).into() };
        drop(changes);
        self.caller
            .call(StoreId::Home, request, |mut client, request| {
                Box::pin(async move { client.commit(request).await })
            })
            .await
            .map(|v1::Done {}| ())
    }

    async fn open_before(
        &self,
        source: SourceName,
        fence: Fence,
        limit: u32,
    ) -> Result<Vec<DirectoryRange>, StoreError> {
        let request = v1::RangesRequest { source: source.to_string(), fence: fence.0, after: None, limit };
        ranges_in(
            &self
                .caller
                .call(StoreId::Home, request, |mut client, request| {
                    Box::pin(async move { client.open_before(request).await })
                })
                .await?,
        )
    }

    async fn with_missing(
        &self,
        source: SourceName,
        after: Option<DirectoryRange>,
        limit: u32,
    ) -> Result<Vec<DirectoryRange>, StoreError> {
        let after = after.map(|after| range_out(&after).into());
        let request = v1::RangesRequest { source: source.to_string(), fence: 0, after, limit };
        ranges_in(
            &self
                .caller
                .call(StoreId::Home, request, |mut client, request| {
                    Box::pin(async move { client.with_missing(request).await })
                })
                .await?,
        )
    }

    async fn present_and_missing(&self, source: SourceName) -> Result<(u64, u64), StoreError> {
        let request = v1::SourceRequest { source: source.to_string() };
        let reply = self
            .caller
            .call(StoreId::Home, request, |mut client, request| {
                Box::pin(async move { client.present_and_missing(request).await })
            })
            .await?;
        Ok((reply.present, reply.missing))
    }

    async fn positions(&self) -> Result<Vec<(ShardId, Applied)>, StoreError> {
        let reply = self
            .caller
            .call(StoreId::Home, v1::PositionsRequest {}, |mut client, request| {
                Box::pin(async move { client.positions(request).await })
            })
            .await?;
        let position = |position: v1::Position| {
            let shard = ShardId::new(&position.shard).map_err(|_| nonsense())?;
            Ok((shard, applied_in(position.applied.unwrap_or_default())))
        };
        reply.positions.into_iter().map(position).collect()
    }
}
