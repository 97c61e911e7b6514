//! One key of a search as a condition in SQL.

use shardex_catalog::query::{
    Alternative, Matching, PersonNames, SearchKey, Target, after_prefix, folded_prefix,
};
use shardex_catalog::{Cell, PackedUid};

use crate::schema::columns::DefinedColumn;
use crate::schema::tables::STORED_UID_COLUMN;

/// The function that compares person names; connections that run searches have it.
const PERSON_NAME_MATCHES: &str = "person_name_matches";

/// One of several values of an attribute.
const VALUE: &str = "v.value";

/// A condition with the values of its parameters.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    pub(super) sql: String,
    pub(super) values: Vec<Cell>,
}

impl Rendered {
    fn new(sql: String, values: Vec<Cell>) -> Self {
        Self { sql, values }
    }

    /// Conditions of which any holds, at least one; balanced, because SQLite's expressions nest only so deep.
    fn any(mut all: Vec<Self>) -> Self {
        if all.len() < 2 {
            return all.pop().unwrap_or_default();
        }
        let right = Self::any(all.split_off(all.len() / 2));
        let left = Self::any(all);
        Self {
            sql: format!("({} OR {})", left.sql, right.sql),
            values: left.values.into_iter().chain(right.values).collect(),
        }
    }
}

/// How few rows an index search for a key is likely to find; the largest is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    Scan,
    Modality,
    Manufacturer,
    StudyDate,
    Radiopharmaceutical,
    PatientName,
    PatientId,
    AccessionNumber,
    StudyUid,
    SeriesUid,
    InstanceUid,
}

impl Access {
    /// The index that a key can search.
    pub(super) fn of(key: &SearchKey) -> Self {
        let Target::Instance { column, .. } = &key.target else { return Self::Scan };
        let Matching::Any(alternatives) = &key.matching else { return Self::Scan };
        let is_exact = alternatives.iter().all(|one| matches!(one, Alternative::Text(_)));
        let is_narrow = match alternatives.as_slice() {
            [Alternative::Wildcard(pattern)] => !Alternative::prefix(pattern).is_empty(),
            [Alternative::Name(pattern)] => folded_prefix(pattern).is_some(),
            [Alternative::Range { .. }] => true,
            _ => is_exact,
        };
        match column.as_str() {
            _ if !is_narrow => Self::Scan,
            STORED_UID_COLUMN if is_exact => Self::InstanceUid,
            "SeriesInstanceUID" => Self::SeriesUid,
            "StudyInstanceUID" => Self::StudyUid,
            "AccessionNumber" => Self::AccessionNumber,
            "PatientID" => Self::PatientId,
            "PatientName" => Self::PatientName,
            "Radiopharmaceutical" => Self::Radiopharmaceutical,
            "StudyDate" => Self::StudyDate,
            "Manufacturer" => Self::Manufacturer,
            "Modality" => Self::Modality,
            _ => Self::Scan,
        }
    }
}

/// The condition of a key on a column. With `uses_index` it is written so that SQLite searches the
/// column's index, else so that it does not.
pub(super) fn column(
    column: &DefinedColumn,
    multiple: bool,
    matching: &Matching,
    uses_index: bool,
) -> Rendered {
    let name = column.column.name.as_str();
    let Matching::Any(alternatives) = matching else {
        return Rendered::new(format!("{} IS NULL", column.expression), Vec::new());
    };
    let is_exact = alternatives.iter().all(|one| matches!(one, Alternative::Text(_)));
    if name == STORED_UID_COLUMN && is_exact {
        return packed_uids(alternatives);
    }
    let expression = if uses_index { column.expression.clone() } else { format!("+({})", column.expression) };
    let condition = if multiple {
        // A value's characters are those of a JSON text, so that only real backslashes part values.
        let values = format!("'[' || replace(json_quote({}), '\\\\', '\",\"') || ']'", column.expression);
        let each = any_of(alternatives, VALUE);
        let guard = format!("{} IS NOT NULL", column.expression);
        Rendered::new(
            format!("{guard} AND EXISTS (SELECT 1 FROM json_each({values}) v WHERE {})", each.sql),
            each.values,
        )
    } else {
        any_of(alternatives, &expression)
    };
    match (name, alternatives.as_slice()) {
        ("PatientName", [Alternative::Name(pattern)]) if uses_index => with_folded(pattern, condition),
        _ => condition,
    }
}

/// The condition that one item of a sequence satisfies all fields.
pub(super) fn items(expression: &str, fields: &[(&str, &Matching)]) -> Rendered {
    let mut sql = format!("EXISTS (SELECT 1 FROM json_each({expression}) i WHERE 1");
    let mut values = Vec::new();
    for (keyword, matching) in fields {
        let field = format!("json_extract(i.value, '$.{keyword}')");
        let condition = match matching {
            Matching::Empty => Rendered::new(format!("{field} IS NULL"), Vec::new()),
            Matching::Any(alternatives) => any_of(alternatives, &field),
        };
        sql.push_str(&format!(" AND ({})", condition.sql));
        values.extend(condition.values);
    }
    sql.push(')');
    Rendered::new(sql, values)
}

