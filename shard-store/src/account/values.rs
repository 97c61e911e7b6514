//! The values of one column.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// Values that are kept as they are.
const FEW: usize = 64;
/// One look-up in 300 finds what is not there.
const BITS_A_VALUE: usize = 12;
const PROBES: u64 = 8;

/// Which texts a column holds.
#[derive(Debug, PartialEq)]
pub(super) enum Values {
    /// All of them, ascending.
    Few(Vec<String>),
    /// The least, the greatest, and the bits of a Bloom filter.
    Many { least: String, greatest: String, bits: Vec<u8> },
}

impl Values {
    /// The values of a column of rows that files have; `None` if some are no texts.
    pub(super) fn gather(
        connection: &Connection,
        table: &str,
        keyword: &str,
    ) -> rusqlite::Result<Option<Self>> {
        let sql = format!(
            "SELECT DISTINCT \"{keyword}\" FROM {table} WHERE n_files > 0 AND \"{keyword}\" IS NOT NULL ORDER BY 1"
        );
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let ValueRef::Text(text) = row.get_ref(0)? else { return Ok(None) };
            let Ok(text) = str::from_utf8(text) else { return Ok(None) };
            all.push(text.to_owned());
        }
        Ok(Some(Self::of(all)))
    }

    /// `all`: ascending.
    fn of(all: Vec<String>) -> Self {
        if all.len() <= FEW {
            return Self::Few(all);
        }
        let bytes = (all.len() * BITS_A_VALUE).div_ceil(8);
        let mut bits = vec![0; bytes];
        for place in all.iter().flat_map(|value| places(value, bytes)) {
            bits[place / 8] |= 1 << (place % 8);
        }
        let ends = (all.first().cloned(), all.last().cloned());
        let (least, greatest) = (ends.0.unwrap_or_default(), ends.1.unwrap_or_default());
        Self::Many { least, greatest, bits }
    }

    /// Whether a value is certainly not there.
    pub(super) fn lacks(&self, value: &str) -> bool {
        match self {
            Self::Few(all) => all.binary_search_by(|known| known.as_str().cmp(value)).is_err(),
            Self::Many { least, greatest, bits } => {
                value < least.as_str()
                    || value > greatest.as_str()
                    || places(value, bits.len()).any(|place| bits[place / 8] & (1 << (place % 8)) == 0)
            }
        }
    }

    /// Whether certainly no value lies between two, both included.
    pub(super) fn lacks_between(&self, low: Option<&str>, high: Option<&str>) -> bool {
        let is_above = |value: &str| high.is_some_and(|high| value > high);
        let is_below = |value: &str| low.is_some_and(|low| value < low);
        match self {
            Self::Few(all) => all.iter().all(|value| is_below(value) || is_above(value)),
            Self::Many { least, greatest, .. } => is_above(least) || is_below(greatest),
        }
    }
}

/// Bits of a value in a filter of so many bytes.
fn places(value: &str, bytes: usize) -> impl Iterator<Item = usize> + use<> {
    let hash = blake3::hash(value.as_bytes());
    let number = |at: usize| {
        hash.as_bytes()[at..at + 8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let (first, step) = (number(0), number(8) | 1);
    let bits = (bytes as u64 * 8).max(1);
    (0..PROBES)
        .map(move |n| usize::try_from(first.wrapping_add(n.wrapping_mul(step)) % bits).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_there_is_lacking_and_little_else_is_found() {
        for count in [0, 1, FEW, FEW + 1, 5000] {
            let value = |n: usize| format!("{n:05}");
            let values = Values::of((0..count).map(|n| value(n * 2)).collect());
            assert!((0..count).all(|n| !values.lacks(&value(n * 2))), "{count}");
            let found = (0..count).filter(|n| !values.lacks(&value(n * 2 + 1))).count();
            assert!(found * 100 <= count, "{found} of {count}");
        }
    }

    #[test]
    fn ranges_are_held_against_what_is_there() {
        let few = Values::of(vec!["b".to_owned(), "d".to_owned()]);
        assert!(few.lacks_between(Some("c"), Some("c")) && few.lacks_between(None, Some("a")));
        assert!(!few.lacks_between(Some("b"), None) && !few.lacks_between(None, None));
        let many = Values::of((100..900).map(|n| n.to_string()).collect());
        assert!(many.lacks_between(Some("9"), None) && many.lacks_between(None, Some("0")));
        assert!(!many.lacks_between(Some("50"), Some("60")));
        assert!(Values::Few(Vec::new()).lacks_between(None, None));
    }
}
