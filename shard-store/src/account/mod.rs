//! What a shard holds, in a small file beside it, so that a query need not open the shards that cannot answer.
//!
//! An account says of each indexed column of studies and series which values there are: all of them, or, where there
//! are many, the least, the greatest, and a Bloom filter. It counts only while the shard's file is as it was when the
//! account was taken: same size and modification time, nothing in the log. Otherwise, or without one, the
//! shard itself is asked.

mod encode;
mod values;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use shardex_catalog::{ATTRIBUTES, Level, Predicate, ShardId, dicom_metadata_name};
use shardex_seams::StoreError;

use crate::error::{io_error, store_error};
use crate::layout::Layout;
use crate::schema::SHARD;
use crate::{private, sqlite};
use values::Values;

/// A file that changed less than this before it was looked at may change again at the same time as file systems tell it:
/// the kernel's clock for them ticks every 1 to 10 ms.
const SETTLED: Duration = Duration::from_millis(50);

/// What tells one state of a shard's file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    mtime_ns: i128,
}

/// What a shard holds.
#[derive(Debug, PartialEq)]
pub(crate) struct Account {
    stamp: Stamp,
    /// By keyword.
    columns: Vec<(String, Values)>,
}

impl Account {
    /// Whether no row satisfies a predicate; `None` for a column that is not accounted for.
    fn excludes(&self, predicate: &Predicate) -> Option<bool> {
        let (Predicate::In(column, _) | Predicate::Between(column, _, _)) = predicate;
        let keyword = indexed_column(column)?.1;
        let (_, values) = self.columns.iter().find(|(known, _)| known == keyword)?;
        Some(match predicate {
            Predicate::In(_, wanted) => wanted.iter().all(|value| values.lacks(value)),
            Predicate::Between(_, low, high) => values.lacks_between(low.as_deref(), high.as_deref()),
        })
    }

    fn take(connection: &Connection, stamp: Stamp) -> rusqlite::Result<Self> {
        let snapshot = connection.unchecked_transaction()?;
        let mut columns = Vec::new();
        for attribute in ATTRIBUTES.iter().filter(|attribute| attribute.indexed) {
            let Some((table, keyword)) = indexed_column(attribute.keyword) else { continue };
            if let Some(values) = Values::gather(&snapshot, table, keyword)? {
                columns.push((keyword.to_owned(), values));
            }
        }
        Ok(Self { stamp, columns })
    }
}

/// The header table behind a view's column that has an index, and its keyword.
pub(crate) fn indexed_column(name: &str) -> Option<(&'static str, &'static str)> {
    let attribute = ATTRIBUTES.iter().find(|attribute| {
        attribute.indexed
            && (attribute.keyword.eq_ignore_ascii_case(name)
                || dicom_metadata_name(attribute.keyword).eq_ignore_ascii_case(name))
    })?;
    let table = match attribute.level {
        Level::Study => "study_header",
        Level::Series => "series_header",
        Level::Stack | Level::File => return None,
    };
    Some((table, attribute.keyword))
}

/// The accounts of an archive as this process has read them.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    read: Mutex<HashMap<ShardId, Arc<Account>>>,
}

impl Accounts {
    /// Whether a shard's account says that no row satisfies a predicate; `None` if it does not say.
    pub(crate) fn excludes(&self, layout: &Layout, shard: &ShardId, predicate: &Predicate) -> Option<bool> {
        let stamp = stamp_of(&layout.shard(shard)).ok()??;
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(shard).cloned();
        let account = match known.filter(|known| known.stamp == stamp) {
            Some(known) => known,
            None => {
                let bytes = fs::read(path_of(layout, shard)).ok()?;
                let account = Arc::new(encode::decode(&bytes).filter(|account| account.stamp == stamp)?);
                let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
                read.insert(shard.clone(), Arc::clone(&account));
                account
            }
        };
        account.excludes(predicate)
    }
}

/// Shards whose account does not count, or is not there.
pub(crate) fn stale(layout: &Layout) -> io::Result<Vec<ShardId>> {
    let mut stale = Vec::new();
    for shard in layout.list_shards()? {
        if !is_current(layout, &shard)? {
            stale.push(shard);
        }
    }
    Ok(stale)
}

fn is_current(layout: &Layout, shard: &ShardId) -> io::Result<bool> {
    let Some(stamp) = stamp_of(&layout.shard(shard))? else { return Ok(false) };
    let known = fs::read(path_of(layout, shard)).ok().and_then(|bytes| encode::decode(&bytes));
    Ok(known.is_some_and(|known| known.stamp == stamp))
}

/// Takes the accounts of shards anew, several at once. A shard that has something in its log, or cannot be read, gets
/// none.
pub(crate) fn renew(layout: &Layout, shards: &[ShardId]) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(shard) = shards.get(next.fetch_add(1, Ordering::Relaxed)) {
            let opened = sqlite::open_tidy_reader(&layout.shard(shard), &SHARD);
            tell(opened.and_then(|opened| match opened {
                Some(connection) => take(layout, shard, &connection),
                None => Ok(()),
            }));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(shards.len());
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
}

/// The same of one shard through a connection that has it open, unless its account counts.
pub(crate) fn renew_by(connection: &Connection, layout: &Layout, shard: &ShardId) {
    if !is_current(layout, shard).unwrap_or(false) {
        tell(take(layout, shard, connection));
    }
}

/// Whoever needs the shard is told what is wrong with it.
fn tell(taken: Result<(), StoreError>) {
    if let Err(error) = taken {
        tracing::debug!(%error, "no account of a shard was taken");
    }
}

