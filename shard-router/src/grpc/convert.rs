//! Between the wire's messages and the router's own types.

use shardex_catalog::query::{Given, GivenKey, SearchLevel, SearchRequest, SortKey};
use shardex_catalog::{ColumnType, ShardId};
use shardex_proto::v1::error_detail::Reason;
use shardex_proto::{Fault, v1};

use crate::{Completeness, FailedShard, List, QueryOptions, ReportKind, ReportRequest, ResultColumn};

pub(super) fn columns_out(columns: &[ResultColumn]) -> v1::Columns {
    let column = |column: &ResultColumn| {
        let kind = match column.column_type {
            None => v1::ColumnType::Unspecified,
            Some(ColumnType::Text) => v1::ColumnType::Text,
            Some(ColumnType::Integer) => v1::ColumnType::Integer,
            Some(ColumnType::Real) => v1::ColumnType::Real,
            Some(ColumnType::Items) => v1::ColumnType::Items,
        };
        v1::Column { name: column.name.clone(), r#type: kind.into() }
    };
    v1::Columns { columns: columns.iter().map(column).collect() }
}

pub(super) fn columns_in(columns: v1::Columns) -> Vec<ResultColumn> {
    let column = |column: v1::Column| {
        let column_type = match column.r#type() {
            v1::ColumnType::Unspecified => None,
            v1::ColumnType::Text => Some(ColumnType::Text),
            v1::ColumnType::Integer => Some(ColumnType::Integer),
            v1::ColumnType::Real => Some(ColumnType::Real),
            v1::ColumnType::Items => Some(ColumnType::Items),
        };
        ResultColumn { name: column.name, column_type }
    };
    columns.columns.into_iter().map(column).collect()
}

pub(super) fn completeness_out(completeness: &Completeness, rows: u64) -> v1::Completeness {
    let failed = |failed: &FailedShard| v1::FailedShard {
        shard: failed.shard.to_string(),
        reason: failed.reason_for_peers.clone(),
    };
    v1::Completeness {
        total: completeness.total as u64,
        pruned: completeness.pruned as u64,
        answered: completeness.answered as u64,
        failed: completeness.failed.iter().map(failed).collect(),
        rows_pulled: completeness.rows_pulled,
        rows,
    }
}

/// Kinds of reports on the wire.
const REPORTS: [(v1::ReportKind, ReportKind); 9] = [
    (v1::ReportKind::Conflicts, ReportKind::Conflicts),
    (v1::ReportKind::Duplicates, ReportKind::Duplicates),
    (v1::ReportKind::Moves, ReportKind::Moves),
    (v1::ReportKind::Deletions, ReportKind::Deletions),
    (v1::ReportKind::Dates, ReportKind::Dates),
    (v1::ReportKind::SplitStudies, ReportKind::SplitStudies),
    (v1::ReportKind::Unreadable, ReportKind::Unreadable),
    (v1::ReportKind::Summary, ReportKind::Summary),
    (v1::ReportKind::Status, ReportKind::Status),
];

pub(super) fn report_out(request: &ReportRequest) -> v1::ReportRequest {
    let kind = REPORTS.iter().find(|(_, kind)| *kind == request.kind).map_or(0, |(sent, _)| (*sent).into());
    v1::ReportRequest { kind, exact: request.is_exact }
}

pub(super) fn report_in(sent: v1::ReportRequest) -> Result<ReportRequest, Fault> {
    let found = REPORTS.iter().find(|(kind, _)| *kind == sent.kind());
    let (_, kind) =
        found.ok_or_else(|| Fault::new(Reason::BadRequest, "`kind` is required, or unknown here"))?;
    Ok(ReportRequest { kind: *kind, is_exact: sent.exact })
}

/// `None` for what no server of ours sends.
pub(super) fn completeness_in(sent: v1::Completeness) -> Option<Completeness> {
    let failed = |failed: v1::FailedShard| {
        let shard = ShardId::new(&failed.shard).ok()?;
        Some(FailedShard { shard, reason: failed.reason.clone(), reason_for_peers: failed.reason })
    };
    Some(Completeness {
        total: usize::try_from(sent.total).ok()?,
        pruned: usize::try_from(sent.pruned).ok()?,
        answered: usize::try_from(sent.answered).ok()?,
        failed: sent.failed.into_iter().map(failed).collect::<Option<_>>()?,
        rows_pulled: sent.rows_pulled,
    })
}

pub(super) fn list_out(list: &List) -> v1::List {
    let value = |value: &Option<String>| v1::ListValue { text: value.clone() };
    let row = |row: &Vec<Option<String>>| v1::ListRow { values: row.iter().map(value).collect() };
    v1::List {
        name: list.name().to_owned(),
        columns: list.columns().to_vec(),
        rows: list.rows().iter().map(row).collect(),
    }
}

