//! Statements and the plans that they get, as text.

use std::sync::LazyLock;

use shardex_catalog::ColumnType::{Integer, Real, Text};
use shardex_catalog::{Column, ColumnType};
use shardex_shard_store::merge::{Analyser, Limits};

use super::*;

type Names = &'static [(&'static str, ColumnType)];

fn columns(view: View) -> &'static [Column] {
    static VIEWS: LazyLock<Vec<Vec<Column>>> = LazyLock::new(|| {
        let columns = |view: &View| -> Names {
            match view {
                View::Patients => &[("domain", Text), ("PatientID", Text), ("PatientName", Text)],
                View::Studies => &[("StudyInstanceUID", Text), ("StudyDate", Text), ("PatientID", Text)],
                View::Series => &[
                    ("StudyInstanceUID", Text),
                    ("Modality", Text),
                    ("SeriesNumber", Integer),
                    ("SliceThickness", Real),
                ],
                View::Instances => &[
                    ("SOPInstanceUID", Text),
                    ("Modality", Text),
                    ("Rows", Integer),
                    ("ResolvedEchoTime", Real),
                ],
                View::Files => &[("path", Text), ("state", Text), ("SOPInstanceUID", Text)],
                View::DicomMetadata => {
                    &[("patient_id", Text), ("study_date", Text), ("sop_instance_uid", Text)]
                }
                View::Conflicts => &[("StudyInstanceUID", Text), ("value_min", Text)],
                View::OddValues | View::Radiopharmaceuticals => &[("Radiopharmaceutical", Text)],
            }
        };
        let column = |(name, column_type): &(&str, ColumnType)| Column {
            name: (*name).into(),
            column_type: *column_type,
        };
        View::ALL.iter().map(|view| columns(view).iter().map(column).collect()).collect()
    });
    &VIEWS[View::ALL.iter().position(|known| *known == view).expect("ALL lists every view")]
}

