//! What recovery asks a shard.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};
use shardex_catalog::{DirectoryRange, Fence, FileName, RelativePath, SourceName};
use shardex_seams::StoredName;

use super::directories::{self, PathValue, path_bytes};

/// Names with rows in a range of a directory, ascending by bytes.
pub(crate) fn names(connection: &Connection, range: &DirectoryRange) -> rusqlite::Result<Vec<FileName>> {
    let Some(directory) = directories::find(connection, range)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached("SELECT name FROM file WHERE directory = ?1")?;
    let mut rows = statement.query([directory])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        let name = path_bytes(row.get_ref(0)?);
        if range.contains(name) {
            names.push(FileName::new(name));
        }
    }
    names.sort();
    Ok(names)
}

/// Files after one in the order (source, path, name) of SQLite's values: text before blobs.
pub(crate) fn files_after(
    connection: &Connection,
    after: Option<&StoredName>,
    limit: u32,
) -> rusqlite::Result<Vec<StoredName>> {
    // The order of the joins is that of the indexes: a page sorts nothing, and reads no file of directories before it.
    let condition = match after {
        Some(_) => {
            "r.name >= ?1 AND (r.name > ?1 OR d.path >= ?2) AND (r.name > ?1 OR d.path > ?2 OR f.name > ?3)"
        }
        None => "?1 IS NULL AND ?2 IS NOT NULL AND ?3 IS NOT NULL",
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT r.name, d.path, f.name FROM source r CROSS JOIN directory d ON d.source = r.id \
         CROSS JOIN file f ON f.directory = d.id WHERE {condition} \
         ORDER BY r.name, d.path, f.name LIMIT ?4"
    ))?;
    let source = after.map(|after| after.source.as_str());
    let path = PathValue(after.map_or(&[], |after| after.directory.as_bytes()));
    let name = PathValue(after.map_or(&[], |after| after.name.as_bytes()));
    let files = statement.query_map(params![source, path, name, limit], |row| {
        let source: String = row.get(0)?;
        Ok(StoredName {
            source: SourceName::new(&source).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
            })?,
            directory: RelativePath::new(path_bytes(row.get_ref(1)?)),
            name: FileName::new(path_bytes(row.get_ref(2)?)),
        })
    })?;
    files.collect()
}

/// How many of the files have another file with their UID and digest that `fence` wrote.
pub(crate) fn moved(
    connection: &Connection,
    range: &DirectoryRange,
    names: &[FileName],
    fence: Fence,
) -> rusqlite::Result<u64> {
    let Some(directory) = directories::find(connection, range)? else { return Ok(0) };
    let mut file = connection.prepare_cached(
        "SELECT sop_instance_uid, digest FROM file WHERE directory = ?1 AND name = ?2 AND digest IS NOT NULL",
    )?;
    let mut twin = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM file WHERE sop_instance_uid = ?1 AND digest = ?2 AND fence >= ?3)",
    )?;
    // Thousands of copies of one file are asked for once.
    let mut known: HashMap<(Vec<u8>, Vec<u8>), bool> = HashMap::new();
    let mut moved = 0;
    for name in names {
        let key: Option<(Value, Vec<u8>)> = file
            .query_row(params![directory, PathValue(name.as_bytes())], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((uid, digest)) = key else { continue };
        let uid_bytes = match &uid {
            Value::Text(text) => text.as_bytes().to_vec(),
            Value::Blob(bytes) => bytes.clone(),
            Value::Null | Value::Integer(_) | Value::Real(_) => Vec::new(),
        };
        let has_twin = match known.entry((uid_bytes, digest)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let fence = fence.0.cast_signed();
                let has_twin = twin.query_row(params![uid, new.key().1, fence], |row| row.get(0))?;
                *new.insert(has_twin)
            }
        };
        moved += u64::from(has_twin);
    }
    Ok(moved)
}
