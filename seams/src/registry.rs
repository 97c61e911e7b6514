//! The registry: which shard a study lives in, whole.

use async_trait::async_trait;
use shardex_catalog::{Domain, PartitionKey, ShardId, StudyKey};

use crate::StoreError;

/// A wish to know the shard of a study, with the partition that it gets if it is new.
#[derive(Clone, Debug)]
pub struct StudyClaim {
    /// The study.
    pub key: StudyKey,
    /// Its domain.
    pub domain: Domain,
    /// Its StudyInstanceUID.
    pub study_instance_uid: Box<str>,
    /// Where it goes if nobody has claimed it yet.
    pub partition: PartitionKey,
    /// Its institution, where not all institutions may have a partition of their own.
    pub site: Option<SiteClaim>,
}

/// An institution that takes one of the places that there are, or shares a partition with others.
#[derive(Clone, Debug)]
pub struct SiteClaim {
    /// Its normalised name.
    pub name: Box<str>,
    /// Institutions that may have partitions of their own; the first to come have them.
    pub sites_max: u32,
    /// Where the study goes if its institution is not among them.
    pub other: PartitionKey,
}

/// Maps every study to its one shard.
#[async_trait]
pub trait Registry: Send + Sync {
    /// The shards of these studies, in order; studies not yet known are claimed.
    ///
    /// When it returns, every claim is durable: rows may be sent.
    ///
    /// # Errors
    /// [`StoreError`] when the claims could not be made durable; none counts then.
    ///
    /// # Cancel safety
    /// Dropped, the claims may or may not have been made; asking again is harmless.
    async fn claim(&self, claims: Vec<StudyClaim>) -> Result<Vec<ShardId>, StoreError>;
}
