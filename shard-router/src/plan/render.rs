//! A condition of the user's as a filter that a shard can run, or nothing.
//!
//! Only what means in a shard exactly what it means in the merge database is let through: a known
//! operator or function over columns of one view and literals. A shard computes a column by an
//! expression, which has no affinity; so wherever SQLite would convert a value because of a
//! column's affinity, the literal is written in the column's type here, or the condition stays
//! behind. What stays behind is applied in the merge: it costs rows, never answers.

use shardex_catalog::{Column, ColumnType, View};
use sqlite3_parser::ast::{Expr, LikeOperator, Literal, Operator, Type, UnaryOperator};

use super::classes::{Class, Gives, Rendered, common_class, comparable, literal, scalar_function};
use super::names::{quoted_name, unquoted};
use super::scope::Scope;

/// Nesting of a condition that is pushed.
const DEPTH_MAX: usize = 64;

/// The condition as a filter over bare column names, and the table of the scope that it filters.
pub(super) fn filter(condition: &Expr<'_>, scope: &Scope) -> Option<(usize, String)> {
    let mut renderer = Renderer { scope, item: None };
    let rendered = renderer.expression(condition, 0)?;
    Some((renderer.item?, rendered.sql))
}

/// Whether a condition on the column filters at a shard what it filters in the merge.
fn is_pushable(view: View, column: &str) -> bool {
    match view {
        // A patient's rows are merged from several shards; only its key is the same everywhere.
        View::Patients => matches!(column, "domain" | "PatientID" | "IssuerOfPatientID"),
        // Columns whose values have not one type in a shard.
        View::Conflicts => !column.starts_with("value_"),
        View::Radiopharmaceuticals => {
            matches!(column, "domain" | "PatientID" | "StudyInstanceUID" | "SeriesInstanceUID" | "item")
        }
        _ => true,
    }
}

struct Renderer<'s> {
    scope: &'s Scope,
    item: Option<usize>,
}

