//! The statement of a search in one shard, over base tables, with bound values.
//!
//! What matches is found first, as keys of the level, from the narrowest tables that the search's keys
//! need; then the rows to show are looked up by these keys. So a study is found by whatever one of its
//! live headers says, and shown by its displayed header.

mod condition;

use std::fmt::Write;

use shardex_catalog::query::{Matching, Order, SearchKey, SearchLevel, Target};
use shardex_catalog::{Cell, LeafSearch, View};

use super::columns::{DefinedColumn, defined_view};
use super::views::{self, PATIENT_DISPLAYED, SERIES_DISPLAYED, STUDY_DISPLAYED, listed, mentions, quoted};
use condition::{Access, Rendered};
pub(crate) use condition::{add_functions, is_own_function};

/// SQL with the values of its parameters, in order.
#[derive(Debug, Default)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) values: Vec<Cell>,
}

impl Statement {
    fn push(&mut self, rendered: Rendered) {
        self.sql.push_str(&rendered.sql);
        self.values.extend(rendered.values);
    }
}

/// Alias, name, and how a row belongs to one of the table before.
struct Table(&'static str, &'static str, &'static str);

/// The tables of the levels, from above.
const LEVELS: [Table; 4] = [
    Table("t", "study_header", ""),
    Table("s", "series_header", "s.study = t.id"),
    Table("k", "stack_header", "k.series = s.id"),
    Table("f", "file", "f.stack = k.id"),
];
const FOLDERS: [Table; 2] =
    [Table("d", "directory", "f.directory = d.id"), Table("r", "source", "d.source = r.id")];

/// The statement of a search.
///
/// # Errors
/// The name of the first column that its view does not have.
pub(crate) fn search_select(search: &LeafSearch) -> Result<Statement, String> {
    let view = defined_view(search.view);
    let find = |name: &String| view.column(name).ok_or_else(|| name.clone());
    let mut columns: Vec<&DefinedColumn> = search.columns.iter().map(find).collect::<Result<_, _>>()?;
    let order: &[Order] = if search.is_count { &[] } else { &search.order };
    for name in order {
        columns.push(find(&name.column)?);
    }
    columns.sort_by_key(|column| std::ptr::from_ref(*column));
    columns.dedup_by_key(|column| std::ptr::from_ref(*column));
    if search.is_count {
        columns.clear();
    }
    let keys = Keys::of(search)?;
    let mut statement = Statement::default();
    if search.is_count && search.level == SearchLevel::Instances {
        statement.push(instances_counted(keys));
        return Ok(statement);
    }
    let inner = if keys.conditions.is_empty() {
        Rendered { sql: everything(search, &columns), values: Vec::new() }
    } else if search.view == View::Instances && search.level == SearchLevel::Instances {
        instances(&columns, keys)
    } else {
        statement.push(matched(search.level, keys));
        Rendered { sql: shown(search, &columns), values: Vec::new() }
    };
    let wanted = match search.columns.iter().map(|name| quoted(name)).collect::<Vec<_>>() {
        _ if search.is_count => "count(*)".to_owned(),
        wanted if wanted.is_empty() => "1".to_owned(),
        wanted => wanted.join(", "),
    };
    let _ = write!(statement.sql, "SELECT {wanted} FROM (");
    statement.push(inner);
    let _ = write!(statement.sql, ") AS {}", quoted(search.view.as_str()));
    write_order(&mut statement.sql, order);
    if let Some(rows_max) = search.rows_max.filter(|_| !search.is_count) {
        let _ = write!(statement.sql, " LIMIT {}", rows_max.min(i64::MAX.cast_unsigned()));
    }
    Ok(statement)
}

fn write_order(sql: &mut String, order: &[Order]) {
    for (n, one) in order.iter().enumerate() {
        let before = if n == 0 { " ORDER BY " } else { ", " };
        let _ = write!(sql, "{before}{}{}", quoted(&one.column), if one.descending { " DESC" } else { "" });
    }
}

/// The search's keys as conditions.
struct Keys {
    conditions: Vec<Rendered>,
    /// The index that is searched first.
    access: Access,
}

impl Keys {
    /// Keys of one sequence are one condition on its items.
    fn of(search: &LeafSearch) -> Result<Self, String> {
        let instances = defined_view(View::Instances);
        let entity = defined_view(search.level.view());
        // One index is searched, the best one: the tables' statistics may be missing or old.
        let access = search.keys.iter().map(Access::of).max().unwrap_or(Access::Scan);
        let mut is_searched = access == Access::Scan;
        let mut conditions = Vec::new();
        let mut done: Vec<&str> = Vec::new();
        for key in &search.keys {
            let (column, multiple) = match &key.target {
                Target::Instance { column, multiple } => (instances.column(column).ok_or(column)?, *multiple),
                Target::Entity { column, multiple } => (entity.column(column).ok_or(column)?, *multiple),
                Target::Item { sequence, .. } => {
                    let column = instances.column(sequence).ok_or(sequence)?;
                    if !done.contains(&&**sequence) {
                        done.push(sequence);
                        conditions.push(condition::items(&column.expression, &fields(search, sequence)));
                    }
                    continue;
                }
            };
            let uses_index = !is_searched && Access::of(key) == access;
            is_searched |= uses_index;
            conditions.push(condition::column(column, multiple, &key.matching, uses_index));
        }
        Ok(Self { conditions, access })
    }

    /// All of them, each behind an AND.
    fn joined(self) -> Rendered {
        let mut all = Rendered::default();
        for condition in self.conditions {
            let _ = write!(all.sql, " AND ({})", condition.sql);
            all.values.extend(condition.values);
        }
        all
    }
}

fn fields<'s>(search: &'s LeafSearch, of: &str) -> Vec<(&'s str, &'s Matching)> {
    let field = |key: &'s SearchKey| match &key.target {
        Target::Item { sequence, keyword } if sequence == of => Some((keyword.as_str(), &key.matching)),
        _ => None,
    };
    search.keys.iter().filter_map(field).collect()
}

