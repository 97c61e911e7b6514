//! What is answered: the same as by a router of this process.

use std::ops::ControlFlow;
use std::sync::Arc;

use shardex_catalog::Cell;
use shardex_shard_router::{Answers, Completeness, Error, QueryOptions, ResultColumn, RowSink};

use crate::served::{Served, small_router};
use crate::support::{FakeLeaf, archive, ask_with, comparable, router};

#[derive(Debug, Default)]
struct Kept {
    columns: Vec<ResultColumn>,
    rows: Vec<Vec<Cell>>,
}

impl RowSink for Kept {
    fn columns(&mut self, columns: &[ResultColumn]) {
        self.columns = columns.to_vec();
    }

    fn row(&mut self, cells: &[Cell]) -> ControlFlow<()> {
        self.rows.push(cells.to_vec());
        ControlFlow::Continue(())
    }
}

fn ask(answers: &dyn Answers, sql: &str, options: &QueryOptions) -> Result<(Kept, Completeness), Error> {
    let mut kept = Kept::default();
    let completeness = answers.sql(sql, options, &mut kept)?;
    Ok((kept, completeness))
}

#[test]
fn statements_have_the_same_answers_near_and_far() {
    let archive = archive(60);
    let leaf = Arc::new(FakeLeaf { shards: archive.shards, ..FakeLeaf::default() });
    let near = router(Arc::clone(&leaf), archive.ledger.clone());
    let served = Served::start(router(leaf, archive.ledger));
    let far = served.remote();
    let statements = include_str!("../statements.sql");
    let mut compared = 0;
    for sql in statements.lines().filter(|line| !line.is_empty() && !line.starts_with("--")) {
        let options = QueryOptions::default();
        match (ask(&near, sql, &options), ask(&far, sql, &options)) {
            (Ok((near, _)), Ok((far, completeness))) => {
                assert_eq!(near.columns, far.columns, "{sql}");
                assert_eq!(near.rows.len(), far.rows.len(), "{sql}");
                if !sql.contains("LIMIT") {
                    assert_eq!(comparable(&near.rows, false), comparable(&far.rows, false), "{sql}");
                }
                assert!(completeness.is_complete());
                compared += 1;
            }
            (Err(near), Err(far)) => assert_eq!(near.to_string(), far.to_string(), "{sql}"),
            (near, far) => panic!("{sql}: {near:?} but {far:?}"),
        }
    }
    assert!(compared > 50, "only {compared} statements were answered");
}

#[test]
fn completeness_is_the_same() {
    let served = Served::small();
    let near = small_router();
    for sql in
        ["SELECT count(*) FROM series", "SELECT 1", "SELECT * FROM studies WHERE StudyDate LIKE '2018%'"]
    {
        let (_, expected) = ask_with(&near, sql, &QueryOptions::default()).expect("an answer");
        let (_, completeness) = ask(&served.remote(), sql, &QueryOptions::default()).expect("an answer");
        assert_eq!(completeness, expected, "{sql}");
    }
}

#[test]
fn errors_have_the_same_words() {
    let served = Served::small();
    let (near, far) = (small_router(), served.remote());
    let few = QueryOptions { rows_max: Some(3), ..QueryOptions::default() };
    let none = QueryOptions::default();
    for (sql, options) in [
        ("SELEC", &none),
        ("SELECT nothing FROM series", &none),
        ("DELETE FROM series", &none),
        ("SELECT * FROM sqlite_schema", &none),
        ("SELECT abs(-9223372036854775808)", &none),
        ("SELECT * FROM instances", &few),
        ("\u{0}\u{1}\u{7f}", &none),
    ] {
        let expected = ask(&near, sql, options).expect_err(sql).to_string();
        assert_eq!(ask(&far, sql, options).expect_err(sql).to_string(), expected, "{sql}");
    }
}

#[test]
fn a_partial_answer_says_so_without_naming_files() {
    let archive = archive(60);
    let broken = archive.shards.keys().nth(2).expect("some shards").clone();
    let leaf = FakeLeaf { shards: archive.shards, broken: vec![broken.clone()], ..FakeLeaf::default() };
    let served = Served::start(router(Arc::new(leaf), archive.ledger));
    let far = served.remote();
    let error = ask(&far, "SELECT * FROM instances", &QueryOptions::default()).expect_err("a shard fails");
    assert!(error.to_string().contains(&broken), "{error}");
    assert!(!error.to_string().contains("made to fail"), "the reason names files: {error}");
    let partial = QueryOptions { allow_partial: true, ..QueryOptions::default() };
    let (kept, completeness) = ask(&far, "SELECT * FROM instances", &partial).expect("the others answer");
    assert_eq!((completeness.total, completeness.answered, completeness.failed.len()), (8, 7, 1));
    assert_eq!(completeness.failed[0].shard.as_str(), broken);
    assert!(!completeness.failed[0].reason.contains("made to fail"));
    assert!(!kept.rows.is_empty());
}

#[test]
fn every_kind_of_value_comes_as_it_is() {
    let served = Served::small();
    let sql = "SELECT NULL, -9223372036854775808, 0.1, 9e999, 'a\u{1F600}', x'00ff', '', zeroblob(3000000)";
    let (kept, _) = ask(&served.remote(), sql, &QueryOptions::default()).expect("an answer");
    let expected = [
        Cell::Null,
        Cell::Integer(i64::MIN),
        Cell::Real(0.1),
        Cell::Real(f64::INFINITY),
        Cell::Text("a\u{1F600}".into()),
        Cell::Blob(vec![0, 255]),
        Cell::Text(String::new()),
        Cell::Blob(vec![0; 3_000_000]),
    ];
    assert_eq!(kept.rows, [expected]);
}

#[test]
fn a_sink_can_break_off() {
    struct First(usize);
    impl RowSink for First {
        fn columns(&mut self, _: &[ResultColumn]) {}
        fn row(&mut self, _: &[Cell]) -> ControlFlow<()> {
            self.0 += 1;
            ControlFlow::Break(())
        }
    }
    let served = Served::small();
    let mut first = First(0);
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n";
    served.remote().sql(endless, &QueryOptions::default(), &mut first).expect("no error");
    assert_eq!(first.0, 1);
    crate::served::wait_until("the query's end", || served.service.running() == 0);
}
