//! A list of values from a CSV file: a cohort.

use std::fs::File;
use std::io::{self, BufReader, Read};

use anyhow::{Context, bail, ensure};
use shardex_catalog::query::LIST_VALUES_MAX;

/// Bytes of a file that are read at most.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of all values together.
const VALUES_BYTES_MAX: usize = 8 << 20;
/// Bytes in which the kind of delimiter is looked for.
const LOOK_BYTES: usize = 4096;

/// Reads the values for a key from a file, or from standard input for `-`.
pub(super) fn read(file: &str, key: &str) -> anyhow::Result<Vec<String>> {
    if file == "-" {
        return values(io::stdin().lock(), key).context("standard input");
    }
    ensure!(!file.is_empty(), "`{key}=@` names no file; `{key}=@@` is the value `@`");
    let opened = File::open(file).with_context(|| format!("`{file}` cannot be opened"))?;
    values(BufReader::new(opened), key).with_context(|| format!("`{file}`"))
}

/// The values of the column that the first line names like the key; without such a line those of the only
/// column. Without empty ones and repetitions.
fn values(from: impl Read, key: &str) -> anyhow::Result<Vec<String>> {
    let mut bytes = Vec::new();
    from.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= FILE_BYTES_MAX, "is larger than {} MB", FILE_BYTES_MAX >> 20);
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(delimiter(bytes))
        .from_reader(bytes);
    let mut values = Vec::new();
    let mut total = 0;
    let mut column = None;
    for record in reader.records() {
        let record = record.map_err(|error| match error.kind() {
            csv::ErrorKind::Utf8 { pos, .. } => {
                let line = pos.as_ref().map_or(0, csv::Position::line);
                anyhow::anyhow!("line {line} is not UTF-8: save the file as UTF-8")
            }
            _ => error.into(),
        })?;
        let at = match column {
            Some(at) => at,
            None => {
                let named = record.iter().position(|field| is_name(field, key));
                column = Some(named.unwrap_or(0));
                match named {
                    Some(_) => continue,
                    None if record.len() > 1 => bail!(
                        "has {} columns, and its first line names none of them `{}`",
                        record.len(),
                        field_name(key)
                    ),
                    None => 0,
                }
            }
        };
        let Some(value) = record.get(at).filter(|value| !value.is_empty()) else { continue };
        total += value.len();
        ensure!(
            values.len() < LIST_VALUES_MAX && total <= VALUES_BYTES_MAX,
            "holds more than {LIST_VALUES_MAX} values or {} MB: split it",
            VALUES_BYTES_MAX >> 20
        );
        values.push(value.to_owned());
    }
    values.sort();
    values.dedup();
    ensure!(!values.is_empty(), "holds no values");
    Ok(values)
}

/// What spreadsheets write: commas, semicolons or tabs, whatever the first line has.
fn delimiter(bytes: &[u8]) -> u8 {
    let look = &bytes[..bytes.len().min(LOOK_BYTES)];
    let line = look.split(|byte| *byte == b'\n').next().unwrap_or_default();
    [b',', b'\t', b';'].into_iter().find(|delimiter| line.contains(delimiter)).unwrap_or(b',')
}

fn is_name(field: &str, key: &str) -> bool {
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let field = plain(field);
    !field.is_empty() && (field == plain(key) || field == plain(field_name(key)))
}

/// The last part of `Sequence.Keyword`.
fn field_name(key: &str) -> &str {
    key.rsplit(['.', '>']).next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: &[&str]) {
        let found = values(text, "AccessionNumber").unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn lists_are_read_as_spreadsheets_write_them() {
        check(b"A1\nA2\n", &["A1", "A2"]);
        check(b"\xEF\xBB\xBFAccessionNumber\r\nA2\r\n\r\nA1\r\nA2", &["A1", "A2"]);
        check(b"name,accession_number\n\"Doe, J\",\"A\"\"1\"\n\"Roe\n, R\", A2 \nx\n", &["A\"1", "A2"]);
        check(b"name;Accession Number\nDoe;A1\n", &["A1"]);
        check(b"x\taccessionNUMBER\nDoe\tA1\n", &["A1"]);
        check(b"accession\nA1\n", &["A1", "accession"]);
    }

    #[test]
    fn what_is_no_list_says_why() {
        for (text, expected) in [
            (&b""[..], "holds no values"),
            (b"AccessionNumber\n", "holds no values"),
            (b"a,b\n1,2\n", "names none of them `AccessionNumber`"),
            (b"A1\nA\xFF\n", "line 2 is not UTF-8"),
        ] {
            let error = values(text, "AccessionNumber").expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let many: String = (0..=LIST_VALUES_MAX).map(|n| format!("{n}\n")).collect();
        let error = values(many.as_bytes(), "AccessionNumber").expect_err("too many").to_string();
        assert!(error.contains("more than 200000 values"), "{error}");
    }
}
