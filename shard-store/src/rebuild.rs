//! Ledger and registry from the shards, where they are lost or older than the shards.
//!
//! Whoever opens an archive for writing draws a token and puts it into the ledger, the registry and
//! the job state. A file whose token differs from the others' was put back from an older copy, or
//! is new; what it should know is then taken from the shards. The new token is added to all three before
//! the old one is taken from any, so that a run which dies between them leaves them of one mind.

use std::path::Path;

use rusqlite::Connection;
use shardex_catalog::{
    Applied, Claim, DirectoryRange, Fence, FileKind, FileName, FileStamp, FileState, Incarnation, KeyPrefix,
    LedgerEntry, RelativePath, ShardId, SourceName, covered,
};
use shardex_seams::StoreError;

use crate::error::{io_error, store_error};
use crate::history::Life;
use crate::layout::Layout;
use crate::ledger::{self, LEDGER, Restorer};
use crate::registry::{self, REGISTRY, RegistryFile};
use crate::schema::SHARD;
use crate::shard::path_bytes;
use crate::sqlite::{self, Format, SqliteSettings};
use crate::state::STATE;
use crate::{history, pool};

/// DDL of the table that holds the token.
pub(crate) const TOKEN_TABLE: &str = "CREATE TABLE token(value INTEGER NOT NULL);\n";

const ADD_TOKEN: &str = "INSERT INTO token(value) VALUES (?1)";
const KEEP_TOKEN: &str = "DELETE FROM token WHERE value <> ?1";

const CACHE_BYTES: u64 = 8 << 20;
const FILES_A_CHUNK: usize = 65_536;

/// What was found and done when an archive was opened for writing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healed {
    /// The ledger was rebuilt, from this many files.
    pub ledger_files: Option<u64>,
    /// The registry was completed, by this many studies.
    pub registry_studies: Option<u64>,
    /// Highest fence in any shard.
    pub highest_fence: Fence,
    /// Shards that could not be read, with the reason.
    pub unreadable_shards: Vec<(ShardId, String)>,
}

/// Rebuilds what is lost or stale, and draws a new token. A registry is not rebuilt while a shard
/// that the ledger knows cannot be read, unless `accept_lost_shards`: its studies would be claimed
/// anew, and lie in two shards once it is put back.
pub(crate) fn heal(
    layout: &Layout,
    settings: &SqliteSettings,
    accept_lost_shards: bool,
) -> Result<Healed, StoreError> {
    let shards = layout.list_shards().map_err(|error| io_error(&layout.shards(), &error))?;
    let files = [(layout.ledger(), &LEDGER), (layout.registry(), &REGISTRY), (layout.jobs(), &STATE)];
    let mut tokens = [const { Vec::new() }; 3];
    for ((path, format), tokens) in files.iter().zip(&mut tokens) {
        let connection = sqlite::open_writer(path, format, settings, CACHE_BYTES)?;
        *tokens = tokens_of(&connection).map_err(|error| store_error(path, error))?;
    }
    let [ledger_is_stale, registry_is_stale, _] = stale(&tokens);

    let mut healed = Healed::default();
    let needed = if registry_is_stale && !ledger_is_stale && !accept_lost_shards {
        ledger::shards_rested_on(&layout.ledger())?
    } else {
        Vec::new()
    };
    if let Some(lost) = needed.iter().find(|shard| !shards.contains(shard)) {
        return Err(registry_needs(layout, lost));
    }
    let mut restorer = if ledger_is_stale && !shards.is_empty() {
        healed.ledger_files = Some(0);
        Some(Restorer::begin(&layout.ledger(), settings)?)
    } else {
        None
    };
    if registry_is_stale && !shards.is_empty() {
        healed.registry_studies = Some(0);
    }
    let all = shards.iter().cloned().collect();
    for shard in shards {
        let covered = covered(&shard, &all);
        match heal_from(layout, settings, (&shard, covered), restorer.as_mut(), &mut healed) {
            // One damaged shard must not keep the others from being written.
            Err(error @ (StoreError::Corrupt { .. } | StoreError::Unusable { .. })) => {
                if needed.contains(&shard) {
                    return Err(registry_needs(layout, &shard));
                }
                healed.unreadable_shards.push((shard, error.to_string()));
            }
            result => result?,
        }
    }
    let token = pool::random_u64().cast_signed();
    for sql in [ADD_TOKEN, KEEP_TOKEN] {
        files.iter().try_for_each(|(path, format)| write_token(path, format, settings, sql, token))?;
    }
    Ok(healed)
}

