//! A list as a table of a statement: `name=file.csv`.

use anyhow::{Context, bail, ensure};
use shardex_shard_router::{LIST_BYTES_MAX, LIST_ROWS_MAX, List};

use super::{bytes, records};

/// Reads `NAME=FILE`: the first line names the columns, empty fields are NULL.
pub(crate) fn table(given: &str) -> anyhow::Result<List> {
    let Some((name, file)) = given.split_once('=') else {
        bail!("`{given}` is no NAME=FILE, as in `--with cohort=list.csv`");
    };
    let read = || of_bytes(name, &bytes(file)?);
    read().with_context(|| format!("list `{name}` of `{file}`"))
}

fn of_bytes(name: &str, bytes: &[u8]) -> anyhow::Result<List> {
    let mut records = records(bytes)?;
    let Some(first) = records.next() else { bail!("it is empty: its first line must name the columns") };
    let first = first?;
    if let Some(value) = first.iter().find(|field| !is_name(field)) {
        bail!("its first line must name the columns, and `{value}` is no name");
    }
    let mut rows = Vec::new();
    let mut total = 0;
    for record in records {
        let record = record?;
        total += record.as_slice().len();
        ensure!(
            rows.len() < LIST_ROWS_MAX && total <= LIST_BYTES_MAX,
            "it has more than {LIST_ROWS_MAX} rows or {} MB: split it",
            LIST_BYTES_MAX >> 20
        );
        let value = |field: &str| (!field.is_empty()).then(|| field.to_owned());
        rows.push(record.iter().map(value).collect());
    }
    Ok(List::new(name, first.iter().map(str::to_owned).collect(), rows)?)
}

/// A list without a header would lose its first value: what begins with a digit is one.
fn is_name(field: &str) -> bool {
    field.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_columns() {
        let list = of_bytes("cohort", b"id, Arm\r\n1,\"a, b\"\r\n2\r\n,c\r\n").expect("a list");
        assert_eq!(list.columns(), ["id", "Arm"]);
        let text = |text: &str| Some(text.to_owned());
        let expected = [vec![text("1"), text("a, b")], vec![text("2"), None], vec![None, text("c")]];
        assert_eq!(list.rows(), expected);
        for (bytes, expected) in [
            (&b""[..], "must name the columns"),
            (b"123\n456\n", "`123` is no name"),
            (b"id\n1,2\n", "row 1 has more values"),
            (b"id,id\n", "column 2 has no name of its own"),
            (b"id\n\xFF\n", "line 2 is not UTF-8"),
        ] {
            let error = of_bytes("cohort", bytes).expect_err(expected);
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
        assert!(table("cohort").is_err());
    }
}
