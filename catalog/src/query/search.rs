//! A search, read and checked: what is asked of shards, and in which order the answer comes.

use super::key::{SearchKey, Target};
use super::resolve::{near, plain, resolve};
use super::value::{self, Kind};
use super::{Columns, GivenKey, SearchLevel, SearchRequest};
use crate::{Column, View};

/// Keys of one search.
const KEYS_MAX: usize = 64;
/// Columns of an answer, and of its order.
const COLUMNS_MAX: usize = 1_000;
/// The columns that make an order of a view's rows total. The study comes first, so that a shard finds
/// the first rows by its index on it.
fn total_key(view: View) -> &'static [&'static str] {
    match view {
        View::Patients => &["PatientID", "IssuerOfPatientID", "domain"],
        View::Studies => &["StudyInstanceUID", "domain"],
        View::Series => &["StudyInstanceUID", "SeriesInstanceUID", "domain"],
        _ => &["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "domain"],
    }
}

/// One column of an order, NULL before all values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The column of the answer's view.
    pub column: String,
    /// Largest first.
    pub descending: bool,
}

/// Why a search cannot be asked. Texts quote what was given and must not be logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSearch {
    /// There is no such key.
    #[error("`{name}` is no key of a search for {level}{}", suggestions(.near, "`shardex schema` lists all"))]
    UnknownKey {
        /// What was written.
        name: String,
        /// The level.
        level: SearchLevel,
        /// Names like it.
        near: Vec<String>,
    },
    /// There is no such column.
    #[error("`{name}` is no column of `{view}`{}", suggestions(.near, "`shardex schema` lists all"))]
    UnknownColumn {
        /// What was written.
        name: String,
        /// The view.
        view: View,
        /// Names like it.
        near: Vec<String>,
    },
    /// The value does not fit its key.
    #[error("`{name}`: {reason}")]
    Value {
        /// The key.
        name: String,
        /// What is wrong, and what to write.
        reason: String,
    },
    /// A key is given twice.
    #[error("`{name}` is given twice: write either value as `{name}=A\\B`")]
    Twice {
        /// The key.
        name: String,
    },
    /// The parts of the search do not go together.
    #[error("{0}")]
    Refused(String),
}

fn suggestions(near: &[String], otherwise: &str) -> String {
    if near.is_empty() { format!("; {otherwise}") } else { format!("; did you mean {}?", near.join(", ")) }
}

/// A search that can be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What is looked for.
    pub level: SearchLevel,
    /// What it must be like.
    pub keys: Vec<SearchKey>,
    /// The view whose rows are the answer.
    pub view: View,
    /// The answer's columns.
    pub columns: Vec<Column>,
    /// The answer's order; total.
    pub order: Vec<Order>,
    /// At most this many rows.
    pub limit: Option<u64>,
    /// The number of rows in place of them.
    pub is_count: bool,
}

impl Search {
    /// Reads what was asked for.
    ///
    /// # Errors
    /// [`InvalidSearch`], which says what to write.
    pub fn new(request: &SearchRequest, columns: Columns) -> Result<Self, InvalidSearch> {
        let level = request.level;
        let view = if request.wants_instances { View::Instances } else { level.view() };
        if level == SearchLevel::Patients && request.wants_instances {
            let text = "files of patients are found by studies: `search studies KEY=VALUE… --format paths`";
            return Err(InvalidSearch::Refused(text.to_owned()));
        }
        if request.keys.len() > KEYS_MAX {
            return Err(InvalidSearch::Refused(format!("more than {KEYS_MAX} keys")));
        }
        if request.columns.len().max(request.sort.len()) > COLUMNS_MAX {
            return Err(InvalidSearch::Refused(format!("more than {COLUMNS_MAX} columns")));
        }
        let mut keys: Vec<SearchKey> = Vec::new();
        let mut targets = Vec::new();
        for given in &request.keys {
            let (target, kind) = resolve(&given.name, level, columns)?;
            if targets.contains(&target) {
                return Err(InvalidSearch::Twice { name: given.name.clone() });
            }
            targets.push(target.clone());
            keys.extend(key(given, target, kind)?);
        }
        let answered = answered(request, view, columns(view))?;
        let order = order(request, view, columns(view))?;
        let (limit, is_count) = (request.limit, request.is_count);
        Ok(Self { level, keys, view, columns: answered, order, limit, is_count })
    }
}

fn key(given: &GivenKey, target: Target, kind: Kind) -> Result<Option<SearchKey>, InvalidSearch> {
    let matching = value::read(kind, &given.given)
        .map_err(|reason| InvalidSearch::Value { name: given.name.clone(), reason })?;
    Ok(matching.map(|matching| SearchKey { target, matching }))
}

fn answered(request: &SearchRequest, view: View, all: &[Column]) -> Result<Vec<Column>, InvalidSearch> {
    let usual = SearchLevel::ALL.iter().find(|level| level.view() == view).map(|level| level.usual_columns());
    let names: Vec<&str> = match &*request.columns {
        [] => usual.unwrap_or_default().to_vec(),
        [all_of_them] if all_of_them == "*" => return Ok(all.to_vec()),
        named => named.iter().map(String::as_str).collect(),
    };
    names.into_iter().map(|name| column(name, view, all).cloned()).collect()
}