fn plans(sql: &str) -> Vec<ViewPlan> {
    let analyser = Analyser::new(columns, Limits::default()).expect("an analyser");
    let analysis = analyser.analyse(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    plan(sql, &analysis, columns, &[])
}

/// `view: filter; filter | predicate, predicate OR predicate`.
fn described(sql: &str) -> String {
    let predicate = |predicate: &Predicate| match predicate {
        Predicate::In(column, values) => format!("{column} in {}", values.join("/")),
        Predicate::Between(column, low, high) => {
            format!("{column} {}..{}", low.as_deref().unwrap_or(""), high.as_deref().unwrap_or(""))
        }
    };
    let all = |list: &Vec<Predicate>| list.iter().map(predicate).collect::<Vec<_>>().join(", ");
    let view = |plan: &ViewPlan| {
        let bounds = plan.shard_alternatives().iter().map(all).collect::<Vec<_>>().join(" OR ");
        format!("{}: {} | {bounds}", plan.view, plan.filters.join("; "))
    };
    plans(sql).iter().map(view).collect::<Vec<_>>().join("\n")
}

fn check(sql: &str, expected: &str) {
    assert_eq!(described(sql).trim_end(), expected, "{sql}");
}

#[test]
fn conditions_on_one_view_are_pushed() {
    check("SELECT 1", "");
    check("SELECT * FROM studies", "studies:  |");
    check(
        "SELECT * FROM studies WHERE StudyDate >= '2019' AND patientid = 'A'",
        r#"studies: ("PatientID" = 'A'); ("StudyDate" >= '2019') | StudyDate 2019.., PatientID in A"#,
    );
    check(
        "SELECT * FROM series s WHERE (s.Modality IN ('CT', 'MR') AND (s.SeriesNumber > 3)) AND lower(Modality) LIKE 'c%'",
        r#"series: ("Modality" IN ('CT', 'MR')); ("SeriesNumber" > 3); (lower("Modality") LIKE 'c%') | Modality in CT/MR"#,
    );
    check(
        "SELECT * FROM series WHERE 'CT' = Modality OR \"Modality\" = 'PT'",
        r#"series: (('CT' = "Modality") OR ("Modality" = 'PT')) | Modality in CT/PT"#,
    );
    check(
        "SELECT count(*) FROM studies WHERE StudyDate BETWEEN '2019' AND '2020' AND StudyDate LIKE '2019%' AND PatientID GLOB 'Ab*'",
        "studies: (\"PatientID\" GLOB 'Ab*'); (\"StudyDate\" LIKE '2019%'); \
         ((\"StudyDate\" >= '2019') AND (\"StudyDate\" <= '2020')) | \
         StudyDate 2019..2020, StudyDate 2019..201:, PatientID Ab..Ac",
    );
}

#[test]
fn values_are_written_in_the_type_of_their_column() {
    check(
        "SELECT 1 FROM studies WHERE PatientID = 12345",
        r#"studies: ("PatientID" = '12345') | PatientID in 12345"#,
    );
    check(
        "SELECT 1 FROM studies WHERE PatientID IN (007, -1)",
        r#"studies: ("PatientID" IN ('7', '-1')) | PatientID in 7/-1"#,
    );
    check("SELECT 1 FROM series WHERE SeriesNumber = '3'", r#"series: ("SeriesNumber" = 3) |"#);
    check("SELECT 1 FROM series WHERE SliceThickness < 2.5", r#"series: ("SliceThickness" < 2.5) |"#);
    check(
        "SELECT 1 FROM series WHERE max(Modality, x'4354') > 'a'",
        r#"series: (max("Modality", x'4354') > 'a') |"#,
    );
    for kept_back in [
        "SELECT 1 FROM studies WHERE PatientID = 1.5",
        "SELECT 1 FROM series WHERE SeriesNumber = ' 3'",
        "SELECT 1 FROM series WHERE SeriesNumber = '3.0'",
        "SELECT 1 FROM series WHERE Modality = SeriesNumber",
        "SELECT 1 FROM series WHERE Modality = SeriesNumber + 1",
        "SELECT 1 FROM series WHERE Modality = length(Modality)",
        "SELECT 1 FROM series WHERE Modality IN ('CT', iif(SeriesNumber > 1, 5, 'x'))",
        "SELECT 1 FROM series WHERE SeriesNumber IS TRUE",
        "SELECT 1 FROM series WHERE 'CT' IN (Modality)",
    ] {
        check(
            kept_back,
            "series:  |"
                .replace("series", if kept_back.contains("studies") { "studies" } else { "series" })
                .as_str(),
        );
    }
}

#[test]
fn what_depends_on_more_than_the_row_stays_behind() {
    for condition in [
        "Modality = (SELECT 'CT')",
        "EXISTS (SELECT 1)",
        "random() > 0",
        "StudyInstanceUID IN (SELECT 'x')",
        "date('now') > '2020'",
        "Modality > CURRENT_DATE",
        "json_extract(Modality, '$.a') = 1",
        "1 = 1",
        "series.Modality = 'CT' AND 1",
    ] {
        let sql = format!("SELECT * FROM series WHERE {condition}");
        let expected = if condition.contains("AND") {
            r#"series: ("Modality" = 'CT') | Modality in CT"#
        } else {
            "series:  |"
        };
        check(&sql, expected);
    }
}

#[test]
fn joins_push_to_each_side_unless_an_outer_join_keeps_the_rows() {
    let join = |join: &str, rest: &str| {
        format!("SELECT * FROM studies t {join} series s ON t.StudyInstanceUID = s.StudyInstanceUID {rest}")
    };
    let both =
        "studies: (\"PatientID\" = 'A') | PatientID in A\nseries: (\"Modality\" = 'CT') | Modality in CT";
    check(&join("JOIN", "WHERE t.PatientID = 'A' AND Modality = 'CT'"), both);
    check(&join("JOIN", "AND Modality = 'CT' WHERE PatientID = 'A'"), both);
    check(
        &join("LEFT JOIN", "WHERE PatientID = 'A' AND Modality = 'CT'"),
        "studies: (\"PatientID\" = 'A') | PatientID in A\nseries:  |",
    );
    check(
        &join("LEFT JOIN", "AND PatientID = 'A' AND Modality = 'CT'"),
        "studies:  | \nseries: (\"Modality\" = 'CT') | Modality in CT",
    );
    for kind in ["RIGHT JOIN", "FULL JOIN"] {
        check(&join(kind, "WHERE PatientID = 'A' AND Modality = 'CT'"), "studies:  | \nseries:  |");
    }
    check(
        "SELECT * FROM studies NATURAL JOIN series WHERE StudyInstanceUID = '1' AND Modality = 'CT'",
        "studies:  | \nseries: (\"Modality\" = 'CT') | Modality in CT",
    );
    check(
        "SELECT * FROM studies JOIN (SELECT 1 AS x) q WHERE PatientID = 'A' AND x = 1",
        "studies: (\"PatientID\" = 'A') | PatientID in A",
    );
}

#[test]
fn a_view_read_twice_gives_the_rows_that_either_reading_needs() {
    check(
        "SELECT 1 FROM series WHERE Modality = 'CT' UNION ALL SELECT 2 FROM series WHERE Modality = 'MR'",
        r#"series: (("Modality" = 'CT')) OR (("Modality" = 'MR')) | Modality in CT OR Modality in MR"#,
    );
    check("SELECT 1 FROM series WHERE Modality = 'CT' UNION ALL SELECT 2 FROM series", "series:  |");
    check(
        "SELECT 1 FROM series a, series b WHERE a.Modality = 'CT' AND b.Modality = 'CT'",
        r#"series: ("Modality" = 'CT') | Modality in CT OR Modality in CT"#,
    );
    check(
        "SELECT 1 FROM studies WHERE StudyInstanceUID IN (SELECT StudyInstanceUID FROM series WHERE Modality = 'CT')",
        "studies:  | \nseries: (\"Modality\" = 'CT') | Modality in CT",
    );
    check(
        "SELECT 1 FROM studies t WHERE EXISTS (SELECT 1 FROM series WHERE Modality = t.PatientID AND SeriesNumber = 1)",
        "studies:  | \nseries: (\"SeriesNumber\" = 1) |",
    );
}

#[test]
fn common_table_expressions_hide_views() {
    check(
        "WITH ct AS (SELECT * FROM series WHERE Modality = 'CT') SELECT * FROM ct WHERE SeriesNumber = 1",
        r#"series: ("Modality" = 'CT') | Modality in CT"#,
    );
    check(
        "WITH studies AS (SELECT Modality AS PatientID FROM series) SELECT * FROM studies WHERE PatientID = 'A'",
        "series:  |",
    );
    check(
        "WITH series AS (SELECT 1 AS z) SELECT z FROM series, studies WHERE StudyInstanceUID = 'x'",
        r#"studies: ("StudyInstanceUID" = 'x') | StudyInstanceUID in x"#,
    );
}

#[test]
fn views_with_a_life_of_their_own_push_only_what_is_right() {
    check(
        "SELECT * FROM patients WHERE PatientID = 'A' AND PatientName = 'B' AND domain IN ('d')",
        r#"patients: ("PatientID" = 'A'); ("domain" IN ('d')) | PatientID in A, domain in d"#,
    );
    check("SELECT * FROM conflicts WHERE value_min = '1.5'", "conflicts:  |");
    check("SELECT * FROM radiopharmaceuticals WHERE Radiopharmaceutical = 'FDG'", "radiopharmaceuticals:  |");
    check(
        "SELECT * FROM dicom_metadata WHERE patient_id = 'A' AND study_date < '2020'",
        r#"dicom_metadata: ("patient_id" = 'A'); ("study_date" < '2020') | PatientID in A, StudyDate ..2020"#,
    );
    check("SELECT * FROM instances WHERE ResolvedEchoTime = 80", r#"instances: ("ResolvedEchoTime" = 80) |"#);
}

#[test]
fn files_come_from_where_their_states_are() {
    let sides = |condition: &str| {
        let plans = plans(&format!("SELECT path FROM files WHERE {condition}"));
        (plans[0].needs_shards(), plans[0].needs_ledger())
    };
    assert_eq!(sides("1"), (true, true));
    assert_eq!(sides("state = 'quarantined'"), (false, true));
    assert_eq!(sides("state IN ('indexed', 'warning')"), (true, false));
    assert_eq!(sides("state IN ('indexed', 'deleted')"), (true, true));
    assert_eq!(sides("state = 'deleted' OR path = 'x'"), (true, true));
    assert_eq!(sides("state = 'deleted' UNION SELECT path FROM files WHERE state = 'indexed'"), (true, true));
}

#[test]
fn instances_are_looked_up_by_uid() {
    let uids = |sql: &str| plans(sql)[0].sop_instance_uids.clone();
    let expected = Some(vec!["1.2".to_owned(), "1.3".to_owned()]);
    assert_eq!(uids("SELECT Rows FROM instances WHERE SOPInstanceUID IN ('1.2', '1.3')"), expected);
    assert_eq!(
        uids("SELECT 1 FROM dicom_metadata WHERE sop_instance_uid = '1.2' OR sop_instance_uid = '1.3'"),
        expected
    );
    assert_eq!(uids("SELECT 1 FROM instances WHERE SOPInstanceUID > '1.2'"), None);
}

#[test]
fn a_limit_is_enough_only_where_any_rows_are_an_answer() {
    let wanted = |sql: &str| plans(sql)[0].rows_wanted;
    assert_eq!(wanted("SELECT * FROM series LIMIT 5"), Some(5));
    assert_eq!(wanted("SELECT upper(Modality) FROM series WHERE Modality = 'CT' LIMIT 5 OFFSET 2"), Some(7));
    for all in [
        "SELECT * FROM series",
        "SELECT * FROM series LIMIT -1",
        "SELECT * FROM series ORDER BY 1 LIMIT 5",
        "SELECT DISTINCT Modality FROM series LIMIT 5",
        "SELECT Modality, count(*) FROM series GROUP BY 1 LIMIT 5",
        "SELECT max(SeriesNumber) FROM series LIMIT 5",
        "SELECT count(*) FROM series LIMIT 5",
        "SELECT row_number() OVER () FROM series LIMIT 5",
        "SELECT * FROM series WHERE random() > 0 LIMIT 5",
        "SELECT * FROM series WHERE Modality = (SELECT 'CT') LIMIT 5",
        "SELECT * FROM series, (SELECT 1) LIMIT 5",
        "SELECT * FROM series UNION ALL SELECT 1, 2, 3, 4 LIMIT 5",
        "SELECT * FROM patients LIMIT 5",
    ] {
        assert_eq!(wanted(all), None, "{all}");
    }
}

#[test]
fn what_our_parser_does_not_know_is_pulled_whole() {
    let analysis = Analyser::new(columns, Limits::default())
        .expect("an analyser")
        .analyse("SELECT Modality FROM series WHERE Modality = 'CT'")
        .expect("valid");
    let plans = plan("this is not SQL", &analysis, columns, &[]);
    assert_eq!((plans[0].filters.len(), plans[0].columns.len()), (0, 1));
}

fn planned(sql: &str) -> Vec<ViewPlan> {
    let rows = ["b", "a'b", "a'b"].map(|value| vec![None, Some(value.to_owned())]);
    let columns_of_list = vec!["name".to_owned(), "id".to_owned()];
    let single = List::new("one", vec!["uid".to_owned()], vec![vec![Some("1.2".to_owned())]]);
    let lists = [List::new("cohort", columns_of_list, rows.into()), single].map(|list| list.expect("valid"));
    let analyser = Analyser::with_lists(columns, Limits::default(), &lists).expect("an analyser");
    let analysis = analyser.analyse(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    plan(sql, &analysis, columns, &lists)
}

/// What binds a view to a list is pushed as the list's values, and nothing else is.
#[test]
fn lists_filter_the_views_that_they_are_joined_to() {
    let cohort = r#"("PatientID" IN ('a''b', 'b'))"#;
    let one = r#"("StudyInstanceUID" IN ('1.2'))"#;
    for (sql, expected) in [
        ("SELECT * FROM studies WHERE PatientID IN (SELECT id FROM cohort)", cohort),
        ("SELECT * FROM studies WHERE (PatientID) IN (SELECT DISTINCT c.id FROM cohort AS c)", ""),
        ("SELECT * FROM studies WHERE PatientID IN (SELECT id FROM cohort c)", cohort),
        ("SELECT * FROM studies WHERE PatientID IN (SELECT id FROM cohort WHERE name = 'x')", ""),
        ("SELECT * FROM studies WHERE PatientID IN (SELECT id FROM cohort LIMIT 1)", ""),
        ("SELECT * FROM studies WHERE PatientID NOT IN (SELECT id FROM cohort)", ""),
        ("SELECT * FROM studies WHERE StudyInstanceUID IN one", one),
        ("SELECT * FROM studies WHERE StudyInstanceUID IN (SELECT * FROM one)", one),
        ("SELECT * FROM studies s JOIN cohort c ON s.PatientID = c.id", cohort),
        ("SELECT * FROM studies s JOIN cohort c ON c.id = s.PatientID", cohort),
        ("SELECT * FROM studies, cohort WHERE PatientID = id", cohort),
        ("SELECT * FROM cohort LEFT JOIN studies ON PatientID = id", cohort),
        ("SELECT * FROM studies LEFT JOIN cohort ON PatientID = id", ""),
        ("SELECT * FROM studies RIGHT JOIN cohort ON PatientID = id", ""),
        ("SELECT * FROM studies, cohort WHERE PatientID = id OR PatientID = 'x'", ""),
        ("SELECT * FROM studies JOIN cohort ON PatientID > id", ""),
        ("SELECT * FROM studies JOIN (SELECT uid AS StudyInstanceUID FROM one) USING (StudyInstanceUID)", ""),
        ("WITH cohort AS (SELECT 'x' AS id) SELECT * FROM studies JOIN cohort ON PatientID = id", ""),
    ] {
        let plans = planned(sql);
        assert_eq!(
            plans.iter().map(|plan| plan.filters.join(" AND ")).collect::<Vec<_>>(),
            [expected],
            "{sql}"
        );
        assert_eq!(plans[0].alternatives.is_empty(), expected.is_empty(), "{sql}");
    }
}

#[test]
fn lists_are_joined_by_using() {
    let list = List::new("mine", vec!["studyinstanceuid".to_owned()], vec![vec![Some("1.2".to_owned())]]);
    let lists = [list.expect("valid")];
    let one = r#"("StudyInstanceUID" IN ('1.2'))"#;
    for (sql, studies, series) in [
        ("SELECT 1 FROM studies JOIN mine USING (StudyInstanceUID)", Some(one), None),
        ("SELECT 1 FROM mine JOIN studies USING (StudyInstanceUID)", Some(one), None),
        ("SELECT 1 FROM mine LEFT JOIN studies USING (StudyInstanceUID)", Some(one), None),
        ("SELECT 1 FROM studies LEFT JOIN mine USING (StudyInstanceUID)", Some(""), None),
        (
            "SELECT 1 FROM studies JOIN mine USING (StudyInstanceUID) JOIN series USING (StudyInstanceUID)",
            Some(one),
            Some(""),
        ),
        ("SELECT 1 FROM studies NATURAL JOIN mine", Some(""), None),
    ] {
        let analyser = Analyser::with_lists(columns, Limits::default(), &lists).expect("an analyser");
        let analysis = analyser.analyse(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let plans = plan(sql, &analysis, columns, &lists);
        let of = |view| plans.iter().find(|plan| plan.view == view).map(|plan| plan.filters.join(" AND "));
        assert_eq!((of(View::Studies).as_deref(), of(View::Series).as_deref()), (studies, series), "{sql}");
    }
}
