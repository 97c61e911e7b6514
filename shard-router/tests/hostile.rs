//! Statements that want more than an answer, and shards that fail.

#[expect(unused, reason = "every test uses a part of it")]
mod support;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shardex_catalog::{Cell, LeafQuery, LeafSearch, Predicate, ShardId};
use shardex_seams::{Leaf, StoreError};
use shardex_shard_router::{Error, NoLedgerFiles, QueryOptions, ResultColumn, Router, RowSink, Settings};

use support::{
    FakeLeaf, Rows, archive, ask, ask_with, clock, columns, comparable, oracle, router, router_with,
};

fn small_router() -> Router {
    let archive = archive(10);
    router(Arc::new(FakeLeaf { shards: archive.shards, ..FakeLeaf::default() }), archive.ledger)
}

#[test]
fn statements_that_reach_out_are_refused() {
    let router = small_router();
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    let long_chain = format!("SELECT 1 FROM series WHERE {}1", "Modality = 'CT' OR ".repeat(2000));
    let many = "SELECT 1;".repeat(100_000);
    for sql in [
        "ATTACH '/etc/passwd' AS x",
        "PRAGMA temp_store_directory = '/'",
        "SELECT * FROM pragma_function_list",
        "DELETE FROM series",
        "CREATE TABLE x AS SELECT 1",
        "SELECT load_extension('x.so')",
        "SELECT writefile('x', 'y')",
        "SELECT 1; SELECT 2",
        "SELECT name FROM sqlite_schema",
        "SELECT * FROM temp.sqlite_master",
        "VACUUM INTO 'x'",
        "EXPLAIN SELECT 1",
        "SELECT * FROM series WHERE Modality = ?1",
        deep.as_str(),
        long_chain.as_str(),
        many.as_str(),
        "",
    ] {
        let error = ask(&router, sql).expect_err(sql);
        assert!(matches!(error, Error::Refused(_)), "{sql:.60}: {error:?}");
    }
    assert!(ask(&router, "SELECT count(*) FROM series").is_ok());
}

#[test]
fn long_lists_and_chains_are_answered() {
    let archive = archive(30);
    let router = router(Arc::new(FakeLeaf { shards: archive.shards, ..FakeLeaf::default() }), archive.ledger);
    let list: Vec<_> = (0..20_000).map(|n| format!("'1.2.{n}.0.0'")).collect();
    let chain: Vec<_> = (0..900).map(|n| format!("SOPInstanceUID = '1.2.{n}.0.0'")).collect();
    for condition in [format!("SOPInstanceUID IN ({})", list.join(",")), chain.join(" OR ")] {
        let sql = format!("SELECT count(*) FROM instances WHERE {condition}");
        let (answer, _) = ask(&router, &sql).expect("an answer");
        assert_eq!(answer.rows, oracle(&archive.all, &sql));
    }
}

#[test]
fn what_never_ends_stops_at_its_deadline() {
    let router = small_router();
    for sql in [
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION SELECT x + 1 FROM n) SELECT max(x) FROM n",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT group_concat(x) FROM n",
        "SELECT count(*) FROM instances a, instances b, instances c, instances d, instances e WHERE a.Rows + e.Rows = 1",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT group_concat(x) OVER (ORDER BY x) FROM n",
    ] {
        let options = QueryOptions { deadline: Some(Duration::from_millis(300)), ..QueryOptions::default() };
        let start = Instant::now();
        let error = ask_with(&router, sql, &options).expect_err(sql);
        assert!(matches!(error, Error::Deadline(_)), "{sql}: {error:?}");
        assert!(start.elapsed() < Duration::from_secs(3), "{sql}: {:?}", start.elapsed());
    }
}

#[test]
fn a_query_can_be_cancelled_while_it_runs() {
    let router = small_router();
    let options = QueryOptions::default();
    let cancel = Arc::clone(&options.cancel);
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            cancel.store(true, Ordering::Relaxed);
        });
        let sql = "SELECT count(*) FROM instances a, instances b, instances c, instances d, instances e";
        let error = ask_with(&router, sql, &options).expect_err("cancelled");
        assert!(matches!(error, Error::Cancelled), "{error:?}");
    });
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn large_values_and_large_intermediate_results_are_bounded() {
    let router = small_router();
    for sql in [
        "SELECT randomblob(1000000000)",
        "SELECT zeroblob(1000000000)",
        "SELECT printf('%.*c', 1000000000, 'x')",
        "SELECT hex(zeroblob(16000000))",
        "SELECT length(replace(hex(zeroblob(4000000)), '0', '0123456789'))",
        "SELECT Modality LIKE printf('%.*c', 5000, '%') FROM series",
    ] {
        let options = QueryOptions { deadline: Some(Duration::from_secs(30)), ..QueryOptions::default() };
        let error = ask_with(&router, sql, &options).expect_err(sql);
        assert!(matches!(error, Error::Failed(_)), "{sql}: {error:?}");
    }
    let archive = archive(5);
    let leaf = Arc::new(FakeLeaf { shards: archive.shards, ..FakeLeaf::default() });
    let tight = router_with(leaf, archive.ledger, |settings| {
        settings.limits.disk_bytes_max = 20 << 20;
        settings.limits.cache_bytes = 1 << 20;
    });
    let sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x, hex(randomblob(500)) FROM n \
               ORDER BY 2";
    let options = QueryOptions { deadline: Some(Duration::from_secs(60)), ..QueryOptions::default() };
    let error = ask_with(&tight, sql, &options).expect_err("a sort that fills the disk");
    assert!(matches!(error, Error::TooManyBytes { .. }), "{error:?}");
}