fn order(request: &SearchRequest, view: View, all: &[Column]) -> Result<Vec<Order>, InvalidSearch> {
    let mut order: Vec<Order> = Vec::new();
    for key in &request.sort {
        let column = column(&key.name, view, all)?.name.clone();
        if !order.iter().any(|known| known.column == column) {
            order.push(Order { column, descending: key.descending });
        }
    }
    // Patients without an id have no key of their own: then all that is known of them decides, and those
    // that are still equal are so in every column.
    let rest = all.iter().filter(|_| view == View::Patients).map(|column| column.name.as_str());
    for column in total_key(view).iter().copied().chain(rest) {
        if !order.iter().any(|known| known.column == column) {
            order.push(Order { column: column.to_owned(), descending: false });
        }
    }
    Ok(order)
}

fn column<'c>(name: &str, view: View, all: &'c [Column]) -> Result<&'c Column, InvalidSearch> {
    let wanted = plain(name);
    all.iter().find(|column| plain(&column.name) == wanted).ok_or_else(|| InvalidSearch::UnknownColumn {
        name: name.to_owned(),
        view,
        near: near(name, all.iter().map(|column| column.name.as_str())),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::query::{Given, SortKey};
    use crate::{ATTRIBUTES, ColumnType};

    fn columns(view: View) -> &'static [Column] {
        static INSTANCES: LazyLock<Vec<Column>> = LazyLock::new(|| {
            let attributes = ATTRIBUTES.iter().map(|one| (one.keyword, one.column));
            let others = [
                ("domain", ColumnType::Text),
                ("size", ColumnType::Integer),
                ("file_path", ColumnType::Text),
            ];
            let column = |(name, column_type): (&str, _)| Column { name: name.to_owned(), column_type };
            attributes.chain(others).map(column).collect()
        });
        static STUDIES: LazyLock<Vec<Column>> = LazyLock::new(|| {
            let column = |name: &&str| Column { name: (*name).to_owned(), column_type: ColumnType::Text };
            SearchLevel::Studies.usual_columns().iter().chain(&["domain"]).map(column).collect()
        });
        if view == View::Instances { &INSTANCES } else { &STUDIES }
    }

    fn search(level: SearchLevel, keys: &[(&str, &str)]) -> Result<Search, InvalidSearch> {
        let given = |(name, text): &(&str, &str)| GivenKey {
            name: (*name).to_owned(),
            given: Given::Text((*text).to_owned()),
        };
        let keys = keys.iter().map(given).collect();
        Search::new(&SearchRequest { keys, ..SearchRequest::new(level) }, columns)
    }

    #[test]
    fn names_of_keys_are_found_however_they_are_written() {
        for name in ["PatientID", "patient_id", "PATIENTID", "00100020", "0010,0020", "(0010,0020)"] {
            let found = search(SearchLevel::Studies, &[(name, "1")]).expect(name);
            let expected = Target::Instance { column: "PatientID".into(), multiple: false };
            assert_eq!(found.keys[0].target, expected, "{name}");
        }
        let name = "RadiopharmaceuticalInformationSequence.RadionuclideCodeValue";
        let found = search(SearchLevel::Studies, &[(name, "C-111A1")]).expect("an item");
        assert!(
            matches!(&found.keys[0].target, Target::Item { keyword, .. } if keyword == "RadionuclideCodeValue")
        );
        let found = search(SearchLevel::Studies, &[("ModalitiesInStudy", "PT")]).expect("a column");
        assert!(matches!(&found.keys[0].target, Target::Entity { multiple: true, .. }));
    }

    #[test]
    fn errors_say_what_to_write() {
        use SearchLevel::{Instances, Patients, Studies};
        for (level, keys, expected) in [
            (Studies, &[("Modalty", "CT")][..], "did you mean Modality"),
            (Studies, &[("qqqqqqqq", "CT")], "`shardex schema` lists all"),
            (Studies, &[("StudyDate", "yesterday")], "`StudyDate`: `yesterday` is no date: write 2019"),
            (Studies, &[("Modality", "CT"), ("modality", "MR")], "is given twice"),
            (
                Studies,
                &[("RequestAttributesSequence.x", "1")],
                "RequestAttributesSequence.RequestedProcedureID",
            ),
            (Studies, &[("RequestAttributesSequence", "1")], "name a key of its items"),
            (Studies, &[("x.y", "1")], "OtherPatientIDsSequence"),
            (Instances, &[("ModalitiesInStudy", "PT")], "is no key of a search for instances"),
            (Patients, &[("NumberOfStudyRelatedSeries", "1")], "is no key of a search for patients"),
        ] {
            let error = search(level, keys).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn orders_are_total_and_columns_are_checked() {
        let sort = |name: &str| SortKey { name: name.to_owned(), descending: true };
        let request = SearchRequest {
            sort: vec![sort("study_date"), sort("domain")],
            columns: vec!["patientname".to_owned()],
            ..SearchRequest::new(SearchLevel::Studies)
        };
        let found = Search::new(&request, columns).expect("valid");
        let order: Vec<_> = found.order.iter().map(|one| (&*one.column, one.descending)).collect();
        assert_eq!(order, [("StudyDate", true), ("domain", true), ("StudyInstanceUID", false)]);
        assert_eq!(found.columns[0].name, "PatientName");
        let many = SearchRequest { columns: vec!["PatientID".into(); COLUMNS_MAX + 1], ..request.clone() };
        assert!(Search::new(&many, columns).is_err());
        let request = SearchRequest { sort: vec![sort("StudyDat")], ..request };
        let error = Search::new(&request, columns).expect_err("unknown").to_string();
        assert!(error.contains("did you mean StudyDate"), "{error}");
    }
}
