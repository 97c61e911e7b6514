//! Conditions that bind a column of a view to a user's list: shards get the list's values.

use shardex_catalog::{ColumnType, Predicate};
use shardex_shard_store::merge::List;
use sqlite3_parser::ast::{Expr, OneSelect, Operator, ResultColumn, Select, SelectTable};

use super::names::{quoted_name, quoted_text, unquoted};
use super::render::bare_column;
use super::scope::{Ctes, Scope, list_name};
use super::walk::Condition;

/// A column of a list.
type ListColumn<'l> = (&'l List, usize);

/// `column IN (SELECT x FROM list)`, `column IN list` or `column = list.x` as a condition on the view, with
/// the table of the scope that it filters.
pub(super) fn condition(
    conjunct: &Expr<'_>,
    scope: &Scope,
    ctes: &Ctes,
    lists: &[List],
) -> Option<(usize, Condition)> {
    if lists.is_empty() {
        return None;
    }
    let (column, of_list) = match conjunct {
        Expr::Parenthesized(inner) if inner.len() == 1 => return condition(&inner[0], scope, ctes, lists),
        Expr::InSelect { lhs, not: false, rhs } => (*lhs, selected(rhs, ctes, lists)?),
        Expr::InTable { lhs, not: false, rhs, args: None } => {
            let list = by_name(lists, &list_name(rhs, ctes)?)?;
            (*lhs, (list.columns().len() == 1).then_some((list, 0))?)
        }
        Expr::Binary(left, Operator::Equals, right) => match list_column(right, scope, lists) {
            Some(of_list) => (*left, of_list),
            None => (*right, list_column(left, scope, lists)?),
        },
        _ => return None,
    };
    let (item, column) = bare_column(column, scope)?;
    // A number would be compared as one.
    (column.column_type == ColumnType::Text).then(|| (item, is_listed(&column.name, of_list)))
}

/// `view JOIN list USING (name)`, or the other way round.
pub(super) fn using(name: &str, joined: usize, scope: &Scope, lists: &[List]) -> Option<(usize, Condition)> {
    let name = unquoted(name);
    let list_of = |item: usize| {
        let list = by_name(lists, scope.items[item].table.as_deref()?)?;
        Some((list, place(list, &name)?))
    };
    let view_of = |item: usize| {
        let found = scope.resolve(scope.items[item].alias.as_deref(), &name)?;
        (found.0 == item && found.1.column_type == ColumnType::Text).then_some(found)
    };
    let has_name = |item: &usize| list_of(*item).is_some() || view_of(*item).is_some();
    // The left side of USING is the first table that has the column.
    let left = (0..joined).find(has_name)?;
    if scope.items[..joined].iter().any(|item| item.view.is_none() && item.table.is_none()) {
        return None;
    }
    let (view, list) = match (view_of(left), list_of(joined)) {
        (Some(view), Some(list)) => (view, list),
        _ => (view_of(joined)?, list_of(left)?),
    };
    let (item, column) = view;
    // Rows of the view on the left of an outer join are kept whether the list has them or not.
    let is_kept = item != joined && scope.items[joined].is_nullable;
    (!is_kept && !scope.items[left].is_nullable).then(|| (item, is_listed(&column.name, list)))
}

fn is_listed(column: &str, (list, at): ListColumn<'_>) -> Condition {
    let values = list.values(at);
    let quoted: Vec<_> = values.iter().map(|value| quoted_text(value)).collect();
    let predicate = Predicate::In(column.to_owned(), values.into_iter().map(str::to_owned).collect());
    Condition {
        filter: format!("({} IN ({}))", quoted_name(column), quoted.join(", ")),
        predicate: Some(predicate),
    }
}

/// The column that `SELECT x FROM list` gives, nothing more.
fn selected<'l>(select: &Select<'_>, ctes: &Ctes, lists: &'l [List]) -> Option<ListColumn<'l>> {
    let OneSelect::Select {
        columns: [column],
        from: Some(from),
        where_clause: None,
        group_by: None,
        having: None,
        window_clause: None,
        ..
    } = &select.body.select
    else {
        return None;
    };
    if select.with.is_some() || select.body.compounds.is_some() || select.limit.is_some() {
        return None;
    }
    let (Some(SelectTable::Table(name, alias, _)), None) = (from.select, &from.joins) else { return None };
    let list = by_name(lists, &list_name(name, ctes)?)?;
    let column = match column {
        ResultColumn::Star if list.columns().len() == 1 => return Some((list, 0)),
        ResultColumn::Expr(Expr::Id(id), _) => unquoted(id.0),
        ResultColumn::Expr(Expr::Name(name), _) => unquoted(name.0),
        ResultColumn::Expr(Expr::Qualified(_, column), _) if alias.is_none() => unquoted(column.0),
        _ => return None,
    };
    Some((list, place(list, &column)?))
}

/// The column of a list of the scope that a name means.
fn list_column<'l>(expression: &Expr<'_>, scope: &Scope, lists: &'l [List]) -> Option<ListColumn<'l>> {
    let of_scope = |qualifier: Option<&str>, name: &str| {
        let is_meant = |alias: &Option<String>| match (qualifier, alias) {
            (Some(qualifier), Some(alias)) => alias.eq_ignore_ascii_case(qualifier),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let items = scope.items.iter().filter(|item| is_meant(&item.alias));
        let mut found = items.filter_map(|item| {
            let list = by_name(lists, item.table.as_deref()?)?;
            Some((list, place(list, name)?))
        });
        let first = found.next()?;
        found.next().is_none().then_some(first)
    };
    match expression {
        // A bare name that a view has too is refused as ambiguous before it comes here.
        Expr::Id(id) => of_scope(None, &unquoted(id.0)),
        Expr::Name(name) => of_scope(None, &unquoted(name.0)),
        Expr::Qualified(table, column) => of_scope(Some(&unquoted(table.0)), &unquoted(column.0)),
        Expr::Parenthesized(inner) if inner.len() == 1 => list_column(&inner[0], scope, lists),
        _ => None,
    }
}

fn by_name<'l>(lists: &'l [List], name: &str) -> Option<&'l List> {
    lists.iter().find(|list| list.name().eq_ignore_ascii_case(name))
}

fn place(list: &List, column: &str) -> Option<usize> {
    list.columns().iter().position(|known| known.eq_ignore_ascii_case(column))
}
