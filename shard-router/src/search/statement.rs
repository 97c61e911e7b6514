//! The statement that orders what shards have found.

use std::fmt::Write;

use shardex_catalog::query::Search;

/// The answer, of a merge table that has its columns and those of its order.
pub(super) fn ordered(search: &Search) -> String {
    let columns: Vec<_> = search.columns.iter().map(|column| quoted(&column.name)).collect();
    let order = search
        .order
        .iter()
        .map(|one| format!("{}{}", quoted(&one.column), if one.descending { " DESC" } else { "" }));
    let mut sql = format!(
        "SELECT {} FROM {} ORDER BY {}",
        columns.join(", "),
        quoted(search.view.as_str()),
        order.collect::<Vec<_>>().join(", ")
    );
    if let Some(limit) = search.limit {
        // SQLite takes a larger number for a float, which is no limit.
        let _ = write!(sql, " LIMIT {}", limit.min(i64::MAX.cast_unsigned()));
    }
    sql
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
