//! The registry file: study to shard.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use shardex_catalog::{Domain, KeyPrefix, ShardId, ShardSplit, StudyKey, bucket_of, shard_of};
use shardex_seams::{Registry, SiteClaim, StoreError, StudyClaim};

use crate::error::{io_error, store_error};
use crate::sqlite::{self, Format, SqliteSettings};
use crate::thread::Owner;

pub(crate) const REGISTRY: Format = Format {
    application_id: 0x5368_4472,
    migrations: &[
        || {
            crate::rebuild::TOKEN_TABLE.to_owned()
            + "CREATE TABLE shard(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
         CREATE TABLE study(key BLOB PRIMARY KEY, shard INTEGER NOT NULL REFERENCES shard(id)) WITHOUT ROWID;\n"
        },
        || "CREATE TABLE site(name TEXT PRIMARY KEY) WITHOUT ROWID;\n".to_owned(),
    ],
};

const STUDIES_A_TRANSACTION: usize = 10_000;

/// The embedded [`Registry`].
pub struct RegistryFile {
    path: PathBuf,
    settings: SqliteSettings,
    /// `None` while the file is exchanged.
    owner: Owner<Option<Opened>>,
}

struct Opened {
    path: PathBuf,
    connection: Connection,
    settings: SqliteSettings,
}

impl RegistryFile {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be used.
    pub(crate) fn open(path: &Path, settings: &SqliteSettings) -> Result<Self, StoreError> {
        let opened = Some(Opened::open(path, settings)?);
        let owner = Owner::start("registry", opened).map_err(|error| io_error(path, &error))?;
        Ok(Self { path: path.to_owned(), settings: settings.clone(), owner })
    }

    /// Waits until what was asked of it before is done.
    pub(crate) async fn rest(&self) -> Result<(), StoreError> {
        self.owner.call(|_| Ok(())).await
    }

    /// Closes the file, so that another one can take its place. Whoever uses it is told that it is closed.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.owner
            .call(|slot| {
                drop(slot.take());
                Ok(())
            })
            .await
    }

    /// Opens what is in its place.
    pub(crate) async fn reopen(&self) -> Result<(), StoreError> {
        let (path, settings) = (self.path.clone(), self.settings.clone());
        self.owner
            .call(move |slot| {
                *slot = Some(Opened::open(&path, &settings)?);
                Ok(())
            })
            .await
    }

    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Opened) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.owner.call(move |slot| act(slot.as_mut().ok_or(StoreError::Closed)?)).await
    }

    /// Empties the write-ahead log into the file.
    pub(crate) async fn truncate_log(&self) -> Result<(), StoreError> {
        self.run(|opened| {
            sqlite::truncate_log(&opened.connection).map_err(|error| store_error(&opened.path, error))
        })
        .await
    }

    /// Enters the studies that a shard really has, where they are not claimed for another one. A study that it covers
    /// is taken from another bucket of its partition: the registry is older than a split then. Returns how many were new.
    ///
    /// # Errors
    /// [`StoreError`]; what was entered stays and is true.
    pub(crate) fn adopt(
        path: &Path,
        settings: &SqliteSettings,
        shard: &ShardId,
        covered: Option<KeyPrefix>,
        studies: &[StudyKey],
    ) -> Result<u64, StoreError> {
        let fail = |error| store_error(path, error);
        let mut connection = sqlite::open_writer(path, &REGISTRY, settings, 4 << 20)?;
        let mut adopted = 0;
        // New studies may go to a bucket that has none.
        sqlite::durably(&mut connection, settings.synchronous, |transaction| shard_id(transaction, shard))
            .map_err(fail)?;
        for studies in studies.chunks(STUDIES_A_TRANSACTION) {
            adopted += sqlite::durably(&mut connection, settings.synchronous, |transaction| {
                let id = shard_id(transaction, shard)?;
                let mut insert = transaction.prepare_cached(
                    "INSERT INTO study(key, shard) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET shard = excluded.shard \
                     WHERE ?3 AND shard <> excluded.shard \
                     AND shard IN (SELECT id FROM shard WHERE name >= ?4 AND name < ?5)",
                )?;
                let (low, high) = buckets(shard);
                let mut new = 0;
                for study in studies {
                    let is_covered = covered.is_some_and(|covered| covered.contains(*study));
                    new += insert.execute(params![study.0.to_be_bytes(), id, is_covered, low, high])? as u64;
                }
                Ok(new)
            })
            .map_err(fail)?;
        }
        Ok(adopted)
    }

    /// Lets the registry name the new shard for the studies that a split took. May be done again.
    ///
    /// # Errors
    /// [`StoreError`]; it is to be done again then.
    pub async fn relabel_split(&self, split: ShardSplit) -> Result<(), StoreError> {
        self.run(move |opened| {
            relabel_all(&mut opened.connection, &opened.settings, &split)
                .map_err(|error| store_error(&opened.path, error))
        })
        .await
    }

    /// Tells the registry of shards that there are: new studies go to the bucket of the longest name.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be entered.
    pub async fn know(&self, shards: Vec<ShardId>) -> Result<(), StoreError> {
        self.run(move |opened| {
            sqlite::durably(&mut opened.connection, opened.settings.synchronous, |transaction| {
                shards.iter().try_for_each(|shard| shard_id(transaction, shard).map(drop))
            })
            .map_err(|error| store_error(&opened.path, error))
        })
        .await
    }

    /// Lets the registry name the new shard for the studies that a split took, by a connection of its own. May be
    /// done again.
    ///
    /// # Errors
    /// [`StoreError`]; it is to be done again then.
    pub(crate) fn relabel(
        path: &Path,
        settings: &SqliteSettings,
        split: &ShardSplit,
    ) -> Result<(), StoreError> {
        let mut connection = sqlite::open_writer(path, &REGISTRY, settings, 4 << 20)?;
        relabel_all(&mut connection, settings, split).map_err(|error| store_error(path, error))
    }
}

