//! Live counts of headers: gathered over a batch, stored once a header.

use hashbrown::HashMap;
use rusqlite::Transaction;
use shardex_catalog::Level;

use super::headers::HeaderIds;
use crate::schema::table_of_level;

#[derive(Clone, Copy, Debug, Default)]
struct Delta {
    files: i64,
    live: i64,
    live_bytes: i64,
}

impl Delta {
    fn add(&mut self, more: Self) {
        self.files += more.files;
        self.live += more.live;
        self.live_bytes += more.live_bytes;
    }
}

/// Whether ids may have become invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// All headers that were there still are.
    HeadersKept,
    /// Headers without files were deleted.
    HeadersDeleted,
}

/// Changes of counts, by header.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    study: HashMap<i64, Delta>,
    series: HashMap<i64, Delta>,
    stack: HashMap<i64, Delta>,
    /// Changes of the headers that were counted last, which are not yet above: files of one stack come together.
    last: Option<(HeaderIds, Delta)>,
}

impl Counts {
    /// A file came (`by` 1) or went (-1).
    pub(crate) fn count_file(&mut self, headers: HeaderIds, by: i64) {
        self.each(headers, |delta| delta.files += by);
    }

    /// A primary file came (`by` 1) or went (-1).
    pub(crate) fn count_live(&mut self, headers: HeaderIds, by: i64, bytes: i64) {
        self.each(headers, |delta| {
            delta.live += by;
            delta.live_bytes += by * bytes;
        });
    }

    /// Writes the changes and deletes headers that no file refers to any more.
    pub(crate) fn store(mut self, transaction: &Transaction<'_>) -> rusqlite::Result<Stored> {
        self.end_last();
        let mut stored = Stored::HeadersKept;
        for (level, deltas) in
            [(Level::Stack, self.stack), (Level::Series, self.series), (Level::Study, self.study)]
        {
            let table = table_of_level(level);
            let mut update = transaction.prepare_cached(&format!(
                "UPDATE {table} SET n_files = n_files + ?1, n_live = n_live + ?2, live_bytes = live_bytes + ?3 \
                 WHERE id = ?4 RETURNING n_files"
            ))?;
            let mut delete = transaction.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?;
            for (id, delta) in deltas {
                let files: i64 =
                    update.query_row((delta.files, delta.live, delta.live_bytes, id), |row| row.get(0))?;
                assert!(files >= 0, "a header of {table} counts {files} files");
                if files == 0 {
                    delete.execute([id])?;
                    stored = Stored::HeadersDeleted;
                }
            }
        }
        Ok(stored)
    }

    fn each(&mut self, headers: HeaderIds, change: impl Fn(&mut Delta)) {
        if self.last.as_ref().is_none_or(|(last, _)| *last != headers) {
            self.end_last();
        }
        change(&mut self.last.get_or_insert((headers, Delta::default())).1);
    }

    fn end_last(&mut self) {
        let Some((headers, delta)) = self.last.take() else { return };
        self.stack.entry(headers.stack).or_default().add(delta);
        self.series.entry(headers.series).or_default().add(delta);
        self.study.entry(headers.study).or_default().add(delta);
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// What the writer rests on in place of foreign keys.
    #[test]
    fn files_of_a_header_that_is_not_there_are_refused() {
        let mut connection = Connection::open_in_memory().expect("memory");
        for level in [Level::Stack, Level::Series, Level::Study] {
            let columns = "id INTEGER PRIMARY KEY, n_files, n_live, live_bytes";
            let table = format!(
                "CREATE TABLE {0}({columns}); INSERT INTO {0} VALUES (1, 0, 0, 0)",
                table_of_level(level)
            );
            connection.execute_batch(&table).expect("a table");
        }
        let transaction = connection.transaction().expect("begun");
        let store = |stack| {
            let mut counts = Counts::default();
            counts.count_file(HeaderIds { stack, series: 1, study: 1 }, 1);
            counts.store(&transaction)
        };
        assert_eq!(store(1).expect("it is there"), Stored::HeadersKept);
        assert!(matches!(store(2), Err(rusqlite::Error::QueryReturnedNoRows)));
    }
}
