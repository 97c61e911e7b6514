//! Header rows against their digests: whether the values are still those that were stored.

use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use shardex_catalog::{AttributeId, Domain, Header, Level, Value, Values, attribute, attribute_by_keyword};

use super::{Finding, Kind, Watch};
use crate::schema::{level_columns, table_of_level};

/// Studies whose headers are in memory at once; a study's headers are read together.
pub(super) fn check(connection: &Connection, place: &str, watch: &mut dyn Watch) -> rusqlite::Result<()> {
    let mut tell = |level: Level, id: i64| {
        let detail = format!("row {id} of `{}` has other values than its digest says", table_of_level(level));
        watch.found(Finding::at(Kind::HeaderDigest, place, detail));
    };
    let mut studies = connection.prepare(&select(Level::Study, "domain", ""))?;
    let mut series_of = connection.prepare(&select(Level::Series, "study", "WHERE study = ?1"))?;
    let mut stacks_of = connection.prepare(&select(Level::Stack, "series", "WHERE series = ?1"))?;
    let mut rows = studies.query([])?;
    while let Some(row) = rows.next()? {
        let Ok(domain) = Domain::new(row.get_ref(3)?.as_str().unwrap_or_default()) else {
            tell(Level::Study, row.get(0)?);
            continue;
        };
        let study = Header::study(domain, values(row, Level::Study)?);
        tell_if_wrong(row, &study, &mut tell)?;
        let mut rows = series_of.query([row.get::<_, i64>(0)?])?;
        while let Some(row) = rows.next()? {
            let series = Header::below(&study, values(row, Level::Series)?);
            tell_if_wrong(row, &series, &mut tell)?;
            let mut rows = stacks_of.query([row.get::<_, i64>(0)?])?;
            while let Some(row) = rows.next()? {
                let stack = Header::below(&series, values(row, Level::Stack)?);
                tell_if_wrong(row, &stack, &mut tell)?;
            }
        }
    }
    Ok(())
}

/// Id, digest, odd values, the column that ties it to what is above, and the attributes.
fn select(level: Level, above: &str, condition: &str) -> String {
    let columns: Vec<_> = level_columns(level).map(|id| format!(", \"{}\"", attribute(id).keyword)).collect();
    format!("SELECT id, digest, odd, {above}{} FROM {} {condition}", columns.concat(), table_of_level(level))
}

fn tell_if_wrong(
    row: &Row<'_>,
    header: &Arc<Header>,
    tell: &mut dyn FnMut(Level, i64),
) -> rusqlite::Result<()> {
    if row.get_ref(1)?.as_blob().ok() != Some(header.digest().0.as_slice()) {
        tell(header.level(), row.get(0)?);
    }
    Ok(())
}

fn values(row: &Row<'_>, level: Level) -> rusqlite::Result<Values> {
    let mut entries = Vec::new();
    for (at, id) in level_columns(level).enumerate() {
        let value = match row.get_ref(at + 4)? {
            ValueRef::Null => continue,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Value::from(&*String::from_utf8_lossy(bytes)),
        };
        entries.push((id, value));
    }
    let odd = row.get_ref(2)?.as_str_or_null().ok().flatten().map_or_else(Vec::new, odd_values);
    Ok(Values::new(entries, odd))
}

fn odd_values(json: &str) -> Vec<(AttributeId, Box<str>)> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let pair = |(keyword, raw): (&String, &serde_json::Value)| {
        Some((attribute_by_keyword(keyword)?, raw.as_str()?.into()))
    };
    object.iter().filter_map(pair).collect()
}
