//! What a condition says about shards: texts that a row of a shard must have to satisfy it.

use shardex_catalog::query::after_prefix;
use shardex_catalog::{ATTRIBUTES, Predicate, View, attribute, attribute_by_keyword, dicom_metadata_name};
use sqlite3_parser::ast::{Expr, LikeOperator, Operator};

use super::render::{bare_column, literal_text, operands};
use super::scope::Scope;

/// Values that a shard is asked about one by one; of a longer list only its range is.
const VALUES_MAX: usize = 200;

/// What every row that satisfies the condition satisfies too, as a predicate on a view's column.
pub(super) fn predicate(condition: &Expr<'_>, scope: &Scope) -> Option<Predicate> {
    match condition {
        Expr::Parenthesized(inner) if inner.len() == 1 => predicate(&inner[0], scope),
        Expr::Binary(_, Operator::Or, _) => any_of(&operands(condition, Operator::Or), scope),
        Expr::Binary(left, operator, right) => comparison(left, *operator, right, scope)
            .or_else(|| comparison(right, flipped(*operator)?, left, scope)),
        Expr::InList { lhs, not: false, rhs: Some(values) } => {
            let values: Option<Vec<_>> = values.iter().map(literal_text).collect();
            Some(Predicate::In(text_column(lhs, scope)?, values?))
        }
        Expr::Between { lhs, not: false, start, end } => {
            let (low, high) = (literal_text(start)?, literal_text(end)?);
            Some(Predicate::Between(text_column(lhs, scope)?, Some(low), Some(high)))
        }
        Expr::Like { lhs, not: false, op, rhs, escape: None } => {
            let pattern = literal_text(rhs)?;
            let prefix = match op {
                // LIKE folds ASCII letters, so a prefix with one is no range.
                LikeOperator::Like => pattern.split(['%', '_']).next().filter(|p| !p.contains(letter))?,
                LikeOperator::Glob => pattern.split(['*', '?', '[']).next()?,
                LikeOperator::Match | LikeOperator::Regexp => return None,
            };
            let low = Some(prefix.to_owned()).filter(|prefix| !prefix.is_empty());
            Some(Predicate::Between(text_column(lhs, scope)?, Some(low?), after_prefix(prefix)))
        }
        _ => None,
    }
}

fn letter(c: char) -> bool {
    c.is_ascii_alphabetic()
}

/// The predicate in a shard's own vocabulary; `None` where a shard keeps no account of the column.
pub(super) fn of_shard(view: View, predicate: &Predicate) -> Option<Predicate> {
    match predicate {
        Predicate::In(column, values) if values.len() <= VALUES_MAX => {
            Some(Predicate::In(keyword(view, column)?, values.clone()))
        }
        Predicate::In(column, values) => {
            let (low, high) = (values.iter().min().cloned(), values.iter().max().cloned());
            Some(Predicate::Between(keyword(view, column)?, low, high))
        }
        Predicate::Between(column, low, high) => {
            Some(Predicate::Between(keyword(view, column)?, low.clone(), high.clone()))
        }
    }
}

fn keyword(view: View, column: &str) -> Option<String> {
    if matches!(column, "domain" | "source") {
        return Some(column.to_owned());
    }
    // Items of a sequence are not what the attribute of the same name says of the series.
    if view == View::Radiopharmaceuticals
        && !matches!(column, "PatientID" | "StudyInstanceUID" | "SeriesInstanceUID")
    {
        return None;
    }
    let id = match view {
        View::DicomMetadata => {
            let at = ATTRIBUTES.iter().position(|known| dicom_metadata_name(known.keyword) == column)?;
            attribute_by_keyword(ATTRIBUTES[at].keyword)?
        }
        _ => attribute_by_keyword(column)?,
    };
    // A resolved column shows another attribute's value where that one is there.
    let known = attribute(id);
    known.resolves.is_none().then(|| known.keyword.to_owned())
}

fn any_of(parts: &[&Expr<'_>], scope: &Scope) -> Option<Predicate> {
    let mut united: Option<(String, Vec<String>)> = None;
    for part in parts {
        let Predicate::In(column, values) = predicate(part, scope)? else { return None };
        match &mut united {
            None => united = Some((column, values)),
            Some((known, all)) if *known == column => all.extend(values),
            Some(_) => return None,
        }
    }
    united.map(|(column, values)| Predicate::In(column, values))
}

fn comparison(left: &Expr<'_>, operator: Operator, right: &Expr<'_>, scope: &Scope) -> Option<Predicate> {
    let value = literal_text(right)?;
    let column = text_column(left, scope)?;
    match operator {
        Operator::Equals | Operator::Is => Some(Predicate::In(column, vec![value])),
        Operator::Less | Operator::LessEquals => Some(Predicate::Between(column, None, Some(value))),
        Operator::Greater | Operator::GreaterEquals => Some(Predicate::Between(column, Some(value), None)),
        _ => None,
    }
}

fn flipped(operator: Operator) -> Option<Operator> {
    match operator {
        Operator::Equals | Operator::Is => Some(operator),
        Operator::Less => Some(Operator::Greater),
        Operator::LessEquals => Some(Operator::GreaterEquals),
        Operator::Greater => Some(Operator::Less),
        Operator::GreaterEquals => Some(Operator::LessEquals),
        _ => None,
    }
}

fn text_column(expression: &Expr<'_>, scope: &Scope) -> Option<String> {
    let (_, column) = bare_column(expression, scope)?;
    let is_text = column.column_type == shardex_catalog::ColumnType::Text;
    is_text.then(|| column.name.clone())
}

/// The values that a predicate on one column allows, where it lists them.
pub(super) fn listed<'p>(predicate: &'p Predicate, column: &str) -> Option<&'p [String]> {
    match predicate {
        Predicate::In(found, values) if found == column => Some(values),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_list_a_shard_is_asked_the_range() {
        let list =
            |n: usize| Predicate::In("PatientID".into(), (1000..1000 + n).map(|n| n.to_string()).collect());
        assert_eq!(of_shard(View::Series, &list(200)), Some(list(200)));
        let range = Predicate::Between("PatientID".into(), Some("1000".into()), Some("1200".into()));
        assert_eq!(of_shard(View::Series, &list(201)), Some(range));
    }
}
