//! Rows on their way into a table of the merge database.

use std::collections::HashMap;
use std::ops::Range;

use rusqlite::types::Null;
use rusqlite::{Connection, Statement, params};
use shardex_catalog::{Cell, Column, View};

use super::database::quoted;
use super::error::{Error, running};

/// Rows that one part of a table may have: parts lie one after the other.
const PART_ROWS: i64 = 1 << 40;

/// Inserts rows into one table.
#[derive(Debug)]
pub struct Loader<'c> {
    connection: &'c Connection,
    insert: Statement<'c>,
    view: View,
    width: usize,
    next: i64,
    /// Of each part that was begun, the number of its next row.
    parts: HashMap<usize, i64>,
    part: usize,
    bytes_max: u64,
}

impl<'c> Loader<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        view: View,
        columns: &[Column],
        bytes_max: u64,
    ) -> rusqlite::Result<Self> {
        // Row numbers are given, not counted by SQLite, so that a range can be taken back.
        let names: String = columns.iter().map(|column| format!(", {}", quoted(&column.name))).collect();
        let marks = ", ?".repeat(columns.len());
        let table = quoted(view.as_str());
        let insert = connection.prepare(&format!("INSERT INTO {table}(_rowid_{names}) VALUES (?{marks})"))?;
        Ok(Self {
            connection,
            insert,
            view,
            width: columns.len(),
            next: 1,
            parts: HashMap::new(),
            part: 0,
            bytes_max,
        })
    }

    /// Goes on with a part of the table. A table is read part by part, whatever the order in which their rows
    /// came, so that a statement that does not say which row it means gets the same one each time.
    pub fn turn_to(&mut self, part: usize) {
        if part == self.part {
            return;
        }
        self.parts.insert(self.part, self.next);
        let first = i64::try_from(part).unwrap_or(i64::MAX).saturating_mul(PART_ROWS).saturating_add(1);
        self.next = self.parts.get(&part).copied().unwrap_or(first);
        self.part = part;
    }

    /// Number that the next row gets; numbers of rows inserted in between make a range for
    /// [`Loader::discard`].
    #[must_use]
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Inserts a row, its values in the order of the table's columns.
    ///
    /// # Errors
    /// [`Error::Full`] if the table would outgrow its space, [`Error::Failed`] for a row of another
    /// width or a value over the limit.
    pub fn insert(&mut self, row: &[Cell]) -> Result<(), Error> {
        if row.len() != self.width {
            let (found, width) = (row.len(), self.width);
            return Err(Error::Failed(format!("a row of `{}` has {found} values, not {width}", self.view)));
        }
        self.bind(row).and_then(|()| self.insert.raw_execute()).map_err(|error| self.error(&error))?;
        self.next += 1;
        Ok(())
    }

    /// Takes inserted rows back.
    ///
    /// # Errors
    /// [`Error::Failed`] if they cannot be removed.
    pub fn discard(&mut self, rows: Range<i64>) -> Result<(), Error> {
        let delete = format!("DELETE FROM {} WHERE _rowid_ >= ? AND _rowid_ < ?", quoted(self.view.as_str()));
        self.connection
            .execute(&delete, params![rows.start, rows.end])
            .map(|_| ())
            .map_err(|error| self.error(&error))
    }

    fn bind(&mut self, row: &[Cell]) -> rusqlite::Result<()> {
        self.insert.raw_bind_parameter(1, self.next)?;
        for (n, cell) in row.iter().enumerate() {
            let at = n + 2;
            match cell {
                Cell::Null => self.insert.raw_bind_parameter(at, Null),
                Cell::Integer(number) => self.insert.raw_bind_parameter(at, number),
                Cell::Real(number) => self.insert.raw_bind_parameter(at, number),
                Cell::Text(text) => self.insert.raw_bind_parameter(at, text.as_str()),
                Cell::Blob(bytes) => self.insert.raw_bind_parameter(at, bytes.as_slice()),
            }?;
        }
        Ok(())
    }

    fn error(&self, error: &rusqlite::Error) -> Error {
        running(error, self.bytes_max, false)
    }
}
