//! Splits a shard: two files are made of one beside it, and then put in its place.
//!
//! `splitting/` in the archive's folder holds `<partition>~<bucket>.stays.sqlite` and `….goes.sqlite` of a shard that is
//! split, and one mark, which is renamed as the split gets on: `….built` says that both files are whole and durable,
//! `….decided` that they will be put in the place of the one, `….placed` that they are there, and that ledger and
//! registry may still name the old shard for what has gone. Without a mark the files are nothing.
//! `docs/adr/0003-splitting.md` says why this loses nothing.

mod copy;
mod place;
mod relabel;
mod splitting;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use shardex_catalog::{KeyPrefix, ShardId, ShardSplit};
use shardex_seams::StoreError;

use crate::archive::{Archive, size_with_log};
use crate::error::{io_error, label, store_error};
use crate::layout::Layout;
use crate::schema::SHARD;
use crate::sqlite::{self, SqliteSettings};
use crate::{account, history};
pub use copy::Contents;
use copy::Half;
pub(crate) use place::{decided, has_unplaced};
pub use splitting::{SplitMark, Splitting};

/// How far a split has got, as its mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Built,
    Decided,
    Placed,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Built, Self::Decided, Self::Placed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Decided => "decided",
            Self::Placed => "placed",
        }
    }
}

/// What was split, and into what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The order that it was built for.
    pub number: u64,
    to: String,
    moved: String,
    /// What stays.
    pub stays: Contents,
    /// What goes to the new shard.
    pub goes: Contents,
}

impl Built {
    /// What is split, of the shard whose mark this is. `None` for a mark that makes no sense.
    #[must_use]
    pub fn split(&self, from: &ShardId) -> Option<ShardSplit> {
        let (to, moved) = (ShardId::new(&self.to).ok()?, KeyPrefix::new(&self.moved)?);
        Some(ShardSplit { from: from.clone(), to, moved })
    }
}

/// Makes the two files of a split, durably, with a mark. Nobody may write to the shard meanwhile. What an earlier try
/// left is removed first.
///
/// # Errors
/// [`StoreError`] if there is too little space, if a copy cannot be made or does not add up, or if it was cancelled; the
/// shard is as it was.
pub(crate) fn build(
    layout: &Layout,
    settings: &SqliteSettings,
    split: &ShardSplit,
    number: u64,
    cancel: &Arc<AtomicBool>,
) -> Result<Built, StoreError> {
    let path = layout.shard(&split.from);
    place::discard(layout, &split.from)?;
    if !path.exists() {
        return Err(StoreError::Query(format!("there is no shard `{}` here", split.from)));
    }
    if layout.shard(&split.to).exists() {
        return Err(StoreError::Query(format!("shard `{}` exists already", split.to)));
    }
    needs_space(&path)?;
    // Brings it to the schema of the copies.
    drop(sqlite::open_writer(&path, &SHARD, settings, copy::CACHE_BYTES)?);
    let before = copy::contents_of(&path)?;
    if before.studies < 2 {
        let detail =
            format!("shard `{}` holds {} studies, and a study is never split", split.from, before.studies);
        return Err(StoreError::Query(detail));
    }
    let lives = lives(&path)?;
    let make = |half: Half| copy::make(layout, settings, split, half, cancel);
    let (stays, goes) = (make(Half::Stays)?, make(Half::Goes)?);
    if stays.clone() + goes.clone() != before || lives != self::lives(&path)? {
        let detail =
            "its halves do not add up to it: somebody wrote to it, or it is damaged; `shardex verify` tells";
        return Err(StoreError::Unusable { file: label(&path), detail: detail.into() });
    }
    let built = Built { number, to: split.to.to_string(), moved: split.moved.to_string(), stays, goes };
    place::mark(layout, &split.from, &built)?;
    Ok(built)
}

fn lives(path: &Path) -> Result<shardex_seams::History, StoreError> {
    match sqlite::open_tidy_reader(path, &SHARD)? {
        Some(connection) => history::read(&connection).map_err(|error| store_error(path, error)),
        None => Ok(shardex_seams::History::default()),
    }
}

/// Both halves together are about as large as the whole; pages fill less well where rows come in another order.
fn needs_space(path: &Path) -> Result<(), StoreError> {
    let needed = size_with_log(path).saturating_mul(3) / 2;
    let system = rustix::fs::statvfs(path).map_err(|error| io_error(path, &error.into()))?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    if free < needed {
        let detail =
            format!("to split it needs {needed} bytes free on its disk, there are {free}: free some");
        return Err(StoreError::Unusable { file: label(path), detail });
    }
    Ok(())
}

/// Puts the files of decided splits in their places: what was interrupted, before anything else is read.
pub(crate) fn place_decided(layout: &Layout) -> Result<(), StoreError> {
    for (from, stage, built) in place::marks(layout)? {
        if stage == Stage::Decided {
            place::place(layout, &from, &built)?;
        }
    }
    Ok(())
}

/// Lets ledger and registry name the new shards of splits that are in place, and ends these. Redone from its beginning
/// as often as it is interrupted.
pub(crate) fn relabel_placed(layout: &Layout, settings: &SqliteSettings) -> Result<(), StoreError> {
    for (from, stage, built) in place::marks(layout)? {
        if stage != Stage::Placed {
            continue;
        }
        let split = place::split_of(layout, &from, &built)?;
        relabel::relabel(layout, settings, &split)?;
        place::end(layout, &from)?;
    }
    Ok(())
}

impl Archive {
    /// Splits a shard in two, and takes the archive with it: what it has read of its files is not true afterwards.
    ///
    /// # Errors
    /// [`StoreError`]. Before the split is decided the archive is as it was; after that the next opening for writing
    /// carries on.
    pub fn split(self, shard: &ShardId, cancel: &Arc<AtomicBool>) -> Result<(ShardSplit, Built), StoreError> {
        let layout = self.layout().clone();
        let settings = self.sqlite_settings().clone();
        let _lock = self.into_lock();
        let shards = layout.list_shards().map_err(|error| io_error(&layout.shards(), &error))?;
        let shards = shards.into_iter().collect();
        let split = ShardSplit::new(shard, &shards).ok_or_else(|| {
            StoreError::Query(format!("shard `{shard}` cannot be split: its bucket has no name of a split"))
        })?;
        let built = build(&layout, &settings, &split, 0, cancel)?;
        decided(&layout, shard)?;
        place_decided(&layout)?;
        relabel_placed(&layout, &settings)?;
        account::renew(&layout, &[split.from.clone(), split.to.clone()]);
        Ok((split, built))
    }
}
