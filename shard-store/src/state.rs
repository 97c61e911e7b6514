//! The embedded coordinator's state: keys and values in one file.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use shardex_seams::{CHANGES_MAX, Change, Expect, StateStore, StoreError, Swap, Versioned};

use crate::error::{io_error, store_error};
use crate::sqlite::{self, Format, SqliteSettings, Synchronous};
use crate::thread::Owner;

pub(crate) const STATE: Format = Format {
    application_id: 0x5368_4473,
    migrations: &[|| {
        crate::rebuild::TOKEN_TABLE.to_owned()
            + "CREATE TABLE state(key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;\n"
    }],
};

/// The embedded [`StateStore`].
pub struct StateFile {
    owner: Owner<Opened>,
}

struct Opened {
    path: PathBuf,
    connection: Connection,
}

impl StateFile {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be used.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let settings = SqliteSettings { synchronous: Synchronous::Full, ..SqliteSettings::default() };
        let connection = sqlite::open_writer(path, &STATE, &settings, 1 << 20)?;
        // It is small: closing need not be made quick.
        sqlite::checkpoint_on_close(&connection).map_err(|error| store_error(path, error))?;
        let opened = Opened { path: path.to_owned(), connection };
        let owner = Owner::start("state", opened).map_err(|error| io_error(path, &error))?;
        Ok(Self { owner })
    }

    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.owner
            .call(move |opened| act(&mut opened.connection).map_err(|error| store_error(&opened.path, error)))
            .await
    }
}

/// Reads job state beside whoever writes it.
pub struct StateReader {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl StateReader {
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        let connection = sqlite::open_reader(path, &STATE, 1 << 20)?;
        Ok(connection.map(|connection| Self { path: path.to_owned(), connection: Mutex::new(connection) }))
    }

    fn with<T>(&self, act: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        act(&connection).map_err(|error| store_error(&self.path, error))
    }
}

#[async_trait]
impl StateStore for StateReader {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        self.with(|connection| get(connection, key))
    }

    async fn list(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, Versioned)>, StoreError> {
        self.with(|connection| list(connection, prefix, after, limit))
    }

    async fn put(&self, _key: &str, _value: Vec<u8>, _expect: Expect) -> Result<Swap, StoreError> {
        Err(read_only())
    }

    async fn apply(&self, _changes: Vec<Change>) -> Result<Option<Vec<u64>>, StoreError> {
        Err(read_only())
    }
}

fn read_only() -> StoreError {
    StoreError::Query("the archive is open for reading only".into())
}

/// Makes a change; `None` if the key is not as expected.
fn change(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<Option<u64>> {
    let Change { key, value, expect } = change;
    let (changed, version) = match (expect, value) {
        (Expect::Absent, Some(value)) => {
            let sql = "INSERT INTO state(key, value, version) VALUES (?1, ?2, 1) ON CONFLICT DO NOTHING";
            (transaction.execute(sql, params![key, value])?, 1)
        }
        (Expect::Absent, None) => (usize::from(get(transaction, key)?.is_none()), 0),
        (Expect::Version(version), Some(value)) => {
            let sql = "UPDATE state SET value = ?2, version = version + 1 WHERE key = ?1 AND version = ?3";
            (transaction.execute(sql, params![key, value, version.cast_signed()])?, version + 1)
        }
        (Expect::Version(version), None) => {
            let sql = "DELETE FROM state WHERE key = ?1 AND version = ?2";
            (transaction.execute(sql, params![key, version.cast_signed()])?, 0)
        }
    };
    Ok((changed == 1).then_some(version))
}

fn get(connection: &Connection, key: &str) -> rusqlite::Result<Option<Versioned>> {
    connection
        .prepare_cached("SELECT value, version FROM state WHERE key = ?1")?
        .query_row([key], |row| {
            Ok(Versioned { value: row.get(0)?, version: row.get::<_, i64>(1)?.cast_unsigned() })
        })
        .optional()
}

fn list(
    connection: &Connection,
    prefix: &str,
    after: &str,
    limit: u32,
) -> rusqlite::Result<Vec<(String, Versioned)>> {
    let mut statement = connection.prepare_cached(
        "SELECT key, value, version FROM state \
         WHERE key > ?2 AND key >= ?1 AND substr(key, 1, length(?1)) = ?1 ORDER BY key LIMIT ?3",
    )?;
    let rows = statement.query_map(params![prefix, after, limit], |row| {
        let version = row.get::<_, i64>(2)?.cast_unsigned();
        Ok((row.get(0)?, Versioned { value: row.get(1)?, version }))
    })?;
    rows.collect()
}

#[async_trait]
impl StateStore for StateFile {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        let key = key.to_owned();
        self.run(move |connection| get(connection, &key)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, Versioned)>, StoreError> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        self.run(move |connection| list(connection, &prefix, &after, limit)).await
    }

    async fn put(&self, key: &str, value: Vec<u8>, expect: Expect) -> Result<Swap, StoreError> {
        let change = Change { key: key.to_owned(), value: Some(value), expect };
        let versions = self.apply(vec![change]).await?;
        Ok(versions.and_then(|versions| versions.first().copied()).map_or(Swap::Conflict, Swap::Done))
    }

    async fn apply(&self, changes: Vec<Change>) -> Result<Option<Vec<u64>>, StoreError> {
        if changes.len() > CHANGES_MAX {
            return Err(StoreError::Query(format!("more than {CHANGES_MAX} changes are not made together")));
        }
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut versions = Vec::with_capacity(changes.len());
            for one in &changes {
                let Some(version) = change(&transaction, one)? else { return Ok(None) };
                versions.push(version);
            }
            transaction.commit()?;
            Ok(Some(versions))
        })
        .await
    }
}