#[test]
fn too_many_rows_name_the_limit_and_the_view() {
    let router = small_router();
    let options = QueryOptions { rows_max: Some(7), ..QueryOptions::default() };
    for (sql, view) in [
        ("SELECT count(*) FROM instances", "instances"),
        ("SELECT count(*) FROM files WHERE state <> 'indexed'", "files"),
        ("SELECT count(*) FROM studies t, studies u", "studies"),
    ] {
        let error = ask_with(&router, sql, &options).expect_err(sql).to_string();
        assert!(error.contains(&format!("more than 7 rows of `{view}`")), "{sql}: {error}");
    }
    assert!(ask_with(&router, "SELECT * FROM instances LIMIT 7", &options).is_ok());
}

#[test]
fn a_failing_shard_fails_the_query_unless_a_partial_answer_is_wanted() {
    let archive = archive(60);
    let broken = archive.shards.keys().nth(2).expect("some shards").clone();
    let leaf =
        FakeLeaf { shards: archive.shards.clone(), broken: vec![broken.clone()], ..FakeLeaf::default() };
    let router = router(Arc::new(leaf), archive.ledger.clone());
    let partial = QueryOptions { allow_partial: true, ..QueryOptions::default() };
    for sql in ["SELECT * FROM instances", "SELECT PatientID, bytes FROM patients", "SELECT * FROM files"] {
        let error = ask(&router, sql).expect_err("a shard fails");
        assert!(matches!(&error, Error::Shard { shard, .. } if shard.as_str() == broken), "{error:?}");
        assert!(error.to_string().contains(&broken));
        let (answer, completeness) = ask_with(&router, sql, &partial).expect("the others answer");
        assert_eq!((completeness.total, completeness.answered, completeness.failed.len()), (8, 7, 1));
        assert_eq!(completeness.failed[0].shard.as_str(), broken);
        // What the broken shard gave before it failed does not count.
        let mut others = archive.shards.clone();
        others.remove(&broken);
        let leaf = FakeLeaf { shards: others, ..FakeLeaf::default() };
        let (expected, _) =
            ask(&support::router(Arc::new(leaf), archive.ledger.clone()), sql).expect("whole");
        assert_eq!(comparable(&answer.rows, false), comparable(&expected.rows, false), "{sql}");
    }
    // A query that does not need the broken shard does not see it.
    let year = if broken.starts_with("2017") { "2019" } else { "2017" };
    assert!(ask(&router, &format!("SELECT * FROM studies WHERE StudyDate LIKE '{year}%'")).is_ok());
}

#[test]
fn all_shards_failing_is_an_error() {
    let archive = archive(20);
    let broken: Vec<String> = archive.shards.keys().cloned().collect();
    let failed = broken.len();
    let leaf = FakeLeaf { shards: archive.shards, broken, ..FakeLeaf::default() };
    let router = router(Arc::new(leaf), archive.ledger);
    let partial = QueryOptions { allow_partial: true, ..QueryOptions::default() };
    let error = ask_with(&router, "SELECT * FROM instances", &partial).expect_err("nothing is left");
    assert!(matches!(error, Error::AllShards { failed: n, .. } if n == failed), "{error:?}");
}

#[test]
fn an_empty_archive_has_empty_views() {
    let router = router(Arc::new(FakeLeaf::default()), Rows::new());
    let (answer, completeness) =
        ask(&router, "SELECT count(*), max(Rows) FROM instances").expect("an answer");
    assert_eq!(answer.rows, [[Cell::Integer(0), Cell::Null]]);
    assert_eq!(completeness.total, 0);
}

#[test]
fn a_sink_can_break_off() {
    struct First(usize);
    impl RowSink for First {
        fn columns(&mut self, _: &[ResultColumn]) {}
        fn row(&mut self, _: &[Cell]) -> ControlFlow<()> {
            self.0 += 1;
            if self.0 == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    let mut first = First(0);
    let sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n";
    assert!(small_router().sql(sql, &QueryOptions::default(), &mut first).is_ok());
    assert_eq!(first.0, 3);
}

/// A shard that never ends by itself.
struct Endless;

impl Leaf for Endless {
    fn rows(
        &self,
        _: &ShardId,
        _: &LeafQuery,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        while row(vec![Cell::Null]) {
            if cancel.load(Ordering::Relaxed) {
                return Err(StoreError::Query("interrupted".into()));
            }
        }
        Ok(())
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
        Ok((0..5).map(|n| ShardId::new(&format!("p/{n}")).expect("valid")).collect())
    }

    fn excludes(&self, _: &ShardId, _: &Predicate) -> Result<bool, StoreError> {
        Ok(false)
    }
}

#[test]
fn shards_are_stopped_too() {
    let router = Router::new(Arc::new(Endless), Arc::new(NoLedgerFiles), Settings::new(clock(), columns))
        .expect("a router");
    let options = QueryOptions {
        deadline: Some(Duration::from_millis(100)),
        rows_max: Some(u64::MAX),
        ..QueryOptions::default()
    };
    let start = Instant::now();
    let error = ask_with(&router, "SELECT Rows FROM instances", &options).expect_err("it never ends");
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(2));
    let (answer, _) = ask(&router, "SELECT Rows FROM instances LIMIT 3").expect("three rows are there");
    assert_eq!(answer.rows.len(), 3);
}
