//! Whether a file of the archive has the tables, indexes and views of its format.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::{Finding, Kind, Watch};
use crate::sqlite::{self, Format};

/// The objects of a database: type and name.
type Objects = BTreeSet<(String, String)>;

/// What formats say of their files, worked out once each.
#[derive(Default)]
pub(super) struct Schemas(BTreeMap<i32, Objects>);

impl Schemas {
    /// Finds what a file lacks of its format. What it has besides is its owner's, and a file of an older version has what
    /// that one had.
    pub(super) fn check(
        &mut self,
        connection: &Connection,
        format: &Format,
        name: &str,
        watch: &mut dyn Watch,
    ) -> rusqlite::Result<()> {
        if !sqlite::is_of_today(connection, format)? {
            return Ok(());
        }
        let found = objects(connection)?;
        let expected = match self.0.entry(format.application_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(expected(format)?),
        };
        for (kind, object) in expected.difference(&found) {
            watch.found(Finding::at(Kind::Schema, name, format!("the {kind} `{object}` is not there")));
        }
        Ok(())
    }
}

fn expected(format: &Format) -> rusqlite::Result<Objects> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(&sqlite::migration(format, 0))?;
    objects(&connection)
}

fn objects(connection: &Connection) -> rusqlite::Result<Objects> {
    let mut statement = connection.prepare("SELECT type, name FROM sqlite_schema")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}
