//! Names in errors: what exists where a statement names what does not.

use shardex_catalog::query::nearest;
use shardex_catalog::{Column, View};

use super::analyse::Columns;

/// Columns that an error lists at most.
const LISTED_MAX: usize = 24;

/// "there are: …", all views.
pub(super) fn existing_tables() -> String {
    let names: Vec<&str> = View::ALL.iter().map(|view| view.as_str()).collect();
    format!("there are: {}", names.join(", "))
}

/// SQLite's message about a statement, completed with what exists.
pub(super) fn explain(message: &str, sql: &str, columns: Columns) -> String {
    if message.starts_with("no such table:") {
        return format!("{message}; {}", existing_tables());
    }
    let Some(missing) = message.strip_prefix("no such column: ") else { return message.to_owned() };
    let missing = missing.split(" - ").next().unwrap_or(missing).trim_matches('"');
    let missing = missing.rsplit('.').next().unwrap_or(missing);
    let text = sql.to_ascii_lowercase();
    let named = View::ALL.iter().filter(|view| text.contains(view.as_str()));
    let hints: Vec<String> = named.filter_map(|view| hint(*view, missing, columns(*view))).collect();
    match hints.is_empty() {
        true => format!("{message}; `shardex schema` lists all columns"),
        false => format!("{message}; {}", hints.join("; ")),
    }
}

fn hint(view: View, missing: &str, columns: &[Column]) -> Option<String> {
    let names = columns.iter().map(|column| column.name.as_str());
    let listed: Vec<&str> =
        if columns.len() <= LISTED_MAX { names.collect() } else { nearest(missing, names, LISTED_MAX / 3) };
    (!listed.is_empty()).then(|| format!("`{view}` has: {}", listed.join(", ")))
}
