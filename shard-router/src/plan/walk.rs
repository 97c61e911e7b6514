//! A walk over a statement that finds every place where a view is read, with the conditions that
//! filter the view's rows there.
//!
//! A WHERE condition that names columns of one table of its own FROM clause filters that table's
//! rows, wherever the SELECT stands; so does one in ON, unless the join keeps rows that fail it.

use shardex_catalog::{Predicate, View};
use shardex_shard_store::merge::{Columns, List};
use sqlite3_parser::ast::{
    Expr, FrameBound, FromClause, JoinConstraint, OneSelect, Operator, Over, ResultColumn, Select,
    SelectTable, SortedColumn, Window,
};

use super::render::{filter, operands};
use super::scope::{Ctes, Scope, view};
use super::{lists, names, prune};

/// A condition that filters the rows of one reading of a view.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    /// SQL over bare column names.
    pub(super) filter: String,
    /// What it says about whole shards, over the view's column names.
    pub(super) predicate: Option<Predicate>,
}

/// One place where a view is read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// The view.
    pub(super) view: View,
    /// Conditions that all rows needed there satisfy.
    pub(super) conditions: Vec<Condition>,
}

/// Names of all common table expressions of a statement.
pub(super) fn cte_names(select: &Select<'_>) -> Ctes {
    let mut walk =
        Walk { ctes: Ctes::new(), columns: |_| &[], lists: &[], readings: Vec::new(), is_collecting: true };
    walk.select(select);
    walk.ctes
}

/// Every reading of a view in a statement, in no meaningful order.
pub(super) fn readings(select: &Select<'_>, ctes: Ctes, columns: Columns, lists: &[List]) -> Vec<Reading> {
    let mut walk = Walk { ctes, columns, lists, readings: Vec::new(), is_collecting: false };
    walk.select(select);
    walk.readings
}

/// The conditions that a WHERE or ON clause joins by AND.
pub(super) fn conjuncts<'a, 'b>(clause: &'a Expr<'b>) -> Vec<&'a Expr<'b>> {
    let mut open = vec![clause];
    let mut found = Vec::new();
    while let Some(next) = open.pop() {
        match next {
            Expr::Binary(_, Operator::And, _) => open.extend(operands(next, Operator::And).into_iter().rev()),
            Expr::Parenthesized(inner) if inner.len() == 1 => open.push(&inner[0]),
            other => found.push(other),
        }
    }
    found
}

struct Walk<'l> {
    ctes: Ctes,
    columns: Columns,
    lists: &'l [List],
    readings: Vec<Reading>,
    is_collecting: bool,
}

