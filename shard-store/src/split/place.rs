//! The files and marks of a split, and how they come to their places.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use shardex_catalog::{ShardId, ShardSplit};
use shardex_seams::StoreError;

use super::{Built, Stage};
use crate::error::{io_error, label};
use crate::layout::Layout;
use crate::moving::{beside, log_of, remove, write_whole};
use crate::private;

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Stays,
    Goes,
}

/// Where a part lies until it is in its place.
pub(super) fn file(layout: &Layout, from: &ShardId, part: Part) -> PathBuf {
    layout.splitting_file(from, if part == Part::Goes { "goes.sqlite" } else { "stays.sqlite" })
}

fn mark_of(layout: &Layout, from: &ShardId, stage: Stage) -> PathBuf {
    layout.splitting_file(from, stage.as_str())
}

/// Says that both files are whole.
pub(super) fn mark(layout: &Layout, from: &ShardId, built: &Built) -> Result<(), StoreError> {
    let path = mark_of(layout, from, Stage::Built);
    let text = serde_json::to_string(built).map_err(|error| StoreError::Query(error.to_string()))?;
    write_whole(&path, &text).map_err(|error| io_error(&path, &error))
}

/// Says that they will be put in their places, whatever comes.
pub(crate) fn decided(layout: &Layout, from: &ShardId) -> Result<(), StoreError> {
    rename_mark(layout, from, Stage::Built, Stage::Decided)
}

fn rename_mark(layout: &Layout, from: &ShardId, old: Stage, new: Stage) -> Result<(), StoreError> {
    let (old, new) = (mark_of(layout, from, old), mark_of(layout, from, new));
    let renamed = fs::rename(&old, &new).and_then(|()| private::sync_parent(&new));
    renamed.map_err(|error| io_error(&new, &error))
}

/// The marks that there are.
pub(super) fn marks(layout: &Layout) -> Result<Vec<(ShardId, Stage, Built)>, StoreError> {
    let mut marks = Vec::new();
    for (shard, stage) in stages(layout)? {
        let path = mark_of(layout, &shard, stage);
        let text = match fs::read_to_string(&path) {
            // It has just been renamed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            text => text.map_err(|error| io_error(&path, &error))?,
        };
        let built = serde_json::from_str(&text)
            .map_err(|error| StoreError::Unusable { file: label(&path), detail: error.to_string() })?;
        marks.push((shard, stage, built));
    }
    Ok(marks)
}

fn stages(layout: &Layout) -> Result<Vec<(ShardId, Stage)>, StoreError> {
    let folder = layout.splitting();
    let failed = |error: io::Error| io_error(&folder, &error);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let Some(name) = name.to_str() else { continue };
        for stage in Stage::ALL {
            let shard = name.strip_suffix(stage.as_str()).and_then(|name| name.strip_suffix('.'));
            let shard = shard.and_then(|shard| ShardId::new(&shard.replacen('~', "/", 1)).ok());
            found.extend(shard.map(|shard| (shard, stage)));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Whether files of a split are on their way to their places: shards cannot be read meanwhile, for a study may be in two.
pub(crate) fn has_unplaced(layout: &Layout) -> Result<bool, StoreError> {
    Ok(stages(layout)?.iter().any(|(_, stage)| *stage == Stage::Decided))
}

/// What a mark says is split.
pub(super) fn split_of(layout: &Layout, from: &ShardId, built: &Built) -> Result<ShardSplit, StoreError> {
    built.split(from).ok_or_else(|| StoreError::Unusable {
        file: label(&mark_of(layout, from, Stage::Built)),
        detail: "the mark of a split makes no sense".into(),
    })
}

/// Puts both files in their places. The new shard comes first: until the other half has shrunk, it is not read.
pub(super) fn place(layout: &Layout, from: &ShardId, built: &Built) -> Result<(), StoreError> {
    let split = split_of(layout, from, built)?;
    for (part, shard) in [(Part::Goes, &split.to), (Part::Stays, &split.from)] {
        let to = layout.shard(shard);
        place_file(&file(layout, from, part), &to).map_err(|error| io_error(&to, &error))?;
    }
    rename_mark(layout, from, Stage::Decided, Stage::Placed)
}

/// A log that is there belongs to the file that was there: it goes first. What is between is read by nobody.
fn place_file(new: &Path, to: &Path) -> io::Result<()> {
    if !new.exists() {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        private::create_folder(folder)?;
    }
    for path in [log_of(to), beside(to, "-shm"), log_of(new), beside(new, "-shm")] {
        remove(&path)?;
    }
    fs::rename(new, to)?;
    private::sync_parent(to)
}

/// Removes what an undecided split has left, the mark first.
pub(super) fn discard(layout: &Layout, from: &ShardId) -> Result<(), StoreError> {
    let folder = layout.splitting();
    private::create_folder(&folder).map_err(|error| io_error(&folder, &error))?;
    let mark = mark_of(layout, from, Stage::Built);
    remove(&mark).and_then(|()| private::sync_parent(&mark)).map_err(|error| io_error(&mark, &error))?;
    for part in [Part::Goes, Part::Stays] {
        let path = file(layout, from, part);
        let removed =
            [path.clone(), log_of(&path), beside(&path, "-shm")].iter().try_for_each(|path| remove(path));
        removed.map_err(|error| io_error(&path, &error))?;
    }
    Ok(())
}

/// Ends a split that is in place and that ledger and registry know.
pub(super) fn end(layout: &Layout, from: &ShardId) -> Result<(), StoreError> {
    let mark = mark_of(layout, from, Stage::Placed);
    let removed = remove(&mark).and_then(|()| File::open(layout.splitting())?.sync_all());
    removed.map_err(|error| io_error(&mark, &error))
}
