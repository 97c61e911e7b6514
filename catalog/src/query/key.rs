//! A key with the values that match it, ready for a shard.

/// A condition on one attribute or column.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchKey {
    /// What is compared.
    pub target: Target,
    /// With what.
    pub matching: Matching,
}

/// What a key compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A column of view `instances`.
    Instance {
        /// Its name.
        column: String,
        /// Whether it holds several values, joined by backslashes, each of which may match.
        multiple: bool,
    },
    /// A value of an item of a sequence. All keys of one sequence are satisfied by the same item.
    Item {
        /// Column of view `instances` with the items.
        sequence: String,
        /// Keyword in the item.
        keyword: String,
    },
    /// A column that only the view of the search's level has, computed of the whole study or series.
    Entity {
        /// Its name.
        column: String,
        /// Whether it holds several values, joined by backslashes, each of which may match.
        multiple: bool,
    },
}

/// What matches.
#[derive(Clone, Debug, PartialEq)]
pub enum Matching {
    /// No value: absent, or of length zero.
    Empty,
    /// Any of these; at least one.
    Any(Vec<Alternative>),
}

/// One thing that a value may match.
#[derive(Clone, Debug, PartialEq)]
pub enum Alternative {
    /// This text (single value matching, C.2.2.2.1).
    Text(String),
    /// This number, however it is written.
    Number(f64),
    /// This pattern of `*` and `?` (wild card matching, C.2.2.2.4).
    Wildcard(String),
    /// A text between these, both included, in binary order (range matching, C.2.2.2.5).
    Range {
        /// Lower bound.
        low: Option<String>,
        /// Upper bound.
        high: Option<String>,
    },
    /// A person's name, or a pattern of one, compared as [`super::PersonNames`] does.
    Name(String),
}

impl Alternative {
    /// The text before the first `*` or `?` of a pattern.
    #[must_use]
    pub fn prefix(pattern: &str) -> &str {
        pattern.split(['*', '?']).next().unwrap_or_default()
    }
}
