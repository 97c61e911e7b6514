//! Searches by key and value, as PS3.4 C.2.2.2 matches them: what a person asks for, read into what a
//! shard is asked. `docs/conformance.md` states every choice.
//!
//! One rule serves all levels: a patient, study, series or instance is found if one of its live
//! instances satisfies all keys at once. So no match mixes what two headers say.

mod dates;
mod key;
mod level;
mod name;
mod request;
mod resolve;
mod search;
mod suggest;
mod value;

pub use key::{Alternative, Matching, SearchKey, Target};
pub use level::SearchLevel;
pub use name::{PersonNames, folded_prefix};
pub use request::{Given, GivenKey, SearchRequest, SortKey};
pub use search::{InvalidSearch, Order, Search};
pub use suggest::{nearest, nearness};
pub use value::LIST_VALUES_MAX;

use crate::{Column, View};

/// Gives the columns of a view.
pub type Columns = fn(View) -> &'static [Column];

/// A text that no text with the prefix reaches; `None` if there is none.
#[must_use]
pub fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(after_prefix("2019").as_deref(), Some("201:"));
        assert_eq!(after_prefix("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10FFFF}"), None);
    }
}
