//! Rows of an answer in the format that was asked for, written as they come.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use serde_json::{Map, Value as Json};
use shardex_catalog::Cell;

use super::screen::answer_screen;
use super::{Table, escaped, write_json};
use crate::args::Format;

/// Rows of a table that are aligned together: widths must be known before the first is written.
const ALIGNED_ROWS: usize = 1000;
/// Columns that hold paths, best first.
const PATH_COLUMNS: [&str; 2] = ["file_path", "path"];

/// Writes rows to `W`. What a terminal shows of them is escaped; a file or pipe gets the exact bytes.
pub(crate) struct Rows<W: Write> {
    to: W,
    format: Format,
    names: Vec<String>,
    table: Table,
    written: u64,
    path_column: Option<usize>,
    is_shown: bool,
}

impl<W: Write> Rows<W> {
    pub(crate) fn new(to: W, format: Format) -> Self {
        let is_shown = answer_screen().width.is_some();
        Self {
            to,
            format,
            names: Vec::new(),
            table: Table::default(),
            written: 0,
            path_column: None,
            is_shown,
        }
    }

    /// Takes the names of the columns, before any row.
    pub(crate) fn columns(&mut self, names: Vec<String>) -> io::Result<()> {
        let header: Vec<_> = names.iter().map(String::as_str).collect();
        self.table = Table::new(&header);
        let find = |wanted: &&str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        self.path_column = PATH_COLUMNS.iter().find_map(find);
        self.names = names;
        match self.format {
            Format::Csv => {
                let cells: Vec<_> = self.names.iter().map(|name| Cell::Text(name.clone())).collect();
                self.csv(&cells)
            }
            Format::Json => self.to.write_all(b"["),
            Format::Paths | Format::Paths0 if self.path_column.is_none() => {
                Err(io::Error::other("--format paths needs a column `file_path` or `path` in the answer"))
            }
            _ => Ok(()),
        }
    }

    /// Writes a row.
    pub(crate) fn row(&mut self, cells: &[Cell]) -> io::Result<()> {
        match self.format {
            Format::Table => {
                self.table.row(cells.iter().map(cell_text));
                if self.table.len() == ALIGNED_ROWS {
                    self.table.write(&mut self.to, self.written < ALIGNED_ROWS as u64)?;
                }
            }
            Format::Json | Format::Jsonl => self.json(cells)?,
            Format::Csv => self.csv(cells)?,
            Format::Paths => self.path(cells, b"\n")?,
            Format::Paths0 => self.path(cells, b"\0")?,
        }
        self.written += 1;
        Ok(())
    }

    /// Ends the answer; returns the number of rows.
    pub(crate) fn end(mut self) -> io::Result<u64> {
        match self.format {
            Format::Table => {
                let is_first =
                    self.written <= ALIGNED_ROWS as u64 && (self.table.len() > 0 || self.written == 0);
                self.table.write(&mut self.to, is_first)?;
            }
            Format::Json => self.to.write_all(if self.written == 0 { b"]\n" } else { b"\n]\n" })?,
            _ => {}
        }
        self.to.flush()?;
        Ok(self.written)
    }

    fn json(&mut self, cells: &[Cell]) -> io::Result<()> {
        if self.format == Format::Json {
            self.to.write_all(if self.written == 0 { b"\n" } else { b",\n" })?;
        }
        let pairs = self.names.iter().cloned().zip(cells.iter().map(cell_json));
        write_json(&mut self.to, &pairs.collect::<Map<String, Json>>())?;
        if self.format == Format::Jsonl {
            self.to.write_all(b"\n")?;
        }
        Ok(())
    }

    fn csv(&mut self, cells: &[Cell]) -> io::Result<()> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        let fields = cells.iter().map(|cell| match cell {
            Cell::Blob(bytes) => self.exact(bytes),
            cell => self.exact(cell_text(cell).as_bytes()),
        });
        writer.write_byte_record(&fields.collect::<csv::ByteRecord>())?;
        let line = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        self.to.write_all(&line)
    }

    fn path(&mut self, cells: &[Cell], end: &[u8]) -> io::Result<()> {
        let bytes = match self.path_column.and_then(|at| cells.get(at)) {
            Some(Cell::Text(text)) => text.as_bytes(),
            Some(Cell::Blob(bytes)) => bytes,
            _ => return Ok(()),
        };
        let bytes = self.exact(bytes);
        self.to.write_all(&bytes)?;
        self.to.write_all(end)
    }

    /// The bytes themselves, unless a terminal would obey them.
    fn exact(&self, bytes: &[u8]) -> Vec<u8> {
        if self.is_shown {
            escaped(&String::from_utf8_lossy(bytes)).into_owned().into_bytes()
        } else {
            bytes.to_vec()
        }
    }
}

/// A cell for people. Bytes that are no text are shown as a shell would quote them.
fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Blob(bytes) => std::ffi::OsStr::from_bytes(bytes).to_string_lossy().into_owned(),
    }
}

/// A cell for machines. Bytes that are no text become an object with their hexadecimal digits.
fn cell_json(cell: &Cell) -> Json {
    match cell {
        Cell::Null => Json::Null,
        Cell::Integer(number) => Json::from(*number),
        Cell::Real(number) => Json::from(*number),
        Cell::Text(text) => Json::String(text.clone()),
        Cell::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            serde_json::json!({ "bytes": hex })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format, rows: &[&[Cell]]) -> String {
        let mut out = Vec::new();
        let mut sink = Rows::new(&mut out, format);
        sink.columns(vec!["path".to_owned(), "n".to_owned()]).expect("columns");
        rows.iter().for_each(|row| sink.row(row).expect("a row"));
        sink.end().expect("an end");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_a_terminal_shows_is_escaped_and_a_pipe_gets_the_bytes() {
        for (is_shown, expected) in [(true, "a\\u{1b}[2J\n"), (false, "a\u{1b}[2J\n")] {
            let mut out = Vec::new();
            let mut sink = Rows { is_shown, ..Rows::new(&mut out, Format::Paths) };
            sink.columns(vec!["path".to_owned()]).expect("columns");
            sink.row(&[Cell::Blob(b"a\x1b[2J".to_vec())]).expect("a row");
            sink.end().expect("an end");
            assert_eq!(String::from_utf8(out).expect("text"), expected);
        }
    }

    #[test]
    fn formats() {
        let row: &[Cell] = &[Cell::Text("a,\"b".into()), Cell::Integer(7)];
        for (format, expected) in [
            (Format::Csv, "path,n\n\"a,\"\"b\",7\n"),
            (Format::Json, "[\n{\"path\":\"a,\\\"b\",\"n\":7}\n]\n"),
            (Format::Jsonl, "{\"path\":\"a,\\\"b\",\"n\":7}\n"),
            (Format::Paths, "a,\"b\n"),
            (Format::Paths0, "a,\"b\0"),
        ] {
            assert_eq!(written(format, &[row]), expected);
        }
        assert_eq!(written(Format::Json, &[]), "[]\n");
        assert_eq!(written(Format::Table, &[]), "path  n\n────  ─\n");
    }
}
