//! Statements of which any few rows are an answer: LIMIT without an order.

use shardex_catalog::View;
use sqlite3_parser::ast::{Expr, OneSelect, ResultColumn, Select};

use super::classes::scalar_function;
use super::names::unquoted;
use super::scope::{Ctes, Scope};
use super::walk::conjuncts;
use shardex_shard_store::merge::Columns;

/// How many rows of its one view a statement needs at most, `None` if it may need all: LIMIT and
/// OFFSET of one plain SELECT over one view, all of whose conditions `pushed` counts.
pub(super) fn rows_wanted(select: &Select<'_>, pushed: usize, ctes: &Ctes, columns: Columns) -> Option<u64> {
    let OneSelect::Select {
        distinctness: None,
        columns: results,
        from: Some(from),
        where_clause,
        group_by: None,
        having: None,
        window_clause: None,
    } = &select.body.select
    else {
        return None;
    };
    if select.with.is_some() || select.body.compounds.is_some() || select.order_by.is_some() {
        return None;
    }
    let scope = Scope::of(Some(from), ctes, columns);
    let is_one_view = matches!(&*scope.items, [item] if item.view.is_some_and(|view| view != View::Patients));
    let conditions = where_clause.map_or(0, |clause| conjuncts(clause).len());
    if !is_one_view || conditions != pushed || !results.iter().all(is_of_one_row) {
        return None;
    }
    let limit = select.limit?;
    let offset = limit.offset.as_ref().map_or(Some(0), Expr::is_integer)?;
    // A negative LIMIT is none, a negative OFFSET is 0.
    let rows = u64::try_from(limit.expr.is_integer()?).ok()?;
    rows.checked_add(u64::try_from(offset).unwrap_or(0))
}

fn is_of_one_row(column: &ResultColumn<'_>) -> bool {
    match column {
        ResultColumn::Star | ResultColumn::TableStar(_) => true,
        ResultColumn::Expr(expression, _) => is_row_expression(expression, 0),
    }
}

/// Whether an expression is computed from one row: no aggregate, no window, no subquery.
fn is_row_expression(expression: &Expr<'_>, depth: usize) -> bool {
    let all = |list: &[&Expr<'_>]| list.iter().all(|one| is_row_expression(one, depth + 1));
    match expression {
        _ if depth > 64 => false,
        Expr::Id(_) | Expr::Name(_) | Expr::Qualified(..) | Expr::Literal(_) => true,
        Expr::Parenthesized(list) => list.iter().all(|one| is_row_expression(one, depth + 1)),
        Expr::Unary(_, inner) | Expr::Collate(inner, _) | Expr::Cast { expr: inner, .. } => all(&[inner]),
        Expr::Binary(left, _, right) => all(&[left, right]),
        Expr::FunctionCall { name, distinctness: None, args, order_by: None, filter_over: None } => {
            let arguments = args.unwrap_or_default();
            scalar_function(&unquoted(name.0).to_ascii_lowercase(), arguments.len()).is_some()
                && arguments.iter().all(|one| is_row_expression(one, depth + 1))
        }
        _ => false,
    }
}