impl Renderer<'_> {
    fn expression(&mut self, expression: &Expr<'_>, depth: usize) -> Option<Rendered> {
        if depth > DEPTH_MAX {
            return None;
        }
        let depth = depth + 1;
        match expression {
            Expr::Id(id) => self.name(id.0),
            Expr::Name(name) => self.name(name.0),
            Expr::Qualified(table, column) => self.column(Some(&unquoted(table.0)), &unquoted(column.0)),
            Expr::Literal(token) => literal(token),
            Expr::Parenthesized(inner) if inner.len() == 1 => self.expression(&inner[0], depth),
            Expr::Unary(operator, inner) => self.unary(*operator, inner, depth),
            Expr::Binary(_, operator @ (Operator::And | Operator::Or), _) => {
                self.chain(expression, *operator, depth)
            }
            Expr::Binary(left, operator, right) => self.binary(left, *operator, right, depth),
            Expr::Between { lhs, not, start, end } => {
                let (low, high) = (self.compare(lhs, start, depth)?, self.compare(lhs, end, depth)?);
                let sql = format!("(({} >= {}) AND ({} <= {}))", low.0, low.1, high.0, high.1);
                Some(Rendered::new(negated(*not, sql), Class::Number))
            }
            Expr::InList { lhs, not, rhs } => self.in_list(lhs, *not, rhs.unwrap_or_default(), depth),
            Expr::IsNull(inner) => self.postfix(inner, "IS NULL", depth),
            Expr::NotNull(inner) => self.postfix(inner, "IS NOT NULL", depth),
            Expr::Like { lhs, not, op, rhs, escape } => self.like(lhs, *not, *op, rhs, *escape, depth),
            Expr::Case { base, when_then_pairs, else_expr } => {
                self.case(*base, when_then_pairs, *else_expr, depth)
            }
            Expr::Cast { expr, type_name } => self.cast(expr, type_name.as_ref()?, depth),
            Expr::Collate(inner, name) => {
                let name = ["BINARY", "NOCASE", "RTRIM"]
                    .into_iter()
                    .find(|known| known.eq_ignore_ascii_case(&unquoted(name)))?;
                let inner = self.expression(inner, depth)?;
                Some(Rendered { sql: format!("({} COLLATE {name})", inner.sql), ..inner })
            }
            Expr::FunctionCall { name, distinctness: None, args, order_by: None, filter_over: None } => {
                self.function(&unquoted(name.0).to_ascii_lowercase(), args.unwrap_or_default(), depth)
            }
            // Subqueries, parameters, aggregates, windows, and whatever a later grammar brings.
            _ => None,
        }
    }

    fn name(&mut self, token: &str) -> Option<Rendered> {
        self.column(None, &unquoted(token)).or_else(|| {
            // SQLite takes these for numbers where no column has the name.
            let is_constant = ["true", "false"].iter().any(|known| known.eq_ignore_ascii_case(token));
            is_constant.then(|| Rendered::new(token.to_ascii_uppercase(), Class::Number))
        })
    }

    fn column(&mut self, qualifier: Option<&str>, name: &str) -> Option<Rendered> {
        let (item, column) = self.scope.resolve(qualifier, name)?;
        if *self.item.get_or_insert(item) != item || !is_pushable(self.scope.items[item].view?, &column.name)
        {
            return None;
        }
        let class = match column.column_type {
            ColumnType::Text | ColumnType::Items => Class::Text,
            ColumnType::Integer | ColumnType::Real => Class::Number,
        };
        Some(Rendered { is_column: true, ..Rendered::new(quoted_name(&column.name), class) })
    }

    fn unary(&mut self, operator: UnaryOperator, inner: &Expr<'_>, depth: usize) -> Option<Rendered> {
        let inner = self.expression(inner, depth)?;
        let sign = match operator {
            UnaryOperator::BitwiseNot => "~",
            UnaryOperator::Negative => "- ",
            UnaryOperator::Not => "NOT ",
            // It takes a column's affinity away, which a shard's column does not have anyway; but
            // the value stays what it is.
            UnaryOperator::Positive => {
                return Some(Rendered { sql: format!("(+ {})", inner.sql), is_column: false, ..inner });
            }
        };
        let integer = inner.integer.filter(|_| sign == "- ").and_then(i64::checked_neg);
        Some(Rendered { integer, ..Rendered::new(format!("({sign}{})", inner.sql), Class::Number) })
    }

    /// `a OR b OR c`, which the syntax tree nests on its left, without recursion.
    fn chain(&mut self, expression: &Expr<'_>, operator: Operator, depth: usize) -> Option<Rendered> {
        let parts = operands(expression, operator);
        let parts: Option<Vec<_>> =
            parts.into_iter().map(|part| Some(self.expression(part, depth)?.sql)).collect();
        let word = if operator == Operator::And { " AND " } else { " OR " };
        Some(Rendered::new(format!("({})", parts?.join(word)), Class::Number))
    }

    fn binary(
        &mut self,
        left: &Expr<'_>,
        operator: Operator,
        right: &Expr<'_>,
        depth: usize,
    ) -> Option<Rendered> {
        let (sign, class) = match operator {
            Operator::Equals => ("=", None),
            Operator::NotEquals => ("<>", None),
            Operator::Less => ("<", None),
            Operator::LessEquals => ("<=", None),
            Operator::Greater => (">", None),
            Operator::GreaterEquals => (">=", None),
            Operator::Is => ("IS", None),
            Operator::IsNot => ("IS NOT", None),
            Operator::Add => ("+", Some(Class::Number)),
            Operator::Subtract => ("-", Some(Class::Number)),
            Operator::Multiply => ("*", Some(Class::Number)),
            Operator::Divide => ("/", Some(Class::Number)),
            Operator::Modulus => ("%", Some(Class::Number)),
            Operator::BitwiseAnd => ("&", Some(Class::Number)),
            Operator::BitwiseOr => ("|", Some(Class::Number)),
            Operator::LeftShift => ("<<", Some(Class::Number)),
            Operator::RightShift => (">>", Some(Class::Number)),
            Operator::Concat => ("||", Some(Class::Text)),
            Operator::And | Operator::Or | Operator::ArrowRight | Operator::ArrowRightShift => return None,
        };
        let (left, right) = match class {
            None => self.compare(left, right, depth)?,
            Some(_) => (self.expression(left, depth)?.sql, self.expression(right, depth)?.sql),
        };
        Some(Rendered::new(format!("({left} {sign} {right})"), class.unwrap_or(Class::Number)))
    }

    /// Both sides of a comparison, such that no affinity is needed to compare them.
    fn compare(&mut self, left: &Expr<'_>, right: &Expr<'_>, depth: usize) -> Option<(String, String)> {
        // `x IS TRUE` asks whether x is true, not whether it is 1.
        if [left, right].iter().any(|side| is_truth_word(side)) {
            return None;
        }
        let (left, right) = (self.expression(left, depth)?, self.expression(right, depth)?);
        comparable(left, right)
    }

    fn in_list(&mut self, lhs: &Expr<'_>, not: bool, list: &[Expr<'_>], depth: usize) -> Option<Rendered> {
        let mut sides = Vec::with_capacity(list.len());
        let mut left = self.expression(lhs, depth)?.sql;
        for value in list {
            let element = self.expression(value, depth)?;
            // SQLite turns a list of one into `=`, where the element's affinity would count too.
            if element.is_column {
                return None;
            }
            let (lhs, element) = comparable(self.expression(lhs, depth)?, element)?;
            left = lhs;
            sides.push(element);
        }
        let word = if not { "NOT IN" } else { "IN" };
        Some(Rendered::new(format!("({left} {word} ({}))", sides.join(", ")), Class::Number))
    }

    fn postfix(&mut self, inner: &Expr<'_>, word: &str, depth: usize) -> Option<Rendered> {
        let inner = self.expression(inner, depth)?;
        Some(Rendered::new(format!("({} {word})", inner.sql), Class::Number))
    }

    fn like(
        &mut self,
        lhs: &Expr<'_>,
        not: bool,
        operator: LikeOperator,
        rhs: &Expr<'_>,
        escape: Option<&Expr<'_>>,
        depth: usize,
    ) -> Option<Rendered> {
        let word = match operator {
            LikeOperator::Like => "LIKE",
            LikeOperator::Glob => "GLOB",
            LikeOperator::Match | LikeOperator::Regexp => return None,
        };
        let (lhs, rhs) = (self.expression(lhs, depth)?, self.expression(rhs, depth)?);
        let escape = match escape {
            Some(escape) => format!(" ESCAPE {}", self.expression(escape, depth)?.sql),
            None => String::new(),
        };
        Some(Rendered::new(negated(not, format!("({} {word} {}{escape})", lhs.sql, rhs.sql)), Class::Number))
    }

    fn case(
        &mut self,
        base: Option<&Expr<'_>>,
        pairs: &[(Expr<'_>, Expr<'_>)],
        otherwise: Option<&Expr<'_>>,
        depth: usize,
    ) -> Option<Rendered> {
        // A base is written out as comparisons, which is what it means.
        let mut sql = String::from("(CASE");
        for (when, then) in pairs {
            let when = match base {
                Some(base) => {
                    let (left, right) = self.compare(base, when, depth)?;
                    format!("({left} = {right})")
                }
                None => self.expression(when, depth)?.sql,
            };
            sql.push_str(&format!(" WHEN {when} THEN {}", self.expression(then, depth)?.sql));
        }
        if let Some(otherwise) = otherwise {
            sql.push_str(&format!(" ELSE {}", self.expression(otherwise, depth)?.sql));
        }
        sql.push_str(" END)");
        Some(Rendered::new(sql, Class::Other))
    }

    fn cast(&mut self, inner: &Expr<'_>, target: &Type<'_>, depth: usize) -> Option<Rendered> {
        let target = ["TEXT", "INTEGER", "INT", "REAL", "NUMERIC", "FLOAT", "DOUBLE"]
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(target.name))?;
        let class = if target == "TEXT" { Class::Text } else { Class::Number };
        let inner = self.expression(inner, depth)?;
        Some(Rendered::new(format!("CAST({} AS {target})", inner.sql), class))
    }

    fn function(&mut self, name: &str, arguments: &[Expr<'_>], depth: usize) -> Option<Rendered> {
        let function = scalar_function(name, arguments.len())?;
        let arguments: Option<Vec<_>> = arguments.iter().map(|one| self.expression(one, depth)).collect();
        let arguments = arguments?;
        let class = match function {
            Gives::Class(class) => class,
            Gives::OneOfItsArguments => common_class(&arguments),
        };
        let list: Vec<_> = arguments.into_iter().map(|argument| argument.sql).collect();
        Some(Rendered::new(format!("{name}({})", list.join(", ")), class))
    }
}