fn registry_needs(layout: &Layout, shard: &ShardId) -> StoreError {
    StoreError::Unusable {
        file: layout.registry().display().to_string(),
        detail: format!(
            "it is lost or old, and shard {shard}, whose studies it must name, cannot be read: put that shard \
             back, or give it up with `shardex recover --accept-lost-shards`"
        ),
    }
}

/// Which files have no token that another one confirms.
pub(crate) fn stale(tokens: &[Vec<i64>; 3]) -> [bool; 3] {
    let is_confirmed = |token: &i64| tokens.iter().filter(|others| others.contains(token)).count() >= 2;
    tokens.each_ref().map(|own| !own.iter().any(is_confirmed))
}

fn heal_from(
    layout: &Layout,
    settings: &SqliteSettings,
    (shard, covered): (&ShardId, Option<KeyPrefix>),
    restorer: Option<&mut Restorer>,
    healed: &mut Healed,
) -> Result<(), StoreError> {
    let path = layout.shard(shard);
    let fail = |error| store_error(&path, error);
    let Some(connection) = sqlite::open_reader(&path, &SHARD, CACHE_BYTES)? else { return Ok(()) };
    healed.highest_fence = healed.highest_fence.max(history::highest_fence(&connection).map_err(fail)?);
    if let Some(studies) = &mut healed.registry_studies {
        let found = registry::studies_of_shard(&connection).map_err(fail)?;
        *studies += RegistryFile::adopt(&layout.registry(), settings, shard, covered, &found)?;
    }
    if let (Some(restorer), Some(files)) = (restorer, &mut healed.ledger_files) {
        let begun = begin_life(&path, settings)?;
        *files += begun.map_or(Ok(0), |applied| {
            let claim = Claim { shard: shard.clone(), applied };
            restore_files(&connection, &path, &claim, restorer)
        })?;
    }
    Ok(())
}

/// Begins a life in a shard that has had one: what the rebuilt ledger rests on is in no other copy
/// of the shard that may be put back later.
fn begin_life(path: &Path, settings: &SqliteSettings) -> Result<Option<Applied>, StoreError> {
    let fail = |error| store_error(path, error);
    let mut connection = sqlite::open_writer(path, &SHARD, settings, CACHE_BYTES)?;
    if history::read(&connection).map_err(fail)?.0.is_empty() {
        return Ok(None);
    }
    let life = Life::begin(&connection, Incarnation(pool::random_u64())).map_err(fail)?;
    sqlite::durably(&mut connection, settings.synchronous, |transaction| life.advance(transaction, Fence(0)))
        .map(Some)
        .map_err(fail)
}

/// Enters all files of a shard into the ledger, a directory or a part of one at a time.
fn restore_files(
    connection: &Connection,
    path: &Path,
    claim: &Claim,
    restorer: &mut Restorer,
) -> Result<u64, StoreError> {
    let fail = |error| store_error(path, error);
    let mut statement = connection
        .prepare(
            "SELECT d.id, r.name, d.path, f.name, f.size, f.mtime_ns, f.warnings IS NOT NULL \
             FROM directory d JOIN source r ON d.source = r.id JOIN file f ON f.directory = d.id ORDER BY d.id",
        )
        .map_err(fail)?;
    let mut rows = statement.query([]).map_err(fail)?;
    let mut files = 0;
    let mut current: Option<(i64, DirectoryRange)> = None;
    let mut entries = Vec::new();
    loop {
        let row = rows.next().map_err(fail)?;
        let id = row.map(|row| row.get::<_, i64>(0)).transpose().map_err(fail)?;
        if let Some((open, range)) = &current
            && (id != Some(*open) || entries.len() >= FILES_A_CHUNK)
        {
            restorer.add(range, std::mem::take(&mut entries), claim)?;
        }
        let Some(row) = row else { return Ok(files) };
        let (range, entry) = restored(row, &claim.shard).map_err(fail)?;
        if current.as_ref().map(|(open, _)| *open) != id {
            current = id.map(|id| (id, range));
        }
        entries.push(entry);
        files += 1;
    }
}

