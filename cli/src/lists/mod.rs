//! A user's lists: CSV files, as spreadsheets write them.

mod table;
mod values;

use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context, bail, ensure};

pub(crate) use table::table;
pub(crate) use values::values;

/// Bytes of a file that are read at most.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Bytes in which the kind of delimiter is looked for.
const LOOK_BYTES: usize = 4096;
/// What may part fields.
const DELIMITERS: [u8; 3] = [b',', b'\t', b';'];

/// The bytes of a file, or of standard input for `-`, without a byte order mark.
fn bytes(file: &str) -> anyhow::Result<Vec<u8>> {
    ensure!(!file.is_empty(), "no file is named");
    let mut bytes = Vec::new();
    if file == "-" {
        io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).context("standard input")?;
    } else {
        let opened = File::open(file).with_context(|| format!("`{file}` cannot be opened"))?;
        opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(|| format!("`{file}`"))?;
    }
    ensure!(bytes.len() as u64 <= FILE_BYTES_MAX, "`{file}` is larger than {} MB", FILE_BYTES_MAX >> 20);
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        bytes.drain(..3);
    }
    Ok(bytes)
}

/// The records of a file; blanks around fields do not count.
///
/// # Errors
/// A quote that is never closed, which would swallow the rest of the file.
fn records(bytes: &[u8]) -> anyhow::Result<impl Iterator<Item = anyhow::Result<csv::StringRecord>>> {
    let delimiter = delimiter(bytes);
    if let Some(line) = open_quote(bytes, delimiter) {
        bail!("line {line} opens a quote that is never closed: write a quote inside a field as two");
    }
    let reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(delimiter)
        .from_reader(bytes);
    Ok(reader.into_records().map(|record| {
        record.map_err(|error| match error.kind() {
            csv::ErrorKind::Utf8 { pos, .. } => {
                let line = pos.as_ref().map_or(0, csv::Position::line);
                anyhow::anyhow!("line {line} is not UTF-8: save the file as UTF-8")
            }
            _ => error.into(),
        })
    }))
}

/// Commas, tabs or semicolons, whichever the first line that says something has outside of quotes.
fn delimiter(bytes: &[u8]) -> u8 {
    let look = &bytes[..bytes.len().min(LOOK_BYTES)];
    let mut lines = look.split(|byte| matches!(byte, b'\n' | b'\r'));
    let line = lines.find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let mut is_quoted = false;
    let outside = line.iter().copied().filter(|byte| {
        is_quoted ^= *byte == b'"';
        !is_quoted
    });
    let found: Vec<u8> = outside.filter(|byte| DELIMITERS.contains(byte)).collect();
    DELIMITERS.into_iter().find(|delimiter| found.contains(delimiter)).unwrap_or(b',')
}

/// The line of a quote that opens a field and is not closed, if there is one.
fn open_quote(bytes: &[u8], delimiter: u8) -> Option<usize> {
    /// Where a byte stands in its field, as the CSV reader sees it.
    #[derive(Clone, Copy)]
    enum At {
        Start,
        Plain,
        /// In a quote that this line opened.
        Quoted(usize),
        /// Behind a quote that ends the field, or is the first of two that mean one.
        Closed(usize),
    }
    let (mut line, mut at) = (1, At::Start);
    for byte in bytes {
        let ends_field = *byte == delimiter || matches!(byte, b'\n' | b'\r');
        at = match (at, byte) {
            (At::Start, b'"') => At::Quoted(line),
            (At::Closed(opened), b'"') => At::Quoted(opened),
            (At::Quoted(opened), b'"') => At::Closed(opened),
            (At::Quoted(opened), _) => At::Quoted(opened),
            (At::Start | At::Plain | At::Closed(_), _) if ends_field => At::Start,
            (At::Start | At::Plain | At::Closed(_), _) => At::Plain,
        };
        line += usize::from(*byte == b'\n');
    }
    if let At::Quoted(opened) = at { Some(opened) } else { None }
}
