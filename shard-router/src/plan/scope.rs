//! The FROM clause of one SELECT: which names mean which column of which view.

use std::collections::BTreeSet;

use shardex_catalog::{Column, View};
use shardex_shard_store::merge::Columns;
use sqlite3_parser::ast::{
    As, FromClause, JoinConstraint, JoinOperator, JoinType, QualifiedName, SelectTable,
};

use super::names::unquoted;

/// Names of common table expressions anywhere in the statement, folded; they hide views.
pub(super) type Ctes = BTreeSet<String>;

/// One table of a FROM clause.
#[derive(Debug)]
pub(super) struct Item {
    /// The name by which columns are qualified.
    pub(super) alias: Option<String>,
    /// The view that it is; `None` for a list, a subquery, a common table expression, a table function.
    pub(super) view: Option<View>,
    /// The name of the table where it may be a user's list.
    pub(super) table: Option<String>,
    /// An outer join may put NULLs in place of its rows: conditions of WHERE do not filter them.
    pub(super) is_nullable: bool,
}

/// The tables of one FROM clause.
#[derive(Debug)]
pub(super) struct Scope {
    /// In the order of the text.
    pub(super) items: Vec<Item>,
    /// RIGHT or FULL joins: nothing can be said about what a condition filters.
    pub(super) has_right_join: bool,
    /// USING or NATURAL: a bare name may stand for columns of several tables.
    shares_columns: bool,
    columns: Columns,
}

impl Scope {
    /// The scope of a FROM clause.
    pub(super) fn of(from: Option<&FromClause<'_>>, ctes: &Ctes, columns: Columns) -> Self {
        let mut scope = Self { items: Vec::new(), has_right_join: false, shares_columns: false, columns };
        let Some(from) = from else { return scope };
        scope.items.extend(from.select.map(|table| item(table, ctes)));
        for join in from.joins.iter().flatten() {
            let kind = match join.operator {
                JoinOperator::TypedJoin(Some(kind)) => kind,
                JoinOperator::TypedJoin(None) | JoinOperator::Comma => JoinType::INNER,
            };
            let mut item = item(&join.table, ctes);
            item.is_nullable = kind.contains(JoinType::LEFT);
            scope.has_right_join |= kind.contains(JoinType::RIGHT);
            scope.shares_columns |=
                kind.contains(JoinType::NATURAL) || matches!(join.constraint, Some(JoinConstraint::Using(_)));
            scope.items.push(item);
        }
        scope
    }

    /// The item and column that a name means; `None` where that is not beyond doubt, or where it
    /// belongs to something else (an outer query, a subquery in FROM, a result alias).
    pub(super) fn resolve(&self, qualifier: Option<&str>, name: &str) -> Option<(usize, &'static Column)> {
        let of_item = |item: &Item| {
            (self.columns)(item.view?).iter().find(|column| column.name.eq_ignore_ascii_case(name))
        };
        let is_meant = |item: &Item| match (qualifier, &item.alias) {
            (Some(qualifier), Some(alias)) => alias.eq_ignore_ascii_case(qualifier),
            (Some(_), None) => false,
            (None, _) => true,
        };
        // An unknown table could have the column too; SQLite refuses that as ambiguous unless the
        // two are the same column of a join.
        if qualifier.is_none() && self.shares_columns && self.items.iter().any(|item| item.view.is_none()) {
            return None;
        }
        let meant = self.items.iter().enumerate().filter(|(_, item)| is_meant(item));
        let mut found = meant.filter_map(|(at, item)| Some((at, of_item(item)?)));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }
}

fn item(table: &SelectTable<'_>, ctes: &Ctes) -> Item {
    let alias =
        |given: &Option<As<'_>>| given.as_ref().map(|(As::As(name) | As::Elided(name))| unquoted(name.0));
    let mut named = None;
    let (alias, view) = match table {
        SelectTable::Table(name, given, _) => {
            named = list_name(name, ctes);
            (alias(given).or_else(|| Some(unquoted(name.name.0))), view(name, ctes))
        }
        SelectTable::TableCall(name, _, given) => {
            (alias(given).or_else(|| Some(unquoted(name.name.0))), None)
        }
        SelectTable::Select(_, given) | SelectTable::Sub(_, given) => (alias(given), None),
    };
    Item { alias, view, table: named, is_nullable: false }
}

/// The name of a table that may be a user's list.
pub(super) fn list_name(name: &QualifiedName<'_>, ctes: &Ctes) -> Option<String> {
    let table = unquoted(name.name.0);
    (!ctes.contains(&table.to_ascii_lowercase()) && view(name, ctes).is_none()).then_some(table)
}

/// The view that a table name means.
pub(super) fn view(name: &QualifiedName<'_>, ctes: &Ctes) -> Option<View> {
    let table = unquoted(name.name.0);
    let is_cte = name.db_name.is_none() && ctes.contains(&table.to_ascii_lowercase());
    if is_cte { None } else { table.parse().ok() }
}