fn restored(row: &rusqlite::Row<'_>, shard: &ShardId) -> rusqlite::Result<(DirectoryRange, LedgerEntry)> {
    let source = SourceName::new(row.get_ref(1)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error))
    })?;
    let range = DirectoryRange::whole(source, RelativePath::new(path_bytes(row.get_ref(2)?)));
    let stamp = FileStamp {
        size: row.get::<_, i64>(4)?.cast_unsigned(),
        mtime_ns: row.get(5)?,
        // A shard does not keep it; such a file is opened once more.
        ctime_ns: 0,
    };
    let entry = LedgerEntry {
        name: FileName::new(path_bytes(row.get_ref(3)?)),
        stamp,
        state: if row.get(6)? { FileState::Warning } else { FileState::Indexed },
        kind: FileKind::Dicom,
        reason: None,
        shard: Some(shard.clone()),
        racy: true,
        missing: false,
        detail: None,
    };
    Ok((range, entry))
}

/// The tokens of a file: one, or two where a run died while it changed them.
pub(crate) fn tokens_of(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare("SELECT value FROM token ORDER BY rowid")?;
    let tokens = statement.query_map([], |row| row.get(0))?;
    tokens.collect()
}

/// The token in a file that is read beside whoever writes it.
pub(crate) fn last_token(state: &Path) -> Result<Option<i64>, StoreError> {
    if !state.exists() {
        return Ok(None);
    }
    let Some(connection) = sqlite::open_reader(state, &STATE, CACHE_BYTES)? else { return Ok(None) };
    let tokens = tokens_of(&connection).map_err(|error| store_error(state, error))?;
    Ok(tokens.last().copied())
}

/// Makes a new file of the same mind as those that have a token.
pub(crate) fn add_token(
    path: &Path,
    format: &Format,
    settings: &SqliteSettings,
    token: i64,
) -> Result<(), StoreError> {
    write_token(path, format, settings, ADD_TOKEN, token)
}

fn write_token(
    path: &Path,
    format: &Format,
    settings: &SqliteSettings,
    sql: &str,
    token: i64,
) -> Result<(), StoreError> {
    let mut connection = sqlite::open_writer(path, format, settings, CACHE_BYTES)?;
    sqlite::durably(&mut connection, settings.synchronous, |transaction| {
        transaction.execute(sql, [token]).map(drop)
    })
    .map_err(|error| store_error(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_nobody_confirms_is_stale() {
        for (tokens, expected) in [
            ([&[1][..], &[1], &[1]], [false, false, false]),
            ([&[], &[1], &[1]], [true, false, false]),
            ([&[2], &[1], &[1]], [true, false, false]),
            ([&[1], &[], &[1]], [false, true, false]),
            ([&[1], &[1], &[]], [false, false, true]),
            ([&[1], &[2], &[3]], [true, true, true]),
            ([&[], &[], &[]], [true, true, true]),
            // Runs that died while they added their token, and while they took the old one away.
            ([&[1, 2], &[1], &[1]], [false, false, false]),
            ([&[1, 2], &[1, 2], &[1]], [false, false, false]),
            ([&[2], &[1, 2], &[1, 2]], [false, false, false]),
            ([&[2], &[2], &[1, 2]], [false, false, false]),
            ([&[0], &[1, 2], &[1]], [true, false, false]),
        ] {
            let tokens = tokens.map(<[i64]>::to_vec);
            assert_eq!(stale(&tokens), expected, "{tokens:?}");
        }
    }
}
