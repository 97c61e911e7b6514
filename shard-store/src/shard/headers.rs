//! Header rows by content address, and the cache that saves looking them up.

use std::sync::Arc;

use hashbrown::HashMap;
use rusqlite::{OptionalExtension, ToSql, Transaction};
use shardex_catalog::{
    Header, HeaderDigest, Level, Value, Values, attribute, attribute_by_keyword, fold_person_name,
};

use crate::schema::{level_columns, table_of_level};

const CACHED_MAX: usize = 8192;

/// Row ids of a stack header and of the headers above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderIds {
    pub(crate) stack: i64,
    pub(crate) series: i64,
    pub(crate) study: i64,
}

/// Digest to row ids: what committed transactions stored, and apart from it what the present one
/// did, which counts only if it commits.
#[derive(Debug, Default)]
pub(crate) struct HeaderCache {
    committed: HashMap<HeaderDigest, HeaderIds>,
    pending: HashMap<HeaderDigest, HeaderIds>,
}

impl HeaderCache {
    /// The transaction was committed.
    pub(crate) fn promote(&mut self) {
        if self.committed.len() + self.pending.len() > CACHED_MAX {
            self.committed.clear();
        }
        self.committed.extend(self.pending.drain());
    }

    /// The transaction failed, or rows were deleted.
    pub(crate) fn clear(&mut self) {
        self.committed.clear();
        self.pending.clear();
    }

    /// Row ids of a stack header, inserted with those above it where they are not there.
    pub(crate) fn resolve(
        &mut self,
        transaction: &Transaction<'_>,
        stack: &Header,
    ) -> rusqlite::Result<HeaderIds> {
        let digest = stack.digest();
        if let Some(ids) = self.committed.get(&digest).or_else(|| self.pending.get(&digest)) {
            return Ok(*ids);
        }
        let series_header = above(stack);
        let study_header = above(series_header);
        let study = find_or_insert(transaction, study_header, None)?;
        let series = find_or_insert(transaction, series_header, Some(study))?;
        let stack = find_or_insert(transaction, stack, Some(series))?;
        let ids = HeaderIds { stack, series, study };
        self.pending.insert(digest, ids);
        Ok(ids)
    }
}

fn above(header: &Header) -> &Arc<Header> {
    header.parent().expect("a file's header is a stack header, with a series and a study above it")
}

fn find_or_insert(
    transaction: &Transaction<'_>,
    header: &Header,
    parent: Option<i64>,
) -> rusqlite::Result<i64> {
    let table = table_of_level(header.level());
    let digest = header.digest().0;
    let known = transaction
        .prepare_cached(&format!("SELECT id FROM {table} WHERE digest = ?1"))?
        .query_row([digest.as_slice()], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    insert(transaction, header, parent)?;
    Ok(transaction.last_insert_rowid())
}

fn insert(transaction: &Transaction<'_>, header: &Header, parent: Option<i64>) -> rusqlite::Result<()> {
    let (level, values) = (header.level(), header.values());
    let own: &[&str] = match level {
        Level::Study => &["domain", "patient_name_folded"],
        Level::Series => &["study", "study_date"],
        Level::Stack | Level::File => &["series"],
    };
    let folded = text(values, "PatientName").map(fold_person_name);
    let odd = values.odd_json();
    let study_date = header.parent().and_then(|study| text(study.values(), "StudyDate"));
    let digest = header.digest().0;
    let digest = digest.as_slice();
    let domain = header.domain().as_str();

    let names: Vec<_> =
        values.entries().iter().map(|(id, _)| format!(", \"{}\"", attribute(*id).keyword)).collect();
    debug_assert!(values.entries().iter().all(|(id, _)| level_columns(level).any(|known| known == *id)));
    let marks = vec!["?"; own.len() + names.len() + 2].join(", ");
    let sql = format!(
        "INSERT INTO {}(n_files, n_live, live_bytes, digest, odd, {}{}) VALUES (0, 0, 0, {marks})",
        table_of_level(level),
        own.join(", "),
        names.concat(),
    );
    let mut parameters: Vec<&dyn ToSql> = vec![&digest, &odd];
    match level {
        Level::Study => parameters.extend([&domain as &dyn ToSql, &folded]),
        Level::Series => parameters.extend([&parent as &dyn ToSql, &study_date]),
        Level::Stack | Level::File => parameters.push(&parent),
    }
    let values: Vec<_> = values.entries().iter().map(|(_, value)| BoundValue(value)).collect();
    parameters.extend(values.iter().map(|value| value as &dyn ToSql));
    // Headers of one kind of object name the same columns, so statements repeat.
    transaction.prepare_cached(&sql)?.execute(parameters.as_slice()).map(drop)
}

fn text<'v>(values: &'v Values, keyword: &str) -> Option<&'v str> {
    attribute_by_keyword(keyword).and_then(|id| values.text(id))
}

/// A value as a statement's parameter.
pub(crate) struct BoundValue<'a>(pub(crate) &'a Value);

impl ToSql for BoundValue<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
        Ok(match self.0 {
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Integer(number) => ToSqlOutput::Owned(Owned::Integer(*number)),
            Value::Real(number) => ToSqlOutput::Owned(Owned::Real(*number)),
        })
    }
}
