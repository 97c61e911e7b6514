//! A user's lists: CSV files, as spreadsheets write them.

mod table;
mod values;

use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context, ensure};

pub(crate) use table::table;
pub(crate) use values::values;

/// Bytes of a file that are read at most.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Bytes in which the kind of delimiter is looked for.
const LOOK_BYTES: usize = 4096;

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
fn records(bytes: &[u8]) -> impl Iterator<Item = anyhow::Result<csv::StringRecord>> {
    let reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(delimiter(bytes))
        .from_reader(bytes);
    reader.into_records().map(|record| {
        record.map_err(|error| match error.kind() {
            csv::ErrorKind::Utf8 { pos, .. } => {
                let line = pos.as_ref().map_or(0, csv::Position::line);
                anyhow::anyhow!("line {line} is not UTF-8: save the file as UTF-8")
            }
            _ => error.into(),
        })
    })
}

/// Commas, tabs or semicolons, whichever the first line has.
fn delimiter(bytes: &[u8]) -> u8 {
    let look = &bytes[..bytes.len().min(LOOK_BYTES)];
    let line = look.split(|byte| *byte == b'\n').next().unwrap_or_default();
    [b',', b'\t', b';'].into_iter().find(|delimiter| line.contains(delimiter)).unwrap_or(b',')
}
