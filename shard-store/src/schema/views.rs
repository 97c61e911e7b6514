//! The views of a shard, and the narrow selects that answer leaf queries over the same expressions.

use std::fmt::Write;

use shardex_catalog::{ATTRIBUTES, Attribute, LeafQuery, Level, Scope, View};

use super::columns::{DefinedColumn, defined_view};

/// DDL of all views.
pub(crate) fn create_views() -> String {
    let mut ddl = String::new();
    for view in View::ALL {
        let defined = defined_view(*view);
        let columns: Vec<_> = defined.columns.iter().collect();
        // The flat view has the columns of `instances` under other names, in the same order.
        let select = if *view == View::DicomMetadata {
            let names = defined_view(View::Instances).columns.iter().zip(&columns);
            let renamed = names.map(|(from, to)| format!("{} {}", quoted(&from.column.name), to.column.name));
            format!("SELECT {} FROM instances", renamed.collect::<Vec<_>>().join(","))
        } else {
            select(*view, &columns)
        };
        let _ = writeln!(ddl, "CREATE VIEW {view} AS {select};");
    }
    ddl
}

/// The statement of a leaf query: a subquery with the needed columns only, which SQLite flattens,
/// and the filters around it. One parameter for each of the query's SOP Instance UIDs is bound.
///
/// # Errors
/// The name of the first wanted column that the view does not have.
pub(crate) fn leaf_select(query: &LeafQuery) -> Result<String, String> {
    let view = defined_view(query.view);
    let mut columns: Vec<&DefinedColumn> = Vec::new();
    for name in &query.columns {
        columns.push(view.column(name).ok_or_else(|| name.clone())?);
    }
    // A column that a filter only seems to name costs nothing: SQLite drops what nobody reads.
    let named = query.filters.iter().flat_map(|filter| identifiers(filter));
    columns.extend(named.filter_map(|name| view.column(name)));
    columns.sort_by_key(|column| std::ptr::from_ref(*column));
    columns.dedup_by_key(|column| std::ptr::from_ref(*column));
    let wanted: Vec<_> = query.columns.iter().map(|name| quoted(name)).collect();
    let wanted = if wanted.is_empty() { "1".to_owned() } else { wanted.join(", ") };
    let mut inner = select(query.view, &columns);
    if let Some(uids) = query.sop_instance_uids.as_ref().filter(|_| has_files(query.view)) {
        let marks = vec!["?"; uids.len().max(1)].join(", ");
        let _ = write!(inner, " AND f.sop_instance_uid IN ({marks})");
    }
    let mut sql = format!("SELECT {wanted} FROM ({inner}) AS \"{}\"", query.view);
    for (n, filter) in query.filters.iter().enumerate() {
        let _ = write!(sql, " {} ({filter})", if n == 0 { "WHERE" } else { "AND" });
    }
    if let Some(rows_max) = query.rows_max {
        // SQLite takes a larger number for a float, which is no limit.
        let _ = write!(sql, " LIMIT {}", rows_max.min(i64::MAX.cast_unsigned()));
    }
    Ok(sql)
}

/// Whether the view has a row for a file, and so a packed UID to look up.
pub(crate) fn has_files(view: View) -> bool {
    matches!(view, View::Instances | View::DicomMetadata | View::Files)
}

