//! Rows of an answer in the format that was asked for, written as they come.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use serde::{Serialize, Serializer};
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
    /// The line being written; kept, because rows are many.
    line: Vec<u8>,
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
            line: Vec::new(),
        }
    }

    /// Takes the names of the columns, before any row.
    pub(crate) fn columns(&mut self, names: Vec<String>) -> io::Result<()> {
        let header: Vec<_> = names.iter().map(String::as_str).collect();
        self.table = Table::new(&header);
        let find = |wanted: &&str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        self.path_column = PATH_COLUMNS.iter().find_map(find);
        self.names = match self.format {
            Format::Json | Format::Jsonl => unlike(names),
            _ => names,
        };
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
        write_json(&mut self.to, &Object { names: &self.names, cells })?;
        if self.format == Format::Jsonl {
            self.to.write_all(b"\n")?;
        }
        Ok(())
    }

    fn csv(&mut self, cells: &[Cell]) -> io::Result<()> {
        self.line.clear();
        for (n, cell) in cells.iter().enumerate() {
            if n > 0 {
                self.line.push(b',');
            }
            match cell {
                Cell::Null => {}
                Cell::Integer(number) => write!(self.line, "{number}")?,
                Cell::Real(number) => write!(self.line, "{number}")?,
                Cell::Text(text) => self.csv_field(text.as_bytes()),
                Cell::Blob(bytes) => self.csv_field(bytes),
            }
        }
        if self.line.is_empty() {
            // An empty line would be no record.
            self.line.extend(b"\"\"");
        }
        self.line.push(b'\n');
        self.to.write_all(&self.line)
    }

    /// Appends a field, in quotes where RFC 4180 asks for them.
    fn csv_field(&mut self, bytes: &[u8]) {
        let bytes = self.exact(bytes);
        if !bytes.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
            return self.line.extend_from_slice(&bytes);
        }
        self.line.push(b'"');
        for byte in bytes.iter() {
            if *byte == b'"' {
                self.line.push(b'"');
            }
            self.line.push(*byte);
        }
        self.line.push(b'"');
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
    fn exact<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        if self.is_shown {
            Cow::Owned(escaped(&String::from_utf8_lossy(bytes)).into_owned().into_bytes())
        } else {
            Cow::Borrowed(bytes)
        }
    }
}

/// Names of which no two are equal, as an object needs them, else it would lose values: a name that came before
/// gets a number, as SQLite gives it to columns of a subquery.
fn unlike(names: Vec<String>) -> Vec<String> {
    let mut taken: HashSet<String> = names.iter().cloned().collect();
    let mut before = HashSet::new();
    let mut unlike = Vec::with_capacity(names.len());
    for name in names {
        if before.insert(name.clone()) {
            unlike.push(name);
            continue;
        }
        // As many numbers as there are names, and one more, cannot all be taken.
        let mut numbered = (1..=taken.len() + 1).map(|n| format!("{name}:{n}"));
        let free = numbered.find(|one| !taken.contains(one)).unwrap_or_else(|| name.clone());
        taken.insert(free.clone());
        unlike.push(free);
    }
    unlike
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

/// A row for machines.
struct Object<'r> {
    names: &'r [String],
    cells: &'r [Cell],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.names.iter().zip(self.cells.iter().map(Value)))
    }
}

/// A cell for machines. Bytes that are no text become an object with their hexadecimal digits.
struct Value<'c>(&'c Cell);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Cell::Null => serializer.serialize_unit(),
            Cell::Integer(number) => serializer.serialize_i64(*number),
            Cell::Real(number) => serializer.serialize_f64(*number),
            Cell::Text(text) => serializer.serialize_str(text),
            Cell::Blob(bytes) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                serializer.collect_map([("bytes", hex)])
            }
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

    /// By the reader that everybody has, and in objects by number, text and bytes.
    #[test]
    fn what_is_written_is_read_back() {
        let texts = ["", "a", "a,b", "a\"b", "\"", "a\nb", "a\r", " a ", "a;b\t", "山田"];
        let mut out = Vec::new();
        let mut sink = Rows::new(&mut out, Format::Csv);
        sink.columns(vec!["n".to_owned(), "t".to_owned()]).expect("columns");
        texts
            .iter()
            .for_each(|text| sink.row(&[Cell::Real(1.5), Cell::Text((*text).into())]).expect("a row"));
        sink.end().expect("an end");
        let read: Vec<_> =
            csv::Reader::from_reader(&out[..]).records().map(|one| one.expect("a record")).collect();
        assert_eq!(read.iter().map(|one| &one[1]).collect::<Vec<_>>(), texts);
        assert!(out.starts_with(b"n,t\n1.5,\n1.5,a\n1.5,\"a,b\"\n"), "only what must be is quoted");
        let mut out = Vec::new();
        let mut sink = Rows::new(&mut out, Format::Csv);
        sink.columns(vec!["only".to_owned()]).expect("columns");
        sink.row(&[Cell::Null]).expect("a row");
        sink.end().expect("an end");
        assert_eq!(out, b"only\n\"\"\n");
        let cells = [
            Cell::Integer(-1),
            Cell::Real(1.0),
            Cell::Real(f64::INFINITY),
            Cell::Null,
            Cell::Blob(vec![0, 255]),
        ];
        let mut out = Vec::new();
        let mut sink = Rows::new(&mut out, Format::Jsonl);
        sink.columns(["i", "r", "f", "n", "b"].map(str::to_owned).to_vec()).expect("columns");
        sink.row(&cells).expect("a row");
        sink.end().expect("an end");
        let expected = "{\"i\":-1,\"r\":1.0,\"f\":null,\"n\":null,\"b\":{\"bytes\":\"00ff\"}}\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn objects_lose_no_value_of_columns_with_one_name() {
        let mut out = Vec::new();
        let mut sink = Rows::new(&mut out, Format::Jsonl);
        let names = ["a", "b", "a", "a:1", "a"].map(str::to_owned);
        sink.columns(names.to_vec()).expect("columns");
        sink.row(&[1, 2, 3, 4, 5].map(Cell::Integer)).expect("a row");
        sink.end().expect("an end");
        let expected = "{\"a\":1,\"b\":2,\"a:2\":3,\"a:1\":4,\"a:3\":5}\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
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