/// Tables from the one with the index to search, down to `depth` and with the folders that `text` reads;
/// and the condition of what is live. `CROSS JOIN` keeps SQLite from another order.
fn tables(access: Access, depth: usize, text: &str) -> String {
    let order = match access {
        Access::InstanceUid => [3, 2, 1, 0],
        Access::SeriesUid | Access::Radiopharmaceutical | Access::Manufacturer | Access::Modality => {
            [1, 0, 2, 3]
        }
        _ => [0, 1, 2, 3],
    };
    let levels = order.into_iter().filter(|level| *level <= depth).map(|level| &LEVELS[level]);
    let tables: Vec<&Table> = levels.chain(folders(text)).collect();
    let live = ["t.n_live > 0", "s.n_live > 0", "k.n_live > 0", "f.is_primary"][depth];
    format!("{} AND {live}", joined(&tables))
}

fn joined(tables: &[&Table]) -> String {
    let from: Vec<_> = tables.iter().map(|Table(alias, name, _)| format!("{name} {alias}")).collect();
    let links = tables.iter().map(|Table(_, _, link)| *link).filter(|link| !link.is_empty());
    let links: String = links.map(|link| format!(" AND {link}")).collect();
    format!("{} WHERE 1{links}", from.join(" CROSS JOIN "))
}

/// The folders that a text reads.
fn folders(text: &str) -> impl Iterator<Item = &'static Table> {
    let reads = |table: &Table| mentions(text, table.0);
    let count = FOLDERS.iter().rposition(reads).map_or(0, |last| last + 1);
    FOLDERS[..count].iter()
}

/// How deep the levels go that a text reads.
fn depth(text: &str) -> usize {
    match folders(text).next() {
        Some(_) => LEVELS.len() - 1,
        None => LEVELS.iter().rposition(|table| mentions(text, table.0)).unwrap_or(0),
    }
}

fn list(columns: &[&DefinedColumn]) -> String {
    let list: Vec<_> = columns.iter().map(|column| listed(column)).collect();
    if list.is_empty() { "1 AS \"1\"".to_owned() } else { list.join(",") }
}

/// Rows of a search without keys. From the study, whose index gives the first rows first.
fn everything(search: &LeafSearch, columns: &[&DefinedColumn]) -> String {
    let from = match search.view {
        View::Studies => format!("{} AND {STUDY_DISPLAYED}", tables(Access::Scan, 0, "")),
        View::Series => format!("{} AND {SERIES_DISPLAYED}", tables(Access::Scan, 1, "")),
        View::Instances => {
            let list = list(columns);
            let reads_headers = LEVELS[..3].iter().chain(&FOLDERS).any(|table| mentions(&list, table.0));
            // A lone count of files needs no headers.
            if reads_headers {
                tables(Access::Scan, 3, &list)
            } else {
                "file f WHERE f.is_primary".to_owned()
            }
        }
        view => return views::select(view, columns),
    };
    let sql = format!("SELECT {} FROM {from}", list(columns));
    if search.rows_max.is_none()
        || search.order.first().is_none_or(|first| first.column != "StudyInstanceUID")
    {
        return sql;
    }
    // SQLite would rather sort all rows than walk an index that it does not search.
    let walked = "study_header t INDEXED BY \"study_header_StudyInstanceUID\"";
    format!("{} AND t.\"StudyInstanceUID\" > ''", sql.replacen("study_header t", walked, 1))
}

