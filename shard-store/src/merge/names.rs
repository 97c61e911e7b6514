//! Names in errors: what exists where a statement names what does not.

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
    let listed: Vec<&str> = if columns.len() <= LISTED_MAX {
        names.collect()
    } else {
        let mut near: Vec<(usize, &str)> =
            names.filter_map(|name| nearness(missing, name).map(|distance| (distance, name))).collect();
        near.sort_unstable();
        near.into_iter().take(LISTED_MAX / 3).map(|(_, name)| name).collect()
    };
    (!listed.is_empty()).then(|| format!("`{view}` has: {}", listed.join(", ")))
}

/// How far a name is from what was written, letters only; `None` if it is no help.
fn nearness(written: &str, name: &str) -> Option<usize> {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).take(64).collect::<String>().to_lowercase()
    };
    let (written, name) = (plain(written), plain(name));
    if written.is_empty() {
        return None;
    }
    if written == name {
        return Some(0);
    }
    if written.len() >= 3 && (name.contains(&written) || written.contains(&name)) {
        return Some(1 + name.len().abs_diff(written.len()));
    }
    let distance = edit_distance(&written, &name);
    (distance <= 1 + written.len() / 4).then_some(1 + distance)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_left_out() {
        assert_eq!(nearness("patient_id", "PatientID"), Some(0));
        assert!(nearness("StudyUID", "StudyInstanceUID").is_none());
        assert!(nearness("PatientNam", "PatientName").is_some());
        assert!(nearness("Modalty", "Modality").is_some());
        assert!(nearness("x", "Rows").is_none());
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }
}
