//! What a person asks for, in their own words.

use super::SearchLevel;

/// A search as it was asked for; [`super::Search::new`] reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchRequest {
    /// What is looked for.
    pub level: SearchLevel,
    /// What it must be like; all of them.
    pub keys: Vec<GivenKey>,
    /// Order of the answer. The level's UIDs follow, so that it is always total.
    pub sort: Vec<SortKey>,
    /// At most this many rows.
    pub limit: Option<u64>,
    /// Columns of the answer; none for the level's usual ones, `*` for all.
    pub columns: Vec<String>,
    /// Answer with the number of rows only.
    pub is_count: bool,
    /// Answer with the instances of what was found in its place.
    pub wants_instances: bool,
}

impl SearchRequest {
    /// Everything of a level.
    #[must_use]
    pub fn new(level: SearchLevel) -> Self {
        Self {
            level,
            keys: Vec::new(),
            sort: Vec::new(),
            limit: None,
            columns: Vec::new(),
            is_count: false,
            wants_instances: false,
        }
    }
}

/// A key with what was given for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenKey {
    /// Keyword, tag or column; `Sequence.Keyword` for an item's.
    pub name: String,
    /// Its value.
    pub given: Given,
}

/// What was given for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A value, wildcard, range, several of these joined by backslashes, or nothing.
    Text(String),
    /// Single values, any of which may match; taken literally.
    List(Vec<String>),
}

/// One column of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// The column.
    pub name: String,
    /// Largest first.
    pub descending: bool,
}
