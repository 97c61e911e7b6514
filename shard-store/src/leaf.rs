//! Leaf queries on the shards of an archive.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};
use shardex_catalog::{Cell, LeafQuery, LeafSearch, PackedUid, Predicate, ShardId};
use shardex_seams::{Leaf, StoreError};

use crate::account::{Accounts, indexed_column};
use crate::archive::readable_shards;
use crate::error::{io_error, store_error};
use crate::layout::Layout;
use crate::ledger::shards_rested_on;
use crate::merge::is_allowed_function;
use crate::schema::{
    SHARD, Statement, add_functions, has_files, is_own_function, leaf_select, search_select,
};
use crate::sqlite;

/// Page cache of one connection. There are as many as idle ones are kept, and the system caches files too.
const CACHE_BYTES: u64 = 512 << 10;
/// Longest text or blob that a filter may build.
const VALUE_BYTES_MAX: i32 = 32 << 20;
const INSTRUCTIONS_BETWEEN_CHECKS: i32 = 10_000;

/// Tells a file from another one in its place: device and inode.
type FileNumber = (u64, u64);

/// The shards that an answer needs, ascending: those that are there, and those that records of the ledger rest on.
/// One that is gone must fail the question, else its answer would lack studies and look whole.
pub(crate) fn shards_to_ask(layout: &Layout) -> Result<Vec<ShardId>, StoreError> {
    let mut shards = readable_shards(layout)?;
    let ledger = layout.ledger();
    // What a ledger that cannot be read rests on is not known; who needs it says so.
    if let Some(needed) = ledger.exists().then(|| shards_rested_on(&ledger).ok()).flatten() {
        shards.extend(needed);
        shards.sort();
        shards.dedup();
    }
    Ok(shards)
}

/// Read-only connections to shards, kept for the next query.
pub struct LeafPool {
    layout: Layout,
    idle_max: usize,
    idle: Mutex<HashMap<ShardId, Vec<(FileNumber, Connection)>>>,
    accounts: Accounts,
}

impl LeafPool {
    pub(crate) fn new(layout: Layout, idle_max: usize) -> Self {
        Self { layout, idle_max, idle: Mutex::default(), accounts: Accounts::default() }
    }

    /// Closes the connections to a shard whose file is about to be another.
    pub(crate) fn forget(&self, shard: &ShardId) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).remove(shard);
    }

    fn take(&self, shard: &ShardId) -> Result<Option<(FileNumber, Connection)>, StoreError> {
        let path = self.layout.shard(shard);
        // Before the file is opened: a number that is too old costs opening it once more.
        let number = std::fs::metadata(&path).map_or((0, 0), |metadata| (metadata.dev(), metadata.ino()));
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(shard).and_then(Vec::pop);
        match idle.filter(|(of, _)| *of == number) {
            Some(idle) => Ok(Some(idle)),
            None => {
                let Some(mut connection) = sqlite::open_reader(&path, &SHARD, CACHE_BYTES)? else {
                    return self.is_in_place().map(|()| None);
                };
                confine(&mut connection).map_err(|error| store_error(&path, error))?;
                Ok(Some((number, connection)))
            }
        }
    }

    /// A shard without a file is empty, unless the whole archive was emptied under this process.
    fn is_in_place(&self) -> Result<(), StoreError> {
        let manifest = self.layout.manifest();
        manifest.try_exists().map_err(|error| io_error(&manifest, &error)).and_then(|is_there| {
            let detail = "it is gone: was the folder emptied, or its disk lost?".to_owned();
            let gone = StoreError::Unusable { file: manifest.display().to_string(), detail };
            if is_there { Ok(()) } else { Err(gone) }
        })
    }

    fn give_back(&self, shard: &ShardId, connection: (FileNumber, Connection)) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.values().map(Vec::len).sum::<usize>() < self.idle_max {
            idle.entry(shard.clone()).or_default().push(connection);
        }
    }

    /// Acts on a connection; a shard without content yet gives `empty`.
    fn with<T>(
        &self,
        shard: &ShardId,
        empty: T,
        act: impl FnOnce(&mut Connection, &Path) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some((number, mut connection)) = self.take(shard)? else { return Ok(empty) };
        let result = act(&mut connection, &self.layout.shard(shard));
        if result.is_ok() {
            self.give_back(shard, (number, connection));
        }
        result
    }
}

impl Leaf for LeafPool {
    fn rows(
        &self,
        shard: &ShardId,
        query: &LeafQuery,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        let sql = leaf_select(query)
            .map_err(|column| StoreError::Query(format!("view `{}` has no column `{column}`", query.view)))?;
        self.with(shard, (), |connection, path| {
            stoppable(connection, path, cancel, |connection| run(connection, &sql, query, row))
        })
    }

    fn search(
        &self,
        shard: &ShardId,
        search: &LeafSearch,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        let statement = search_select(search).map_err(|column| {
            StoreError::Query(format!("view `{}` has no column `{column}`", search.view))
        })?;
        let mut is_empty = true;
        self.with(shard, (), |connection, path| {
            is_empty = false;
            stoppable(connection, path, cancel, |connection| run_search(connection, &statement, search, row))
        })?;
        if is_empty && search.is_count {
            row(vec![Cell::Integer(0)]);
        }
        Ok(())
    }

    fn shards(&self) -> Result<Vec<ShardId>, StoreError> {
        shards_to_ask(&self.layout)
    }

