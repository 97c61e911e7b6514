//! One patient from the rows of several shards.
//!
//! A patient is (domain, IssuerOfPatientID, PatientID); without a PatientID there is one a study,
//! never merged. Counts add up, because a study lives whole in one shard; displayed values come from
//! one header, that with most instances (ties by digest), as in one shard, so that no row mixes two.

use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use shardex_catalog::{Cell, Column, ColumnType, PATIENT_RANK};

const KEY: [&str; 3] = ["domain", "IssuerOfPatientID", "PatientID"];
const SUMS: [&str; 4] = [
    "NumberOfPatientRelatedStudies",
    "NumberOfPatientRelatedSeries",
    "NumberOfPatientRelatedInstances",
    "bytes",
];

/// The columns to ask shards for: those wanted, then those that merging needs besides.
pub(crate) fn columns(wanted: &[Column], all: &[Column]) -> Vec<Column> {
    let is_needed = |column: &&Column| KEY.contains(&column.name.as_str()) && !wanted.contains(column);
    let rank = Column { name: PATIENT_RANK.to_owned(), column_type: ColumnType::Text };
    wanted.iter().chain(all.iter().filter(is_needed)).cloned().chain([rank]).collect()
}

/// What makes rows of several shards one patient.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PatientKey([Option<String>; 3]);

impl PatientKey {
    /// The PatientID; `None` where there is none, so that nothing is merged.
    pub(crate) fn id(&self) -> Option<&String> {
        self.0[2].as_ref().filter(|id| !id.is_empty())
    }
}

/// Merges rows of [`columns`].
#[derive(Debug)]
pub(crate) struct Merger {
    key: [Option<usize>; 3],
    rank: Option<usize>,
    sums: Vec<usize>,
    width: usize,
    by_key: HashMap<PatientKey, Vec<Cell>>,
    single: Vec<Vec<Cell>>,
    /// Rank of the row whose values are displayed.
    displayed: HashMap<PatientKey, String>,
}

impl Merger {
    /// A merger whose rows are cut to the first `width` columns in the end.
    pub(crate) fn new(columns: &[Column], width: usize) -> Self {
        let at = |name: &str| columns.iter().position(|column| column.name == name);
        Self {
            key: KEY.map(at),
            rank: at(PATIENT_RANK),
            sums: SUMS.iter().filter_map(|name| at(name)).collect(),
            width,
            by_key: HashMap::new(),
            single: Vec::new(),
            displayed: HashMap::new(),
        }
    }

    /// Patients so far.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len() + self.single.len()
    }

    /// Takes in one shard's row of a patient.
    pub(crate) fn add(&mut self, row: Vec<Cell>) {
        let key = PatientKey(self.key.map(|at| at.and_then(|at| text(&row[at]))));
        if key.id().is_none() {
            self.single.push(row);
            return;
        }
        let rank = self.rank.and_then(|at| text(&row[at])).unwrap_or_default();
        match self.by_key.entry(key) {
            Entry::Vacant(entry) => {
                self.displayed.insert(entry.key().clone(), rank);
                entry.insert(row);
            }
            Entry::Occupied(mut entry) => {
                let displayed = self.displayed.entry(entry.key().clone()).or_default();
                let known = entry.get_mut();
                let total: Vec<Cell> = self.sums.iter().map(|at| sum(&known[*at], &row[*at])).collect();
                let is_better = rank.cmp(displayed).then_with(|| values(known, &row, &self.sums));
                if is_better == Ordering::Greater {
                    *known = row;
                    *displayed = rank;
                }
                for (at, cell) in self.sums.iter().zip(total) {
                    known[*at] = cell;
                }
            }
        }
    }

    /// The merged rows, cut to the wanted columns, in an order that depends on nothing but them.
    pub(crate) fn finish(self) -> impl Iterator<Item = Vec<Cell>> {
        let mut rows: Vec<_> = self.by_key.into_values().chain(self.single).collect();
        rows.sort_unstable_by(|a, b| order(a, b));
        rows.into_iter().map(cut(self.width))
    }

    /// The keys of patients that other shards may know too, and the wanted columns of the others.
    pub(crate) fn into_candidates(self) -> (HashSet<PatientKey>, impl Iterator<Item = Vec<Cell>>) {
        (self.by_key.into_keys().collect(), self.single.into_iter().map(cut(self.width)))
    }

    /// Forgets all patients but these.
    pub(crate) fn keep(&mut self, keys: &HashSet<PatientKey>) {
        self.by_key.retain(|key, _| keys.contains(key));
        self.single.clear();
    }
}