/// The words of a filter outside its texts, of which there may be very many in a list.
fn identifiers(filter: &str) -> impl Iterator<Item = &str> {
    let outside = filter.split('\'').step_by(2);
    let words = outside.flat_map(|code| code.split(|c: char| !(c.is_alphanumeric() || c == '_')));
    words.filter(|word| !word.is_empty())
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn select(view: View, columns: &[&DefinedColumn]) -> String {
    let list: Vec<_> = columns.iter().map(|column| listed(column)).collect();
    let list = if list.is_empty() { "1 AS \"1\"".to_owned() } else { list.join(",") };
    if view == View::OddValues {
        let arm = |alias: &str| {
            format!(
                "SELECT {list} FROM {} JOIN json_each({alias}.odd) j WHERE {alias}.odd IS NOT NULL",
                from_all()
            )
        };
        return ["f", "k", "s", "t"].map(arm).join(" UNION ALL ");
    }
    format!("SELECT {list} FROM {}", from(view, columns))
}

/// A column in a list; its name need not be said where the expression says it.
pub(super) fn listed(column: &DefinedColumn) -> String {
    let name = quoted(&column.column.name);
    let says_name = column.expression.get(2..) == Some(&name) && column.expression.get(1..2) == Some(".");
    if says_name { column.expression.clone() } else { format!("{} AS {name}", column.expression) }
}

fn from(view: View, columns: &[&DefinedColumn]) -> String {
    match view {
        View::Instances | View::DicomMetadata => format!("{} WHERE f.is_primary", file_joins(columns)),
        View::Files => format!("{} WHERE 1", file_joins(columns)),
        View::Series => format!(
            "series_header s JOIN study_header t ON s.study = t.id WHERE s.n_live > 0 AND {}",
            SERIES_DISPLAYED
        ),
        View::Studies => format!("study_header t WHERE t.n_live > 0 AND {STUDY_DISPLAYED}"),
        View::Patients => format!("study_header t WHERE t.n_live > 0 AND {PATIENT_DISPLAYED}"),
        View::Radiopharmaceuticals => format!(
            "series_header s JOIN study_header t ON s.study = t.id \
             JOIN json_each(s.\"RadiopharmaceuticalInformationSequence\") j \
             WHERE s.n_live > 0 AND s.\"RadiopharmaceuticalInformationSequence\" IS NOT NULL AND {SERIES_DISPLAYED}"
        ),
        View::Conflicts => format!("({}) c WHERE 1", conflicts()),
        View::OddValues => from_all(),
    }
}

fn from_all() -> String {
    "file f JOIN stack_header k ON f.stack = k.id JOIN series_header s ON k.series = s.id \
     JOIN study_header t ON s.study = t.id JOIN directory d ON f.directory = d.id \
     JOIN source r ON d.source = r.id"
        .to_owned()
}

/// Only the joins that the columns need; a lone `file` counts rows without touching a header.
fn file_joins(columns: &[&DefinedColumn]) -> String {
    let uses = |alias: &str| columns.iter().any(|column| mentions(&column.expression, alias));
    let study = uses("t");
    let series = study || uses("s");
    let stack = series || uses("k");
    let source = uses("r");
    let directory = source || uses("d");
    let mut joins = String::from("file f");
    for (needed, join) in [
        (stack, " JOIN stack_header k ON f.stack = k.id"),
        (series, " JOIN series_header s ON k.series = s.id"),
        (study, " JOIN study_header t ON s.study = t.id"),
        (directory, " JOIN directory d ON f.directory = d.id"),
        (source, " JOIN source r ON d.source = r.id"),
    ] {
        if needed {
            joins.push_str(join);
        }
    }
    joins
}

/// Whether an expression reads a table alias: `alias.` not preceded by a letter or digit.
pub(super) fn mentions(expression: &str, alias: &str) -> bool {
    let pattern = format!("{alias}.");
    expression.match_indices(&pattern).any(|(at, _)| {
        !expression[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '\'')
    })
}

/// The displayed header of a study: most live instances, ties by digest.
pub(super) const STUDY_DISPLAYED: &str = "NOT EXISTS (SELECT 1 FROM study_header o \
     WHERE o.\"StudyInstanceUID\" = t.\"StudyInstanceUID\" AND o.domain = t.domain AND o.n_live > 0 \
     AND (o.n_live > t.n_live OR (o.n_live = t.n_live AND o.digest > t.digest)))";

pub(super) const SERIES_DISPLAYED: &str = "NOT EXISTS (SELECT 1 FROM series_header o JOIN study_header p ON o.study = p.id \
     WHERE o.\"SeriesInstanceUID\" = s.\"SeriesInstanceUID\" \
     AND p.\"StudyInstanceUID\" = t.\"StudyInstanceUID\" AND p.domain = t.domain AND o.n_live > 0 \
     AND (o.n_live > s.n_live OR (o.n_live = s.n_live AND o.digest > s.digest)))";

/// The displayed header of a patient in this shard; a patient without an id is one a study.
pub(super) const PATIENT_DISPLAYED: &str = "NOT EXISTS (SELECT 1 FROM study_header o \
     WHERE o.\"PatientID\" IS t.\"PatientID\" AND o.\"IssuerOfPatientID\" IS t.\"IssuerOfPatientID\" \
     AND o.domain = t.domain AND o.n_live > 0 \
     AND (t.\"PatientID\" IS NOT NULL OR o.\"StudyInstanceUID\" = t.\"StudyInstanceUID\") \
     AND (o.n_live > t.n_live OR (o.n_live = t.n_live AND o.digest > t.digest)))";

/// Values of one level that an arm of `conflicts` unpivots; SQLite's functions take 100 arguments.
const UNPIVOTED_MAX: usize = 45;

/// Attributes on which the live headers of one study, or of one series, disagree.
fn conflicts() -> String {
    let of = |scope: Scope, level: Level| {
        let fits =
            move |a: &&Attribute| a.scope == scope && a.level == level && !a.keyword.ends_with("InstanceUID");
        ATTRIBUTES.iter().filter(fits).map(|attribute| attribute.keyword).collect::<Vec<_>>()
    };
    let mut arms = Vec::new();
    for (name, scope) in [("patient", Scope::Patient), ("study", Scope::Study)] {
        let from = "study_header t WHERE t.n_live > 0";
        arms.extend(
            of(scope, Level::Study)
                .chunks(UNPIVOTED_MAX)
                .map(|keywords| arm(name, 't', keywords, from, None)),
        );
    }
    let from = "series_header s JOIN study_header t ON s.study = t.id WHERE s.n_live > 0";
    let series = of(Scope::Series, Level::Series);
    let series = series.chunks(UNPIVOTED_MAX);
    arms.extend(series.map(|keywords| arm("series", 's', keywords, from, Some("s.\"SeriesInstanceUID\""))));
    arms.join(" UNION ALL ")
}

fn arm(level: &str, alias: char, keywords: &[&str], from: &str, series: Option<&str>) -> String {
    let pairs: Vec<_> = keywords.iter().map(|keyword| format!("'{keyword}',{alias}.\"{keyword}\"")).collect();
    let from = from.replace(" WHERE ", &format!(", json_each(json_object({})) j WHERE ", pairs.join(",")));
    let by = series.map_or(String::new(), |series| format!(", {series}"));
    format!(
        "SELECT t.domain AS domain, '{level}' AS level, t.\"StudyInstanceUID\" AS study_instance_uid, \
         {} AS series_instance_uid, j.key AS keyword, count(DISTINCT j.value) AS n_values, \
         min(j.value) AS value_min, max(j.value) AS value_max FROM {from} AND j.value IS NOT NULL \
         GROUP BY t.domain, t.\"StudyInstanceUID\"{by}, j.key HAVING count(DISTINCT j.value) > 1",
        series.unwrap_or("NULL"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_no_columns() {
        let filter = r#"("Modality" IN ('Rows', 'it''s Rows') AND x'00' <> "StudyDate")"#;
        assert_eq!(identifiers(filter).collect::<Vec<_>>(), ["Modality", "IN", "AND", "x", "StudyDate"]);
    }
}
