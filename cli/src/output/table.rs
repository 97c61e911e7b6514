//! Aligned tables: columns as wide as what they show, numbers to the right. On a terminal that is too narrow
//! texts are cut, and a table that has too many columns even so becomes a list of records.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::fit::{GAP, Wish, cut, widths};
use super::screen::{Screen, answer_screen};
use super::{escaped, paint};

/// Columns of a file or pipe are aligned up to this width; longer text is written whole.
const ALIGNED_WIDTH_MAX: usize = 80;

/// A table that is held until it is written.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    is_number: Vec<bool>,
    header: Vec<String>,
    screen: Screen,
    /// Rows that were written as records; their numbers go on.
    records: u64,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self::on(answer_screen(), header)
    }

    fn on(screen: Screen, header: &[&str]) -> Self {
        Self {
            rows: Vec::new(),
            is_number: vec![true; header.len()],
            header: header.iter().map(|name| escaped(name).into_owned()).collect(),
            screen,
            records: 0,
        }
    }

    /// Adds a row of texts; numbers align to the right where a whole column is of them.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| escaped(&cell).into_owned()).collect();
        for (is_number, cell) in self.is_number.iter_mut().zip(&cells) {
            *is_number &= cell.is_empty() || is_numeric(cell);
        }
        self.rows.push(cells);
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Writes the rows held, with the header if `with_header`, and forgets them. Widths follow from
    /// the rows of this call.
    pub(crate) fn write(&mut self, to: &mut impl Write, with_header: bool) -> io::Result<()> {
        match self.widths() {
            Some(widths) => self.write_lines(to, &widths, with_header)?,
            None => self.write_records(to)?,
        }
        self.rows.clear();
        Ok(())
    }

    /// Widths of the columns; `None` if the screen has no room for them.
    fn widths(&self) -> Option<Vec<usize>> {
        let cells =
            |at: usize| self.rows.iter().filter_map(move |row| row.get(at)).map(|cell| cell.width()).max();
        let columns = self.header.iter().zip(&self.is_number).enumerate();
        let wish = |(at, (header, is_number)): (usize, (&String, &bool))| {
            Wish::new(header.width(), cells(at).unwrap_or(0), *is_number)
        };
        let wishes: Vec<_> = columns.map(wish).collect();
        let Some(room) = self.screen.width else {
            return Some(wishes.iter().map(|wish| wish.width.min(ALIGNED_WIDTH_MAX)).collect());
        };
        widths(&wishes, room)
    }

    fn write_lines(&self, to: &mut impl Write, widths: &[usize], with_header: bool) -> io::Result<()> {
        if with_header {
            writeln!(to, "{}", paint::bold(self.screen, &self.line(&self.header, widths)))?;
            let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            writeln!(to, "{}", paint::dim(self.screen, &self.line(&rule, widths)))?;
        }
        self.rows.iter().try_for_each(|row| writeln!(to, "{}", self.line(row, widths)))
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut text = String::new();
        for ((cell, width), is_number) in row.iter().zip(widths).zip(&self.is_number) {
            let cell = if self.screen.width.is_some() { cut(cell, *width) } else { cell.clone() };
            let blank = " ".repeat(width.saturating_sub(cell.width()));
            let (before, behind) = if *is_number { (&*blank, "") } else { ("", &*blank) };
            text.push_str(&format!("{before}{cell}{behind}{:GAP$}", ""));
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// A line for each value that is there, and a rule before each row.
    fn write_records(&mut self, to: &mut impl Write) -> io::Result<()> {
        let room = self.screen.width.unwrap_or(usize::MAX);
        let name_width = self.header.iter().map(|name| name.width()).max().unwrap_or(0).min(room / 2);
        let value_width = room.saturating_sub(name_width + GAP).max(1);
        for row in &self.rows {
            self.records += 1;
            let title = format!("── row {} ", self.records);
            let rule = title.clone() + &"─".repeat(room.saturating_sub(title.width()).min(20));
            writeln!(to, "{}", paint::dim(self.screen, &rule))?;
            for (name, cell) in self.header.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
                let name = cut(name, name_width);
                let blank = " ".repeat(name_width - name.width() + GAP);
                writeln!(to, "{}{blank}{}", paint::bold(self.screen, &name), cut(cell, value_width))?;
            }
        }
        Ok(())
    }
}

/// A number, also with thousands apart, a unit of bytes or a per cent sign behind it.
fn is_numeric(cell: &str) -> bool {
    let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let number = number.trim_start_matches(['~', '<', '>']).replace(',', "");
    matches!(unit, "" | "%" | "B" | "kB" | "MB" | "GB" | "TB") && number.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(screen: Screen, header: &[&str], rows: &[&[&str]]) -> String {
        let mut table = Table::on(screen, header);
        rows.iter().for_each(|row| table.row(row.iter().map(|cell| (*cell).to_owned())));
        let mut out = Vec::new();
        table.write(&mut out, true).expect("written");
        String::from_utf8(out).expect("text")
    }

    fn terminal(width: usize) -> Screen {
        Screen { width: Some(width), is_colored: false }
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let rows: &[&[&str]] = &[&["山田", "5"], &["Doe", "120"]];
        let expected = "name    n\n────  ───\n山田    5\nDoe   120\n";
        assert_eq!(written(Screen::default(), &["name", "n"], rows), expected);
    }

    #[test]
    fn a_file_gets_whole_values_and_a_terminal_what_fits() {
        let path = "/archive/".to_owned() + &"very/".repeat(30) + "im01.dcm";
        let rows: &[&[&str]] = &[&[&path, "12345678"]];
        assert!(written(Screen::default(), &["path", "n"], rows).contains(&path));
        let shown = written(terminal(40), &["path", "n"], rows);
        assert!(shown.lines().all(|line| line.width() <= 40), "{shown}");
        assert!(shown.contains("im01.dcm  12345678"), "{shown}");
    }

    #[test]
    fn too_many_columns_become_records() {
        let header = ["PatientID", "StudyDate", "Modality", "Manufacturer"];
        let rows: &[&[&str]] = &[&["P1", "a date", "", "a maker of machines"], &["P2", "x", "y", "z"]];
        let expected = "── row 1 ────────────────────\nPatientID     P1\nStudyDate     a date\n\
                        Manufacturer  a maker of mach…\n── row 2 ────────────────────\nPatientID     P2\n\
                        StudyDate     x\nModality      y\nManufacturer  z\n";
        assert_eq!(written(terminal(30), &header, rows), expected);
    }

    #[test]
    fn hostile_names_do_nothing() {
        let shown = written(terminal(80), &["a\u{1b}[2J"], &[&["b\u{9b}31m\nc"]]);
        assert!(!shown.contains(['\u{1b}', '\u{9b}']) && shown.lines().count() == 3, "{shown:?}");
    }
}
