//! Names in errors: what exists where a statement names what does not.

use shardex_catalog::View;
use shardex_catalog::query::nearest;

use super::analyse::Columns;

/// Columns that an error lists at most.
const LISTED_MAX: usize = 24;

/// What a list is called, and its columns.
#[derive(Clone, Debug)]
pub(super) struct ListNames {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
}

/// "there are: …", all views and lists.
pub(super) fn existing_tables(lists: &[String]) -> String {
    let views = View::ALL.iter().map(|view| view.as_str());
    let names: Vec<&str> = views.chain(lists.iter().map(String::as_str)).collect();
    format!("there are: {}", names.join(", "))
}

/// SQLite's message about a statement, completed with what exists.
pub(super) fn explain(message: &str, sql: &str, columns: Columns, lists: &[ListNames]) -> String {
    if message.starts_with("no such table:") {
        let names: Vec<String> = lists.iter().map(|list| list.name.clone()).collect();
        return format!("{message}; {}", existing_tables(&names));
    }
    let Some(missing) = message.strip_prefix("no such column: ") else { return message.to_owned() };
    let missing = missing.split(" - ").next().unwrap_or(missing).trim_matches('"');
    let missing = missing.rsplit('.').next().unwrap_or(missing);
    let text = sql.to_ascii_lowercase();
    let named = View::ALL.iter().filter(|view| text.contains(view.as_str()));
    let of_views = named.filter_map(|view| {
        let names = columns(*view).iter().map(|column| column.name.as_str()).collect();
        hint(view.as_str(), missing, names)
    });
    let named = lists.iter().filter(|list| text.contains(&list.name.to_ascii_lowercase()));
    let of_lists =
        named.filter_map(|list| hint(&list.name, missing, list.columns.iter().map(String::as_str).collect()));
    let hints: Vec<String> = of_views.chain(of_lists).collect();
    match hints.is_empty() {
        true => format!("{message}; `shardex schema` lists all columns"),
        false => format!("{message}; {}", hints.join("; ")),
    }
}

fn hint(table: &str, missing: &str, names: Vec<&str>) -> Option<String> {
    let listed =
        if names.len() <= LISTED_MAX { names } else { nearest(missing, names.into_iter(), LISTED_MAX / 3) };
    (!listed.is_empty()).then(|| format!("`{table}` has: {}", listed.join(", ")))
}
