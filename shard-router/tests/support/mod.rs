//! A made-up archive in memory: shards that answer leaf queries as real ones do, and one database
//! with all rows as the oracle.
//!
//! A shard computes its columns by expressions, so that they carry no affinity, and really runs
//! the filters it is sent.
#![allow(dead_code, reason = "every test uses a part of it")]

mod data;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use shardex_catalog::{
    Cell, Column, LeafQuery, LeafSearch, PATIENT_RANK, Predicate, ShardId, View, attribute_by_keyword,
};
use shardex_seams::{Clock, Leaf, StoreError};
use shardex_shard_router::{
    Completeness, Error, LEDGER_FILES_COLUMNS, LedgerFiles, QueryOptions, ResultColumn, Router, RowSink,
    Settings,
};
use shardex_shard_store::merge::{Limits, MergeDatabase};

pub(crate) use data::{Rows, archive, columns};

/// A real clock.
pub(crate) struct RealClock(Instant);

impl Clock for RealClock {
    fn wall_ns(&self) -> i64 {
        0
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that starts now.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(RealClock(Instant::now()))
}

/// Shards in memory.
#[derive(Default)]
pub(crate) struct FakeLeaf {
    pub(crate) shards: BTreeMap<String, BTreeMap<View, Rows>>,
    /// Shards that fail after some rows.
    pub(crate) broken: Vec<String>,
    /// Never exclude a shard and never filter a row.
    pub(crate) is_naive: bool,
    /// Shards that were asked for rows.
    pub(crate) asked: AtomicUsize,
}

impl Leaf for FakeLeaf {
    fn rows(
        &self,
        shard: &ShardId,
        query: &LeafQuery,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let fails = self.broken.iter().any(|broken| broken == shard.as_str());
        let rows = &self.shards[shard.as_str()][&query.view];
        let database = database([(query.view, rows)].into_iter());
        let sql = leaf_sql(query, self.is_naive);
        let stop = Arc::clone(cancel);
        let mut given = 0;
        let width = query.columns.len();
        let mut take = |cells: &[Cell]| {
            given += 1;
            let is_enough = query.rows_max.is_some_and(|max| given > max);
            // A shard that fails does so after more than one batch.
            let times = if fails { 2000 } else { 1 };
            if is_enough || !(0..times).all(|_| row(cells[..width].to_vec())) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        database
            .run(&sql, Arc::new(move || stop.load(Ordering::Relaxed)), &mut take)
            .map_err(|error| StoreError::Query(format!("{error}: {sql}")))?;
        if fails {
            Err(StoreError::Corrupt { file: shard.to_string(), detail: "made to fail".into() })
        } else {
            Ok(())
        }
    }

    fn search(
        &self,
        _: &ShardId,
        _: &LeafSearch,
        _: &Arc<AtomicBool>,
        _: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        unreachable!("nobody searches here")
    }

    fn shards(&self) -> Result<Vec<ShardId>, StoreError> {
        Ok(self.shards.keys().map(|shard| ShardId::new(shard).expect("made here")).collect())
    }

    fn excludes(&self, shard: &ShardId, predicate: &Predicate) -> Result<bool, StoreError> {
        let (Predicate::In(column, _) | Predicate::Between(column, _, _)) = predicate;
        assert!(
            ["domain", "source"].contains(&column.as_str()) || attribute_by_keyword(column).is_some(),
            "`{column}` means nothing to a shard"
        );
        let instances = &self.shards[shard.as_str()][&View::Instances];
        let at = columns(View::Instances).iter().position(|known| known.name == *column);
        let Some(at) = at.filter(|_| !self.is_naive) else { return Ok(false) };
        let satisfies = |row: &Vec<Cell>| match (&row[at], predicate) {
            (Cell::Text(text), Predicate::In(_, values)) => values.contains(text),
            (Cell::Text(text), Predicate::Between(_, low, high)) => {
                low.as_ref().is_none_or(|low| text >= low) && high.as_ref().is_none_or(|high| text <= high)
            }
            _ => false,
        };
        Ok(!instances.iter().any(satisfies))
    }
}

fn leaf_sql(query: &LeafQuery, is_naive: bool) -> String {
    let inner =
        columns(query.view).iter().map(|column| format!("coalesce(\"{0}\", NULL) AS \"{0}\"", column.name));
    let mut inner = inner.collect::<Vec<_>>();
    if query.view == View::Patients {
        // A made-up patient has one header a shard.
        inner.push(format!("printf('%019d', NumberOfPatientRelatedInstances) AS {PATIENT_RANK}"));
    }
    let inner = inner.join(", ");
    let wanted = query.columns.iter().map(|name| format!("\"{name}\", ")).collect::<String>();
    let mut sql =
        format!("SELECT {wanted}1 FROM (SELECT {inner} FROM \"{0}\") AS \"{0}\" WHERE 1", query.view);
    for filter in query.filters.iter().filter(|_| !is_naive) {
        sql.push_str(&format!(" AND ({filter})"));
    }
    if let Some(uids) = query.sop_instance_uids.as_ref().filter(|_| !is_naive) {
        let column = if query.view == View::DicomMetadata { "sop_instance_uid" } else { "SOPInstanceUID" };
        sql.push_str(&format!(" AND {column} IN ('{}')", uids.join("','")));
    }
    sql
}

/// A database with these views in full.
pub(crate) fn database<'a>(views: impl Iterator<Item = (View, &'a Rows)>) -> MergeDatabase {
    let database = MergeDatabase::create(Limits::default()).expect("a database");
    for (view, rows) in views {
        database.add_table(view, columns(view)).expect("a table");
        let mut loader = database.loader(view, columns(view)).expect("a loader");
        rows.iter().for_each(|row| loader.insert(row).expect("a row fits"));
    }
    database
}

