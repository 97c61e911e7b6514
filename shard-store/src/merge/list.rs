//! A user's own list as a table that a statement may read beside the views.

use rusqlite::{Connection, params_from_iter};
use shardex_catalog::View;

use super::authorize::is_internal;
use super::database::quoted;
use super::error::Error;

/// Rows of a list at most.
pub const LIST_ROWS_MAX: usize = shardex_catalog::query::LIST_VALUES_MAX;
/// Bytes of a list's values at most.
pub const LIST_BYTES_MAX: usize = 8 << 20;
/// Columns of a list at most.
const COLUMNS_MAX: usize = 100;
/// Lists of one statement.
const LISTS_MAX: usize = 16;
/// Columns that are indexed, from the first on.
const INDEXED_MAX: usize = 4;
const NAME_BYTES_MAX: usize = 64;

/// A list: a table of texts and NULLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    name: String,
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

impl List {
    /// A list; rows shorter than its columns end with NULLs.
    ///
    /// # Errors
    /// [`Error::Refused`] for a name that is no plain identifier or means something already, for columns
    /// without a name of their own, for longer rows, and over the limits.
    pub fn new(name: &str, columns: Vec<String>, mut rows: Vec<Vec<Option<String>>>) -> Result<Self, Error> {
        let refused = |reason: String| Err(Error::Refused(format!("list `{name}`: {reason}")));
        let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(is_letter) {
            return refused(
                "a name has ASCII letters, digits and underscores, and begins with a letter".into(),
            );
        }
        if name.len() > NAME_BYTES_MAX || name.parse::<View>().is_ok() || is_internal(name) {
            return refused("there is a table of this name already, or it is too long: take another".into());
        }
        if columns.is_empty() || columns.len() > COLUMNS_MAX {
            return refused(format!("it has {} columns, not 1 to {COLUMNS_MAX}", columns.len()));
        }
        for (n, column) in columns.iter().enumerate() {
            let is_twice = columns[..n].iter().any(|known| known.eq_ignore_ascii_case(column));
            if column.is_empty() || column.contains('\0') || is_twice {
                return refused(format!("column {} has no name of its own", n + 1));
            }
        }
        let bytes: usize = rows.iter().flatten().flatten().map(String::len).sum();
        if rows.len() > LIST_ROWS_MAX || bytes > LIST_BYTES_MAX {
            return refused(format!("it has more than {LIST_ROWS_MAX} rows or {} MB", LIST_BYTES_MAX >> 20));
        }
        if rows.iter().flatten().flatten().any(|value| value.contains('\0')) {
            return refused("it holds a NUL character".into());
        }
        if let Some(long) = rows.iter().position(|row| row.len() > columns.len()) {
            return refused(format!("row {} has more values than there are columns", long + 1));
        }
        rows.iter_mut().for_each(|row| row.resize(columns.len(), None));
        Ok(Self { name: name.to_owned(), columns, rows })
    }

    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns' names.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The rows, each as long as there are columns.
    #[must_use]
    pub fn rows(&self) -> &[Vec<Option<String>>] {
        &self.rows
    }

    /// All different values of a column, sorted.
    #[must_use]
    pub fn values(&self, column: usize) -> Vec<&str> {
        let mut values: Vec<&str> = self.rows.iter().filter_map(|row| row.get(column)?.as_deref()).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    pub(super) fn create(&self, connection: &Connection) -> rusqlite::Result<()> {
        let columns: Vec<_> = self.columns.iter().map(|column| format!("{} TEXT", quoted(column))).collect();
        connection.execute_batch(&format!("CREATE TABLE {}({})", quoted(&self.name), columns.join(", ")))
    }

    /// Fills the table, and indexes it so that it can be the inner side of a join.
    pub(super) fn fill(&self, connection: &Connection) -> rusqlite::Result<()> {
        let marks = vec!["?"; self.columns.len()].join(", ");
        let table = quoted(&self.name);
        let mut insert = connection.prepare(&format!("INSERT INTO {table} VALUES ({marks})"))?;
        for row in &self.rows {
            insert.execute(params_from_iter(row))?;
        }
        for column in self.columns.iter().take(INDEXED_MAX) {
            let index = quoted(&format!("{}.{column}", self.name));
            connection.execute_batch(&format!("CREATE INDEX {index} ON {table}({})", quoted(column)))?;
        }
        Ok(())
    }
}

/// Refuses too many lists, and two of one name.
pub(super) fn check(lists: &[List]) -> Result<(), Error> {
    if lists.len() > LISTS_MAX {
        return Err(Error::Refused(format!("more than {LISTS_MAX} lists")));
    }
    for (n, list) in lists.iter().enumerate() {
        if lists[..n].iter().any(|known| known.name.eq_ignore_ascii_case(&list.name)) {
            return Err(Error::Refused(format!("two lists are named `{}`", list.name)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(name: &str, columns: &[&str], rows: &[&[&str]]) -> Result<List, Error> {
        let row = |row: &&[&str]| row.iter().map(|value| Some((*value).to_owned())).collect();
        List::new(name, columns.iter().map(|c| (*c).to_owned()).collect(), rows.iter().map(row).collect())
    }

    #[test]
    fn lists_are_checked() {
        for (name, columns, rows, expected) in [
            ("cohort", &["a", "b c"][..], &[&["1", "2"][..], &["3"]][..], ""),
            ("studies", &["a"], &[], "a table of this name"),
            ("sqlite_x", &["a"], &[], "a table of this name"),
            ("json_each", &["a"], &[], "a table of this name"),
            ("a b", &["a"], &[], "begins with a letter"),
            ("1a", &["a"], &[], "begins with a letter"),
            ("x", &[], &[], "0 columns"),
            ("x", &["a", "A"], &[], "column 2 has no name of its own"),
            ("x", &["a", ""], &[], "column 2 has no name of its own"),
            ("x", &["a"], &[&["1"], &["1", "2"]], "row 2 has more values"),
            ("x", &["a"], &[&["1\0"]], "NUL"),
        ] {
            match list(name, columns, rows) {
                Ok(_) => assert_eq!(expected, "", "{name} {columns:?}"),
                Err(error) => {
                    assert!(!expected.is_empty() && error.to_string().contains(expected), "{error}");
                }
            }
        }
        let twice = [list("x", &["a"], &[]).expect("valid"), list("X", &["a"], &[]).expect("valid")];
        assert!(check(&twice).is_err());
    }
}
