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

/// The tables from above: each joins the one before.
const TABLES: [(&str, &str); 4] = [
    ("t", "study_header t"),
    ("s", "series_header s ON s.study = t.id"),
    ("k", "stack_header k ON k.series = s.id"),
    ("f", "file f ON f.stack = k.id"),
];
const FOLDERS: [(&str, &str); 2] =
    [("d", "directory d ON f.directory = d.id"), ("r", "source r ON d.source = r.id")];

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
    let conditions = conditions(search)?;
    let mut statement = Statement::default();
    let inner = if search.view == View::Instances && search.level == SearchLevel::Instances {
        instances(&columns, conditions)
    } else if conditions.is_empty() {
        Rendered { sql: views::select(search.view, &columns), values: Vec::new() }
    } else {
        statement.push(matched(search.level, conditions));
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

/// The search's keys as conditions; keys of one sequence are one condition on its items.
fn conditions(search: &LeafSearch) -> Result<Vec<Rendered>, String> {
    let instances = defined_view(View::Instances);
    let entity = defined_view(search.level.view());
    let best = search.keys.iter().map(Access::of).max().unwrap_or(Access::Scan);
    let mut is_searched = false;
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
        // One index is searched, the best one: the tables' statistics may be missing or old.
        let access = Access::of(key);
        let uses_index = access == best && access != Access::Scan && !is_searched;
        is_searched |= uses_index;
        conditions.push(condition::column(column, multiple, &key.matching, uses_index));
    }
    Ok(conditions)
}

fn fields<'s>(search: &'s LeafSearch, of: &str) -> Vec<(&'s str, &'s Matching)> {
    let field = |key: &'s SearchKey| match &key.target {
        Target::Item { sequence, keyword } if sequence == of => Some((keyword.as_str(), &key.matching)),
        _ => None,
    };
    search.keys.iter().filter_map(field).collect()
}

fn joined(conditions: Vec<Rendered>) -> Rendered {
    let mut all = Rendered::default();
    for condition in conditions {
        let _ = write!(all.sql, " AND ({})", condition.sql);
        all.values.extend(condition.values);
    }
    all
}

/// Tables down to `depth`, with folders where `text` reads them, and the condition of what is live.
fn tables(depth: usize, text: &str) -> String {
    let mut from = String::new();
    for (n, (_, table)) in TABLES[..=depth].iter().enumerate() {
        let _ = write!(from, "{}{table}", if n == 0 { "" } else { " JOIN " });
    }
    let needs_source = mentions(text, FOLDERS[1].0);
    for (n, (alias, table)) in FOLDERS.iter().enumerate() {
        if mentions(text, alias) || (n == 0 && needs_source) {
            let _ = write!(from, " JOIN {table}");
        }
    }
    let live = ["t.n_live > 0", "s.n_live > 0", "k.n_live > 0", "f.is_primary"][depth];
    format!("{from} WHERE {live}")
}

/// How deep the tables go that a text reads.
fn depth(text: &str) -> usize {
    let reads_folder = FOLDERS.iter().any(|(alias, _)| mentions(text, alias));
    let deepest = TABLES.iter().rposition(|(alias, _)| mentions(text, alias)).unwrap_or(0);
    if reads_folder { TABLES.len() - 1 } else { deepest }
}

fn instances(columns: &[&DefinedColumn], conditions: Vec<Rendered>) -> Rendered {
    let list: Vec<_> = columns.iter().map(|column| listed(column)).collect();
    let list = if list.is_empty() { "1 AS \"1\"".to_owned() } else { list.join(",") };
    let conditions = joined(conditions);
    let text = format!("{list} {}", conditions.sql);
    let reads = |alias: &str| mentions(&text, alias);
    let is_lone = !["t", "s", "k", "d", "r"].into_iter().any(reads);
    // A lone count of files needs no headers.
    let from = if is_lone { "file f WHERE f.is_primary".to_owned() } else { tables(TABLES.len() - 1, &text) };
    Rendered { sql: format!("SELECT {list} FROM {from}{}", conditions.sql), values: conditions.values }
}

/// A table of the keys of what matches.
fn matched(level: SearchLevel, conditions: Vec<Rendered>) -> Rendered {
    let (keys, least) = match level {
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
    let conditions = joined(conditions);
    let from = tables(depth(&conditions.sql).max(least), &conditions.sql);
    let sql = format!("WITH matched AS MATERIALIZED (SELECT DISTINCT {keys} FROM {from}{}) ", conditions.sql);
    Rendered { sql, values: conditions.values }
}

/// The rows to show of what matched: `CROSS JOIN` keeps SQLite from beginning with the rows.
fn shown(search: &LeafSearch, columns: &[&DefinedColumn]) -> String {
    let list: Vec<_> = columns.iter().map(|column| listed(column)).collect();
    let list = if list.is_empty() { "1 AS \"1\"".to_owned() } else { list.join(",") };
    let study =
        "matched m CROSS JOIN study_header t ON t.\"StudyInstanceUID\" = m.study AND t.domain = m.domain";
    let series = "matched m CROSS JOIN series_header s ON s.\"SeriesInstanceUID\" = m.series \
         CROSS JOIN study_header t ON s.study = t.id AND t.\"StudyInstanceUID\" = m.study AND t.domain = m.domain";
    let from = match (search.level, search.view) {
        (SearchLevel::Patients, _) => {
            let arm = |same: &str| {
                format!(
                    "SELECT {list} FROM matched m CROSS JOIN study_header t ON {same} AND t.domain = m.domain \
                     WHERE t.n_live > 0 AND {PATIENT_DISPLAYED}"
                )
            };
            // Patients without an id are one a study.
            let with = "t.\"PatientID\" = m.patient AND t.\"IssuerOfPatientID\" IS m.issuer";
            let without = "m.patient IS NULL AND t.\"StudyInstanceUID\" = m.study AND t.\"PatientID\" IS NULL \
                 AND t.\"IssuerOfPatientID\" IS m.issuer";
            return format!("{} UNION ALL {}", arm(with), arm(without));
        }
        (SearchLevel::Studies, View::Instances) => {
            format!(
                "{study} CROSS JOIN {} CROSS JOIN {} CROSS JOIN {}{} WHERE f.is_primary",
                TABLES[1].1,
                TABLES[2].1,
                TABLES[3].1,
                folders(&list)
            )
        }
        (_, View::Instances) => format!(
            "{series} CROSS JOIN {} CROSS JOIN {}{} WHERE f.is_primary",
            TABLES[2].1,
            TABLES[3].1,
            folders(&list)
        ),
        (SearchLevel::Studies, _) => format!("{study} WHERE t.n_live > 0 AND {STUDY_DISPLAYED}"),
        _ => format!("{series} WHERE s.n_live > 0 AND {SERIES_DISPLAYED}"),
    };
    format!("SELECT {list} FROM {from}")
}

fn folders(text: &str) -> String {
    let needs_source = mentions(text, FOLDERS[1].0);
    let needed = FOLDERS
        .iter()
        .enumerate()
        .filter(|(n, (alias, _))| mentions(text, alias) || (*n == 0 && needs_source));
    needed.map(|(_, (_, table))| format!(" CROSS JOIN {table}")).collect()
}
