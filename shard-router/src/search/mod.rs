//! Searches by key and value over all shards: prune, look up, merge, order.

mod patients;
mod prune;
mod statement;

use std::ops::ControlFlow;
use std::sync::Arc;

use shardex_catalog::query::{Search, SearchKey, SearchLevel, SearchRequest};
use shardex_catalog::{Cell, Column, ColumnType, LeafSearch, View};
use shardex_shard_store::merge::{MergeDatabase, ResultColumn, StopCheck};

use crate::completeness::Tally;
use crate::fanout::{Asked, Question, Wants};
use crate::pull::{Part, Pull};
use crate::router::{Router, complete, unless_split};
use crate::stop::Stop;
use crate::{Completeness, Error, QueryOptions, RowSink};

/// Column of the answer to a count.
const COUNT: &str = "count";

impl Router {
    /// Finds what matches all keys of a request and gives it to `sink`, in the request's order.
    ///
    /// Blocks the calling thread as [`Router::sql`] does.
    ///
    /// # Errors
    /// [`Error::Refused`] for a request that cannot be asked; else as [`Router::sql`].
    pub fn search(
        &self,
        request: &SearchRequest,
        options: &QueryOptions,
        sink: &mut dyn RowSink,
    ) -> Result<Completeness, Error> {
        let stop = Stop::new(&self.settings.clock, options);
        unless_split(|| self.search_once(request, options, &stop, &mut *sink))
    }

    fn search_once(
        &self,
        request: &SearchRequest,
        options: &QueryOptions,
        stop: &Stop,
        sink: &mut dyn RowSink,
    ) -> Result<Completeness, Error> {
        let columns = self.settings.columns;
        let search = Search::new(request, columns).map_err(|error| Error::Refused(error.to_string()))?;
        let shards = self.leaf.shards()?;
        let pull = Pull {
            router: self,
            shards: &shards,
            stop,
            rows_max: options.rows_max.unwrap_or(self.settings.rows_max),
            allow_partial: options.allow_partial,
        };
        let mut tally = Tally::default();
        if search.is_count {
            let count = count(&pull, &search, &mut tally)?;
            self.unsplit(&shards)?;
            let completeness = complete(tally, shards.len())?;
            give_count(count, sink);
            return Ok(completeness);
        }
        let mut limits = self.settings.limits.clone();
        // Sorting takes as much memory as the table.
        limits.cache_bytes /= 2;
        let merge = MergeDatabase::create(limits)?;
        let needed = needed_columns(&search, columns(search.view));
        fill(&pull, &search, &needed, &merge, &mut tally)?;
        self.unsplit(&shards)?;
        let completeness = complete(tally, shards.len())?;
        stop.reason().map_or(Ok(()), Err)?;
        let result = |column: &Column| ResultColumn {
            name: column.name.clone(),
            column_type: Some(column.column_type),
        };
        sink.columns(&search.columns.iter().map(result).collect::<Vec<_>>());
        let check = stop.clone();
        let check: StopCheck = Arc::new(move || check.is_due());
        merge
            .run(&statement::ordered(&search), check, &mut |row| sink.row(row))
            .map_err(|error| stop.reason().unwrap_or_else(|| error.into()))?;
        Ok(completeness)
    }
}

fn fill(
    pull: &Pull<'_>,
    search: &Search,
    needed: &[Column],
    merge: &MergeDatabase,
    tally: &mut Tally,
) -> Result<(), Error> {
    let mut table = pull.table(merge, search.view, needed, None)?;
    if search.level == SearchLevel::Patients {
        return patients::rows(pull, search, needed, tally)?.try_for_each(|row| table.insert(&row));
    }
    // The first rows of the answer are among the first rows of the shards.
    let rows_max = search.limit.unwrap_or_else(|| pull.rows_max.saturating_add(1));
    let question = Question {
        asked: Asked::Search(LeafSearch {
            order: if search.limit.is_some() { search.order.clone() } else { Vec::new() },
            rows_max: Some(rows_max),
            ..leaf_search(search.level, &search.keys, search.view, needed)
        }),
        ..pruned(&search.keys)
    };
    pull.rows(&question, &mut table, tally)
}

/// A question about keys to all shards that may have a match.
fn pruned(keys: &[SearchKey]) -> Question {
    let nothing = leaf_search(SearchLevel::Studies, &[], View::Studies, &[]);
    Question {
        asked: Asked::Search(nothing),
        probe: prune::probe(keys),
        alternatives: prune::alternatives(keys),
    }
}

fn leaf_search(level: SearchLevel, keys: &[SearchKey], view: View, columns: &[Column]) -> LeafSearch {
    LeafSearch {
        level,
        keys: keys.to_vec(),
        view,
        columns: columns.iter().map(|column| column.name.clone()).collect(),
        order: Vec::new(),
        rows_max: None,
        is_count: false,
    }
}

/// The columns of the answer and of its order, in the view's order.
fn needed_columns(search: &Search, all: &[Column]) -> Vec<Column> {
    let is_needed = |column: &&Column| {
        search.columns.contains(column) || search.order.iter().any(|one| one.column == column.name)
    };
    all.iter().filter(is_needed).cloned().collect()
}

/// How much there is. What is counted lies in one shard each, patients aside.
fn count(pull: &Pull<'_>, search: &Search, tally: &mut Tally) -> Result<u64, Error> {
    let found = if search.level == SearchLevel::Patients {
        patients::rows(pull, search, &[], tally)?.count() as u64
    } else {
        let asked =
            LeafSearch { is_count: true, ..leaf_search(search.level, &search.keys, search.view, &[]) };
        let question = Question { asked: Asked::Search(asked), ..pruned(&search.keys) };
        let mut sum = 0_u64;
        pull.ask(&question, tally, &mut |part| {
            if let Part::Rows(_, rows) = part {
                let counts = rows.iter().filter_map(|row| match row.first() {
                    Some(Cell::Integer(count)) => u64::try_from(*count).ok(),
                    _ => None,
                });
                sum += counts.sum::<u64>();
            }
            Ok(Wants::More)
        })?;
        sum
    };
    Ok(search.limit.map_or(found, |limit| found.min(limit)))
}

fn give_count(count: u64, sink: &mut dyn RowSink) {
    sink.columns(&[ResultColumn { name: COUNT.to_owned(), column_type: Some(ColumnType::Integer) }]);
    // It is the only row, whether more are wanted or not.
    let (ControlFlow::Continue(()) | ControlFlow::Break(())) =
        sink.row(&[Cell::Integer(i64::try_from(count).unwrap_or(i64::MAX))]);
}