fn take(layout: &Layout, shard: &ShardId, connection: &Connection) -> Result<(), StoreError> {
    let (main, path) = (layout.shard(shard), path_of(layout, shard));
    let failed = |error: io::Error| io_error(&path, &error);
    let new = path.with_extension("account-new");
    remove(&new).and_then(|()| private::create_file(&new)).map_err(failed)?;
    // The time as the file system tells it.
    let now = fs::metadata(&new).and_then(|new| new.modified()).map_err(failed)?;
    settle(&main, now).map_err(failed)?;
    let Some(stamp) = stamp_of(&main).map_err(failed)? else { return remove(&new).map_err(failed) };
    let account = Account::take(connection, stamp).map_err(|error| store_error(&main, error))?;
    // Not synced: what a power cut leaves of it is told by its digest.
    fs::write(&new, encode::encode(&account)).and_then(|()| fs::rename(&new, &path)).map_err(failed)
}

/// Has a file that was written just now say that it was a moment before: whatever is written to it from now on tells
/// another time.
fn settle(path: &Path, now: SystemTime) -> io::Result<()> {
    let settled = now - SETTLED;
    if fs::metadata(path)?.modified()? > settled {
        File::options().write(true).open(path)?.set_modified(settled)?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn mtime_ns(metadata: &fs::Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}

fn path_of(layout: &Layout, shard: &ShardId) -> PathBuf {
    layout.shard(shard).with_extension("account")
}

/// `None` while something is in the log.
fn stamp_of(path: &Path) -> io::Result<Option<Stamp>> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match fs::metadata(&log) {
        Ok(log) if log.len() > 0 => return Ok(None),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let main = fs::metadata(path)?;
    Ok(Some(Stamp { bytes: main.len(), mtime_ns: mtime_ns(&main) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard() -> ShardId {
        ShardId::new("p/0").expect("an id")
    }

    fn place() -> (tempfile::TempDir, Layout, Connection) {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path());
        fs::create_dir_all(layout.shard(&shard()).parent().expect("a folder")).expect("made");
        let settings = sqlite::SqliteSettings::default();
        let connection =
            sqlite::open_writer(&layout.shard(&shard()), &SHARD, &settings, 1 << 20).expect("made");
        (folder, layout, connection)
    }

    fn add(connection: &Connection, patient: &str, date: &str) {
        let sql = "INSERT INTO study_header (digest, domain, \"PatientID\", \"StudyDate\", n_files, n_live, live_bytes) \
                   VALUES (randomblob(16), 'default', ?1, ?2, 1, 1, 1)";
        connection.execute(sql, [patient, date]).expect("inserted");
        sqlite::truncate_log(connection).expect("truncated");
    }

    /// As if the shard had been written so many seconds after the epoch.
    fn renew_settled(layout: &Layout, written: u64) {
        let file = fs::File::options().write(true).open(layout.shard(&shard())).expect("opened");
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(written)).expect("set");
        renew(layout, &stale(layout).expect("listed"));
    }

    fn equals(column: &str, value: &str) -> Predicate {
        Predicate::In(column.to_owned(), vec![value.to_owned()])
    }

    #[test]
    fn an_account_counts_until_its_shard_changes() {
        let (_folder, layout, connection) = place();
        add(&connection, "A", "20200101");
        let accounts = Accounts::default();
        let excludes = |predicate: &Predicate| accounts.excludes(&layout, &shard(), predicate);
        assert_eq!(excludes(&equals("PatientID", "A")), None, "there is none");
        renew_settled(&layout, 1000);
        assert_eq!(stale(&layout).expect("listed"), []);
        assert_eq!(excludes(&equals("PatientID", "A")), Some(false));
        assert_eq!(excludes(&equals("patient_id", "B")), Some(true));
        assert_eq!(excludes(&equals("PatientWeight", "B")), None, "no index, no account");
        let between = |low: &str, high: &str| {
            Predicate::Between("StudyDate".to_owned(), Some(low.to_owned()), Some(high.to_owned()))
        };
        assert_eq!(excludes(&between("20190101", "20191231")), Some(true));
        assert_eq!(excludes(&between("20200101", "20200131")), Some(false));
        add(&connection, "B", "20210101");
        renew(&layout, &[shard()]);
        assert_eq!(excludes(&equals("PatientID", "B")), Some(false));
        add(&connection, "D", "20210101");
        assert_eq!(excludes(&equals("PatientID", "D")), None, "it was written at the same time");
        renew_settled(&layout, 2000);
        assert_eq!(excludes(&equals("PatientID", "D")), Some(false));
        let sql = "UPDATE study_header SET \"PatientID\" = 'C' WHERE \"PatientID\" = 'B'";
        connection.execute(sql, []).expect("updated");
        assert_eq!(excludes(&equals("PatientID", "C")), None, "something is in the log");
    }

    #[test]
    fn a_damaged_account_does_not_count() {
        let (_folder, layout, connection) = place();
        add(&connection, "A", "20200101");
        renew_settled(&layout, 1000);
        let path = path_of(&layout, &shard());
        let bytes = fs::read(&path).expect("read");
        for at in [0, 9, bytes.len() / 2, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).expect("written");
            let excluded = Accounts::default().excludes(&layout, &shard(), &equals("PatientID", "B"));
            assert_eq!(excluded, None, "{at}");
        }
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
        assert_eq!(Accounts::default().excludes(&layout, &shard(), &equals("PatientID", "B")), None);
    }
}
