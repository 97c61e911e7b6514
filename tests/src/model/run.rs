//! One run of the protocol over a world, step by step, with a place to die after any step.

use super::rules::Rules;
use super::world::{DIRECTORIES, Entry, File, PLACES, Position, Record, SHARDS, World, directory_of};

/// What a run is free to do in one order or another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// Visit the directories in descending order.
    pub backwards: bool,
    /// A barrier after each directory, not only at the end.
    pub barrier_each: bool,
}

impl Plan {
    /// All plans.
    pub const ALL: [Self; 4] = [
        Self { backwards: false, barrier_each: false },
        Self { backwards: false, barrier_each: true },
        Self { backwards: true, barrier_each: false },
        Self { backwards: true, barrier_each: true },
    ];
}

/// Why a run did not come to its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It died where it was told to.
    Died,
    /// It did what it must never do.
    Violation(String),
}

/// What happens to a run from outside.
#[derive(Clone, Copy, Default)]
pub struct Fate<'a> {
    /// Steps after which it dies.
    pub dies_after: Option<usize>,
    /// A change of the files, after so many steps.
    #[expect(clippy::type_complexity, reason = "a place and a change, said once")]
    pub change: Option<(usize, &'a dyn Fn(&mut World))>,
}

/// Runs to the end, or to its death. Returns the number of steps made, and how many files were read.
///
/// # Errors
/// [`Stopped`]; the world is as it was left.
pub fn run(world: &mut World, rules: Rules, plan: Plan, fate: Fate<'_>) -> Result<Done, Stopped> {
    let mut run = Run {
        world,
        rules,
        fate,
        done: Done::default(),
        lives: [None; SHARDS],
        histories: Default::default(),
        finished: Vec::new(),
        vanished: [false; DIRECTORIES],
        children: None,
        dirty: [false; SHARDS],
        removed: [None; SHARDS],
        seen: [false; PLACES],
        reconciled: false,
    };
    run.whole(plan)?;
    Ok(run.done)
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Steps after which it could have died.
    pub steps: usize,
    /// Files that were read.
    pub read: usize,
}

struct Run<'a> {
    world: &'a mut World,
    rules: Rules,
    fate: Fate<'a>,
    done: Done,
    /// The life of each shard that this run opened for writing, and its last batch.
    lives: [Option<Position>; SHARDS],
    /// Lives of the shards when the run began.
    histories: [super::world::Shard; SHARDS],
    finished: Vec<Part>,
    vanished: [bool; DIRECTORIES],
    children: Option<[bool; DIRECTORIES]>,
    dirty: [bool; SHARDS],
    /// Last removal of this run, by shard.
    removed: [Option<Position>; SHARDS],
    /// Places where this run found a file.
    seen: [bool; PLACES],
    /// An open mark of an earlier run is about to end.
    reconciled: bool,
}

/// A directory whose rows are applied.
struct Part {
    directory: usize,
    previous: Record,
    was_open: bool,
    read: Vec<(usize, Entry)>,
    gone: Vec<usize>,
    applied: [Option<Position>; SHARDS],
}

type Step<T = ()> = Result<T, Stopped>;
type Removals = Vec<(usize, usize)>;

