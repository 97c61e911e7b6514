//! The lives of a stored file: which batches are really in it.

use rusqlite::{Connection, Transaction};
use shardex_catalog::{Applied, Fence, Incarnation};
use shardex_seams::History;

/// DDL of the table that every shard and registry carries.
pub(crate) const TABLE: &str = "
CREATE TABLE history(
  id INTEGER PRIMARY KEY,
  incarnation INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  barriers INTEGER NOT NULL);
";

/// The present life of a file that this process writes.
#[derive(Debug)]
pub(crate) struct Life {
    row: i64,
    incarnation: Incarnation,
    sequence: u64,
}

impl Life {
    /// Begins a new life.
    pub(crate) fn begin(connection: &Connection, incarnation: Incarnation) -> rusqlite::Result<Self> {
        connection.execute(
            "INSERT INTO history(incarnation, last_sequence, fence, barriers) VALUES (?1, 0, 0, 0)",
            [incarnation.0.cast_signed()],
        )?;
        Ok(Self { row: connection.last_insert_rowid(), incarnation, sequence: 0 })
    }

    /// Numbers a batch inside its transaction. Count it with [`Life::committed`] afterwards.
    pub(crate) fn advance(&self, transaction: &Transaction<'_>, fence: Fence) -> rusqlite::Result<Applied> {
        let sequence = self.sequence + 1;
        transaction
            .prepare_cached("UPDATE history SET last_sequence = ?1, fence = max(fence, ?2) WHERE id = ?3")?
            .execute((sequence.cast_signed(), fence.0.cast_signed(), self.row))?;
        Ok(Applied { incarnation: self.incarnation, sequence })
    }

    /// A numbered batch was committed.
    pub(crate) fn committed(&mut self, applied: Applied) {
        debug_assert_eq!(applied.sequence, self.sequence + 1);
        self.sequence = applied.sequence;
    }

    /// Changes at least a byte, for a commit that must reach the disk.
    pub(crate) fn touch(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction
            .prepare_cached("UPDATE history SET barriers = barriers + 1 WHERE id = ?1")?
            .execute([self.row])
            .map(drop)
    }
}

/// All lives of a file, oldest first.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<History> {
    let mut statement = connection.prepare("SELECT incarnation, last_sequence FROM history ORDER BY id")?;
    let lives = statement.query_map([], |row| {
        Ok((Incarnation(row.get::<_, i64>(0)?.cast_unsigned()), row.get::<_, i64>(1)?.cast_unsigned()))
    })?;
    lives.collect::<rusqlite::Result<Vec<_>>>().map(History)
}

/// The highest fence that ever wrote to a file.
pub(crate) fn highest_fence(connection: &Connection) -> rusqlite::Result<Fence> {
    connection
        .query_row("SELECT coalesce(max(fence), 0) FROM history", [], |row| row.get::<_, i64>(0))
        .map(|fence| Fence(fence.cast_unsigned()))
}
