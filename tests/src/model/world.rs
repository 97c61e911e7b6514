//! What the model knows: files, shards, registry, ledger, each with what a power cut may take away.

/// Places where a file may lie.
pub const PLACES: usize = 3;
/// Directories below the root; [`directory_of`] says which place is in which.
pub(super) const DIRECTORIES: usize = 2;
/// Shards.
pub(super) const SHARDS: usize = 2;

/// The directory of a place: two places in the first, one in the second.
#[must_use]
pub(super) fn directory_of(place: usize) -> usize {
    usize::from(place == PLACES - 1)
}

/// What a file says: its study, and the shard that its date stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Content {
    /// The study.
    pub study: u8,
    /// The shard that the study gets if this file is the first that claims it.
    pub prefers: u8,
}

/// All contents: two files of one study that disagree on the date, and another study.
pub const CONTENTS: [Content; 3] =
    [Content { study: 0, prefers: 0 }, Content { study: 0, prefers: 1 }, Content { study: 1, prefers: 1 }];

/// A file, or the row of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct File {
    /// What it says.
    pub content: Content,
    /// Size and times in one number: no two changes leave the same.
    pub stamp: u8,
}

/// A batch in the life of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The life.
    pub life: u8,
    /// Number of the batch in it.
    pub sequence: u8,
}

/// A shard file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard {
    /// Rows by place.
    pub rows: [Option<File>; PLACES],
    /// Its lives with their last batch, oldest first.
    pub lives: Vec<Position>,
}

impl Shard {
    /// Whether a batch is in the file.
    #[must_use]
    pub fn contains(&self, position: Position) -> bool {
        self.lives.iter().any(|life| life.life == position.life && position.sequence <= life.sequence)
    }
}

/// What the ledger says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// Stamp when it was read.
    pub stamp: u8,
    /// The shard of its row; `None` for a tombstone.
    pub shard: Option<u8>,
    /// To be read again whatever its stamp.
    pub racy: bool,
    /// Not in the last listing.
    pub missing: bool,
}

/// What the ledger says of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record {
    /// Entries by place; those of other directories stay empty.
    pub entries: [Option<Entry>; PLACES],
    /// What the record rests on, by shard.
    pub claims: [Option<Position>; SHARDS],
}

/// The ledger file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ledger {
    /// Which directories the root had.
    pub children: [bool; DIRECTORIES],
    /// Records.
    pub records: [Option<Record>; DIRECTORIES],
    /// Open marks: whether the present run made it.
    pub marks: [Option<bool>; DIRECTORIES],
    /// Last known batch of each life of each shard.
    pub positions: [Vec<Position>; SHARDS],
}

impl Ledger {
    /// Remembers that something rests on a batch.
    pub fn note(&mut self, shard: usize, position: Position) {
        let known = &mut self.positions[shard];
        match known.iter_mut().find(|known| known.life == position.life) {
            Some(known) => known.sequence = known.sequence.max(position.sequence),
            None => known.push(position),
        }
        known.sort_unstable();
    }
}

/// A stored file: images after each commit, the first of them durable. A power cut leaves any one of
/// them; a killed process leaves the last, and the others stay possible until the next sync.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stored<T>(Vec<T>);

impl<T: Clone + Default + PartialEq> Default for Stored<T> {
    fn default() -> Self {
        Self(vec![T::default()])
    }
}

impl<T: Clone + Default + PartialEq> Stored<T> {
    /// What everybody sees while the machine runs.
    #[must_use]
    pub fn current(&self) -> &T {
        self.0.last().expect("there is always a durable image")
    }

    /// Commits a change without syncing it.
    pub fn commit(&mut self, change: impl FnOnce(&mut T)) {
        let mut next = self.current().clone();
        change(&mut next);
        if next != *self.current() {
            self.0.push(next);
        }
    }

    /// Makes all that was committed durable.
    pub fn sync(&mut self) {
        self.0.drain(..self.0.len() - 1);
    }

    /// Number of images that a power cut may leave.
    #[must_use]
    pub fn images(&self) -> usize {
        self.0.len()
    }

    /// The durable image.
    #[must_use]
    pub fn durable(&self) -> &T {
        &self.0[0]
    }

    /// A power cut that leaves this image.
    pub fn cut(&mut self, image: usize) {
        self.0.truncate(image + 1);
        self.sync();
    }

    /// Puts something else in its place.
    pub fn replace(&mut self, with: T) {
        self.0 = vec![with];
    }

    fn each(&mut self, act: impl FnMut(&mut T)) {
        self.0.iter_mut().for_each(act);
    }
}

/// Everything between two runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct World {
    /// The files.
    pub disk: [Option<File>; PLACES],
    /// The shards.
    pub shards: [Stored<Shard>; SHARDS],
    /// Copies of shards that somebody may put back.
    pub copies: [Vec<Shard>; SHARDS],
    /// Study to shard; `None` for a study that nobody has claimed.
    pub registry: Stored<[Option<u8>; 2]>,
    /// The ledger.
    pub ledger: Stored<Ledger>,
    /// The ledger file is gone, and the next run notices.
    pub ledger_is_lost: bool,
    /// The registry file is gone, and the next run notices.
    pub registry_is_lost: bool,
    /// A shard or the registry was lost or put back, and no run has come to its end since.
    pub is_unsettled: bool,
    last_stamp: u8,
    last_life: u8,
}

