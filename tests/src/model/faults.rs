//! What may happen between two runs, or while one is under way.

use super::world::{CONTENTS, Content, File, PLACES, SHARDS, Shard, World};

/// Something that happens to the files or to the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A file is written: a new one, or another content in its place.
    Write(usize, Content),
    /// A file is deleted.
    Delete(usize),
    /// A file is moved to a place that is free.
    Move(usize, usize),
    /// The ledger file is lost.
    LoseLedger,
    /// The registry file is lost.
    LoseRegistry,
    /// A shard file is lost.
    LoseShard(usize),
    /// An older copy of a shard is put in its place.
    Restore(usize, usize),
}

impl Fault {
    /// All faults that would change a world and that the protocol answers for. It does not answer
    /// for a registry that is rebuilt while a shard is not there, or an older one is: what only the
    /// absent shard knows is claimed anew then (ADR 0001, limits).
    #[must_use]
    pub fn all(world: &World) -> Vec<Self> {
        let mut faults = Self::of_files(world);
        faults.extend((!world.ledger_is_lost).then_some(Self::LoseLedger));
        if world.registry_is_lost {
            return faults;
        }
        faults.extend((!world.is_unsettled && !world.has_lost_batches()).then_some(Self::LoseRegistry));
        for shard in 0..SHARDS {
            let current = world.shards[shard].current();
            if *current != Shard::default() {
                faults.push(Self::LoseShard(shard));
            }
            let copies = world.copies[shard].iter().enumerate();
            let others = copies.filter(|(_, copy)| *copy != current && **copy != Shard::default());
            faults.extend(others.map(|(copy, _)| Self::Restore(shard, copy)));
        }
        faults
    }

    /// All changes of files.
    #[must_use]
    pub fn of_files(world: &World) -> Vec<Self> {
        let mut faults = Vec::new();
        for (place, file) in world.disk.iter().enumerate() {
            let others = CONTENTS.iter().filter(|content| file.map(|file| file.content) != Some(**content));
            faults.extend(others.map(|content| Self::Write(place, *content)));
            if file.is_some() {
                faults.push(Self::Delete(place));
                let free = (0..PLACES).filter(|to| world.disk[*to].is_none());
                faults.extend(free.map(|to| Self::Move(place, to)));
            }
        }
        faults
    }

    /// Lets it happen.
    pub fn strike(self, world: &mut World) {
        match self {
            Self::Write(place, content) => {
                world.disk[place] = Some(File { content, stamp: world.new_stamp() });
            }
            Self::Delete(place) => world.disk[place] = None,
            // A move changes the status change time, so the stamp is new.
            Self::Move(from, to) => {
                let stamp = world.new_stamp();
                world.disk[to] = world.disk[from].take().map(|file| File { stamp, ..file });
            }
            Self::LoseLedger => world.ledger_is_lost = true,
            Self::LoseRegistry => world.registry_is_lost = true,
            Self::LoseShard(shard) => {
                world.is_unsettled = true;
                world.shards[shard].replace(Shard::default());
            }
            Self::Restore(shard, copy) => {
                world.is_unsettled = true;
                let copy = world.copies[shard][copy].clone();
                world.shards[shard].replace(copy);
            }
        }
    }
}