impl Opened {
    fn open(path: &Path, settings: &SqliteSettings) -> Result<Self, StoreError> {
        let connection = sqlite::open_writer(path, &REGISTRY, settings, 4 << 20)?;
        Ok(Self { path: path.to_owned(), connection, settings: settings.clone() })
    }
}

fn relabel_all(
    connection: &mut Connection,
    settings: &SqliteSettings,
    split: &ShardSplit,
) -> rusqlite::Result<()> {
    let mut after = None;
    loop {
        after = sqlite::durably(connection, settings.synchronous, |transaction| {
            relabel_some(transaction, split, after)
        })?;
        if after.is_none() {
            // What an earlier try wrote need not be synced yet, and this one may have changed nothing.
            return sqlite::truncate_log(connection);
        }
    }
}

/// Relabels some studies that a split took, those after a key; the last one looked at, if there may be more.
fn relabel_some(
    transaction: &Transaction<'_>,
    split: &ShardSplit,
    after: Option<StudyKey>,
) -> rusqlite::Result<Option<StudyKey>> {
    let (from, to) = (shard_id(transaction, &split.from)?, shard_id(transaction, &split.to)?);
    let (low, high) = split.moved.keys();
    // From the last key on, which changes nothing if it is there again.
    let low = after.unwrap_or(low).0.to_be_bytes();
    let last: Option<[u8; 16]> = transaction
        .prepare_cached("SELECT key FROM study WHERE key >= ?1 AND key <= ?2 ORDER BY key LIMIT 1 OFFSET ?3")?
        .query_row(params![low, high.0.to_be_bytes(), STUDIES_A_TRANSACTION], |row| row.get(0))
        .optional()?;
    let until = last.unwrap_or(high.0.to_be_bytes());
    transaction
        .prepare_cached("UPDATE study SET shard = ?1 WHERE key >= ?2 AND key <= ?3 AND shard = ?4")?
        .execute(params![to, low, until, from])?;
    Ok(last.map(|key| StudyKey(u128::from_be_bytes(key))))
}

/// The names of all buckets of a shard's partition lie between these.
fn buckets(shard: &ShardId) -> (String, String) {
    let partition = shard.partition();
    // `0` is what follows `/` in ASCII.
    (format!("{partition}/"), format!("{partition}0"))
}

