//! Aligned tables: columns as wide as what they show, numbers to the right.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::escaped;

/// Widest column; longer text is cut with an ellipsis.
const WIDTH_MAX: usize = 80;

/// A table that is held until it is written.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    is_number: Vec<bool>,
    header: Vec<String>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self {
            rows: Vec::new(),
            is_number: vec![true; header.len()],
            header: header.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// Adds a row of texts; numbers align to the right where a whole column is of them.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| cut(&escaped(&cell))).collect();
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
        let all = || std::iter::once(&self.header).chain(&self.rows);
        let width =
            |at: usize| all().filter_map(|row| row.get(at)).map(|cell| cell.width()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let line = |to: &mut dyn Write, row: &[String]| {
            let mut text = String::new();
            for (at, cell) in row.iter().enumerate() {
                let blank = " ".repeat(widths[at].saturating_sub(cell.width()));
                let (before, behind) = if self.is_number[at] { (&*blank, "") } else { ("", &*blank) };
                text.push_str(&format!("{before}{cell}{behind}  "));
            }
            writeln!(to, "{}", text.trim_end())
        };
        if with_header {
            line(to, &self.header)?;
            let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            line(to, &rule)?;
        }
        for row in &self.rows {
            line(to, row)?;
        }
        self.rows.clear();
        Ok(())
    }
}

/// A number, also with thousands apart, a unit of bytes or a per cent sign behind it.
fn is_numeric(cell: &str) -> bool {
    let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let number = number.trim_start_matches(['~', '<', '>']).replace(',', "");
    matches!(unit, "" | "%" | "B" | "kB" | "MB" | "GB" | "TB") && number.parse::<f64>().is_ok()
}

fn cut(text: &str) -> String {
    if text.width() <= WIDTH_MAX {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        if short.width() + 2 > WIDTH_MAX {
            break;
        }
        short.push(c);
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let mut table = Table::new(&["name", "n"]);
        table.row(["山田".to_owned(), "5".to_owned()]);
        table.row(["Doe".to_owned(), "120".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out, true).expect("written");
        let expected = "name    n\n────  ───\n山田    5\nDoe   120\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
