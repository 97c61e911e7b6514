//! Several files of one instance: which one is the primary.
//!
//! The index on (SOP Instance UID, twin number) is unique, so that the first file of a UID is
//! stored without looking for others: it takes number 0, and a second one notices. Files with one
//! UID are files of one instance only if their study and series are the same too; the primary of
//! an instance is a function of its set of files, whatever the order in which they came.

use hashbrown::HashMap;
use rusqlite::{Transaction, params};
use shardex_catalog::Level;

use super::counts::Counts;
use super::directories::path_bytes;
use super::headers::HeaderIds;
use super::rows::StoredUid;
use crate::schema::table_of_level;

struct Twin {
    id: i64,
    number: i64,
    is_primary: bool,
    size: i64,
    headers: HeaderIds,
    /// Domain, StudyInstanceUID and SeriesInstanceUID.
    identity: (String, String, String),
    /// The highest is the primary: newest, then last by path.
    rank: (i64, String, Vec<u8>, Vec<u8>),
}

/// A twin number that no file of this UID has.
pub(crate) fn free_number(transaction: &Transaction<'_>, uid: &StoredUid) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached("SELECT coalesce(max(twin) + 1, 0) FROM file WHERE sop_instance_uid = ?1")?
        .query_row([uid], |row| row.get(0))
}

/// Makes the primaries right after a file of this UID came or went, and number 0 taken if any file
/// of the UID is left.
pub(crate) fn settle(
    transaction: &Transaction<'_>,
    uid: &StoredUid,
    counts: &mut Counts,
) -> rusqlite::Result<()> {
    let twins = load(transaction, uid)?;
    if let Some(first) = twins.first().filter(|first| first.number != 0) {
        transaction.prepare_cached("UPDATE file SET twin = 0 WHERE id = ?1")?.execute([first.id])?;
    }
    let mut best: HashMap<&(String, String, String), &Twin> = HashMap::new();
    for twin in &twins {
        let known = best.entry(&twin.identity).or_insert(twin);
        if twin.rank > known.rank {
            *known = twin;
        }
    }
    for twin in &twins {
        let is_best = best[&twin.identity].rank == twin.rank;
        if is_best != twin.is_primary {
            transaction
                .prepare_cached("UPDATE file SET is_primary = ?1 WHERE id = ?2")?
                .execute(params![is_best, twin.id])?;
            counts.count_live(twin.headers, if is_best { 1 } else { -1 }, twin.size);
        }
    }
    Ok(())
}

/// All files of a UID, ascending by twin number.
fn load(transaction: &Transaction<'_>, uid: &StoredUid) -> rusqlite::Result<Vec<Twin>> {
    let sql = format!(
        "SELECT f.id, f.twin, f.is_primary, f.size, f.stack, k.series, s.study, \
         t.domain, t.\"StudyInstanceUID\", s.\"SeriesInstanceUID\", f.mtime_ns, r.name, d.path, f.name \
         FROM file f JOIN {} k ON f.stack = k.id JOIN {} s ON k.series = s.id JOIN {} t ON s.study = t.id \
         JOIN directory d ON f.directory = d.id JOIN source r ON d.source = r.id \
         WHERE f.sop_instance_uid = ?1 ORDER BY f.twin",
        table_of_level(Level::Stack),
        table_of_level(Level::Series),
        table_of_level(Level::Study),
    );
    let mut statement = transaction.prepare_cached(&sql)?;
    let twins = statement.query_map([uid], |row| {
        Ok(Twin {
            id: row.get(0)?,
            number: row.get(1)?,
            is_primary: row.get(2)?,
            size: row.get(3)?,
            headers: HeaderIds { stack: row.get(4)?, series: row.get(5)?, study: row.get(6)? },
            identity: (row.get(7)?, row.get(8)?, row.get(9)?),
            rank: (
                row.get(10)?,
                row.get(11)?,
                path_bytes(row.get_ref(12)?).to_vec(),
                path_bytes(row.get_ref(13)?).to_vec(),
            ),
        })
    })?;
    twins.collect()
}