#[async_trait]
impl Registry for RegistryFile {
    async fn claim(&self, claims: Vec<StudyClaim>) -> Result<Vec<ShardId>, StoreError> {
        self.run(move |opened| {
            let fail = |error| store_error(&opened.path, error);
            let known = lookup(&opened.connection, &claims).map_err(fail)?;
            if let Some(shards) = known.iter().cloned().collect::<Option<Vec<_>>>() {
                return Ok(shards);
            }
            sqlite::durably(&mut opened.connection, opened.settings.synchronous, |transaction| {
                claims.iter().map(|claim| claim_one(transaction, claim)).collect()
            })
            .map_err(fail)
        })
        .await
    }
}

fn lookup(connection: &Connection, claims: &[StudyClaim]) -> rusqlite::Result<Vec<Option<ShardId>>> {
    claims.iter().map(|claim| find(connection, claim.key)).collect()
}

pub(crate) fn find(connection: &Connection, key: StudyKey) -> rusqlite::Result<Option<ShardId>> {
    connection
        .prepare_cached("SELECT s.name FROM study t JOIN shard s ON t.shard = s.id WHERE t.key = ?1")?
        .query_row([key.0.to_be_bytes()], |row| parse_shard(&row.get::<_, String>(0)?))
        .optional()
}

fn claim_one(transaction: &Transaction<'_>, claim: &StudyClaim) -> rusqlite::Result<ShardId> {
    if let Some(shard) = find(transaction, claim.key)? {
        return Ok(shard);
    }
    let partition = match &claim.site {
        Some(site) if !admit(transaction, site)? => &site.other,
        _ => &claim.partition,
    };
    let (low, high) = buckets(&shard_of(partition));
    let known = transaction
        .prepare_cached("SELECT name FROM shard WHERE name >= ?1 AND name < ?2")?
        .query_map([low, high], |row| parse_shard(&row.get::<_, String>(0)?))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let shard = bucket_of(partition, claim.key, &known);
    let id = shard_id(transaction, &shard)?;
    transaction
        .prepare_cached("INSERT INTO study(key, shard) VALUES (?1, ?2)")?
        .execute(params![claim.key.0.to_be_bytes(), id])?;
    Ok(shard)
}

/// Whether an institution has a partition of its own; it takes a place where there is one left.
fn admit(transaction: &Transaction<'_>, site: &SiteClaim) -> rusqlite::Result<bool> {
    let is_known = transaction.prepare_cached("SELECT 1 FROM site WHERE name = ?1")?.exists([&*site.name])?;
    if is_known {
        return Ok(true);
    }
    let taken: i64 =
        transaction.prepare_cached("SELECT count(*) FROM site")?.query_row([], |row| row.get(0))?;
    if taken >= i64::from(site.sites_max) {
        return Ok(false);
    }
    transaction.prepare_cached("INSERT INTO site(name) VALUES (?1)")?.execute([&*site.name])?;
    Ok(true)
}

/// The unmapped institutions that have partitions of their own. `None` for a file of version 1.
pub(crate) fn sites(connection: &Connection) -> rusqlite::Result<Option<HashSet<String>>> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'site'";
    if !connection.prepare(sql)?.exists([])? {
        return Ok(None);
    }
    let mut statement = connection.prepare("SELECT name FROM site")?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect::<rusqlite::Result<_>>().map(Some)
}

fn shard_id(transaction: &Transaction<'_>, shard: &ShardId) -> rusqlite::Result<i64> {
    let known = transaction
        .prepare_cached("SELECT id FROM shard WHERE name = ?1")?
        .query_row([shard.as_str()], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    transaction.prepare_cached("INSERT INTO shard(name) VALUES (?1)")?.execute([shard.as_str()])?;
    Ok(transaction.last_insert_rowid())
}

fn parse_shard(name: &str) -> rusqlite::Result<ShardId> {
    ShardId::new(name).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// The studies that a shard's headers name.
pub(crate) fn studies_of_shard(connection: &Connection) -> rusqlite::Result<Vec<StudyKey>> {
    let mut statement = connection
        .prepare("SELECT DISTINCT domain, \"StudyInstanceUID\" FROM study_header WHERE n_files > 0")?;
    let studies = statement.query_map([], |row| {
        let domain = Domain::new(&row.get::<_, String>(0)?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
        })?;
        Ok(StudyKey::new(&domain, &row.get::<_, String>(1)?))
    })?;
    studies.collect()
}
