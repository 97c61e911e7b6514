//! What does not add up over shards: patients, and series that several studies share.
//!
//! Keys are hashed to 128 bits. Where there are more than fit, they are counted in passes, each over
//! the keys of one remainder: memory stays bounded and the count exact.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use rusqlite::Connection;
use shardex_catalog::{Cell, ShardId};
use shardex_seams::{KeysOf, ReportParts, ShardPart, StoreError};

use super::{Overview, OverviewOptions, each};

/// Keys in memory at once: about 80 MB.
const KEYS_MAX: usize = 1 << 20;

/// A patient without an id is one a study.
const PATIENTS: &str = "SELECT DISTINCT t.domain, t.\"IssuerOfPatientID\", t.\"PatientID\", \
     CASE WHEN t.\"PatientID\" IS NULL THEN t.\"StudyInstanceUID\" END, NULL FROM study_header t WHERE t.n_live > 0";

const SERIES: &str = "SELECT DISTINCT t.domain, s.\"SeriesInstanceUID\", NULL, NULL, t.\"StudyInstanceUID\" \
     FROM series_header s JOIN study_header t ON s.study = t.id WHERE s.n_live > 0";

/// Fills in the figures of `total` that need all shards.
pub(super) fn count(
    parts: &dyn ReportParts,
    shards: &[ShardId],
    options: &OverviewOptions,
    total: &mut Overview,
) -> Result<(), StoreError> {
    total.patients = patients(parts, shards, options)?;
    total.findings.series_in_several_studies = keys(parts, shards, options, KeysOf::Series)?.1;
    Ok(())
}

/// Number of patients.
pub(super) fn patients(
    parts: &dyn ReportParts,
    shards: &[ShardId],
    options: &OverviewOptions,
) -> Result<u64, StoreError> {
    Ok(keys(parts, shards, options, KeysOf::Patients)?.0)
}

/// Number of keys, and of those with several values.
fn keys(
    parts: &dyn ReportParts,
    shards: &[ShardId],
    options: &OverviewOptions,
    of: KeysOf,
) -> Result<(u64, u64), StoreError> {
    let mut passes = 1;
    loop {
        let mut total = (0, 0);
        let mut is_full = false;
        for pass in 0..passes {
            let counted = Mutex::new(Keys { keys: HashMap::new(), is_full: false });
            let part = ShardPart::Keys { of, pass, passes };
            each(shards, options, &|shard| {
                parts.of_shard(shard, &part, &options.cancel, &mut |cells| {
                    counted.lock().unwrap_or_else(PoisonError::into_inner).take(&cells)
                })
            })?;
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
    keys: HashMap<u128, Seen>,
    is_full: bool,
}

impl Keys {
    /// Takes a row of [`ShardPart::Keys`]; false once there is no room for more.
    fn take(&mut self, cells: &[Cell]) -> bool {
        if let [Cell::Blob(key), Cell::Integer(value)] = cells
            && let Ok(key) = <[u8; 16]>::try_from(key.as_slice())
        {
            self.add(u128::from_le_bytes(key), value.cast_unsigned());
        }
        !self.is_full
    }

    fn add(&mut self, key: u128, value: u64) {
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

/// The keys of one shard, as rows.
pub(super) fn keys_of_shard(
    connection: &Connection,
    of: KeysOf,
    pass: u32,
    passes: u32,
    to: &mut dyn FnMut(Vec<Cell>) -> bool,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(match of {
        KeysOf::Patients => PATIENTS,
        KeysOf::Series => SERIES,
    })?;
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
        let key: [u8; 16] = first(hasher.finalize().as_bytes());
        if u128::from_le_bytes(key) % u128::from(passes.max(1)) != u128::from(pass) {
            continue;
        }
        let value = row
            .get_ref(4)?
            .as_str_or_null()?
            .map_or(0, |text| u64::from_le_bytes(first(blake3::hash(text.as_bytes()).as_bytes())));
        if !to(vec![Cell::Blob(key.to_vec()), Cell::Integer(value.cast_signed())]) {
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
    fn a_second_value_is_noticed_and_memory_is_bounded() {
        let mut keys = Keys { keys: HashMap::new(), is_full: false };
        for key in 0..100 {
            keys.add(key, 1);
            keys.add(key, if key == 7 { 2 } else { 1 });
        }
        let several = keys.keys.values().filter(|seen| **seen == Seen::Several).count();
        assert_eq!((keys.keys.len(), several, keys.is_full), (100, 1, false));
        (0..=KEYS_MAX as u128).for_each(|key| keys.add(key, 1));
        assert!(keys.is_full);
    }
}
