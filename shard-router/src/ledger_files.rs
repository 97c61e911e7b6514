//! Files that are not indexed: they stand in the ledger, not in shards.

use shardex_catalog::{Cell, FileStamp, LedgerEntry, Predicate, RelativePath};
use shardex_seams::StoreError;

/// Columns of the rows that [`LedgerFiles`] gives, as view `files` names them. The view's other
/// columns are NULL for such files.
pub const LEDGER_FILES_COLUMNS: &[&str] =
    &["domain", "source", "path", "size", "mtime", "state", "reason", "kind", "file_path"];

/// Gives the files that no shard has a row of.
pub trait LedgerFiles: Send + Sync {
    /// Streams one row a file, its values as in [`LEDGER_FILES_COLUMNS`], in no order, to `row`; it
    /// stops early when `row` returns false.
    ///
    /// # Errors
    /// [`StoreError`] if the ledger cannot be read.
    fn rows(&self, row: &mut dyn FnMut(Vec<Cell>) -> bool) -> Result<(), StoreError>;
}

/// The row of a ledger's entry, `None` for a file that a shard has a row of. `directory` is
/// relative to the source, whose `root` is absolute where it is known.
#[must_use]
pub fn ledger_files_row(
    domain: &str,
    source: &str,
    root: Option<&[u8]>,
    directory: &[u8],
    entry: &LedgerEntry,
) -> Option<Vec<Cell>> {
    if entry.state.is_live() {
        return None;
    }
    let text = |text: &str| Cell::Text(text.to_owned());
    let path = RelativePath::new(directory).join(entry.name.as_bytes());
    let bytes = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(path) => text(path),
        Err(_) => Cell::Blob(bytes.to_vec()),
    };
    let file_path = root.map_or(Cell::Null, |root| bytes(&[root, path.as_bytes()].join(&b'/')));
    // What was never opened has no stamp.
    let is_stamped = entry.stamp != FileStamp::default();
    let stamped = |cell: Cell| if is_stamped { cell } else { Cell::Null };
    #[expect(clippy::cast_precision_loss, reason = "seconds with microseconds are what a user reads")]
    let mtime = entry.stamp.mtime_ns as f64 / 1e9;
    Some(vec![
        text(domain),
        text(source),
        bytes(path.as_bytes()),
        stamped(Cell::Integer(i64::try_from(entry.stamp.size).unwrap_or(i64::MAX))),
        stamped(Cell::Real(mtime)),
        text(entry.state.as_str()),
        entry.reason.map_or(Cell::Null, |reason| text(reason.as_str())),
        text(entry.kind.as_str()),
        file_path,
    ])
}

/// No such files: for a router without a ledger.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLedgerFiles;

impl LedgerFiles for NoLedgerFiles {
    fn rows(&self, _row: &mut dyn FnMut(Vec<Cell>) -> bool) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Whether a row of the ledger can satisfy all predicates; `columns` are the row's.
pub(crate) fn admits(predicates: &[Predicate], columns: &[&str], row: &[Cell]) -> bool {
    let cell = |name: &str| columns.iter().position(|column| *column == name).and_then(|at| row.get(at));
    predicates.iter().all(|predicate| match predicate {
        Predicate::In(column, values) => match cell(column) {
            Some(Cell::Text(text)) => values.contains(text),
            // NULL, and a column that such files do not have, equals nothing.
            Some(Cell::Null) | None => false,
            Some(_) => true,
        },
        Predicate::Between(column, low, high) => match cell(column) {
            Some(Cell::Text(text)) => {
                low.as_ref().is_none_or(|low| text >= low) && high.as_ref().is_none_or(|high| text <= high)
            }
            Some(Cell::Null) | None => false,
            Some(_) => true,
        },
    })
}

#[cfg(test)]
mod tests {
    use shardex_catalog::{FileKind, FileName, FileState};

    use super::*;

    fn entry(name: &[u8], state: FileState) -> LedgerEntry {
        LedgerEntry {
            name: FileName::new(name),
            stamp: FileStamp { size: 7, mtime_ns: 1_500_000_000, ctime_ns: 0 },
            state,
            kind: FileKind::Zip,
            reason: None,
            shard: None,
            racy: false,
            missing: false,
            detail: None,
        }
    }

    #[test]
    fn entries_of_the_ledger_become_rows() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let row = ledger_files_row("d", "s", Some(b"/r"), b"a/b", &entry(b"x.zip", FileState::NotDicom))
            .expect("not live");
        assert_eq!(row.len(), LEDGER_FILES_COLUMNS.len());
        let start =
            [text("d"), text("s"), text("a/b/x.zip"), Cell::Integer(7), Cell::Real(1.5), text("not_dicom")];
        assert_eq!(row[..6], start);
        assert_eq!(row[6..], [Cell::Null, text("zip"), text("/r/a/b/x.zip")]);
        let row =
            ledger_files_row("d", "s", None, b"", &entry(b"\xFF", FileState::Deleted)).expect("not live");
        assert_eq!((&row[2], &row[8]), (&Cell::Blob(vec![0xFF]), &Cell::Null));
        assert_eq!(ledger_files_row("d", "s", None, b"", &entry(b"x", FileState::Warning)), None);
    }

    #[test]
    fn rows_that_cannot_match_are_left_out() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let columns = ["domain", "state", "reason"];
        let row = [text("default"), text("quarantined"), Cell::Null];
        let is_in = |column: &str, value: &str| Predicate::In(column.into(), vec![value.into()]);
        for (predicate, expected) in [
            (is_in("state", "quarantined"), true),
            (is_in("state", "indexed"), false),
            (is_in("reason", "x"), false),
            (is_in("SOPInstanceUID", "1.2"), false),
            (Predicate::Between("domain".into(), Some("d".into()), None), true),
            (Predicate::Between("domain".into(), None, Some("d".into())), false),
        ] {
            assert_eq!(admits(std::slice::from_ref(&predicate), &columns, &row), expected, "{predicate:?}");
        }
    }
}
