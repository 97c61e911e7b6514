//! Header counts against rows, level by level, inside each shard.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rusqlite::Connection;
use shardex_seams::StoreError;

use super::{Finding, Kind, Watch, headers, settle, stop_on};
use crate::archive::ReadArchive;

/// Headers of one level whose counts are wrong that are listed one by one.
const LISTED_MAX: u32 = 100;

const LEVELS: [(&str, &str, &str); 3] = [
    (
        "stack_header",
        "stack",
        "SELECT stack AS above, count(*) AS files, sum(is_primary) AS live, sum(size * is_primary) AS bytes \
         FROM file GROUP BY stack",
    ),
    (
        "series_header",
        "series",
        "SELECT series AS above, sum(n_files) AS files, sum(n_live) AS live, sum(live_bytes) AS bytes \
         FROM stack_header GROUP BY series",
    ),
    (
        "study_header",
        "study",
        "SELECT study AS above, sum(n_files) AS files, sum(n_live) AS live, sum(live_bytes) AS bytes \
         FROM series_header GROUP BY study",
    ),
];

/// Of each instance exactly one file is shown. Only UIDs with a twin can have several files.
const PRIMARIES: &str = "SELECT count(*) FROM (
    SELECT 1 FROM file f JOIN stack_header k ON f.stack = k.id JOIN series_header s ON k.series = s.id
    JOIN study_header t ON s.study = t.id
    WHERE f.sop_instance_uid IN (SELECT sop_instance_uid FROM file WHERE twin > 0)
    GROUP BY f.sop_instance_uid, t.domain, t.\"StudyInstanceUID\", s.\"SeriesInstanceUID\"
    HAVING sum(f.is_primary) <> 1)";

const LONE: &str = "SELECT count(*) FROM file
    WHERE NOT is_primary AND sop_instance_uid NOT IN (SELECT sop_instance_uid FROM file WHERE twin > 0)";

impl ReadArchive {
    /// Checks counts, shown files and digests of the headers of every shard. Advances by shards.
    ///
    /// # Errors
    /// [`StoreError`] if folders cannot be listed, or if it was cancelled.
    pub fn check_headers(&self, cancel: &Arc<AtomicBool>, watch: &mut dyn Watch) -> Result<(), StoreError> {
        for shard in self.shards()? {
            if let Some(mut connection) = self.checked_shard(&shard, watch) {
                let place = shard.to_string();
                let result = stop_on(&mut connection, cancel)
                    .and_then(|()| counts(&connection, &place, watch))
                    .and_then(|()| headers::check(&connection, &place, watch));
                settle(result, &shard, &self.layout().shard(&shard), watch)?;
            }
            watch.advance(1);
        }
        Ok(())
    }
}

fn counts(connection: &Connection, place: &str, watch: &mut dyn Watch) -> rusqlite::Result<()> {
    // One snapshot: rows and counts are of one time.
    let snapshot = connection.unchecked_transaction()?;
    for (table, level, below) in LEVELS {
        let sql = format!(
            "SELECT h.id, h.n_files, h.n_live, h.live_bytes, coalesce(b.files, 0), coalesce(b.live, 0), \
             coalesce(b.bytes, 0) FROM {table} h LEFT JOIN ({below}) b ON b.above = h.id \
             WHERE h.n_files <> coalesce(b.files, 0) OR h.n_live <> coalesce(b.live, 0) \
             OR h.live_bytes <> coalesce(b.bytes, 0) OR h.n_files = 0 LIMIT {LISTED_MAX}"
        );
        let mut statement = snapshot.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let number = |at| row.get::<_, i64>(at);
            let detail = format!(
                "{level} header {} counts {} files, {} live, {} bytes; there are {}, {}, {}",
                number(0)?,
                number(1)?,
                number(2)?,
                number(3)?,
                number(4)?,
                number(5)?,
                number(6)?
            );
            watch.found(Finding::at(Kind::Count, place, detail));
        }
    }
    let wrong: i64 = snapshot.query_row(PRIMARIES, [], |row| row.get(0))?;
    let lone: i64 = snapshot.query_row(LONE, [], |row| row.get(0))?;
    if wrong + lone > 0 {
        let detail = format!("{} instances have no file that is shown, or several", wrong + lone);
        watch.found(Finding::at(Kind::Primary, place, detail));
    }
    Ok(())
}
