//! The rows of one view, from shards and ledger into the merge database.

use std::collections::HashMap;
use std::ops::Range;

use shardex_catalog::{Cell, Column, ShardId, View};
use shardex_shard_store::merge::{Loader, MergeDatabase};

use crate::completeness::Tally;
use crate::fanout::{Asked, Event, Question, Wants, ask};
use crate::ledger_files::admits;
use crate::patients::Merger;
use crate::plan::ViewPlan;
use crate::router::Router;
use crate::stop::Stop;
use crate::{Error, LEDGER_FILES_COLUMNS, patients};

/// Bounds and permissions of one pull.
pub(crate) struct Pull<'a> {
    pub(crate) router: &'a Router,
    pub(crate) shards: &'a [ShardId],
    pub(crate) stop: &'a Stop,
    pub(crate) rows_max: u64,
    pub(crate) allow_partial: bool,
}

impl Pull<'_> {
    /// Makes the view's table and fills it with all rows that the statement can need.
    pub(crate) fn view(
        &self,
        plan: &ViewPlan,
        merge: &MergeDatabase,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        let mut table = self.table(merge, plan.view, &plan.columns, plan.rows_wanted)?;
        if plan.view == View::Patients {
            let columns = self.patient_columns(&plan.columns);
            let merger =
                self.patients(&self.question(plan, &columns), &columns, plan.columns.len(), tally)?;
            merger.finish().try_for_each(|row| table.insert(&row))?;
        } else if plan.needs_shards() {
            self.rows(&self.question(plan, &plan.columns), &mut table, tally)?;
        }
        if plan.needs_ledger() && !table.has_enough() {
            table.loader.turn_to(self.shards.len());
            self.ledger(plan, &mut table)?;
        }
        Ok(())
    }

    /// Makes an empty table of a view's columns.
    pub(crate) fn table<'m>(
        &self,
        merge: &'m MergeDatabase,
        view: View,
        columns: &[Column],
        rows_wanted: Option<u64>,
    ) -> Result<Table<'m>, Error> {
        merge.add_table(view, columns)?;
        let loader = merge.loader(view, columns)?;
        Ok(Table { loader, view, rows_wanted, rows_max: self.rows_max, rows: 0 })
    }

    /// The wanted columns of patients, and those that merging them needs.
    pub(crate) fn patient_columns(&self, wanted: &[Column]) -> Vec<Column> {
        patients::columns(wanted, (self.router.settings.columns)(View::Patients))
    }

    fn question(&self, plan: &ViewPlan, columns: &[Column]) -> Question {
        Question {
            // One more than allowed shows that there are too many.
            asked: Asked::Rows(plan.leaf_query(columns, self.rows_max.saturating_add(1))),
            probe: plan.probe(),
            alternatives: plan.shard_alternatives(),
        }
    }

    /// Fills a table with what the shards answer.
    pub(crate) fn rows(
        &self,
        question: &Question,
        table: &mut Table<'_>,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        let mut inserted: HashMap<usize, Vec<Range<i64>>> = HashMap::new();
        self.ask(question, tally, &mut |part| match part {
            Part::Rows(shard, rows) => {
                table.loader.turn_to(shard);
                let from = table.loader.next();
                for row in rows {
                    if !table.has_enough() {
                        table.insert(&row)?;
                    }
                }
                if self.allow_partial {
                    inserted.entry(shard).or_default().push(from..table.loader.next());
                }
                Ok(if table.has_enough() { Wants::Nothing } else { Wants::More })
            }
            Part::Answered(shard) => {
                inserted.remove(&shard);
                Ok(Wants::More)
            }
            Part::Failed(shard) => {
                inserted.remove(&shard).into_iter().flatten().try_for_each(|range| table.discard(range))?;
                Ok(Wants::More)
            }
        })
    }

    /// Merges the patients that the shards answer with, rows of [`Self::patient_columns`].
    pub(crate) fn patients(
        &self,
        question: &Question,
        columns: &[Column],
        width: usize,
        tally: &mut Tally,
    ) -> Result<Merger, Error> {
        let mut merger = Merger::new(columns, width);
        // A shard's rows count once it has given them all.
        let mut waiting: HashMap<usize, Vec<Vec<Cell>>> = HashMap::new();
        self.ask(question, tally, &mut |part| {
            match part {
                Part::Rows(shard, rows) => waiting.entry(shard).or_default().extend(rows),
                Part::Answered(shard) => {
                    waiting.remove(&shard).into_iter().flatten().for_each(|row| merger.add(row));
                }
                Part::Failed(shard) => drop(waiting.remove(&shard)),
            }
            let rows = merger.len() + waiting.values().map(Vec::len).sum::<usize>();
            if rows as u64 > self.rows_max { Err(self.too_many(View::Patients)) } else { Ok(Wants::More) }
        })?;
        Ok(merger)
    }

    fn too_many(&self, view: View) -> Error {
        Error::TooManyRows { rows_max: self.rows_max, view }
    }

    /// Asks the shards that have not failed yet, part by part.
    pub(crate) fn ask(
        &self,
        question: &Question,
        tally: &mut Tally,
        on_part: &mut dyn FnMut(Part) -> Result<Wants, Error>,
    ) -> Result<(), Error> {
        let shards: Vec<ShardId> =
            self.shards.iter().filter(|shard| !tally.failed.contains_key(*shard)).cloned().collect();
        let router = self.router;
        let threads = router.settings.leaf_threads;
        ask(&*router.leaf, &shards, question, threads, self.stop, &mut |event| match event {
            Event::Pruned => Ok(Wants::More),
            Event::Rows(shard, rows) => {
                tally.rows_pulled += rows.len() as u64;
                on_part(Part::Rows(shard, rows))
            }
            Event::Answered(shard) => {
                tally.answered.insert(shards[shard].clone());
                on_part(Part::Answered(shard))
            }
            Event::Failed(shard, source) if self.allow_partial => {
                tally.failed.insert(shards[shard].clone(), source);
                on_part(Part::Failed(shard))
            }
            Event::Failed(shard, source) => Err(Error::Shard { shard: shards[shard].clone(), source }),
        })
    }

    fn ledger(&self, plan: &ViewPlan, table: &mut Table<'_>) -> Result<(), Error> {
        let at = |column: &Column| LEDGER_FILES_COLUMNS.iter().position(|name| *name == column.name);
        let places: Vec<Option<usize>> = plan.columns.iter().map(at).collect();
        let mut cells = Vec::with_capacity(places.len());
        let mut seen = 0_u64;
        let mut failure = None;
        self.router.ledger.rows(&mut |row| {
            seen += 1;
            if seen.is_multiple_of(1024) && self.stop.is_due() {
                return false;
            }
            let is_possible = |one: &Vec<_>| admits(one, LEDGER_FILES_COLUMNS, &row);
            if !plan.alternatives.is_empty() && !plan.alternatives.iter().any(is_possible) {
                return true;
            }
            cells.clear();
            let cell =
                |place: &Option<usize>| place.and_then(|at| row.get(at).cloned()).unwrap_or(Cell::Null);
            cells.extend(places.iter().map(cell));
            failure = table.insert(&cells).err();
            failure.is_none()
        })?;
        failure.or_else(|| self.stop.reason()).map_or(Ok(()), Err)
    }
}

/// What a shard, given by its place in the list, has to say.
pub(crate) enum Part {
    Rows(usize, Vec<Vec<Cell>>),
    Answered(usize),
    Failed(usize),
}

/// A merge table with its bound.
pub(crate) struct Table<'a> {
    loader: Loader<'a>,
    view: View,
    rows_wanted: Option<u64>,
    rows_max: u64,
    rows: u64,
}

impl Table<'_> {
    pub(crate) fn insert(&mut self, row: &[Cell]) -> Result<(), Error> {
        self.rows += 1;
        if self.rows > self.rows_max {
            return Err(Error::TooManyRows { rows_max: self.rows_max, view: self.view });
        }
        Ok(self.loader.insert(row)?)
    }

    fn discard(&mut self, rows: Range<i64>) -> Result<(), Error> {
        self.rows -= (rows.end - rows.start).unsigned_abs();
        Ok(self.loader.discard(rows)?)
    }

    fn has_enough(&self) -> bool {
        self.rows_wanted.is_some_and(|wanted| self.rows >= wanted)
    }
}
