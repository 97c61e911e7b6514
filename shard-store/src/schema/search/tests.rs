//! How a shard finds what a search asks for.

use rusqlite::Connection;
use shardex_catalog::query::{Given, GivenKey, Search, SearchRequest};

use super::*;
use crate::schema::{SHARD, view_columns};

fn shard() -> Connection {
    let connection = Connection::open_in_memory().expect("memory");
    for version in SHARD.migrations {
        connection.execute_batch(&version()).expect("valid DDL");
    }
    add_functions(&connection).expect("functions");
    connection
}

fn leaf_search(level: SearchLevel, keys: &[(&str, Given)], instances: bool) -> LeafSearch {
    let given = |(name, given): &(&str, Given)| GivenKey { name: (*name).to_owned(), given: given.clone() };
    let request = SearchRequest {
        keys: keys.iter().map(given).collect(),
        limit: Some(10),
        wants_instances: instances,
        ..SearchRequest::new(level)
    };
    let search = Search::new(&request, view_columns).expect("valid");
    LeafSearch {
        level,
        keys: search.keys,
        view: search.view,
        columns: search.columns.into_iter().map(|column| column.name).collect(),
        order: search.order,
        rows_max: search.limit,
        is_count: false,
    }
}

fn steps(connection: &Connection, search: &LeafSearch) -> Vec<String> {
    let statement = search_select(search).expect("known columns");
    let mut plan = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {}", statement.sql))
        .unwrap_or_else(|error| panic!("{error}: {}", statement.sql));
    for n in 0..plan.parameter_count() {
        plan.raw_bind_parameter(n + 1, "x").expect("a parameter");
    }
    assert_eq!(plan.parameter_count(), statement.values.len(), "{}", statement.sql);
    let mut rows = plan.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().expect("a step") {
        steps.push(row.get::<_, String>(3).expect("text"));
    }
    steps
}

/// Whether a step reads all of a table of the shard; lists and what matched are read whole on purpose.
fn is_scan(step: &str) -> bool {
    let scanned = step.strip_prefix("SCAN ").map(|rest| rest.split(' ').next().unwrap_or_default());
    scanned.is_some_and(|table| {
        matches!(table, "t" | "s" | "k" | "f" | "file" | "d" | "r" | "ot" | "os" | "ok" | "o")
    })
}

fn text(text: &str) -> Given {
    Given::Text(text.to_owned())
}

fn list(count: usize) -> Given {
    Given::List((0..count).map(|n| format!("1.2.{n}")).collect())
}

#[test]
fn look_ups_search_an_index() {
    let connection = shard();
    for (keys, index) in [
        (&[("SOPInstanceUID", text("1.2"))][..], "file_sop_instance_uid"),
        (&[("SOPInstanceUID", list(3000))], "file_sop_instance_uid"),
        (&[("SeriesInstanceUID", text("1.2"))], "series_header_SeriesInstanceUID"),
        (&[("StudyInstanceUID", text("1.2\\1.3"))], "study_header_StudyInstanceUID"),
        (&[("PatientID", text("A"))], "study_header_patient_study"),
        (&[("PatientID", text("A*"))], "study_header_patient_study"),
        (&[("PatientID", list(3000))], "study_header_patient_study"),
        (&[("AccessionNumber", text("A"))], "study_header_AccessionNumber"),
        (&[("AccessionNumber", list(3000))], "study_header_AccessionNumber"),
        (&[("PatientName", text("Müller^*"))], "study_header_patient_name_folded"),
        (&[("StudyDate", text("2019-2020"))], "study_header_StudyDate"),
        (&[("StudyDate", text("201902")), ("Modality", text("CT"))], "study_header_StudyDate"),
        (&[("Modality", text("PT"))], "series_header_Modality"),
        (&[("Manufacturer", text("GE*"))], "series_header_Manufacturer"),
        (&[("Radiopharmaceutical", text("FDG"))], "series_header_Radiopharmaceutical"),
        // Of several keys, the one that finds least.
        (&[("Modality", text("CT")), ("AccessionNumber", text("A"))], "study_header_AccessionNumber"),
        (&[("PatientName", text("D*")), ("PatientID", text("A"))], "study_header_patient_study"),
        (
            &[("StudyInstanceUID", text("1.2")), ("SeriesInstanceUID", text("1.3"))],
            "series_header_SeriesInstanceUID",
        ),
    ] {
        for (level, instances) in [
            (SearchLevel::Patients, false),
            (SearchLevel::Studies, false),
            (SearchLevel::Studies, true),
            (SearchLevel::Series, false),
            (SearchLevel::Series, true),
            (SearchLevel::Instances, false),
        ] {
            let search = leaf_search(level, keys, instances);
            let steps = steps(&connection, &search);
            let found = steps.iter().any(|step| step.contains(&format!("INDEX {index} ")));
            assert!(found, "{level} {keys:?}: {steps:#?}");
            assert!(!steps.iter().any(|step| is_scan(step)), "{level} {keys:?}: {steps:#?}");
            let count = LeafSearch { is_count: true, ..search };
            let steps = self::steps(&connection, &count);
            assert!(!steps.iter().any(|step| is_scan(step)), "count {level} {keys:?}: {steps:#?}");
        }
    }
}

/// The first rows are read in order of an index, not all rows and then sorted.
#[test]
fn a_limit_alone_sorts_only_what_shares_a_study() {
    let connection = shard();
    for level in [SearchLevel::Studies, SearchLevel::Series, SearchLevel::Instances] {
        let steps = steps(&connection, &leaf_search(level, &[], false));
        assert!(steps[0].contains("INDEX study_header_StudyInstanceUID"), "{level}: {steps:#?}");
        let sorts: Vec<_> = steps.iter().filter(|step| step.contains("ORDER BY")).collect();
        assert!(sorts.iter().all(|step| step.contains("LAST")), "{level}: {steps:#?}");
    }
}

#[test]
fn names_are_compared_without_case_and_accents_and_lists_by_value() {
    let connection = shard();
    let found =
        |sql: &str| connection.query_row(sql, [], |row| row.get::<_, Option<bool>>(0)).expect("a value");
    assert_eq!(found("SELECT person_name_matches('muller', 'Müller^Jörg')"), Some(true));
    assert_eq!(found("SELECT person_name_matches('muller', NULL)"), Some(false));
    assert_eq!(found("SELECT person_name_matches('muller', x'FF')"), Some(false));
}
