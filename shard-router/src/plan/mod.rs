//! What a statement needs of each view, decided before any shard is asked. Pure.

mod classes;
mod limit;
mod lists;
mod names;
mod prune;
mod render;
mod scope;
mod walk;

use std::collections::BTreeSet;

use shardex_catalog::{Column, FileState, LeafQuery, Predicate, View};
use shardex_shard_store::merge::{Analysis, Columns, List};
use sqlite3_parser::ast::{Cmd, Select, Stmt};
use sqlite3_parser::lexer::sql::Parser;
use sqlite3_parser::{Bump, FallibleIterator};

use walk::{Condition, Reading};

/// SOP Instance UIDs that are looked up by index; a longer list is an ordinary filter.
const LOOKED_UP_MAX: usize = 5_000;

/// What to pull of one view.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ViewPlan {
    /// The view.
    pub(crate) view: View,
    /// The columns that the statement reads, in the view's order.
    pub(crate) columns: Vec<Column>,
    /// Filters that every needed row satisfies.
    pub(crate) filters: Vec<String>,
    /// A needed row satisfies all predicates of at least one of these; none means that nothing is
    /// known. Over the view's own column names.
    pub(crate) alternatives: Vec<Vec<Predicate>>,
    /// Rows of these instances only.
    pub(crate) sop_instance_uids: Option<Vec<String>>,
    /// Any so many rows are enough.
    pub(crate) rows_wanted: Option<u64>,
    /// Columns by which rows are likely to be looked up in the merge.
    pub(crate) indexes: Vec<String>,
}

impl ViewPlan {
    /// Alternatives in the vocabulary of shards; a shard that excludes a predicate of each has no
    /// needed row. Empty if no shard can be left out.
    pub(crate) fn shard_alternatives(&self) -> Vec<Vec<Predicate>> {
        let of_shard = |predicates: &Vec<Predicate>| -> Vec<Predicate> {
            predicates.iter().filter_map(|predicate| prune::of_shard(self.view, predicate)).collect()
        };
        let alternatives: Vec<_> = self.alternatives.iter().map(of_shard).collect();
        if alternatives.iter().any(Vec::is_empty) { Vec::new() } else { alternatives }
    }

    /// Whether rows of indexed files, which shards hold, can be needed.
    pub(crate) fn needs_shards(&self) -> bool {
        self.view != View::Files || self.states_allow(FileState::is_live)
    }

    /// Whether rows of files that are not indexed, which the ledger holds, can be needed.
    pub(crate) fn needs_ledger(&self) -> bool {
        self.view == View::Files && self.states_allow(|state| !state.is_live())
    }

    fn states_allow(&self, is_allowed: impl Fn(FileState) -> bool) -> bool {
        let allows = |value: &String| value.parse::<FileState>().is_ok_and(&is_allowed);
        let admits = |predicates: &Vec<Predicate>| {
            predicates
                .iter()
                .filter_map(|one| prune::listed(one, "state"))
                .all(|list| list.iter().any(allows))
        };
        self.alternatives.is_empty() || self.alternatives.iter().any(admits)
    }

    /// A cheap question whose answer is empty in shards that have no needed row, if there is one.
    pub(crate) fn probe(&self) -> Option<LeafQuery> {
        let sop_instance_uids = Some(self.sop_instance_uids.clone()?);
        let (columns, filters) = (Vec::new(), Vec::new());
        Some(LeafQuery { view: self.view, columns, filters, sop_instance_uids, rows_max: Some(1) })
    }

    /// The question to each shard, for columns that may be more than the statement's.
    pub(crate) fn leaf_query(&self, columns: &[Column], rows_max: u64) -> LeafQuery {
        LeafQuery {
            view: self.view,
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            filters: self.filters.clone(),
            sop_instance_uids: self.sop_instance_uids.clone(),
            rows_max: Some(self.rows_wanted.unwrap_or(rows_max)),
        }
    }
}

