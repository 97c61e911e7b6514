//! Columns that NATURAL and USING compare. SQLite compares them without asking the authorizer, so
//! that they have to be found in the text; too many are harmless.

use std::collections::{BTreeMap, BTreeSet};

use shardex_catalog::View;

use super::analyse::Columns;
use super::text::plain_words;

/// Adds to what a statement reads the columns by which NATURAL and USING may join, and the views
/// of which nothing else is read. With lists, NATURAL may join by any column.
pub(super) fn complete(
    sql: &str,
    columns: Columns,
    has_lists: bool,
    reads: &mut BTreeMap<View, BTreeSet<String>>,
) {
    let has_word = |word: &str| plain_words(sql).any(|found| found.eq_ignore_ascii_case(word));
    let (is_natural, is_using) = (has_word("NATURAL"), has_word("USING"));
    if !is_natural && !is_using {
        return;
    }
    // An alias can stand in any quotes, so the words inside quotes count here.
    let words: BTreeSet<String> = sql
        .split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_')
        .map(str::to_ascii_lowercase)
        .collect();
    let views: Vec<View> = View::ALL.iter().copied().filter(|view| words.contains(view.as_str())).collect();
    // The columns of these functions are written nowhere.
    let takes_all =
        is_natural && (has_lists || words.iter().any(|word| matches!(&**word, "json_each" | "json_tree")));
    let is_shared = |view: View, name: &str| {
        let others = views.iter().filter(|other| **other != view);
        others.flat_map(|other| columns(*other)).any(|column| column.name.eq_ignore_ascii_case(name))
    };
    for view in &views {
        let joins = columns(*view).iter().map(|column| &column.name).filter(|name| {
            takes_all || words.contains(&name.to_ascii_lowercase()) || (is_natural && is_shared(*view, name))
        });
        reads.entry(*view).or_default().extend(joins.cloned());
    }
}
