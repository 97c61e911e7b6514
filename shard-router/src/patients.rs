//! One patient from the rows of several shards.
//!
//! A patient is (domain, IssuerOfPatientID, PatientID); without a PatientID there is one a study,
//! never merged. Counts add up, because a study lives whole in one shard; displayed values come from
//! the one shard that has most instances of the patient, so that no row mixes two.

use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use shardex_catalog::{Cell, Column};

const KEY: [&str; 3] = ["domain", "IssuerOfPatientID", "PatientID"];
const INSTANCES: &str = "NumberOfPatientRelatedInstances";
const SUMS: [&str; 4] = ["NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries", INSTANCES, "bytes"];

/// The columns to ask shards for: those wanted, then those that merging needs besides.
pub(crate) fn columns(wanted: &[Column], all: &[Column]) -> Vec<Column> {
    let is_needed = |column: &&Column| {
        let name = column.name.as_str();
        (KEY.contains(&name) || name == INSTANCES) && !wanted.contains(column)
    };
    wanted.iter().chain(all.iter().filter(is_needed)).cloned().collect()
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
    instances: Option<usize>,
    sums: Vec<usize>,
    width: usize,
    by_key: HashMap<PatientKey, Vec<Cell>>,
    single: Vec<Vec<Cell>>,
    /// Instances of the row whose values are displayed.
    displayed: HashMap<PatientKey, i64>,
}

impl Merger {
    /// A merger whose rows are cut to the first `width` columns in the end.
    pub(crate) fn new(columns: &[Column], width: usize) -> Self {
        let at = |name: &str| columns.iter().position(|column| column.name == name);
        Self {
            key: KEY.map(at),
            instances: at(INSTANCES),
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
        let instances = self.instances.map_or(0, |at| integer(&row[at]));
        match self.by_key.entry(key) {
            Entry::Vacant(entry) => {
                self.displayed.insert(entry.key().clone(), instances);
                entry.insert(row);
            }
            Entry::Occupied(mut entry) => {
                let displayed = self.displayed.entry(entry.key().clone()).or_default();
                let known = entry.get_mut();
                let total: Vec<Cell> = self.sums.iter().map(|at| sum(&known[*at], &row[*at])).collect();
                let is_better = instances.cmp(displayed).then_with(|| values(known, &row, &self.sums));
                if is_better == Ordering::Greater {
                    *known = row;
                    *displayed = instances;
                }
                for (at, cell) in self.sums.iter().zip(total) {
                    known[*at] = cell;
                }
            }
        }
    }

    /// The merged rows, cut to the wanted columns.
    pub(crate) fn finish(self) -> impl Iterator<Item = Vec<Cell>> {
        self.by_key.into_values().chain(self.single).map(cut(self.width))
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
    use shardex_catalog::ColumnType;

    use super::*;

    fn all() -> Vec<Column> {
        let text = ["domain", "PatientID", "IssuerOfPatientID", "PatientName"];
        let counts = ["NumberOfPatientRelatedStudies", INSTANCES];
        let text = text.map(|name| Column { name: name.into(), column_type: ColumnType::Text });
        let counts = counts.map(|name| Column { name: name.into(), column_type: ColumnType::Integer });
        text.into_iter().chain(counts).collect()
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
        let mut merger = Merger::new(&all(), 6);
        rows.into_iter().for_each(|row| merger.add(row));
        let mut rows: Vec<_> = merger.finish().collect();
        rows.sort_by_key(|row| format!("{row:?}"));
        rows
    }

    #[test]
    fn counts_add_up_and_values_come_from_the_largest_part() {
        let parts = vec![
            row("d", Some("1"), Some("Small"), 1, 10),
            row("d", Some("1"), Some("Large"), 2, 500),
            row("d", Some("1"), None, 1, 20),
        ];
        let expected = vec![row("d", Some("1"), Some("Large"), 4, 530)];
        for turn in 0..3 {
            let mut turned = parts.clone();
            turned.rotate_left(turn);
            assert_eq!(merged(turned), expected);
        }
    }

    #[test]
    fn ties_do_not_depend_on_the_order() {
        let parts = vec![row("d", Some("1"), Some("B"), 1, 5), row("d", Some("1"), Some("A"), 1, 5)];
        let turned = parts.iter().rev().cloned().collect();
        assert_eq!(merged(parts), merged(turned));
    }

    #[test]
    fn patients_of_two_domains_or_without_an_id_stay_apart() {
        let rows = vec![
            row("a", Some("1"), None, 1, 1),
            row("b", Some("1"), None, 1, 1),
            row("a", None, None, 1, 1),
            row("a", None, None, 1, 1),
        ];
        assert_eq!(merged(rows).len(), 4);
    }

    #[test]
    fn key_and_count_are_asked_for_besides_what_is_wanted() {
        let all = all();
        let names: Vec<_> = columns(&all[3..4], &all).into_iter().map(|column| column.name).collect();
        assert_eq!(names, ["PatientName", "domain", "PatientID", "IssuerOfPatientID", INSTANCES]);
    }
}
