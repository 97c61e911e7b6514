//! What the keys of a search say about whole shards. Pure.

use shardex_catalog::query::{Alternative, Matching, SearchKey, Target, after_prefix};
use shardex_catalog::{LeafQuery, Predicate, View, attribute, attribute_by_keyword};

/// Values that a shard is asked about one by one; of a longer list only its range is.
const VALUES_MAX: usize = 200;
/// SOP Instance UIDs that a shard is probed for.
const PROBED_MAX: usize = 500;

/// All predicates, as the one alternative that a shard must not exclude; none if nothing is known.
pub(super) fn alternatives(keys: &[SearchKey]) -> Vec<Vec<Predicate>> {
    let predicates: Vec<_> = keys.iter().filter_map(predicate).collect();
    if predicates.is_empty() { Vec::new() } else { vec![predicates] }
}

/// A cheap question whose answer is empty in shards without any of the instances looked for.
pub(super) fn probe(keys: &[SearchKey]) -> Option<LeafQuery> {
    let uids = keys.iter().find_map(|key| match (column(key)?, texts(&key.matching)?) {
        ("SOPInstanceUID", uids) if uids.len() <= PROBED_MAX => Some(uids),
        _ => None,
    })?;
    Some(LeafQuery {
        view: View::Instances,
        columns: Vec::new(),
        filters: Vec::new(),
        sop_instance_uids: Some(uids),
        rows_max: Some(1),
    })
}

fn predicate(key: &SearchKey) -> Option<Predicate> {
    let column = column(key)?;
    let is_known = column == "domain"
        || attribute_by_keyword(column).map(attribute).is_some_and(|known| {
            known.indexed && known.resolves.is_none() && known.keyword != "SOPInstanceUID"
        });
    if !is_known {
        return None;
    }
    if let Some(values) = texts(&key.matching).filter(|values| values.len() <= VALUES_MAX) {
        return Some(Predicate::In(column.to_owned(), values));
    }
    let Matching::Any(alternatives) = &key.matching else { return None };
    let bounds: Vec<(Option<String>, Option<String>)> =
        alternatives.iter().map(bounds).collect::<Option<_>>()?;
    let low: Option<Vec<&String>> = bounds.iter().map(|(low, _)| low.as_ref()).collect();
    let high: Option<Vec<&String>> = bounds.iter().map(|(_, high)| high.as_ref()).collect();
    let low = low.and_then(|all| all.into_iter().min().cloned());
    let high = high.and_then(|all| all.into_iter().max().cloned());
    (low.is_some() || high.is_some()).then(|| Predicate::Between(column.to_owned(), low, high))
}

/// The column, where every match has a text of its own in it.
fn column(key: &SearchKey) -> Option<&str> {
    match &key.target {
        Target::Instance { column, multiple: false } => Some(column),
        Target::Instance { .. } | Target::Item { .. } | Target::Entity { .. } => None,
    }
}

fn texts(matching: &Matching) -> Option<Vec<String>> {
    let Matching::Any(alternatives) = matching else { return None };
    let text = |one: &Alternative| match one {
        Alternative::Text(text) => Some(text.clone()),
        _ => None,
    };
    alternatives.iter().map(text).collect()
}

/// Between which texts a match lies; `None` where that is not known.
fn bounds(alternative: &Alternative) -> Option<(Option<String>, Option<String>)> {
    match alternative {
        Alternative::Text(text) => Some((Some(text.clone()), Some(text.clone()))),
        Alternative::Range { low, high } => Some((low.clone(), high.clone())),
        Alternative::Wildcard(pattern) => {
            let prefix = Alternative::prefix(pattern);
            (!prefix.is_empty()).then(|| (Some(prefix.to_owned()), after_prefix(prefix)))
        }
        // Names are compared folded.
        Alternative::Name(_) | Alternative::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(column: &str, alternatives: Vec<Alternative>) -> SearchKey {
        let target = Target::Instance { column: column.to_owned(), multiple: false };
        SearchKey { target, matching: Matching::Any(alternatives) }
    }

    fn text(text: &str) -> Alternative {
        Alternative::Text(text.to_owned())
    }

    #[test]
    fn keys_of_indexed_attributes_prune() {
        let between = |low: Option<&str>, high: Option<&str>| {
            Some(Predicate::Between("StudyDate".into(), low.map(str::to_owned), high.map(str::to_owned)))
        };
        let range = |low: Option<&str>, high: Option<&str>| Alternative::Range {
            low: low.map(str::to_owned),
            high: high.map(str::to_owned),
        };
        for (key, expected) in [
            (
                key("PatientID", vec![text("A"), text("B")]),
                Some(Predicate::In("PatientID".into(), vec!["A".into(), "B".into()])),
            ),
            (key("StudyDate", vec![range(Some("2019"), None)]), between(Some("2019"), None)),
            (
                key(
                    "StudyDate",
                    vec![range(Some("2019"), Some("2019~")), range(Some("2010"), Some("2011~"))],
                ),
                between(Some("2010"), Some("2019~")),
            ),
            (key("StudyDate", vec![range(Some("2019"), None), range(None, Some("2011~"))]), None),
            (key("PatientID", vec![Alternative::Wildcard("*x".into())]), None),
            (key("PatientName", vec![Alternative::Name("x".into())]), None),
            (key("StudyDescription", vec![text("A")]), None),
            (SearchKey { matching: Matching::Empty, ..key("PatientID", vec![]) }, None),
        ] {
            assert_eq!(predicate(&key), expected, "{key:?}");
        }
    }

    #[test]
    fn of_a_long_list_a_shard_is_asked_the_range() {
        let list = (1000..1300).map(|n| text(&n.to_string())).collect();
        let range = Predicate::Between("AccessionNumber".into(), Some("1000".into()), Some("1299".into()));
        assert_eq!(alternatives(&[key("AccessionNumber", list)]), vec![vec![range]]);
    }

    #[test]
    fn shards_are_probed_for_instances() {
        let probe = probe(&[key("Modality", vec![text("CT")]), key("SOPInstanceUID", vec![text("1.2")])]);
        assert_eq!(probe.and_then(|probe| probe.sop_instance_uids), Some(vec!["1.2".to_owned()]));
    }
}