impl Run<'_> {
    /// A point at which the run may die, or the files change.
    fn step(&mut self) -> Step {
        if let Some((_, change)) = self.fate.change.filter(|(after, _)| *after == self.done.steps) {
            change(self.world);
        }
        if self.fate.dies_after == Some(self.done.steps) {
            return Err(Stopped::Died);
        }
        self.done.steps += 1;
        Ok(())
    }

    fn whole(&mut self, plan: Plan) -> Step {
        self.open_archive()?;
        self.heal()?;
        let listed = self.list_root()?;
        let mut order: Vec<usize> = (0..DIRECTORIES).filter(|directory| listed[*directory]).collect();
        if plan.backwards {
            order.reverse();
        }
        for directory in order {
            self.visit(directory)?;
            if plan.barrier_each {
                self.barrier()?;
            }
        }
        self.barrier()?;
        self.adopt_leftovers()?;
        self.sweep()?;
        self.step()?;
        self.world.shards.iter_mut().for_each(super::world::Stored::sync);
        self.world.ledger.sync();
        self.world.registry.sync();
        self.world.is_unsettled = false;
        Ok(())
    }

    /// Rebuilds what is lost; the token that is written then makes ledger and registry durable.
    fn open_archive(&mut self) -> Step {
        self.step()?;
        if std::mem::take(&mut self.world.ledger_is_lost) {
            super::rebuild::ledger(self.world);
        }
        if std::mem::take(&mut self.world.registry_is_lost) {
            super::rebuild::registry(self.world);
        }
        self.world.ledger.sync();
        self.world.registry.sync();
        Ok(())
    }

    /// Shards that were put back from an older copy lose what the ledger does not list in them.
    fn heal(&mut self) -> Step {
        self.histories = std::array::from_fn(|shard| self.world.shards[shard].current().clone());
        for shard in 0..SHARDS {
            let positions = self.world.ledger.current().positions[shard].clone();
            let is_kept = positions.iter().all(|position| self.histories[shard].contains(*position));
            let is_known = !positions.is_empty() || self.histories[shard].lives.is_empty();
            if (is_kept || !self.rules.positions_checked) && (is_known || !self.rules.unknown_shards_healed) {
                continue;
            }
            let unknown: Vec<usize> =
                (0..PLACES).filter(|place| self.has_unlisted_row(shard, *place)).collect();
            // Not as a deletion: what of it exists is read again in this run. Even where no row goes, a
            // batch is written: it tells this copy of the shard from every other from now on.
            let exists = !self.histories[shard].lives.is_empty();
            let healed = if exists && (self.rules.healing_recorded || !unknown.is_empty()) {
                self.remove_rows(shard, &unknown)?;
                self.sync_dirty()?;
                self.removed[shard]
            } else {
                None
            };
            self.step()?;
            self.world.ledger.commit(|ledger| {
                ledger.positions[shard] =
                    healed.filter(|_| self.rules.healing_recorded).into_iter().collect();
            });
        }
        Ok(())
    }

    fn has_unlisted_row(&self, shard: usize, place: usize) -> bool {
        let record = &self.world.ledger.current().records[directory_of(place)];
        let entry = record.as_ref().and_then(|record| record.entries[place]);
        let is_listed = entry.is_some_and(|entry| entry.shard.map(usize::from) == Some(shard));
        self.world.shards[shard].current().rows[place].is_some() && !is_listed
    }

    fn list_root(&mut self) -> Step<[bool; DIRECTORIES]> {
        self.step()?;
        let mut children = [false; DIRECTORIES];
        for (place, _) in self.world.disk.iter().enumerate().filter(|(_, file)| file.is_some()) {
            children[directory_of(place)] = true;
        }
        let before = self.world.ledger.current().children;
        self.vanished = std::array::from_fn(|directory| before[directory] && !children[directory]);
        self.children = (before != children).then_some(children);
        Ok(children)
    }

    /// Lists a directory, compares it with its record, reads what differs and sends the rows.
    fn visit(&mut self, directory: usize) -> Step {
        self.step()?;
        let places: Vec<usize> = (0..PLACES).filter(|place| directory_of(*place) == directory).collect();
        if places.iter().all(|place| self.world.disk[*place].is_none()) {
            // Gone since its parent was listed; the next run sees it gone from a listing.
            return Ok(());
        }
        let ledger = self.world.ledger.current();
        let is_new = ledger.records[directory].is_none();
        let previous = ledger.records[directory].clone().unwrap_or_default();
        let was_open = ledger.marks[directory] == Some(false) && self.rules.marks_reconciled;
        let mut part = Part {
            directory,
            previous,
            was_open,
            read: Vec::new(),
            gone: Vec::new(),
            applied: [None; SHARDS],
        };
        let mut rows = Vec::new();
        for place in places {
            self.seen[place] = self.world.disk[place].is_some();
            let known = part.previous.entries[place];
            match self.world.disk[place] {
                Some(file) if !self.is_unchanged(&part.previous, known, file) => rows.push((place, file)),
                None if known.is_some_and(|entry| entry.shard.is_some() && !entry.missing) => {
                    part.gone.push(place);
                }
                Some(_) | None => {}
            }
        }
        self.done.read += rows.len();
        if !is_new && !was_open && part.gone.is_empty() && rows.is_empty() {
            return Ok(());
        }
        self.send(&mut part, &rows)?;
        self.finished.push(part);
        Ok(())
    }

    fn is_unchanged(&self, record: &Record, known: Option<Entry>, file: File) -> bool {
        let Some(Entry { stamp, shard: Some(shard), racy: false, missing: false }) = known else {
            return false;
        };
        let claim = record.claims[usize::from(shard)];
        let is_sound = claim.is_some_and(|claim| self.histories[usize::from(shard)].contains(claim));
        stamp == file.stamp && (is_sound || !self.rules.claims_checked)
    }

    /// Mark, claim, apply: in this order.
    fn send(&mut self, part: &mut Part, rows: &[(usize, File)]) -> Step {
        if rows.is_empty() {
            return Ok(());
        }
        if self.rules.mark_before_rows {
            self.mark(&[part.directory])?;
        }
        self.claim(rows)?;
        let registry = *self.world.registry.current();
        let mut by_shard: [Vec<(usize, File)>; SHARDS] = Default::default();
        for (place, file) in rows {
            let shard = registry[usize::from(file.content.study)].expect("it was just claimed");
            by_shard[usize::from(shard)].push((*place, *file));
            let entry = Entry { stamp: file.stamp, shard: Some(shard), racy: false, missing: false };
            part.read.push((*place, entry));
        }
        if !self.rules.new_shard_before_old {
            let entries = entries(part);
            for (shard, place) in obsolete(&part.previous, &entries) {
                self.remove(shard, &[place])?;
            }
        }
        for (shard, rows) in by_shard.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            part.applied[shard] = Some(self.apply(shard, |shard| {
                rows.iter().for_each(|(place, file)| shard.rows[*place] = Some(*file));
            })?);
        }
        Ok(())
    }

    fn mark(&mut self, directories: &[usize]) -> Step {
        self.step()?;
        self.world
            .ledger
            .commit(|ledger| directories.iter().for_each(|directory| ledger.marks[*directory] = Some(true)));
        self.world.ledger.sync();
        Ok(())
    }

    fn claim(&mut self, rows: &[(usize, File)]) -> Step {
        self.step()?;
        self.world.registry.commit(|registry| {
            for (_, file) in rows {
                registry[usize::from(file.content.study)].get_or_insert(file.content.prefers);
            }
        });
        if self.rules.claim_before_rows {
            self.world.registry.sync();
        }
        Ok(())
    }

    /// Applies a batch: one commit, not durable.
    fn apply(&mut self, shard: usize, change: impl FnOnce(&mut super::world::Shard)) -> Step<Position> {
        self.step()?;
        let position = match self.lives[shard] {
            Some(Position { life, sequence }) => Position { life, sequence: sequence + 1 },
            None => Position { life: self.world.new_life(), sequence: 1 },
        };
        self.lives[shard] = Some(position);
        self.dirty[shard] = true;
        self.world.shards[shard].commit(|image| {
            change(image);
            match image.lives.iter_mut().find(|life| life.life == position.life) {
                Some(life) => *life = position,
                None => image.lives.push(position),
            }
        });
        self.check_studies()?;
        Ok(position)
    }

    fn remove(&mut self, shard: usize, places: &[usize]) -> Step {
        for place in places {
            self.check_removal(shard, *place)?;
        }
        self.remove_rows(shard, places)
    }

    fn remove_rows(&mut self, shard: usize, places: &[usize]) -> Step {
        let position =
            self.apply(shard, |image| places.iter().for_each(|place| image.rows[*place] = None))?;
        self.removed[shard] = Some(position);
        Ok(())
    }

    /// A study is in one shard. Rows of an older copy that was put back do not count before their
    /// files are read again.
    fn check_studies(&self) -> Step {
        let in_shard = |shard: usize, study: u8| {
            let rows = self.world.shards[shard].current().rows.iter().zip(&self.world.disk);
            rows.into_iter()
                .any(|(row, file)| row == file && row.is_some_and(|row| row.content.study == study))
        };
        match (0..2).find(|study| in_shard(0, *study) && in_shard(1, *study)) {
            Some(study) => Err(Stopped::Violation(format!("study {study} is in two shards"))),
            None => Ok(()),
        }
    }

    /// A row of a file that this run saw, and that is there, goes only if another shard has one of
    /// it for good: nobody may find the file gone.
    fn check_removal(&self, shard: usize, place: usize) -> Step {
        let is_there = self.seen[place] && self.world.disk[place].is_some();
        let is_elsewhere = self.world.shards[1 - shard].durable().rows[place].is_some();
        if self.world.shards[shard].current().rows[place].is_some() && is_there && !is_elsewhere {
            return Err(Stopped::Violation(format!(
                "the row of place {place} is removed while its file exists"
            )));
        }
        Ok(())
    }

    fn sync_dirty(&mut self) -> Step {
        for shard in 0..SHARDS {
            if std::mem::take(&mut self.dirty[shard]) {
                self.step()?;
                self.world.shards[shard].sync();
            }
        }
        Ok(())
    }

    /// Everything applied becomes durable, then what is complete is recorded.
    fn barrier(&mut self) -> Step {
        if self.rules.barrier_before_record {
            self.sync_dirty()?;
        }
        let mut records = Vec::new();
        let mut removals: Removals = Vec::new();
        for part in std::mem::take(&mut self.finished) {
            let mut entries = entries(&part);
            removals.extend(obsolete(&part.previous, &entries));
            let mut applied = part.applied;
            if part.was_open {
                removals.extend(self.adopt_orphans(part.directory, &mut entries, &mut applied));
                self.reconciled = true;
            }
            records.push((part.directory, self.record_of(entries, &part.previous, &applied)));
        }
        self.remove_all(removals)?;
        let vanished = std::mem::take(&mut self.vanished);
        let children = self.children.take();
        self.record(records, vanished, children)?;
        if !self.rules.barrier_before_record {
            self.sync_dirty()?;
        }
        Ok(())
    }

    fn remove_all(&mut self, removals: Removals) -> Step {
        for shard in 0..SHARDS {
            let places: Vec<usize> =
                removals.iter().filter(|(of, _)| *of == shard).map(|(_, place)| *place).collect();
            if !places.is_empty() {
                self.remove(shard, &places)?;
            }
        }
        if self.rules.barrier_before_record { self.sync_dirty() } else { Ok(()) }
    }

    /// One commit of the ledger, durable only with the next mark.
    fn record(
        &mut self,
        records: Vec<(usize, Record)>,
        vanished: [bool; DIRECTORIES],
        children: Option<[bool; DIRECTORIES]>,
    ) -> Step {
        self.step()?;
        let removed = if self.rules.removals_recorded { self.removed } else { [None; SHARDS] };
        // A run that died may have removed rows, and nobody noted it: what was reconciled rests on
        // the shards as they are.
        let looked_at: [Option<Position>; SHARDS] =
            if std::mem::take(&mut self.reconciled) && self.rules.reconciliation_recorded {
                std::array::from_fn(|shard| self.world.shards[shard].current().lives.last().copied())
            } else {
                [None; SHARDS]
            };
        self.world.ledger.commit(|ledger| {
            ledger.children = children.unwrap_or(ledger.children);
            for (directory, _) in vanished.iter().enumerate().filter(|(_, vanished)| **vanished) {
                let entries = ledger.records[directory].iter_mut().flat_map(|record| &mut record.entries);
                entries
                    .flatten()
                    .filter(|entry| entry.shard.is_some())
                    .for_each(|entry| entry.missing = true);
            }
            for (directory, record) in records {
                for (shard, claim) in record.claims.iter().enumerate() {
                    claim.iter().for_each(|claim| ledger.note(shard, *claim));
                }
                ledger.records[directory] = Some(record);
                ledger.marks[directory] = None;
            }
            for (shard, position) in removed.iter().enumerate().chain(looked_at.iter().enumerate()) {
                position.iter().for_each(|position| ledger.note(shard, *position));
            }
        });
        Ok(())
    }

    /// Rows that a run sent and nobody recorded: new missing entries, or rows to be removed.
    fn adopt_orphans(
        &self,
        directory: usize,
        entries: &mut [Option<Entry>; PLACES],
        applied: &mut [Option<Position>; SHARDS],
    ) -> Removals {
        let mut removals = Vec::new();
        for (shard, applied) in applied.iter_mut().enumerate() {
            let image = self.world.shards[shard].current();
            let number = u8::try_from(shard).expect("a handful of shards");
            for place in (0..PLACES).filter(|place| directory_of(*place) == directory) {
                match (image.rows[place], entries[place]) {
                    (None, _) => {}
                    (Some(_), Some(entry)) if entry.shard == Some(number) => {}
                    (Some(_), Some(_)) => removals.push((shard, place)),
                    (Some(row), None) => {
                        entries[place] =
                            Some(Entry { stamp: row.stamp, shard: Some(number), racy: true, missing: true });
                        *applied = applied.or(image.lives.last().copied());
                    }
                }
            }
        }
        removals
    }

    /// Marks of directories that this run did not visit.
    fn adopt_leftovers(&mut self) -> Step {
        for directory in 0..DIRECTORIES {
            if self.world.ledger.current().marks[directory] != Some(false) || !self.rules.marks_reconciled {
                continue;
            }
            let previous = self.world.ledger.current().records[directory].clone().unwrap_or_default();
            let mut entries = previous.entries;
            let live = entries.iter_mut().flatten().filter(|entry| entry.shard.is_some());
            live.for_each(|entry| entry.missing = true);
            let mut applied = [None; SHARDS];
            let removals = self.adopt_orphans(directory, &mut entries, &mut applied);
            self.reconciled = true;
            self.remove_all(removals)?;
            let record = self.record_of(entries, &previous, &applied);
            self.record(vec![(directory, record)], [false; DIRECTORIES], None)?;
        }
        Ok(())
    }

    /// A record with a claim on every shard that a live entry rests on. A claim that its shard does not
    /// meet is forgotten: noted again, it would vouch for an older copy of the shard.
    fn record_of(
        &self,
        entries: [Option<Entry>; PLACES],
        previous: &Record,
        applied: &[Option<Position>; SHARDS],
    ) -> Record {
        let rests_on =
            |shard: usize| entries.iter().flatten().any(|entry| entry.shard.map(usize::from) == Some(shard));
        let is_kept = |shard: usize, claim: &Position| self.world.shards[shard].current().contains(*claim);
        let claim = |shard: usize| {
            let before = previous.claims[shard].filter(|claim| is_kept(shard, claim));
            applied[shard].or(before).filter(|_| rests_on(shard))
        };
        Record { claims: std::array::from_fn(claim), entries }
    }

    /// Deletions, as if they were not held.
    fn sweep(&mut self) -> Step {
        for directory in 0..DIRECTORIES {
            let Some(previous) = self.world.ledger.current().records[directory].clone() else { continue };
            let is_missing = |entry: &Option<Entry>| entry.is_some_and(|entry| entry.missing);
            if !previous.entries.iter().any(is_missing) {
                continue;
            }
            if self.rules.mark_before_sweep {
                self.mark(&[directory])?;
            }
            let mut entries = previous.entries;
            let mut removals = Vec::new();
            for (place, slot) in entries.iter_mut().enumerate().filter(|(_, entry)| is_missing(entry)) {
                let entry = slot.expect("it is missing, so it is known");
                removals.extend(entry.shard.map(|shard| (usize::from(shard), place)));
                *slot = Some(Entry { shard: None, racy: false, missing: false, ..entry });
            }
            self.remove_all(removals)?;
            let record = self.record_of(entries, &previous, &[None; SHARDS]);
            self.record(vec![(directory, record)], [false; DIRECTORIES], None)?;
            if !self.rules.barrier_before_record {
                self.sync_dirty()?;
            }
        }
        Ok(())
    }
}

/// Entries after reading: what was read in the place of what was known, and what is gone marked.
fn entries(part: &Part) -> [Option<Entry>; PLACES] {
    let mut entries = part.previous.entries;
    for place in &part.gone {
        entries[*place].iter_mut().for_each(|entry| entry.missing = true);
    }
    part.read.iter().for_each(|(place, entry)| entries[*place] = Some(*entry));
    entries
}

/// Rows that lie in another shard than their entry says now.
fn obsolete(previous: &Record, entries: &[Option<Entry>; PLACES]) -> Removals {
    let before = previous.entries.iter().enumerate();
    before
        .filter_map(|(place, entry)| Some((usize::from(entry.as_ref()?.shard?), place)))
        .filter(|(shard, place)| {
            entries[*place].is_some_and(|now| now.shard.map(usize::from) != Some(*shard))
        })
        .collect()
}