fn instances(columns: &[&DefinedColumn], keys: Keys) -> Rendered {
    let list = list(columns);
    let access = keys.access;
    let conditions = keys.joined();
    let from = tables(access, LEVELS.len() - 1, &format!("{list} {}", conditions.sql));
    Rendered { sql: format!("SELECT {list} FROM {from}{}", conditions.sql), values: conditions.values }
}

/// The number of instances: headers count theirs, so that files are read only where keys ask for them.
fn instances_counted(keys: Keys) -> Rendered {
    let access = keys.access;
    let conditions = keys.joined();
    let depth = depth(&conditions.sql);
    let sum = match LEVELS.get(depth) {
        Some(Table("f", ..)) | None => "count(*)".to_owned(),
        Some(Table(alias, ..)) => format!("coalesce(sum({alias}.n_live), 0)"),
    };
    let from = tables(access, depth, &conditions.sql);
    Rendered { sql: format!("SELECT {sum} FROM {from}{}", conditions.sql), values: conditions.values }
}

/// A table of the keys of what matches.
fn matched(level: SearchLevel, keys: Keys) -> Rendered {
    let (columns, least) = match level {
        SearchLevel::Patients => (
            "t.domain AS domain, t.\"IssuerOfPatientID\" AS issuer, t.\"PatientID\" AS patient, \
             CASE WHEN t.\"PatientID\" IS NULL THEN t.\"StudyInstanceUID\" END AS study",
            0,
        ),
        SearchLevel::Studies => ("t.domain AS domain, t.\"StudyInstanceUID\" AS study", 0),
        SearchLevel::Series | SearchLevel::Instances => {
            ("t.domain AS domain, t.\"StudyInstanceUID\" AS study, s.\"SeriesInstanceUID\" AS series", 1)
        }
    };
    let access = keys.access;
    let conditions = keys.joined();
    let from = tables(access, depth(&conditions.sql).max(least), &conditions.sql);
    let sql =
        format!("WITH matched AS MATERIALIZED (SELECT DISTINCT {columns} FROM {from}{}) ", conditions.sql);
    Rendered { sql, values: conditions.values }
}

/// The rows to show of what matched, looked up by its keys.
fn shown(search: &LeafSearch, columns: &[&DefinedColumn]) -> String {
    const STUDY: &str = "t.\"StudyInstanceUID\" = m.study AND t.domain = m.domain";
    const SERIES: &str = "s.\"SeriesInstanceUID\" = m.series AND s.study = t.id";
    let list = list(columns);
    let files = |levels: &'static [Table]| joined(&levels.iter().chain(folders(&list)).collect::<Vec<_>>());
    match (search.level, search.view) {
        (SearchLevel::Patients, _) => {
            let arm = |same: &str| {
                format!(
                    "SELECT {list} FROM matched m CROSS JOIN study_header t \
                     WHERE {same} AND t.domain = m.domain AND t.\"IssuerOfPatientID\" IS m.issuer \
                     AND t.n_live > 0 AND {PATIENT_DISPLAYED}"
                )
            };
            // Patients without an id are one a study.
            let with = arm("t.\"PatientID\" = m.patient");
            let without =
                "m.patient IS NULL AND t.\"StudyInstanceUID\" = m.study AND t.\"PatientID\" IS NULL";
            format!("{with} UNION ALL {}", arm(without))
        }
        (SearchLevel::Studies, View::Instances) => {
            format!("SELECT {list} FROM matched m CROSS JOIN {} AND {STUDY} AND f.is_primary", files(&LEVELS))
        }
        (_, View::Instances) => format!(
            "SELECT {list} FROM matched m CROSS JOIN series_header s CROSS JOIN study_header t \
             CROSS JOIN {} AND {SERIES} AND {STUDY} AND f.is_primary",
            files(&LEVELS[2..])
        ),
        (SearchLevel::Studies, _) => format!(
            "SELECT {list} FROM matched m CROSS JOIN study_header t WHERE {STUDY} AND t.n_live > 0 \
             AND {STUDY_DISPLAYED}"
        ),
        _ => format!(
            "SELECT {list} FROM matched m CROSS JOIN series_header s CROSS JOIN study_header t \
             WHERE {SERIES} AND {STUDY} AND s.n_live > 0 AND {SERIES_DISPLAYED}"
        ),
    }
}

#[cfg(test)]
mod tests;