/// The operands of a chain of one operator, in order.
pub(super) fn operands<'a, 'b>(expression: &'a Expr<'b>, operator: Operator) -> Vec<&'a Expr<'b>> {
    let mut parts = Vec::new();
    let mut rest = expression;
    while let Expr::Binary(left, found, right) = rest {
        if *found != operator {
            break;
        }
        parts.push(*right);
        rest = left;
    }
    parts.push(rest);
    parts.reverse();
    parts
}

fn is_truth_word(expression: &Expr<'_>) -> bool {
    let Expr::Id(id) = expression else { return false };
    ["true", "false"].iter().any(|word| word.eq_ignore_ascii_case(id.0))
}

fn negated(not: bool, sql: String) -> String {
    if not { format!("(NOT {sql})") } else { sql }
}

/// The literal that a column can be compared with as text: a text, or an integer beside a text
/// column.
pub(super) fn literal_text(expression: &Expr<'_>) -> Option<String> {
    match expression {
        Expr::Literal(Literal::String(text)) => Some(unquoted(text)),
        Expr::Parenthesized(inner) if inner.len() == 1 => literal_text(&inner[0]),
        other => other.is_integer().map(|number| number.to_string()),
    }
}

/// The column that an expression is, nothing more.
pub(super) fn bare_column(expression: &Expr<'_>, scope: &Scope) -> Option<(usize, &'static Column)> {
    match expression {
        Expr::Id(id) => scope.resolve(None, &unquoted(id.0)),
        Expr::Name(name) => scope.resolve(None, &unquoted(name.0)),
        Expr::Qualified(table, column) => scope.resolve(Some(&unquoted(table.0)), &unquoted(column.0)),
        Expr::Parenthesized(inner) if inner.len() == 1 => bare_column(&inner[0], scope),
        _ => None,
    }
}
