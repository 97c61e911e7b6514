//! Rows of files by path, in any shard, with few shards open at once.

use std::collections::HashMap;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};
use shardex_catalog::{ContentDigest, ShardId};
use shardex_seams::StoreError;

use crate::error::store_error;
use crate::layout::Layout;
use crate::schema::SHARD;
use crate::shard::PathValue;
use crate::sqlite;

const OPEN_MAX: usize = 32;
const CACHE_BYTES: u64 = 2 << 20;

/// What a shard has of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Bytes.
    pub size: u64,
    /// Modification time, nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Digest of its content, where one was taken.
    pub digest: Option<ContentDigest>,
}

/// Read-only connections to the shards that were asked last.
pub(crate) struct Lookup {
    layout: Layout,
    open: HashMap<ShardId, Opened>,
    clock: u64,
}

struct Opened {
    /// `None` for a shard without content.
    connection: Option<Connection>,
    used: u64,
    directory: Option<(String, Vec<u8>, Option<i64>)>,
}

impl Lookup {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, open: HashMap::new(), clock: 0 }
    }

    /// The row of a file; `None` if the shard has none.
    pub(crate) fn find(
        &mut self,
        shard: &ShardId,
        source: &str,
        directory: &[u8],
        name: &[u8],
    ) -> Result<Option<StoredRow>, StoreError> {
        self.clock += 1;
        let (used, path) = (self.clock, self.layout.shard(shard));
        if !self.open.contains_key(shard) {
            if self.open.len() >= OPEN_MAX {
                let oldest = self.open.iter().min_by_key(|(_, opened)| opened.used).map(|(id, _)| id.clone());
                oldest.and_then(|oldest| self.open.remove(&oldest));
            }
            let connection =
                if path.exists() { sqlite::open_reader(&path, &SHARD, CACHE_BYTES)? } else { None };
            self.open.insert(shard.clone(), Opened { connection, used, directory: None });
        }
        let Some(opened) = self.open.get_mut(shard) else { return Ok(None) };
        opened.used = used;
        opened.find(source, directory, name).map_err(|error| store_error(&path, error))
    }
}

impl Opened {
    fn find(&mut self, source: &str, directory: &[u8], name: &[u8]) -> rusqlite::Result<Option<StoredRow>> {
        let Some(connection) = &self.connection else { return Ok(None) };
        let is_same = |known: &(String, Vec<u8>, Option<i64>)| known.0 == source && known.1 == directory;
        if !self.directory.as_ref().is_some_and(is_same) {
            let sql = "SELECT d.id FROM directory d JOIN source r ON d.source = r.id \
                 WHERE r.name = ?1 AND d.path = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let id =
                statement.query_row(params![source, PathValue(directory)], |row| row.get(0)).optional()?;
            self.directory = Some((source.to_owned(), directory.to_vec(), id));
        }
        let Some((_, _, Some(id))) = &self.directory else { return Ok(None) };
        let sql = "SELECT size, mtime_ns, digest FROM file WHERE directory = ?1 AND name = ?2";
        connection
            .prepare_cached(sql)?
            .query_row(params![id, PathValue(name)], |row| {
                let digest = match row.get_ref(2)? {
                    ValueRef::Blob(bytes) => bytes.try_into().ok().map(ContentDigest),
                    _ => None,
                };
                Ok(StoredRow { size: row.get::<_, i64>(0)?.cast_unsigned(), mtime_ns: row.get(1)?, digest })
            })
            .optional()
    }
}
