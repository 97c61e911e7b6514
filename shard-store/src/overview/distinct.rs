//! What does not add up over shards: patients, and series that several studies share.
//!
//! Keys are hashed to 128 bits. Where there are more than fit, they are counted in passes, each over
//! the keys of one remainder: memory stays bounded and the count exact.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use rusqlite::Connection;
use shardex_catalog::ShardId;
use shardex_seams::StoreError;

use super::{Overview, OverviewOptions, each_shard};
use crate::layout::Layout;

/// Keys in memory at once: about 80 MB.
const KEYS_MAX: usize = 1 << 20;

/// A patient without an id is one a study.
const PATIENTS: &str = "SELECT DISTINCT t.domain, t.\"IssuerOfPatientID\", t.\"PatientID\", \
     CASE WHEN t.\"PatientID\" IS NULL THEN t.\"StudyInstanceUID\" END, NULL FROM study_header t WHERE t.n_live > 0";

const SERIES: &str = "SELECT DISTINCT t.domain, s.\"SeriesInstanceUID\", NULL, NULL, t.\"StudyInstanceUID\" \
     FROM series_header s JOIN study_header t ON s.study = t.id WHERE s.n_live > 0";

/// Fills in the figures of `total` that need all shards.
pub(super) fn count(
    layout: &Layout,
    shards: &[ShardId],
    options: &OverviewOptions,
    total: &mut Overview,
) -> Result<(), StoreError> {
    total.patients = keys(layout, shards, options, PATIENTS)?.0;
    total.findings.series_in_several_studies = keys(layout, shards, options, SERIES)?.1;
    Ok(())
}

/// Number of keys (the first four columns), and of those with several values of the fifth.
fn keys(
    layout: &Layout,
    shards: &[ShardId],
    options: &OverviewOptions,
    sql: &str,
) -> Result<(u64, u64), StoreError> {
    let mut passes = 1;
    loop {
        let mut total = (0, 0);
        let mut is_full = false;
        for pass in 0..passes {
            let counted = Mutex::new(Keys { pass, passes, keys: HashMap::new(), is_full: false });
            each_shard(layout, shards, options, &|connection| read(connection, sql, &counted))?;
            let counted = counted.into_inner().unwrap_or_else(PoisonError::into_inner);
            is_full |= counted.is_full;
            if is_full {
                break;
            }
            total.0 += counted.keys.len() as u64;
            total.1 += counted.keys.values().filter(|value| **value == Seen::Several).count() as u64;
        }
        if !is_full {
            return Ok(total);
        }
        passes *= 4;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    One(u64),
    Several,
}

struct Keys {
    pass: u128,
    passes: u128,
    keys: HashMap<u128, Seen>,
    is_full: bool,
}

impl Keys {
    fn add(&mut self, key: u128, value: u64) {
        if self.is_full || key % self.passes != self.pass {
            return;
        }
        match self.keys.entry(key) {
            Entry::Occupied(mut entry) if *entry.get() != Seen::One(value) => {
                entry.insert(Seen::Several);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(entry) => {
                entry.insert(Seen::One(value));
                self.is_full = self.keys.len() > KEYS_MAX;
            }
        }
    }
}

fn read(connection: &Connection, sql: &str, keys: &Mutex<Keys>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut hasher = blake3::Hasher::new();
        for at in 0..4 {
            // A length before each part, and one that no text has for none.
            match row.get_ref(at)?.as_str_or_null()? {
                Some(text) => {
                    hasher.update(&(text.len() as u64).to_le_bytes());
                    hasher.update(text.as_bytes());
                }
                None => {
                    hasher.update(&u64::MAX.to_le_bytes());
                }
            }
        }
        let value = row
            .get_ref(4)?
            .as_str_or_null()?
            .map_or(0, |text| u64::from_le_bytes(first(blake3::hash(text.as_bytes()).as_bytes())));
        let key = u128::from_le_bytes(first(hasher.finalize().as_bytes()));
        let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.add(key, value);
        if keys.is_full {
            break;
        }
    }
    Ok(())
}

fn first<const N: usize>(bytes: &[u8; 32]) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[..N]);
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_part_the_keys_and_notice_a_second_value() {
        let mut counts = (0, 0);
        for pass in 0..4 {
            let mut keys = Keys { pass, passes: 4, keys: HashMap::new(), is_full: false };
            for key in 0..100 {
                keys.add(key, 1);
                keys.add(key, if key == 7 { 2 } else { 1 });
            }
            counts.0 += keys.keys.len();
            counts.1 += keys.keys.values().filter(|seen| **seen == Seen::Several).count();
        }
        assert_eq!(counts, (100, 1));
    }
}
