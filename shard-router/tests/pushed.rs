//! Made-up conditions: pushed to shards and not pushed, they give the same rows.

#[expect(unused, reason = "every test uses a part of it")]
mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use shardex_catalog::View;
use shardex_shard_router::Router;

use support::{FakeLeaf, Rows, archive, ask, comparable, oracle, router};

struct Setting {
    all: BTreeMap<View, Rows>,
    router: Router,
}

static SETTING: LazyLock<Setting> = LazyLock::new(|| {
    let archive = archive(25);
    let leaf = FakeLeaf { shards: archive.shards, ..FakeLeaf::default() };
    Setting { all: archive.all, router: router(Arc::new(leaf), archive.ledger) }
});

fn column() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "Modality",
        "s.Modality",
        "\"Manufacturer\"",
        "SeriesNumber",
        "PatientID",
        "s.PatientID",
        "StudyDate",
        "s.SeriesInstanceUID",
        "domain",
        "+PatientID",
        "Manufacturer COLLATE NOCASE",
        "(SeriesNumber)",
    ])
    .prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "'CT'",
        "'ct'",
        "'MR'",
        "'GE'",
        "'Siemens'",
        "1",
        "'1'",
        "2",
        "2.0",
        "'2.0'",
        "-1",
        "12343",
        "'12343'",
        "'PAT007'",
        "NULL",
        "'2018'",
        "2019",
        "'20190101'",
        "x'4354'",
        "'default'",
        "TRUE",
        "''",
        "' 1'",
        "1e0",
        "'1.2.3.0'",
        "12343.0",
    ])
    .prop_map(str::to_owned)
}

fn term() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => column(),
        3 => value(),
        1 => (column(), value()).prop_map(|(c, v)| format!("coalesce({c}, {v})")),
        1 => column().prop_map(|c| format!("length({c})")),
        1 => column().prop_map(|c| format!("upper({c})")),
        1 => column().prop_map(|c| format!("substr({c}, 1, 4)")),
        1 => (column(), value()).prop_map(|(c, v)| format!("({c} || {v})")),
        1 => (column(), value()).prop_map(|(c, v)| format!("({c} + {v})")),
        1 => column().prop_map(|c| format!("CAST({c} AS TEXT)")),
        1 => column().prop_map(|c| format!("CAST({c} AS INTEGER)")),
        1 => (column(), value(), value()).prop_map(|(c, v, w)| format!("CASE {c} WHEN {v} THEN {w} ELSE 1 END")),
        1 => (column(), value()).prop_map(|(c, v)| format!("nullif({c}, {v})")),
        1 => (column(), value()).prop_map(|(c, v)| format!("max({c}, {v})")),
    ]
}

fn comparison() -> impl Strategy<Value = String> {
    let sign = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">=", "IS", "IS NOT", "==", "!="]);
    let like = prop::sample::select(vec!["LIKE", "NOT LIKE", "GLOB", "NOT GLOB"]);
    let pattern = prop::sample::select(vec![
        "'C%'", "'%M%'", "'2019*'", "'[CM]*'", "'2018%'", "'1_'", "'123%'", "''", "12343",
    ]);
    prop_oneof![
        6 => (term(), sign, term()).prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
        2 => (term(), any::<bool>(), prop::collection::vec(term(), 0..4)).prop_map(|(a, not, list)| {
            format!("{a} {}IN ({})", if not { "NOT " } else { "" }, list.join(", "))
        }),
        2 => (term(), any::<bool>(), term(), term()).prop_map(|(a, not, low, high)| {
            format!("{a} {}BETWEEN {low} AND {high}", if not { "NOT " } else { "" })
        }),
        1 => (term(), any::<bool>()).prop_map(|(a, not)| format!("{a} IS {}NULL", if not { "NOT " } else { "" })),
        2 => (column(), like, pattern).prop_map(|(a, like, pattern)| format!("{a} {like} {pattern}")),
        1 => term(),
        1 => column().prop_map(|c| format!("{c} IN (SELECT Modality FROM series)")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    comparison().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) AND ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) OR ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} AND {b}")),
            inner.prop_map(|a| format!("NOT ({a})")),
        ]
    })
}

fn check(sql: &str) {
    let expected = comparable(&oracle(&SETTING.all, sql), false);
    let (answer, _) = ask(&SETTING.router, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!(comparable(&answer.rows, false), expected, "{sql}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn conditions_mean_the_same_in_a_shard(condition in condition()) {
        check(&format!("SELECT SeriesInstanceUID FROM series s WHERE {condition}"));
    }

    #[test]
    fn joins_lose_no_row(
        kind in prop::sample::select(vec!["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"]),
        on in condition(),
        condition in condition(),
    ) {
        // Columns that both tables have are ambiguous unless they are qualified.
        let qualified = |text: &str| {
            ["PatientID", "StudyDate", "domain"].iter().fold(text.replace("s.PatientID", "s.§"), |text, name| {
                text.replace(name, &format!("t.{name}"))
            }).replace('§', "PatientID")
        };
        let (on, condition) = (qualified(&on), qualified(&condition));
        check(&format!(
            "SELECT t.StudyInstanceUID, SeriesInstanceUID FROM studies t {kind} series s \
             ON t.StudyInstanceUID = s.StudyInstanceUID AND {on} WHERE {condition}"
        ));
    }
}
