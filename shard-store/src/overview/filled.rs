//! The share of instances that have a value, by attribute.

use rusqlite::Connection;
use shardex_catalog::{ATTRIBUTES, Attribute, Level, attribute_by_keyword};

use crate::schema::STORED_UID_COLUMN;

/// Places in a shard from which a sample is taken.
const SAMPLES: i64 = 64;

/// How many instances have a value of one attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Instances with a value.
    pub filled: u64,
    /// Instances.
    pub of: u64,
}

/// [`Share`] of every attribute, in the order of [`ATTRIBUTES`].
#[derive(Clone, Debug, PartialEq)]
pub struct Filled {
    /// One a line of [`ATTRIBUTES`].
    pub shares: Vec<Share>,
    /// Whether those of attributes that files store themselves come from samples.
    pub is_sampled: bool,
}

impl Default for Filled {
    fn default() -> Self {
        Self { shares: vec![Share::default(); ATTRIBUTES.len()], is_sampled: false }
    }
}

impl Filled {
    /// Whether the share of an attribute is an estimate.
    #[must_use]
    pub fn is_estimate(&self, attribute: &Attribute) -> bool {
        self.is_sampled && measured_at(attribute) == Level::File
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (mine, more) in self.shares.iter_mut().zip(&other.shares) {
            mine.filled += more.filled;
            mine.of += more.of;
        }
        self.is_sampled |= other.is_sampled;
    }
}

pub(super) fn of_shard(connection: &Connection, file_rows_max: Option<u64>) -> rusqlite::Result<Filled> {
    let mut filled = Filled::default();
    let live: u64 =
        connection.query_row("SELECT coalesce(sum(n_live), 0) FROM study_header", [], |row| row.get(0))?;
    for (level, from) in [
        (Level::Study, "study_header t WHERE t.n_live > 0"),
        (Level::Series, "series_header s WHERE s.n_live > 0"),
        (Level::Stack, "stack_header k WHERE k.n_live > 0"),
    ] {
        let weight = format!("{}.n_live", alias(level));
        let counts = counts(connection, level, &weight, from)?;
        put(&mut filled, &counts, |count| Share { filled: count, of: live });
    }
    let id_max: i64 = connection.query_row("SELECT coalesce(max(id), 0) FROM file", [], |row| row.get(0))?;
    let mut total = 0;
    let mut sums: Vec<(usize, u64)> = Vec::new();
    filled.is_sampled = file_rows_max.is_some_and(|rows_max| live > rows_max);
    for (first, last) in ranges(id_max, file_rows_max.filter(|_| filled.is_sampled)) {
        let from = format!(
            "file f JOIN stack_header k ON f.stack = k.id WHERE f.is_primary AND f.id BETWEEN {first} AND {last}"
        );
        total +=
            connection.query_row(&format!("SELECT count(*) FROM {from}"), [], |row| row.get::<_, u64>(0))?;
        let counted = counts(connection, Level::File, "1", &from)?;
        if sums.is_empty() {
            sums = counted;
        } else {
            sums.iter_mut().zip(&counted).for_each(|(sum, (_, count))| sum.1 += count);
        }
    }
    // Samples stand for the whole shard.
    let scaled = |count: u64| {
        let scaled = u128::from(count) * u128::from(live) / u128::from(total.max(1));
        u64::try_from(scaled).unwrap_or(live)
    };
    put(&mut filled, &sums, |count| Share { filled: scaled(count), of: live });
    Ok(filled)
}

/// Ranges of row ids that hold about `rows` rows in total, evenly spread; all ids for `None`.
fn ranges(id_max: i64, rows: Option<u64>) -> Vec<(i64, i64)> {
    let Some(rows) = rows else { return vec![(0, id_max)] };
    let length = (i64::try_from(rows).unwrap_or(i64::MAX) / SAMPLES).max(1);
    let step = id_max / SAMPLES;
    (0..SAMPLES).map(|n| n * step + 1).map(|first| (first, first + length - 1)).collect()
}

fn put(filled: &mut Filled, counts: &[(usize, u64)], share: impl Fn(u64) -> Share) {
    counts.iter().for_each(|(at, count)| filled.shares[*at] = share(*count));
}

/// The deepest level that must be read for an attribute as the views show it.
fn measured_at(attribute: &Attribute) -> Level {
    let top = attribute.resolves.and_then(attribute_by_keyword).map(|id| ATTRIBUTES[id.index()].level);
    top.map_or(attribute.level, |top| attribute.level.max(top))
}

fn alias(level: Level) -> char {
    match level {
        Level::Study => 't',
        Level::Series => 's',
        Level::Stack => 'k',
        Level::File => 'f',
    }
}

fn stored(attribute: &Attribute) -> String {
    if attribute.keyword == STORED_UID_COLUMN {
        return "f.sop_instance_uid".to_owned();
    }
    format!("{}.\"{}\"", alias(attribute.level), attribute.keyword)
}

/// Position in [`ATTRIBUTES`] and number of instances with a value, of the attributes of a level.
fn counts(
    connection: &Connection,
    level: Level,
    weight: &str,
    from: &str,
) -> rusqlite::Result<Vec<(usize, u64)>> {
    let mut places = Vec::new();
    let mut sums = Vec::new();
    for (at, attribute) in ATTRIBUTES.iter().enumerate().filter(|(_, a)| measured_at(a) == level) {
        let own = stored(attribute);
        let has_value = match attribute.resolves.and_then(attribute_by_keyword) {
            Some(top) => format!("({own} IS NOT NULL OR {} IS NOT NULL)", stored(&ATTRIBUTES[top.index()])),
            None => format!("({own} IS NOT NULL)"),
        };
        places.push(at);
        sums.push(format!("coalesce(sum({weight} * {has_value}), 0)"));
    }
    let sql = format!("SELECT {} FROM {from}", sums.join(", "));
    connection
        .query_row(&sql, [], |row| places.iter().enumerate().map(|(n, at)| Ok((*at, row.get(n)?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_over_all_ids() {
        assert_eq!(ranges(1000, None), [(0, 1000)]);
        let ranges = ranges(64_000, Some(6400));
        assert_eq!(ranges.len(), 64);
        assert_eq!((ranges[0], ranges[63]), ((1, 100), (63_001, 63_100)));
    }
}
