//! The splits of an archive that serves meanwhile.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shardex_catalog::{ShardId, ShardSplit};
use shardex_seams::StoreError;

use super::{Built, Stage, build, decided, place};
use crate::account;
use crate::archive::Archive;
use crate::layout::Layout;
use crate::leaf::LeafPool;
use crate::moving::Moving;
use crate::pool::ShardPool;
use crate::sqlite::SqliteSettings;

/// The shards of an archive that are split while it serves. Who decides when is told by nobody here.
pub struct Splitting {
    layout: Layout,
    settings: SqliteSettings,
    pool: Arc<ShardPool>,
    leaves: Arc<LeafPool>,
    moving: Arc<Moving>,
}

/// A split of which there are files here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitMark {
    /// What is split.
    pub split: ShardSplit,
    /// The order that it was made for.
    pub number: u64,
    /// Whether the halves will be in their places, whatever comes; else they wait beside the shard.
    pub is_decided: bool,
    /// Whether they are there.
    pub is_placed: bool,
}

impl Splitting {
    /// The shards of an archive that this process writes and reads by these.
    #[must_use]
    pub fn new(archive: &Archive, pool: Arc<ShardPool>, leaves: Arc<LeafPool>, moving: Arc<Moving>) -> Self {
        let (layout, settings) = (archive.layout().clone(), archive.sqlite_settings().clone());
        Self { layout, settings, pool, leaves, moving }
    }

    /// What was made and is not ended.
    ///
    /// # Errors
    /// [`StoreError`] if the marks cannot be read.
    pub fn marks(&self) -> Result<Vec<SplitMark>, StoreError> {
        let mark = |(from, stage, built): (ShardId, Stage, Built)| {
            Ok(SplitMark {
                split: place::split_of(&self.layout, &from, &built)?,
                number: built.number,
                is_decided: stage != Stage::Built,
                is_placed: stage == Stage::Placed,
            })
        };
        place::marks(&self.layout)?.into_iter().map(mark).collect()
    }

    /// Makes both halves of a shard that nobody writes and that [`Splitting::close`] has closed. Blocks the thread.
    ///
    /// # Errors
    /// [`StoreError`]; the shard is as it was.
    pub fn build(&self, split: &ShardSplit, number: u64) -> Result<(), StoreError> {
        build(&self.layout, &self.settings, split, number, &Arc::new(AtomicBool::new(false))).map(drop)
    }

    /// Closes a shard's writer; it is opened again by the next write.
    ///
    /// # Errors
    /// [`StoreError`] if what was applied cannot be made durable.
    pub async fn close(&self, shard: &ShardId) -> Result<(), StoreError> {
        self.pool.close(shard.clone()).await
    }

    /// Puts the halves in their places, for good. Nobody may read either shard meanwhile. May be repeated after a crash.
    ///
    /// # Errors
    /// [`StoreError`]; it is to be tried again.
    pub async fn place(&self, shard: &ShardId) -> Result<(), StoreError> {
        let marks = place::marks(&self.layout)?;
        let Some((_, stage, built)) = marks.into_iter().find(|(from, ..)| from == shard) else {
            return Ok(());
        };
        let split = place::split_of(&self.layout, shard, &built)?;
        self.pool.close(shard.clone()).await?;
        if stage == Stage::Built {
            decided(&self.layout, shard)?;
        }
        if stage != Stage::Placed {
            place::place(&self.layout, shard, &built)?;
        }
        for half in [&split.from, &split.to] {
            self.leaves.forget(half);
            self.moving.forget(&half.into());
            self.pool.move_root_of(half.clone()).await?;
            self.pool.close(half.clone()).await?;
        }
        let layout = self.layout.clone();
        let renewed = tokio::task::spawn_blocking(move || {
            account::renew(&layout, &[split.from, split.to]);
        });
        renewed.await.map_err(|_| StoreError::Closed)
    }

    /// Removes the halves of a split that will not be.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be removed.
    pub fn discard(&self, shard: &ShardId) -> Result<(), StoreError> {
        place::discard(&self.layout, shard)
    }

    /// Ends a split whose halves are in their places, and of which ledger and registry know.
    ///
    /// # Errors
    /// [`StoreError`] if its mark cannot be removed.
    pub fn end(&self, shard: &ShardId) -> Result<(), StoreError> {
        place::end(&self.layout, shard)
    }
}
