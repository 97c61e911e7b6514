//! Patients span shards: what matches in one gives candidates, which are then fetched everywhere.

use std::collections::BTreeSet;

use shardex_catalog::query::{Alternative, Matching, Search, SearchKey, SearchLevel, Target};
use shardex_catalog::{Cell, Column, View};

use super::{leaf_search, pruned};
use crate::Error;
use crate::completeness::Tally;
use crate::fanout::{Asked, Question};
use crate::patients::PatientKey;
use crate::pull::Pull;

/// Candidates that shards are asked for by their ids; of more, all patients are fetched.
const LOOKED_UP_MAX: usize = 10_000;
/// Columns that are the same wherever a patient lies: a search by these alone finds it whole.
const KEY_COLUMNS: [&str; 3] = ["domain", "PatientID", "IssuerOfPatientID"];

/// The merged rows of the patients that match, with the wanted columns.
pub(super) fn rows(
    pull: &Pull<'_>,
    search: &Search,
    wanted: &[Column],
    tally: &mut Tally,
) -> Result<Box<dyn Iterator<Item = Vec<Cell>>>, Error> {
    let columns = pull.patient_columns(wanted);
    let ask = |keys: &[SearchKey]| Question {
        asked: Asked::Search(leaf_search(SearchLevel::Patients, keys, View::Patients, &columns)),
        ..pruned(keys)
    };
    let found = pull.patients(&ask(&search.keys), &columns, wanted.len(), tally)?;
    if search.keys.iter().all(is_of_key) {
        return Ok(Box::new(found.finish()));
    }
    // A patient without an id is one study, and so whole where it was found.
    let (candidates, whole) = found.into_candidates();
    let mut merged = None;
    if !candidates.is_empty() {
        let ids: BTreeSet<&String> = candidates.iter().filter_map(PatientKey::id).collect();
        let keys = if ids.len() > LOOKED_UP_MAX { Vec::new() } else { vec![by_ids(ids)] };
        let mut patients = pull.patients(&ask(&keys), &columns, wanted.len(), tally)?;
        patients.keep(&candidates);
        merged = Some(patients.finish());
    }
    Ok(Box::new(merged.into_iter().flatten().chain(whole)))
}

fn is_of_key(key: &SearchKey) -> bool {
    matches!(&key.target, Target::Instance { column, .. } if KEY_COLUMNS.contains(&column.as_str()))
}

fn by_ids(ids: BTreeSet<&String>) -> SearchKey {
    SearchKey {
        target: Target::Instance { column: "PatientID".to_owned(), multiple: false },
        matching: Matching::Any(ids.into_iter().map(|id| Alternative::Text(id.clone())).collect()),
    }
}