fn cut(width: usize) -> impl Fn(Vec<Cell>) -> Vec<Cell> {
    move |mut row| {
        row.truncate(width);
        row
    }
}

/// The order of two rows' values, sums aside: the smaller ones are displayed.
fn values(known: &[Cell], row: &[Cell], sums: &[usize]) -> Ordering {
    let of_interest = (0..known.len()).filter(|at| !sums.contains(at));
    of_interest.map(|at| compare(&known[at], &row[at])).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// An order of rows by all their values.
fn order(a: &[Cell], b: &[Cell]) -> Ordering {
    a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn compare(a: &Cell, b: &Cell) -> Ordering {
    let rank = |cell: &Cell| match cell {
        Cell::Text(_) => 0,
        Cell::Integer(_) => 1,
        Cell::Real(_) => 2,
        Cell::Blob(_) => 3,
        // A value is shown rather than none.
        Cell::Null => 4,
    };
    match (a, b) {
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (Cell::Integer(a), Cell::Integer(b)) => a.cmp(b),
        (Cell::Real(a), Cell::Real(b)) => a.total_cmp(b),
        (Cell::Blob(a), Cell::Blob(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn sum(a: &Cell, b: &Cell) -> Cell {
    match (a, b) {
        (Cell::Null, other) | (other, Cell::Null) => other.clone(),
        (a, b) => Cell::Integer(integer(a).saturating_add(integer(b))),
    }
}

fn integer(cell: &Cell) -> i64 {
    if let Cell::Integer(number) = cell { *number } else { 0 }
}

fn text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Null => None,
        Cell::Text(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Column> {
        let text = ["domain", "PatientID", "IssuerOfPatientID", "PatientName"];
        let counts = ["NumberOfPatientRelatedStudies", "NumberOfPatientRelatedInstances"];
        let text = text.map(|name| Column { name: name.into(), column_type: ColumnType::Text });
        let counts = counts.map(|name| Column { name: name.into(), column_type: ColumnType::Integer });
        text.into_iter().chain(counts).collect()
    }

    /// A shard's row, whose displayed header has `header` instances.
    fn part(name: Option<&str>, studies: i64, instances: i64, header: i64) -> Vec<Cell> {
        let rank = Cell::Text(format!("{header:019}AB"));
        row("d", Some("1"), name, studies, instances).into_iter().chain([rank]).collect()
    }

    fn row(domain: &str, id: Option<&str>, name: Option<&str>, studies: i64, instances: i64) -> Vec<Cell> {
        let text = |text: Option<&str>| text.map_or(Cell::Null, |text| Cell::Text(text.into()));
        vec![
            text(Some(domain)),
            text(id),
            Cell::Null,
            text(name),
            Cell::Integer(studies),
            Cell::Integer(instances),
        ]
    }

    fn merged(rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
        let mut merger = Merger::new(&columns(&all(), &all()), 6);
        rows.into_iter().for_each(|row| merger.add(row));
        let mut rows: Vec<_> = merger.finish().collect();
        rows.sort_by_key(|row| format!("{row:?}"));
        rows
    }

    #[test]
    fn counts_add_up_and_values_come_from_the_largest_header() {
        // A shard with more instances, in smaller headers, does not count for more.
        let parts =
            vec![part(Some("Small"), 1, 10, 10), part(Some("Large"), 2, 300, 300), part(None, 5, 500, 100)];
        let expected = vec![row("d", Some("1"), Some("Large"), 8, 810)];
        for turn in 0..3 {
            let mut turned = parts.clone();
            turned.rotate_left(turn);
            assert_eq!(merged(turned), expected);
        }
    }

    #[test]
    fn ties_do_not_depend_on_the_order() {
        let parts = vec![part(Some("B"), 1, 5, 5), part(Some("A"), 1, 5, 5)];
        let turned = parts.iter().rev().cloned().collect();
        assert_eq!(merged(parts), merged(turned));
    }

    #[test]
    fn patients_of_two_domains_or_without_an_id_stay_apart() {
        let rows = [("a", Some("1")), ("b", Some("1")), ("a", None), ("a", None)];
        let ranked =
            |(domain, id)| row(domain, id, None, 1, 1).into_iter().chain([Cell::Null]).collect::<Vec<_>>();
        assert_eq!(merged(rows.map(ranked).to_vec()).len(), 4);
    }

    #[test]
    fn key_and_rank_are_asked_for_besides_what_is_wanted() {
        let all = all();
        let names: Vec<_> = columns(&all[3..4], &all).into_iter().map(|column| column.name).collect();
        assert_eq!(names, ["PatientName", "domain", "PatientID", "IssuerOfPatientID", PATIENT_RANK]);
    }
}
