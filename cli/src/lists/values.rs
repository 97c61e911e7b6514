//! A list of values for one key: a cohort.

use anyhow::{Context, bail, ensure};
use shardex_catalog::query::LIST_VALUES_MAX;
use shardex_shard_router::LIST_BYTES_MAX;

use super::{bytes, records};

/// Reads the values for a key from a file, or from standard input for `-`.
pub(crate) fn values(file: &str, key: &str) -> anyhow::Result<Vec<String>> {
    let read = || of_bytes(&bytes(file)?, key);
    read().with_context(|| format!("the list `{file}` of `{key}`"))
}

/// The values of the column that the first line names like the key; without such a line those of the only
/// column. Without empty ones and repetitions.
fn of_bytes(bytes: &[u8], key: &str) -> anyhow::Result<Vec<String>> {
    let mut values = Vec::new();
    let mut total = 0;
    let mut column = None;
    let mut width = 0;
    for record in records(bytes)? {
        let record = record?;
        let at = match column {
            Some(at) => at,
            None => {
                width = record.len();
                let named = record.iter().position(|field| is_name(field, key));
                column = Some(named.unwrap_or(0));
                match named {
                    Some(_) => continue,
                    None if record.len() > 1 => bail!(
                        "it has {} columns, and its first line names none of them `{}`",
                        record.len(),
                        field_name(key)
                    ),
                    None => 0,
                }
            }
        };
        if let Some(more) = record.iter().skip(width).find(|field| !field.is_empty()) {
            let line = record.position().map_or(0, csv::Position::line);
            bail!(
                "line {line} has more fields than the first line, `{more}` among them: quote values that hold a comma, tab or semicolon"
            );
        }
        let Some(value) = record.get(at).filter(|value| !value.is_empty()) else { continue };
        total += value.len();
        ensure!(
            values.len() < LIST_VALUES_MAX && total <= LIST_BYTES_MAX,
            "it holds more than {LIST_VALUES_MAX} values or {} MB: split it",
            LIST_BYTES_MAX >> 20
        );
        values.push(value.to_owned());
    }
    values.sort();
    values.dedup();
    ensure!(!values.is_empty(), "it holds no values");
    Ok(values)
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
        let found = of_bytes(text, "AccessionNumber").unwrap_or_else(|error| panic!("{error:#}"));
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
        check(b"\r\n\nx;Accession Number\nDoe, J;A1\n", &["A1"]);
        check(b"\"Name, first\";AccessionNumber\nDoe;A1;\n", &["A1"]);
        check(b"AccessionNumber\nA\"\"1\n\"A\"\"2\"\n", &["A\"\"1", "A\"2"]);
    }

    #[test]
    fn what_is_no_list_says_why() {
        for (text, expected) in [
            (&b""[..], "it holds no values"),
            (b"AccessionNumber\n", "it holds no values"),
            (b"a,b\n1,2\n", "names none of them `AccessionNumber`"),
            (b"A1\nA\xFF\n", "line 2 is not UTF-8"),
            (b"AccessionNumber\nA1\n\"A2\nA3\n", "line 3 opens a quote that is never closed"),
            (b"PatientName\nDoe, John\n", "line 2 has more fields than the first line, `John` among them"),
        ] {
            let error = of_bytes(text, "AccessionNumber").expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let many: String = (0..=LIST_VALUES_MAX).map(|n| format!("{n}\n")).collect();
        let error = of_bytes(many.as_bytes(), "AccessionNumber").expect_err("too many").to_string();
        assert!(error.contains("more than 200000 values"), "{error}");
    }
}
