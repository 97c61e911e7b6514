//! What SQLite would convert before it compares, and the functions known to the renderer.

use sqlite3_parser::ast::Literal;

use super::names::{quoted_text, unquoted};

/// What a value can be, as far as comparisons mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Text,
    Number,
    Null,
    Other,
}

/// A rendered expression.
#[derive(Debug)]
pub(super) struct Rendered {
    /// Its text.
    pub(super) sql: String,
    /// What its value can be.
    pub(super) class: Class,
    /// Set where it is nothing but a column, so that its affinity would count.
    pub(super) is_column: bool,
    /// Set where it is an integer literal.
    pub(super) integer: Option<i64>,
    /// Set where it is a text literal.
    pub(super) text: Option<String>,
}

impl Rendered {
    /// An expression that is neither a column nor a literal.
    pub(super) fn new(sql: String, class: Class) -> Self {
        Self { sql, class, is_column: false, integer: None, text: None }
    }
}

/// The class of what a function gives.
#[derive(Clone, Copy)]
pub(super) enum Gives {
    /// Always this one.
    Class(Class),
    /// That of its arguments, where they agree.
    OneOfItsArguments,
}

/// Functions that depend on nothing but their arguments: name, fewest arguments, result.
const FUNCTIONS: &[(&str, usize, Gives)] = &[
    ("abs", 1, Gives::Class(Class::Number)),
    ("coalesce", 2, Gives::OneOfItsArguments),
    ("hex", 1, Gives::Class(Class::Text)),
    ("ifnull", 2, Gives::OneOfItsArguments),
    ("iif", 2, Gives::Class(Class::Other)),
    ("instr", 2, Gives::Class(Class::Number)),
    ("length", 1, Gives::Class(Class::Number)),
    ("lower", 1, Gives::Class(Class::Text)),
    ("ltrim", 1, Gives::Class(Class::Text)),
    // With one argument these two are aggregates.
    ("max", 2, Gives::Class(Class::Other)),
    ("min", 2, Gives::Class(Class::Other)),
    ("nullif", 2, Gives::Class(Class::Other)),
    ("replace", 3, Gives::Class(Class::Text)),
    ("round", 1, Gives::Class(Class::Number)),
    ("rtrim", 1, Gives::Class(Class::Text)),
    ("sign", 1, Gives::Class(Class::Number)),
    ("substr", 2, Gives::Class(Class::Text)),
    ("substring", 2, Gives::Class(Class::Text)),
    ("trim", 1, Gives::Class(Class::Text)),
    ("unicode", 1, Gives::Class(Class::Number)),
    ("upper", 1, Gives::Class(Class::Text)),
];

/// What a call gives that computes one value of one row; `None` for functions not known here.
pub(super) fn scalar_function(name: &str, arguments: usize) -> Option<Gives> {
    let (_, _, gives) = FUNCTIONS.iter().find(|(known, arity, _)| *known == name && arguments >= *arity)?;
    Some(*gives)
}

/// Both sides of a comparison, such that no affinity is needed to compare them.
pub(super) fn comparable(left: Rendered, right: Rendered) -> Option<(String, String)> {
    match (left.is_column, right.is_column) {
        (false, false) => Some((left.sql, right.sql)),
        (true, true) => (left.class == right.class).then_some((left.sql, right.sql)),
        (true, false) => Some((left.sql, beside_column(left.class, right)?)),
        (false, true) => Some((beside_column(right.class, left)?, right.sql)),
    }
}

/// What affinity would make of a value that is compared with a column of `class`.
fn beside_column(class: Class, side: Rendered) -> Option<String> {
    match side {
        _ if side.class == class || side.class == Class::Null => Some(side.sql),
        // TEXT affinity makes a number a text.
        Rendered { integer: Some(number), .. } if class == Class::Text => {
            Some(quoted_text(&number.to_string()))
        }
        // NUMERIC affinity makes a text a number where it is one.
        Rendered { text: Some(text), .. } if class == Class::Number => {
            let number: i64 = text.parse().ok()?;
            (number.to_string() == text).then_some(text)
        }
        _ => None,
    }
}

/// The class that all arguments have, NULL aside.
pub(super) fn common_class(arguments: &[Rendered]) -> Class {
    let mut classes = arguments.iter().map(|argument| argument.class).filter(|class| *class != Class::Null);
    let Some(first) = classes.next() else { return Class::Null };
    if classes.all(|class| class == first) { first } else { Class::Other }
}

/// A literal; `None` for the time, which differs from leaf to leaf.
pub(super) fn literal(literal: &Literal<'_>) -> Option<Rendered> {
    match literal {
        Literal::Numeric(number) => Some(Rendered {
            integer: number.parse().ok(),
            ..Rendered::new((*number).to_owned(), Class::Number)
        }),
        Literal::String(text) => {
            Some(Rendered { text: Some(unquoted(text)), ..Rendered::new((*text).to_owned(), Class::Text) })
        }
        // The parser keeps the digits only.
        Literal::Blob(digits) => Some(Rendered::new(format!("x'{digits}'"), Class::Other)),
        Literal::Null => Some(Rendered::new("NULL".to_owned(), Class::Null)),
        Literal::Keyword(_) | Literal::CurrentDate | Literal::CurrentTime | Literal::CurrentTimestamp => None,
    }
}