impl Walk<'_> {
    fn select(&mut self, select: &Select<'_>) {
        for cte in select.with.iter().flat_map(|with| with.ctes) {
            if self.is_collecting {
                self.ctes.insert(names::unquoted(cte.tbl_name.0).to_ascii_lowercase());
            }
            self.select(cte.select);
        }
        self.one(&select.body.select);
        for compound in select.body.compounds.iter().flatten() {
            self.one(&compound.select);
        }
        self.sorted(select.order_by);
        if let Some(limit) = select.limit {
            self.expression(&limit.expr);
            limit.offset.iter().for_each(|offset| self.expression(offset));
        }
    }

    fn one(&mut self, one: &OneSelect<'_>) {
        let (columns, from, where_clause, group_by, having, windows) = match one {
            OneSelect::Select { columns, from, where_clause, group_by, having, window_clause, .. } => {
                (columns, from, where_clause, group_by, having, window_clause)
            }
            OneSelect::Values(rows) => return rows.iter().for_each(|row| self.expressions(row)),
        };
        if let Some(from) = from {
            self.read(from, *where_clause);
        }
        for column in *columns {
            if let ResultColumn::Expr(expression, _) = column {
                self.expression(expression);
            }
        }
        where_clause.iter().for_each(|clause| self.expression(clause));
        group_by.iter().for_each(|list| self.expressions(list));
        having.iter().for_each(|clause| self.expression(clause));
        windows.iter().flat_map(|list| list.iter()).for_each(|window| self.window(&window.window));
    }

    /// Notes the views of a FROM clause with the conditions on them, and walks into the rest of it.
    fn read(&mut self, from: &FromClause<'_>, where_clause: Option<&Expr<'_>>) {
        let scope = Scope::of(Some(from), &self.ctes, self.columns);
        let mut found: Vec<Vec<Condition>> = scope.items.iter().map(|_| Vec::new()).collect();
        let mut note = |clause: &Expr<'_>, may_filter: &dyn Fn(usize) -> bool| {
            for conjunct in conjuncts(clause) {
                let condition = match filter(conjunct, &scope) {
                    Some((item, filter)) => {
                        Some((item, Condition { filter, predicate: prune::predicate(conjunct, &scope) }))
                    }
                    None => lists::condition(conjunct, &scope, &self.ctes, self.lists),
                };
                if let Some((item, condition)) = condition.filter(|(item, _)| may_filter(*item)) {
                    found[item].push(condition);
                }
            }
        };
        if !scope.has_right_join {
            where_clause.iter().for_each(|clause| note(clause, &|item| !scope.items[item].is_nullable));
            for (n, join) in from.joins.iter().flatten().enumerate() {
                let Some(JoinConstraint::On(clause)) = &join.constraint else { continue };
                if scope.items[n + 1].is_nullable {
                    // Rows of the table joined that fail the condition match nothing; rows of the
                    // tables before are kept whether they satisfy it or not.
                    note(clause, &|item| item == n + 1);
                } else {
                    note(clause, &|item| !scope.items[item].is_nullable);
                }
            }
            for (n, join) in from.joins.iter().flatten().enumerate() {
                let Some(JoinConstraint::Using(names)) = &join.constraint else { continue };
                for name in names.iter() {
                    let condition = lists::using(name.0, n + 1, &scope, self.lists);
                    if let Some((item, condition)) = condition {
                        found[item].push(condition);
                    }
                }
            }
        }
        let items = scope.items.iter().zip(found);
        self.readings
            .extend(items.filter_map(|(item, conditions)| Some(Reading { view: item.view?, conditions })));
        self.inside(from);
    }

    /// Subqueries and expressions of a FROM clause.
    fn inside(&mut self, from: &FromClause<'_>) {
        let joined = from.joins.iter().flatten();
        for table in from.select.into_iter().chain(joined.map(|join| &join.table)) {
            match table {
                SelectTable::Table(..) => {}
                SelectTable::TableCall(_, arguments, _) => {
                    arguments.iter().for_each(|list| self.expressions(list));
                }
                SelectTable::Select(select, _) => self.select(select),
                SelectTable::Sub(inner, _) => self.read(inner, None),
            }
        }
        for join in from.joins.iter().flatten() {
            if let Some(JoinConstraint::On(clause)) = &join.constraint {
                self.expression(clause);
            }
        }
    }

    fn expressions(&mut self, list: &[Expr<'_>]) {
        list.iter().for_each(|expression| self.expression(expression));
    }

    fn sorted(&mut self, list: Option<&[SortedColumn<'_>]>) {
        list.iter().flat_map(|list| list.iter()).for_each(|column| self.expression(&column.expr));
    }

    /// Subqueries of an expression.
    fn expression(&mut self, expression: &Expr<'_>) {
        // Long chains of operators nest on their left: no recursion there.
        let mut expression = expression;
        while let Expr::Binary(left, _, right) = expression {
            self.expression(right);
            expression = left;
        }
        match expression {
            Expr::Between { lhs, start, end, .. } => {
                [lhs, start, end].iter().for_each(|e| self.expression(e))
            }
            Expr::Case { base, when_then_pairs, else_expr } => {
                base.iter().chain(else_expr).for_each(|e| self.expression(e));
                when_then_pairs.iter().flat_map(|(when, then)| [when, then]).for_each(|e| self.expression(e));
            }
            Expr::Cast { expr: inner, .. }
            | Expr::Collate(inner, _)
            | Expr::IsNull(inner)
            | Expr::NotNull(inner)
            | Expr::Unary(_, inner) => self.expression(inner),
            Expr::Exists(select) | Expr::Subquery(select) => self.select(select),
            Expr::FunctionCall { args, order_by, filter_over, .. } => {
                args.iter().for_each(|list| self.expressions(list));
                if let Some(sqlite3_parser::ast::FunctionCallOrder::SortList(list)) = order_by {
                    self.sorted(Some(list));
                }
                self.tail(filter_over.as_ref());
            }
            Expr::FunctionCallStar { filter_over, .. } => self.tail(filter_over.as_ref()),
            Expr::InList { lhs, rhs, .. } => {
                self.expression(lhs);
                rhs.iter().for_each(|list| self.expressions(list));
            }
            Expr::InSelect { lhs, rhs, .. } => {
                self.expression(lhs);
                self.select(rhs);
            }
            Expr::InTable { lhs, rhs, args, .. } => {
                self.expression(lhs);
                args.iter().for_each(|list| self.expressions(list));
                let view = view(rhs, &self.ctes);
                self.readings.extend(view.map(|view| Reading { view, conditions: Vec::new() }));
            }
            Expr::Like { lhs, rhs, escape, .. } => {
                [Some(*lhs), Some(*rhs), *escape].into_iter().flatten().for_each(|e| self.expression(e));
            }
            Expr::Parenthesized(list) => self.expressions(list),
            Expr::Binary(..)
            | Expr::DoublyQualified(..)
            | Expr::Id(_)
            | Expr::Literal(_)
            | Expr::Name(_)
            | Expr::Qualified(..)
            | Expr::Raise(..)
            | Expr::Variable(_) => {}
        }
    }

    fn tail(&mut self, tail: Option<&sqlite3_parser::ast::FunctionTail<'_>>) {
        let Some(tail) = tail else { return };
        tail.filter_clause.iter().for_each(|clause| self.expression(clause));
        if let Some(Over::Window(window)) = tail.over_clause {
            self.window(window);
        }
    }

    fn window(&mut self, window: &Window<'_>) {
        window.partition_by.iter().for_each(|list| self.expressions(list));
        self.sorted(window.order_by);
        let frame = window.frame_clause.iter();
        for bound in frame.flat_map(|frame| std::iter::once(&frame.start).chain(&frame.end)) {
            if let FrameBound::Following(expression) | FrameBound::Preceding(expression) = bound {
                self.expression(expression);
            }
        }
    }
}
