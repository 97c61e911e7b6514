//! Between the wire's messages and the router's own types.

use shardex_catalog::{ColumnType, ShardId};
use shardex_proto::v1;

use crate::{Completeness, FailedShard, ResultColumn};

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
