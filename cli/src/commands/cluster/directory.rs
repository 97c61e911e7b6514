//! The map of a cluster as this process knows it.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use shardex_catalog::ShardId;
use shardex_coordinator::cluster::Client;
use shardex_proto::v1::LocateRequest;
use shardex_remote::{Locator, Map};
use shardex_seams::StoreError;

/// Shards of one question to the leader.
const SHARDS_A_CALL: usize = 1000;
/// The version of a map before the first report. A cluster whose state was lost has one, too, so that it is no answer
/// that there are no shards.
const NOTHING_KNOWN: u64 = 0;

/// Keeps the newest map.
pub(super) struct Directory {
    client: Client,
    map: RwLock<Arc<Map>>,
}

impl Directory {
    pub(super) fn new(client: Client) -> Arc<Self> {
        Arc::new(Self { client, map: RwLock::default() })
    }

    /// Takes a map, if it is newer.
    pub(super) fn take(&self, map: Map) {
        let mut kept = self.map.write().unwrap_or_else(PoisonError::into_inner);
        if map.version >= kept.version {
            *kept = Arc::new(map);
        }
    }
}

#[async_trait]
impl Locator for Directory {
    fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn locate(&self, shards: &[ShardId]) -> Result<Arc<Map>, StoreError> {
        let wanted: Vec<_> = shards.iter().map(ShardId::to_string).collect();
        let mut pages: Vec<&[String]> = wanted.chunks(SHARDS_A_CALL).collect();
        if pages.is_empty() {
            pages.push(&[]);
        }
        for page in pages {
            let request = LocateRequest { shards: page.to_vec() };
            let map = self.client.locate(request).await.map_err(|error| StoreError::Away {
                store: "the map of the cluster".to_owned(),
                detail: error.to_string(),
            })?;
            self.take(Map::from_wire(&map));
        }
        let map = self.map();
        if map.version == NOTHING_KNOWN {
            return Err(StoreError::Away {
                store: "the map of the cluster".to_owned(),
                detail: "no worker with stores has reported to the coordinators yet".to_owned(),
            });
        }
        Ok(map)
    }
}