/// Files that are not indexed.
pub(crate) struct FakeLedger(pub Rows);

impl LedgerFiles for FakeLedger {
    fn rows(&self, row: &mut dyn FnMut(Vec<Cell>) -> bool) -> Result<(), StoreError> {
        for file in &self.0 {
            if !row(file[..LEDGER_FILES_COLUMNS.len()].to_vec()) {
                break;
            }
        }
        Ok(())
    }
}

/// Keeps an answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Rows,
}

impl RowSink for Answer {
    fn columns(&mut self, columns: &[ResultColumn]) {
        assert!(self.columns.is_empty() && self.rows.is_empty());
        self.columns = columns.iter().map(|column| column.name.clone()).collect();
    }

    fn row(&mut self, cells: &[Cell]) -> ControlFlow<()> {
        assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells.to_vec());
        ControlFlow::Continue(())
    }
}

/// A router over made-up shards.
pub(crate) fn router(leaf: Arc<FakeLeaf>, ledger: Rows) -> Router {
    router_with(leaf, ledger, |_| ())
}

/// The same with other settings.
pub(crate) fn router_with(leaf: Arc<dyn Leaf>, ledger: Rows, change: impl FnOnce(&mut Settings)) -> Router {
    let mut settings = Settings::new(clock(), columns);
    settings.leaf_threads = 2;
    change(&mut settings);
    Router::new(leaf, Arc::new(FakeLedger(ledger)), settings).expect("a router")
}

/// Runs a statement with default options.
pub(crate) fn ask(router: &Router, sql: &str) -> Result<(Answer, Completeness), Error> {
    ask_with(router, sql, &QueryOptions::default())
}

/// Runs a statement.
pub(crate) fn ask_with(
    router: &Router,
    sql: &str,
    options: &QueryOptions,
) -> Result<(Answer, Completeness), Error> {
    let mut answer = Answer::default();
    let completeness = router.sql(sql, options, &mut answer)?;
    Ok((answer, completeness))
}

/// What one database with all rows answers.
pub(crate) fn oracle(all: &BTreeMap<View, Rows>, sql: &str) -> Rows {
    let mut rows = Rows::new();
    let mut take = |cells: &[Cell]| {
        rows.push(cells.to_vec());
        ControlFlow::Continue(())
    };
    database(all.iter().map(|(view, rows)| (*view, rows)))
        .run(sql, Arc::new(|| false), &mut take)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows
}

/// Rows as text, sorted unless their order counts; sums of floats may differ in the last digits.
pub(crate) fn comparable(rows: &Rows, is_ordered: bool) -> Vec<String> {
    let cell = |cell: &Cell| match cell {
        Cell::Real(number) => format!("{number:.9e}"),
        other => format!("{other:?}"),
    };
    let mut lines: Vec<String> =
        rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join("|")).collect();
    if !is_ordered {
        lines.sort();
    }
    lines
}