impl World {
    /// Files that nobody has indexed yet.
    #[must_use]
    pub fn of_files(contents: [Option<Content>; PLACES]) -> Self {
        let mut world = Self::default();
        for (place, content) in contents.into_iter().enumerate() {
            world.disk[place] = content.map(|content| File { content, stamp: world.new_stamp() });
        }
        world
    }

    /// A stamp that nothing has.
    pub fn new_stamp(&mut self) -> u8 {
        self.last_stamp += 1;
        self.last_stamp
    }

    /// A life that nothing has.
    pub fn new_life(&mut self) -> u8 {
        self.last_life += 1;
        self.last_life
    }

    /// Whether the ledger rests on something that a shard does not have: it was lost, or is an older
    /// copy, and no run has mended it yet.
    #[must_use]
    pub fn has_lost_batches(&self) -> bool {
        let positions = self.ledger.current().positions.iter().zip(&self.shards);
        positions
            .into_iter()
            .any(|(known, shard)| known.iter().any(|position| !shard.current().contains(*position)))
    }

    /// Files by place as the shards have them; which shard does not matter.
    ///
    /// # Errors
    /// A place with rows in two shards, or a study in two.
    pub fn indexed(&self) -> Result<[Option<Content>; PLACES], String> {
        let mut indexed = [None; PLACES];
        for shard in &self.shards {
            for (place, row) in shard.current().rows.iter().enumerate() {
                if let Some(row) = row
                    && indexed[place].replace(row.content).is_some()
                {
                    return Err(format!("place {place} has a row in two shards"));
                }
            }
        }
        let studies = |shard: &Stored<Shard>| -> Vec<u8> {
            shard.current().rows.iter().flatten().map(|row| row.content.study).collect()
        };
        let first = studies(&self.shards[0]);
        match studies(&self.shards[1]).iter().find(|study| first.contains(study)) {
            Some(study) => Err(format!("study {study} is in two shards")),
            None => Ok(indexed),
        }
    }

    /// Keeps copies of the shards as a disk has them for good: a copy of what a power cut may still
    /// take back is not what the protocol answers for (ADR 0001, limits).
    pub fn copy_shards(&mut self) {
        for (shard, copies) in self.shards.iter().zip(&mut self.copies) {
            if !copies.contains(shard.durable()) {
                copies.push(shard.durable().clone());
            }
        }
    }

    /// Renames stamps and lives by their order of appearance, so that worlds that differ in names
    /// only are one. Marks are those of an earlier run now.
    pub fn normalise(&mut self) {
        self.ledger.each(|ledger| {
            ledger.marks.iter_mut().flatten().for_each(|is_of_this_run| *is_of_this_run = false);
        });
        let mut stamps = Vec::new();
        self.each_stamp(&mut |stamp| rename(&mut stamps, stamp));
        self.last_stamp = u8::try_from(stamps.len()).expect("a handful of stamps");
        let mut lives = Vec::new();
        self.each_life(&mut |life| rename(&mut lives, life));
        self.last_life = u8::try_from(lives.len()).expect("a handful of lives");
    }

    fn each_stamp(&mut self, act: &mut impl FnMut(&mut u8)) {
        self.disk.iter_mut().flatten().for_each(|file| act(&mut file.stamp));
        let mut rows =
            |shard: &mut Shard| shard.rows.iter_mut().flatten().for_each(|row| act(&mut row.stamp));
        self.shards.iter_mut().for_each(|shard| shard.each(&mut rows));
        self.copies.iter_mut().flatten().for_each(rows);
        self.ledger.each(|ledger| {
            let entries = ledger.records.iter_mut().flatten().flat_map(|record| &mut record.entries);
            entries.flatten().for_each(|entry| act(&mut entry.stamp));
        });
    }

    fn each_life(&mut self, act: &mut impl FnMut(&mut u8)) {
        let mut lives = |shard: &mut Shard| shard.lives.iter_mut().for_each(|life| act(&mut life.life));
        self.shards.iter_mut().for_each(|shard| shard.each(&mut lives));
        self.copies.iter_mut().flatten().for_each(lives);
        self.ledger.each(|ledger| {
            let claims = ledger.records.iter_mut().flatten().flat_map(|record| &mut record.claims);
            claims.flatten().for_each(|claim| act(&mut claim.life));
            ledger.positions.iter_mut().flatten().for_each(|position| act(&mut position.life));
        });
    }
}

fn rename(names: &mut Vec<u8>, name: &mut u8) {
    let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(*name);
        names.len() - 1
    });
    *name = u8::try_from(at + 1).expect("a handful of names");
}
