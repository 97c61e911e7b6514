//! Every statement gives on shards what it gives on one database with all rows; with pruning and
//! pushing what it gives without.

#[expect(unused, reason = "every test uses a part of it")]
mod support;

use std::sync::Arc;

use support::{FakeLeaf, archive, ask, comparable, oracle, router};

/// One statement a line; `--` begins a comment.
const STATEMENTS: &str = include_str!("statements.sql");

#[test]
fn shards_answer_as_one_database_does() {
    let archive = archive(60);
    let sharp = Arc::new(FakeLeaf { shards: archive.shards.clone(), ..FakeLeaf::default() });
    let naive = Arc::new(FakeLeaf { shards: archive.shards, is_naive: true, ..FakeLeaf::default() });
    let sharp = router(sharp, archive.ledger.clone());
    let naive = router(naive, archive.ledger);
    let mut checked = 0;
    let mut with_rows = 0;
    let (mut pulled_sharp, mut pulled_naive) = (0, 0);
    for sql in STATEMENTS.lines().filter(|line| !line.is_empty() && !line.starts_with("--")) {
        let is_ordered = sql.contains("ORDER BY") && !sql.contains("OVER");
        let expected = comparable(&oracle(&archive.all, sql), is_ordered);
        let (answer, completeness) = ask(&sharp, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(comparable(&answer.rows, is_ordered), expected, "{sql}");
        assert!(completeness.is_complete());
        assert!(completeness.pruned + completeness.answered == completeness.total, "{sql}: {completeness:?}");
        let (unpruned, all) = ask(&naive, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(comparable(&unpruned.rows, is_ordered), expected, "unpruned: {sql}");
        checked += 1;
        with_rows += usize::from(!expected.is_empty());
        pulled_sharp += completeness.rows_pulled;
        pulled_naive += all.rows_pulled;
    }
    assert!(checked >= 80, "{checked} statements");
    assert!(with_rows * 10 >= checked * 9, "only {with_rows} of {checked} statements find rows");
    assert!(
        pulled_sharp * 3 < pulled_naive * 2,
        "pushing saves little: {pulled_sharp} of {pulled_naive} rows"
    );
}

#[test]
fn a_limit_without_an_order_gives_rows_of_the_view() {
    let archive = archive(60);
    let leaf = Arc::new(FakeLeaf { shards: archive.shards, ..FakeLeaf::default() });
    let router = router(Arc::clone(&leaf), archive.ledger);
    for (sql, all, expected) in [
        ("SELECT SOPInstanceUID FROM instances LIMIT 5", "SELECT SOPInstanceUID FROM instances", 5),
        (
            "SELECT SOPInstanceUID, Rows FROM instances WHERE Modality = 'CT' LIMIT 3 OFFSET 2",
            "SELECT SOPInstanceUID, Rows FROM instances WHERE Modality = 'CT'",
            3,
        ),
        ("SELECT path FROM files WHERE state = 'indexed' LIMIT 4", "SELECT path FROM files", 4),
        ("SELECT SOPInstanceUID FROM instances LIMIT 0", "SELECT SOPInstanceUID FROM instances", 0),
    ] {
        let (answer, completeness) = ask(&router, sql).expect("valid");
        let all = comparable(&oracle(&archive.all, all), false);
        assert_eq!(answer.rows.len(), expected, "{sql}");
        assert!(comparable(&answer.rows, false).iter().all(|row| all.contains(row)), "{sql}");
        assert!(completeness.rows_pulled < 60, "{sql}: {completeness:?}");
    }
}

/// SQLite leaves open which row such statements mean; the order in which shards answer must not decide it.
#[test]
fn what_a_statement_leaves_open_is_the_same_each_time() {
    let archive = archive(60);
    let leaf = Arc::new(FakeLeaf { shards: archive.shards, ..FakeLeaf::default() });
    let router = router(leaf, archive.ledger);
    for sql in [
        "SELECT group_concat(SOPInstanceUID) FROM instances",
        "SELECT PatientID, SOPInstanceUID, count(*) FROM instances GROUP BY PatientID",
        "SELECT path FROM files",
        "SELECT PatientID FROM patients",
    ] {
        let rows = || ask(&router, sql).unwrap_or_else(|error| panic!("{sql}: {error}")).0.rows;
        let first = format!("{:?}", rows());
        for _ in 0..20 {
            assert_eq!(format!("{:?}", rows()), first, "{sql}");
        }
    }
}

#[test]
fn shards_that_cannot_answer_are_not_asked() {
    let archive = archive(60);
    let leaf = Arc::new(FakeLeaf { shards: archive.shards, ..FakeLeaf::default() });
    let router = router(Arc::clone(&leaf), archive.ledger);
    for (sql, answered) in [
        ("SELECT count(*) FROM series WHERE StudyDate BETWEEN '20180101' AND '20181231'", 2),
        ("SELECT count(*) FROM dicom_metadata WHERE study_date LIKE '2018%'", 2),
        ("SELECT count(*) FROM instances WHERE SOPInstanceUID = '1.2.7.0.0'", 1),
        ("SELECT count(*) FROM studies WHERE StudyDate < '2000'", 0),
        ("SELECT count(*) FROM series", 8),
        ("SELECT count(*) FROM files WHERE state = 'quarantined'", 0),
    ] {
        let (_, completeness) = ask(&router, sql).expect("valid");
        assert_eq!((completeness.total, completeness.answered), (8, answered), "{sql}");
    }
}

#[test]
fn result_columns_are_named_as_sqlite_names_them() {
    let archive = archive(5);
    let router = router(Arc::new(FakeLeaf { shards: archive.shards, ..FakeLeaf::default() }), archive.ledger);
    let (answer, _) =
        ask(&router, "SELECT Modality AS m, count(*), s.PatientID FROM series s").expect("valid");
    assert_eq!(answer.columns, ["m", "count(*)", "PatientID"]);
}