/// A list of a message, whatever sent it.
pub(super) fn list_in(sent: v1::List) -> Result<List, Fault> {
    let row = |row: v1::ListRow| row.values.into_iter().map(|value| value.text).collect();
    let rows = sent.rows.into_iter().map(row).collect();
    List::new(&sent.name, sent.columns, rows)
        .map_err(|error| Fault::new(Reason::BadRequest, error.to_string()))
}

pub(super) fn search_out(request: &SearchRequest, options: &QueryOptions) -> v1::SearchRequest {
    let level = match request.level {
        SearchLevel::Patients => v1::SearchLevel::Patients,
        SearchLevel::Studies => v1::SearchLevel::Studies,
        SearchLevel::Series => v1::SearchLevel::Series,
        SearchLevel::Instances => v1::SearchLevel::Instances,
    };
    let key = |key: &GivenKey| v1::SearchKey {
        name: key.name.clone(),
        given: Some(match &key.given {
            Given::Text(text) => v1::search_key::Given::Text(text.clone()),
            Given::List(values) => v1::search_key::Given::List(v1::Values { values: values.clone() }),
        }),
    };
    let sort = |key: &SortKey| v1::SortKey { name: key.name.clone(), descending: key.descending };
    v1::SearchRequest {
        level: level.into(),
        keys: request.keys.iter().map(key).collect(),
        sort: request.sort.iter().map(sort).collect(),
        limit: request.limit,
        columns: request.columns.clone(),
        count: request.is_count,
        instances: request.wants_instances,
        allow_partial: options.allow_partial,
        rows_max: options.rows_max,
    }
}

/// The search of a message, whatever sent it.
pub(super) fn search_in(sent: v1::SearchRequest) -> Result<SearchRequest, Fault> {
    let wrong = |text: &str| Fault::new(Reason::BadRequest, text);
    let level = match sent.level() {
        v1::SearchLevel::Unspecified => return Err(wrong("`level` is required")),
        v1::SearchLevel::Patients => SearchLevel::Patients,
        v1::SearchLevel::Studies => SearchLevel::Studies,
        v1::SearchLevel::Series => SearchLevel::Series,
        v1::SearchLevel::Instances => SearchLevel::Instances,
    };
    let key = |key: v1::SearchKey| {
        let given = match key.given.ok_or_else(|| wrong("a key needs `text` or `list`"))? {
            v1::search_key::Given::Text(text) => Given::Text(text),
            v1::search_key::Given::List(list) => Given::List(list.values),
        };
        Ok(GivenKey { name: key.name, given })
    };
    let sort = |key: v1::SortKey| SortKey { name: key.name, descending: key.descending };
    Ok(SearchRequest {
        level,
        keys: sent.keys.into_iter().map(key).collect::<Result<_, Fault>>()?,
        sort: sent.sort.into_iter().map(sort).collect(),
        limit: sent.limit,
        columns: sent.columns,
        is_count: sent.count,
        wants_instances: sent.instances,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_as_it_was_sent() {
        let rows = vec![vec![Some("1".to_owned()), None], vec![None, Some(String::new())]];
        let list = List::new("cohort", vec!["a".into(), "b".into()], rows).expect("valid");
        assert_eq!(list_in(list_out(&list)).expect("valid"), list);
        assert!(list_in(v1::List::default()).is_err());
    }

    #[test]
    fn a_search_comes_as_it_was_sent() {
        let key = |name: &str, given| GivenKey { name: name.to_owned(), given };
        let request = SearchRequest {
            keys: vec![
                key("PatientID", Given::Text("A*".into())),
                key("AccessionNumber", Given::List(vec!["1".into()])),
            ],
            sort: vec![SortKey { name: "StudyDate".into(), descending: true }],
            limit: Some(0),
            columns: vec!["StudyDate".into()],
            is_count: true,
            wants_instances: true,
            ..SearchRequest::new(SearchLevel::Series)
        };
        let sent = search_out(&request, &QueryOptions::default());
        assert_eq!(search_in(sent.clone()).expect("valid"), request);
        assert!(search_in(v1::SearchRequest { level: 0, ..sent.clone() }).is_err());
        let keys = vec![v1::SearchKey { name: "PatientID".into(), given: None }];
        assert!(search_in(v1::SearchRequest { keys, ..sent }).is_err());
    }

    #[test]
    fn reports_are_the_same_on_the_other_side() {
        for (sent, kind) in REPORTS {
            let request = ReportRequest { kind, is_exact: kind == ReportKind::Summary };
            let out = report_out(&request);
            assert_eq!(out.kind(), sent);
            assert_eq!(report_in(out).expect("valid"), request);
        }
        assert!(report_in(v1::ReportRequest { kind: 0, exact: false }).is_err());
        assert!(report_in(v1::ReportRequest { kind: 99, exact: false }).is_err());
    }
}
