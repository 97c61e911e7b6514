//! Every SQLite file of the archive: its schema, its pages, its references, its token, its lives.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rusqlite::Connection;
use shardex_seams::{History, StoreError};

use super::schema::Schemas;
use super::{CACHE_BYTES, Finding, Kind, Watch, refused, settle, stop_on};
use crate::archive::{ReadArchive, size_with_log};
use crate::error::label;
use crate::ledger::LEDGER;
use crate::registry::REGISTRY;
use crate::schema::SHARD;
use crate::sqlite::{self, Format};
use crate::state::STATE;
use crate::{history, rebuild};

/// Messages of SQLite on one file that are passed on.
const MESSAGES_MAX: u32 = 20;

/// How deeply SQLite looks at a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// `PRAGMA quick_check`: not whether indexes agree with their tables.
    Quick,
    /// `PRAGMA integrity_check`.
    Full,
}

impl ReadArchive {
    /// Bytes that [`ReadArchive::check_files`] reads.
    ///
    /// # Errors
    /// [`StoreError`] if folders cannot be listed.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        Ok(self.sqlite_files()?.iter().map(|(path, _)| size_with_log(path)).sum())
    }

    /// Checks every SQLite file of the archive, and that ledger, registry and state are of one time.
    /// Advances by bytes.
    ///
    /// # Errors
    /// [`StoreError`] if folders cannot be listed, or if it was cancelled.
    pub fn check_files(
        &self,
        depth: Depth,
        cancel: &Arc<AtomicBool>,
        watch: &mut dyn Watch,
    ) -> Result<(), StoreError> {
        let mut schemas = Schemas::default();
        for (path, format) in self.sqlite_files()? {
            let name = label(&path);
            match sqlite::open_reader(&path, format, CACHE_BYTES) {
                // A file without content: its writer died before its first commit.
                Ok(None) => {}
                Ok(Some(mut connection)) => {
                    let result = stop_on(&mut connection, cancel)
                        .and_then(|()| schemas.check(&connection, format, &name, watch))
                        .and_then(|()| pages(&connection, depth, &name, watch));
                    settle(result, &name, &path, watch)?;
                }
                Err(error) => watch.found(refused(&name, &error)),
            }
            watch.advance(size_with_log(&path));
        }
        self.check_tokens(watch);
        self.check_lives(watch)
    }

    pub(crate) fn sqlite_files(&self) -> Result<Vec<(PathBuf, &'static Format)>, StoreError> {
        let layout = self.layout();
        let mut files = Vec::new();
        for (path, format) in
            [(layout.jobs(), &STATE), (layout.ledger(), &LEDGER), (layout.registry(), &REGISTRY)]
        {
            files.push((path, format));
        }
        files.extend(self.shards()?.iter().map(|shard| (layout.shard(shard), &SHARD)));
        Ok(files)
    }

    fn check_tokens(&self, watch: &mut dyn Watch) {
        let layout = self.layout();
        let files = [(layout.jobs(), &STATE), (layout.ledger(), &LEDGER), (layout.registry(), &REGISTRY)];
        let tokens = files.each_ref().map(|(path, format): &(PathBuf, &'static Format)| {
            let connection = sqlite::open_reader(path, format, CACHE_BYTES).ok().flatten();
            connection.and_then(|connection| rebuild::tokens_of(&connection).ok()).unwrap_or_default()
        });
        let stale = rebuild::stale(&tokens);
        for ((path, _), _) in files.iter().zip(stale).filter(|(_, is_stale)| *is_stale) {
            let detail = "it is not of the same time as the others: a copy was put back, or it is new";
            watch.found(Finding::at(Kind::Token, label(path), detail));
        }
    }

    /// Whether every shard still has the batches that the ledger rests on.
    fn check_lives(&self, watch: &mut dyn Watch) -> Result<(), StoreError> {
        let Ok(Some(ledger)) = self.ledger() else { return Ok(()) };
        let Ok(positions) = ledger.positions() else { return Ok(()) };
        for shard in self.shards()? {
            let Some(connection) = self.checked_shard(&shard, watch) else { continue };
            let Ok(lives) = history::read(&connection) else { continue };
            let of_shard = positions.iter().filter(|(other, _)| *other == shard);
            let lost = of_shard.filter(|(_, applied)| !is_met(&lives, applied)).count();
            if lost > 0 {
                let detail = format!("the ledger rests on {lost} batches that the shard does not have");
                watch.found(Finding::at(Kind::OlderShard, &shard, detail));
            }
        }
        Ok(())
    }
}

fn is_met(lives: &History, applied: &shardex_catalog::Applied) -> bool {
    lives.0.iter().any(|(incarnation, last)| *incarnation == applied.incarnation && *last >= applied.sequence)
}

fn pages(connection: &Connection, depth: Depth, name: &str, watch: &mut dyn Watch) -> rusqlite::Result<()> {
    let pragma = match depth {
        Depth::Quick => "quick_check",
        Depth::Full => "integrity_check",
    };
    let mut statement = connection.prepare(&format!("PRAGMA {pragma}({MESSAGES_MAX})"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let message: String = row.get(0)?;
        if message != "ok" {
            watch.found(Finding::at(Kind::Damaged, name, message));
        }
    }
    let sql = "SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(1)?);
        let count: i64 = row.get(2)?;
        let detail = format!("{count} rows of `{table}` refer to rows of `{parent}` that are not there");
        watch.found(Finding::at(Kind::Reference, name, detail));
    }
    Ok(())
}