    fn excludes(&self, shard: &ShardId, predicate: &Predicate) -> Result<bool, StoreError> {
        if let Some(excludes) = self.accounts.excludes(&self.layout, shard, predicate) {
            return Ok(excludes);
        }
        let Some((sql, values)) = exclusion(predicate) else { return Ok(false) };
        self.with(shard, true, |connection, path| {
            connection
                .prepare_cached(&sql)
                .and_then(|mut statement| statement.exists(params_from_iter(values)))
                .map(|found| !found)
                .map_err(|error| store_error(path, error))
        })
    }
}

/// Acts with statements that end soon after `cancel` is set.
fn stoppable(
    connection: &mut Connection,
    path: &Path,
    cancel: &Arc<AtomicBool>,
    act: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    let stop = Arc::clone(cancel);
    let check = move || stop.load(Ordering::Relaxed);
    connection
        .progress_handler(INSTRUCTIONS_BETWEEN_CHECKS, Some(check))
        .map_err(|error| store_error(path, error))?;
    let result = act(connection).map_err(|error| query_error(path, error));
    connection.progress_handler(0, None::<fn() -> bool>).map_err(|error| store_error(path, error))?;
    result
}

/// Filters are a user's own text: they may read this shard and compute, nothing else.
fn confine(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    add_functions(connection)?;
    connection.authorizer(Some(|context: AuthContext<'_>| match context.action {
        AuthAction::Select | AuthAction::Recursive | AuthAction::Read { .. } => Authorization::Allow,
        AuthAction::Function { function_name }
            if is_allowed_function(function_name) || is_own_function(function_name) =>
        {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }))
}

fn run(
    connection: &Connection,
    sql: &str,
    query: &LeafQuery,
    row: &mut dyn FnMut(Vec<Cell>) -> bool,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    let uids = query.sop_instance_uids.as_ref().filter(|_| has_files(query.view));
    if let Some(uids) = uids {
        for (n, uid) in uids.iter().enumerate() {
            match PackedUid::pack(uid) {
                Some(packed) => statement.raw_bind_parameter(n + 1, packed.as_bytes())?,
                None => statement.raw_bind_parameter(n + 1, uid)?,
            }
        }
    }
    give(&mut statement, query.columns.len(), row)
}

fn run_search(
    connection: &Connection,
    search: &Statement,
    of: &LeafSearch,
    row: &mut dyn FnMut(Vec<Cell>) -> bool,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&search.sql)?;
    for (n, value) in search.values.iter().enumerate() {
        match value {
            Cell::Null => {}
            Cell::Integer(number) => statement.raw_bind_parameter(n + 1, number)?,
            Cell::Real(number) => statement.raw_bind_parameter(n + 1, number)?,
            Cell::Text(text) => statement.raw_bind_parameter(n + 1, text.as_str())?,
            Cell::Blob(bytes) => statement.raw_bind_parameter(n + 1, bytes.as_slice())?,
        }
    }
    give(&mut statement, if of.is_count { 1 } else { of.columns.len() }, row)
}

/// Gives the first `width` values of each row of a statement whose parameters are bound.
fn give(
    statement: &mut rusqlite::Statement<'_>,
    width: usize,
    row: &mut dyn FnMut(Vec<Cell>) -> bool,
) -> rusqlite::Result<()> {
    let mut rows = statement.raw_query();
    while let Some(found) = rows.next()? {
        let cells = (0..width).map(|n| found.get_ref(n).map(cell)).collect::<rusqlite::Result<Vec<_>>>()?;
        if !row(cells) {
            break;
        }
    }
    Ok(())
}

pub(crate) fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Blob(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    }
}

/// Mistakes in a filter are the asker's, damage is the file's.
fn query_error(path: &Path, error: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{
        ApiMisuse, AuthorizationForStatementDenied, OperationInterrupted, TooBig, Unknown,
    };
    match error.sqlite_error_code() {
        Some(OperationInterrupted) => StoreError::Query("the query was cancelled or ran out of time".into()),
        Some(AuthorizationForStatementDenied | Unknown | TooBig | ApiMisuse) | None => {
            StoreError::Query(error.to_string())
        }
        Some(_) => store_error(path, error),
    }
}

/// A search for any live header that satisfies the predicate; `None` for a column without an index,
/// because a scan to avoid a scan is no gain.
fn exclusion(predicate: &Predicate) -> Option<(String, Vec<String>)> {
    let column = match predicate {
        Predicate::In(column, _) | Predicate::Between(column, _, _) => column,
    };
    let (table, keyword) = indexed_column(column)?;
    let stored = format!("\"{keyword}\"");
    let (condition, values) = match predicate {
        Predicate::In(_, values) => {
            (format!("{stored} IN ({})", vec!["?"; values.len()].join(", ")), values.clone())
        }
        Predicate::Between(_, low, high) => {
            let low = low.iter().map(|value| (format!("{stored} >= ?"), value.clone()));
            let high = high.iter().map(|value| (format!("{stored} <= ?"), value.clone()));
            let (conditions, values): (Vec<_>, Vec<_>) = low.chain(high).unzip();
            (conditions.join(" AND "), values)
        }
    };
    (!values.is_empty())
        .then(|| (format!("SELECT 1 FROM {table} WHERE n_files > 0 AND {condition} LIMIT 1"), values))
}
