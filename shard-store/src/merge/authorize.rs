//! What a user's statement may do: read views, call functions that only compute.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use shardex_catalog::View;

/// What the authorizer saw while a statement was prepared.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Views with the columns read, spelt as the schema spells them.
    pub(super) reads: BTreeMap<View, BTreeSet<String>>,
    /// Why the first refused action was refused.
    pub(super) refused: Option<String>,
}

/// Shared with the authorizer that a connection owns.
pub(super) type SharedSeen = Arc<Mutex<Seen>>;

/// Lets a connection do nothing but what a user's statement may: read views, and the user's own lists of
/// these names. What it does is noted in `seen`.
pub(super) fn confine(
    connection: &mut Connection,
    seen: &SharedSeen,
    lists: Vec<String>,
) -> rusqlite::Result<()> {
    let seen = Arc::clone(seen);
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match decide(&context.action, &lists, &mut seen.reads) {
            Ok(()) => Authorization::Allow,
            Err(reason) => {
                seen.refused.get_or_insert(reason);
                Authorization::Deny
            }
        }
    }))
}

/// Whether a name is one of the table-valued functions that a statement may use.
fn is_json_table(name: &str) -> bool {
    ["json_each", "json_tree"].iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a name is one that SQLite gives to tables of its own.
pub(super) fn is_internal(table: &str) -> bool {
    let has = |prefix: &&str| table.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    ["sqlite_", "pragma_", "dbstat", "fts3", "rtree", "json_", "jsonb_"].iter().any(has)
}

fn decide(
    action: &AuthAction<'_>,
    lists: &[String],
    reads: &mut BTreeMap<View, BTreeSet<String>>,
) -> Result<(), String> {
    match action {
        AuthAction::Select | AuthAction::Recursive => Ok(()),
        AuthAction::Function { function_name } if is_allowed_function(function_name) => Ok(()),
        AuthAction::Function { function_name } => {
            Err(format!("the function `{function_name}` is not allowed in a query"))
        }
        AuthAction::Read { table_name, .. } if lists.iter().any(|list| list == table_name) => Ok(()),
        AuthAction::Read { table_name, column_name } => read(table_name, column_name, lists, reads),
        AuthAction::Pragma { .. } => Err("PRAGMA is not allowed: write one SELECT".into()),
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
            Err("ATTACH and DETACH are not allowed: write one SELECT".into())
        }
        _ => Err("only one SELECT (or WITH … SELECT, or VALUES) is allowed: an archive is never changed by a query"
            .into()),
    }
}

fn read(
    table: &str,
    column: &str,
    lists: &[String],
    reads: &mut BTreeMap<View, BTreeSet<String>>,
) -> Result<(), String> {
    if let Ok(view) = table.parse::<View>() {
        if column == "ROWID" {
            return Err(format!("no such column: rowid; rows of `{view}` have no number of their own"));
        }
        let columns = reads.entry(view).or_default();
        if !column.is_empty() {
            columns.insert(column.to_owned());
        }
        return Ok(());
    }
    // A table without any column read is reported with an empty column, whether it is a real one
    // or a common table expression; SQLite's own tables have prefixes of their own.
    if is_json_table(table) || (column.is_empty() && !is_internal(table)) {
        return Ok(());
    }
    Err(format!("no such table: {table}; {}", super::names::existing_tables(lists)))
}

pub(crate) fn is_allowed_function(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    FUNCTIONS.binary_search(&&*name).is_ok()
        || ["json_", "jsonb_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Sorted. Left out on purpose: everything that reads files, loads code or shows the connection's
/// state.
#[rustfmt::skip]
static FUNCTIONS: &[&str] = &[
    "->", "->>", "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "avg", "ceil", "ceiling",
    "char", "coalesce", "concat", "concat_ws", "cos", "cosh", "count", "cume_dist", "current_date",
    "current_time", "current_timestamp", "date", "datetime", "degrees", "dense_rank", "exp", "first_value",
    "floor", "format", "glob", "group_concat", "hex", "if", "ifnull", "iif", "instr", "json", "jsonb",
    "julianday", "lag", "last_value", "lead", "length", "like", "likelihood", "likely", "ln", "log", "log10",
    "log2", "lower", "ltrim", "max", "median", "min", "mod", "nth_value", "ntile", "nullif", "octet_length",
    "percent_rank", "percentile", "percentile_cont", "percentile_disc", "pi", "pow", "power", "printf", "quote",
    "radians", "random", "randomblob", "rank", "replace", "round", "row_number", "rtrim", "sign", "sin", "sinh",
    "soundex", "sqrt", "strftime", "string_agg", "substr", "substring", "sum", "tan", "tanh", "time",
    "timediff", "total", "trim", "trunc", "typeof", "unhex", "unicode", "unistr", "unistr_quote", "unixepoch",
    "unlikely", "upper", "zeroblob",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_sorted_for_the_search() {
        assert!(FUNCTIONS.is_sorted());
    }

    #[test]
    fn functions_that_reach_out_are_refused() {
        for name in
            ["load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "changes", "sqlite_version"]
        {
            assert!(!is_allowed_function(name), "{name}");
        }
        assert!(is_allowed_function("SUBSTR") && is_allowed_function("json_extract"));
    }
}