/// Plans a statement that the analyser accepted. A text that our parser does not understand is
/// answered all the same: nothing is pushed then.
pub(crate) fn plan(sql: &str, analysis: &Analysis, columns: Columns, lists: &[List]) -> Vec<ViewPlan> {
    let bump = Bump::new();
    let mut parser = Parser::new(&bump, sql.as_bytes());
    let command = parser.next().ok().flatten();
    let select = match &command {
        Some(Cmd::Stmt(Stmt::Select(select))) => Some(*select),
        _ => None,
    };
    let (readings, rows_wanted) = select.map_or((Vec::new(), None), |select| read(select, columns, lists));
    let is_joined = readings.len() != 1;
    let plan_view = |(view, read): (&View, &BTreeSet<String>)| {
        let of_view: Vec<&Reading> = readings.iter().filter(|reading| reading.view == *view).collect();
        let wanted = columns(*view).iter().filter(|column| read.contains(&column.name)).cloned().collect();
        view_plan(*view, wanted, &of_view, rows_wanted, is_joined)
    };
    analysis.reads.iter().map(plan_view).collect()
}

fn read(select: &Select<'_>, columns: Columns, lists: &[List]) -> (Vec<Reading>, Option<u64>) {
    let ctes = walk::cte_names(select);
    let mut readings = walk::readings(select, ctes.clone(), columns, lists);
    // Which of two things such a name means depends on where it stands: all rows may be needed.
    let hidden = View::ALL.iter().filter(|view| ctes.contains(view.as_str()));
    readings.extend(hidden.map(|view| Reading { view: *view, conditions: Vec::new() }));
    let rows_wanted = match &*readings {
        [only] => limit::rows_wanted(select, only.conditions.len(), &ctes, columns),
        _ => None,
    };
    (readings, rows_wanted)
}

fn view_plan(
    view: View,
    columns: Vec<Column>,
    readings: &[&Reading],
    rows_wanted: Option<u64>,
    is_joined: bool,
) -> ViewPlan {
    let alternatives: Vec<Vec<Predicate>> = readings
        .iter()
        .map(|reading| reading.conditions.iter().filter_map(|one| one.predicate.clone()).collect())
        .collect();
    let is_bounded = !alternatives.is_empty() && alternatives.iter().all(|one| !one.is_empty());
    let alternatives = if is_bounded { alternatives } else { Vec::new() };
    let sop_instance_uids = match &*alternatives {
        [only] => looked_up(view, only),
        _ => None,
    };
    let indexes = if is_joined { key_columns(&columns) } else { Vec::new() };
    let filters = united_filters(readings);
    ViewPlan { view, columns, filters, alternatives, sop_instance_uids, rows_wanted, indexes }
}

/// Filters of the rows that any of the readings needs.
fn united_filters(readings: &[&Reading]) -> Vec<String> {
    let filters = |reading: &Reading| -> Vec<String> {
        let mut filters: Vec<_> =
            reading.conditions.iter().map(|Condition { filter, .. }| filter.clone()).collect();
        filters.sort();
        filters.dedup();
        filters
    };
    let mut all: Vec<Vec<String>> = readings.iter().map(|reading| filters(reading)).collect();
    all.sort();
    all.dedup();
    match &*all {
        [] => Vec::new(),
        [only] => only.clone(),
        several if several.iter().any(Vec::is_empty) => Vec::new(),
        several => {
            let arms = several.iter().map(|arm| format!("({})", arm.join(" AND ")));
            vec![arms.collect::<Vec<_>>().join(" OR ")]
        }
    }
}

fn looked_up(view: View, predicates: &[Predicate]) -> Option<Vec<String>> {
    let column = match view {
        View::Instances | View::Files => "SOPInstanceUID",
        View::DicomMetadata => "sop_instance_uid",
        _ => return None,
    };
    let listed = predicates.iter().find_map(|predicate| prune::listed(predicate, column))?;
    (listed.len() <= LOOKED_UP_MAX).then(|| listed.to_vec())
}

/// Columns of keys: joins and correlated subqueries compare them.
fn key_columns(columns: &[Column]) -> Vec<String> {
    let is_key = |name: &&str| {
        let plain = name.replace('_', "").to_ascii_lowercase();
        matches!(
            &*plain,
            "studyinstanceuid" | "seriesinstanceuid" | "sopinstanceuid" | "patientid" | "path" | "filepath"
        )
    };
    columns.iter().map(|column| column.name.as_str()).filter(is_key).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