/// Narrows the search of names to those that fold to the pattern's beginning, by index; and to the few
/// that begin with a blank, which does not count.
fn with_folded(pattern: &str, condition: Rendered) -> Rendered {
    let Some(prefix) = folded_prefix(pattern) else { return condition };
    let folded = "t.patient_name_folded";
    let end = after_prefix(&prefix);
    let below = if end.is_some() { format!(" AND {folded} < ?") } else { String::new() };
    let sql = format!("(({folded} >= ?{below}) OR {folded} < '!') AND {}", condition.sql);
    let values = [Some(prefix), end].into_iter().flatten().map(Cell::Text);
    Rendered::new(sql, values.chain(condition.values).collect())
}

fn any_of(alternatives: &[Alternative], expression: &str) -> Rendered {
    let mut conditions = Vec::new();
    let (mut texts, mut numbers, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for alternative in alternatives {
        match alternative {
            Alternative::Text(text) => texts.push(text.as_str()),
            Alternative::Number(number) => numbers.push(*number),
            Alternative::Name(name) => names.push(name.as_str()),
            Alternative::Wildcard(pattern) => conditions.push(wildcard(pattern, expression)),
            Alternative::Range { low, high } => {
                conditions.push(range(low.as_deref(), high.as_deref(), expression));
            }
        }
    }
    match &*texts {
        [] => {}
        [only] => conditions.push(Rendered::new(format!("{expression} = ?"), vec![text(only)])),
        several => conditions.push(listed(expression, &serde_json::json!(several))),
    }
    if !numbers.is_empty() {
        // Values of an attribute with several are texts.
        let number =
            if expression == VALUE { format!("CAST({VALUE} AS REAL)") } else { expression.to_owned() };
        conditions.push(listed(&number, &serde_json::json!(numbers)));
    }
    if !names.is_empty() {
        let sql = format!("{PERSON_NAME_MATCHES}(?, {expression})");
        conditions.push(Rendered::new(sql, vec![text(&names.join("\\"))]));
    }
    Rendered::any(conditions)
}

fn listed(expression: &str, values: &serde_json::Value) -> Rendered {
    let sql = format!("{expression} IN (SELECT value FROM json_each(?))");
    Rendered::new(sql, vec![text(&values.to_string())])
}

fn wildcard(pattern: &str, expression: &str) -> Rendered {
    // GLOB has sets in brackets, DICOM has not.
    let glob = format!("{expression} GLOB ?");
    let escaped = text(&pattern.replace('[', "[[]"));
    let prefix = Alternative::prefix(pattern);
    match after_prefix(prefix) {
        Some(end) => Rendered::new(
            format!("({expression} >= ? AND {expression} < ? AND {glob})"),
            vec![text(prefix), text(&end), escaped],
        ),
        None => Rendered::new(glob, vec![escaped]),
    }
}

fn range(low: Option<&str>, high: Option<&str>, expression: &str) -> Rendered {
    let low = low.map(|low| (format!("{expression} >= ?"), text(low)));
    let high = high.map(|high| (format!("{expression} <= ?"), text(high)));
    let (sql, values): (Vec<_>, Vec<_>) = low.into_iter().chain(high).unzip();
    Rendered::new(format!("({})", sql.join(" AND ")), values)
}

/// SOP Instance UIDs as they are stored: packed where they are canonical.
fn packed_uids(alternatives: &[Alternative]) -> Rendered {
    let mut packed = Vec::new();
    let mut plain = Vec::new();
    for alternative in alternatives {
        let Alternative::Text(uid) = alternative else { continue };
        match PackedUid::pack(uid) {
            Some(bytes) => packed.push(bytes.as_bytes().to_vec()),
            None => plain.push(uid.as_str()),
        }
    }
    let stored = "f.sop_instance_uid";
    if let ([only], []) = (&*packed, &*plain) {
        return Rendered::new(format!("{stored} = ?"), vec![Cell::Blob(only.clone())]);
    }
    let hex = |bytes: &Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let hex: Vec<String> = packed.iter().map(hex).collect();
    let lists = [serde_json::json!(hex), serde_json::json!(plain)].map(|list| text(&list.to_string()));
    let sql = format!(
        "{stored} IN (SELECT unhex(value) FROM json_each(?) UNION ALL SELECT value FROM json_each(?))"
    );
    Rendered::new(sql, lists.into())
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// Whether a function is one of [`add_functions`]: pure, and allowed in every statement of a shard.
pub(crate) fn is_own_function(name: &str) -> bool {
    name == PERSON_NAME_MATCHES
}

/// Compares names for [`PERSON_NAME_MATCHES`]; the patterns are read once a statement.
pub(crate) fn add_functions(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    use rusqlite::functions::FunctionFlags;
    use rusqlite::types::ValueRef;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(PERSON_NAME_MATCHES, 2, flags, |context| {
        let read = |value: ValueRef<'_>| {
            value
                .as_str()
                .map(PersonNames::new)
                .map_err(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>)
        };
        let names = context.get_or_create_aux(0, read)?;
        Ok(match context.get_raw(1) {
            ValueRef::Text(bytes) => names.match_any(&String::from_utf8_lossy(bytes)),
            _ => false,
        })
    })
}
