//! The registry of another process.

use async_trait::async_trait;
use shardex_catalog::{ShardId, StoreId};
use shardex_proto::v1::{self, Writer};
use shardex_seams::{Registry, StoreError, StudyClaim};

use crate::peers::Caller;
use crate::shards::nonsense;

pub(crate) struct RemoteRegistry {
    pub(crate) caller: Caller,
    pub(crate) writer: Writer,
}

fn claim_out(claim: &StudyClaim) -> v1::StudyClaim {
    v1::StudyClaim {
        domain: claim.domain.to_string(),
        study_instance_uid: claim.study_instance_uid.to_string(),
        partition: claim.partition.label().to_owned(),
        site: claim.site.as_ref().map(|site| v1::SiteClaim {
            name: site.name.to_string(),
            sites_max: site.sites_max,
            other: site.other.label().to_owned(),
        }),
    }
}

#[async_trait]
impl Registry for RemoteRegistry {
    async fn claim(&self, claims: Vec<StudyClaim>) -> Result<Vec<ShardId>, StoreError> {
        let wanted = claims.len();
        let claims = claims.iter().map(claim_out).collect();
        let request = v1::ClaimRequest { writer: Some(self.writer), claims };
        let reply = self
            .caller
            .call(StoreId::Home, request, |mut client, request| {
                Box::pin(async move { client.claim(request).await })
            })
            .await?;
        let shards: Result<Vec<_>, _> = reply.shards.iter().map(|shard| ShardId::new(shard)).collect();
        let shards = shards.map_err(|_| nonsense())?;
        if shards.len() != wanted {
            return Err(nonsense());
        }
        // New shards get owners in one go, not one after the other when their rows come.
        let map = self.caller.locator.map();
        let mut new: Vec<_> =
            shards.iter().filter(|shard| !map.shards.contains_key(*shard)).cloned().collect();
        new.sort();
        new.dedup();
        if !new.is_empty() {
            self.caller.locate(new).await?;
        }
        Ok(shards)
    }
}
