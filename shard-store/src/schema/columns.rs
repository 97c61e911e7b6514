//! Columns of the views: one list, from which shards' views, leaf queries and merge tables are made.

use std::sync::LazyLock;

use shardex_catalog::{
    ATTRIBUTES, Attribute, Column, ColumnType, Level, PATIENT_RANK, Scope, View, attribute_by_keyword,
    dicom_metadata_name,
};

use super::tables::STORED_UID_COLUMN;
use crate::packed;

/// A view column as an expression over base tables: `f` file, `k` stack_header, `s` series_header,
/// `t` study_header, `d` directory, `r` source.
#[derive(Debug)]
pub(crate) struct DefinedColumn {
    /// Name and type.
    pub(crate) column: Column,
    /// Expression.
    pub(crate) expression: String,
}

/// A view with its columns.
#[derive(Debug)]
pub(crate) struct DefinedView {
    /// The columns, in order.
    pub(crate) columns: Vec<DefinedColumn>,
    names: Vec<Column>,
    /// What a router may ask for besides.
    hidden: Vec<DefinedColumn>,
}

impl DefinedView {
    /// The column of a name, without regard to ASCII case.
    pub(crate) fn column(&self, name: &str) -> Option<&DefinedColumn> {
        let mut all = self.columns.iter().chain(&self.hidden);
        all.find(|defined| defined.column.name.eq_ignore_ascii_case(name))
    }
}

/// Columns of a view, in order.
#[must_use]
pub fn view_columns(view: View) -> &'static [Column] {
    &defined_view(view).names
}

/// A view's definition.
pub(crate) fn defined_view(view: View) -> &'static DefinedView {
    static VIEWS: LazyLock<Vec<DefinedView>> = LazyLock::new(|| {
        let defined = View::ALL.iter().map(|view| {
            let columns = define(*view);
            let names = columns.iter().map(|defined| defined.column.clone()).collect();
            DefinedView { columns, names, hidden: hidden(*view) }
        });
        defined.collect()
    });
    let at = View::ALL.iter().position(|known| *known == view).expect("ALL lists every view");
    &VIEWS[at]
}

fn define(view: View) -> Vec<DefinedColumn> {
    match view {
        View::Instances => instances(|keyword| keyword.to_owned()),
        View::DicomMetadata => instances(dicom_metadata_name),
        View::Series => series(),
        View::Studies => studies(),
        View::Patients => patients(),
        View::Files => files(),
        View::OddValues => odd_values(),
        View::Radiopharmaceuticals => radiopharmaceuticals(),
        View::Conflicts => conflicts(),
    }
}

fn hidden(view: View) -> Vec<DefinedColumn> {
    match view {
        // As many digits as the greatest number has, so that texts are in order of numbers.
        View::Patients => vec![text(PATIENT_RANK, "printf('%019d', t.n_live) || hex(t.digest)")],
        _ => Vec::new(),
    }
}

fn text(name: &str, expression: &str) -> DefinedColumn {
    defined(name, ColumnType::Text, expression)
}

fn integer(name: &str, expression: &str) -> DefinedColumn {
    defined(name, ColumnType::Integer, expression)
}

fn real(name: &str, expression: &str) -> DefinedColumn {
    defined(name, ColumnType::Real, expression)
}

fn defined(name: &str, column_type: ColumnType, expression: &str) -> DefinedColumn {
    DefinedColumn { column: Column { name: name.to_owned(), column_type }, expression: expression.to_owned() }
}

/// Alias of the table that stores an attribute.
fn alias(level: Level) -> char {
    match level {
        Level::Study => 't',
        Level::Series => 's',
        Level::Stack => 'k',
        Level::File => 'f',
    }
}

fn stored(attribute: &Attribute) -> String {
    if attribute.keyword == STORED_UID_COLUMN {
        return UNPACKED_UID.to_owned();
    }
    let column = format!("{}.\"{}\"", alias(attribute.level), attribute.keyword);
    if packed::is_packed(attribute) { packed::unpacked(&column) } else { column }
}

fn attribute_column(attribute: &Attribute, name: String) -> DefinedColumn {
    let own = stored(attribute);
    let expression = match attribute.resolves.and_then(attribute_by_keyword) {
        Some(top) => format!("coalesce({}, {own})", stored(&ATTRIBUTES[top.index()])),
        None => own,
    };
    defined(&name, attribute.column, &expression)
}

fn attributes_of(scopes: &[Scope]) -> impl Iterator<Item = DefinedColumn> {
    ATTRIBUTES
        .iter()
        .filter(move |attribute| scopes.contains(&attribute.scope))
        .map(|attribute| attribute_column(attribute, attribute.keyword.to_owned()))
}

const UNPACKED_UID: &str = "CASE typeof(f.sop_instance_uid) WHEN 'blob' THEN \
     replace(rtrim(hex(f.sop_instance_uid), 'F'), 'A', '.') ELSE f.sop_instance_uid END";

const PATH: &str = "CASE WHEN typeof(d.path) = 'blob' OR typeof(f.name) = 'blob' THEN \
     CAST(CASE WHEN length(d.path) = 0 THEN f.name ELSE d.path || '/' || f.name END AS BLOB) \
     WHEN d.path = '' THEN f.name ELSE d.path || '/' || f.name END";

const FILE_PATH: &str = "CASE WHEN typeof(r.root) = 'blob' OR typeof(d.path) = 'blob' OR typeof(f.name) = 'blob' THEN \
     CAST(CASE WHEN length(d.path) = 0 THEN r.root || '/' || f.name ELSE r.root || '/' || d.path || '/' || f.name END AS BLOB) \
     WHEN d.path = '' THEN r.root || '/' || f.name ELSE r.root || '/' || d.path || '/' || f.name END";

const STATE: &str = "CASE WHEN f.warnings IS NULL THEN 'indexed' ELSE 'warning' END";

/// The n-th number (from 0) of a text joined by backslashes.
fn component(of: &str, n: usize) -> String {
    let mut rest = of.to_owned();
    for _ in 0..n {
        rest = format!("substr({rest}, instr({rest}, '\\') + 1)");
    }
    // A following backslash ends the number for CAST; without an n-th component there is none.
    let enough = format!("length({of}) - length(replace({of}, '\\', '')) >= {n}");
    format!("CASE WHEN {enough} THEN CAST(substr({rest}, 1, instr({rest} || '\\', '\\') - 1) AS REAL) END")
}

fn file_columns() -> Vec<DefinedColumn> {
    vec![
        text("domain", "t.domain"),
        text("source", "r.name"),
        text("path", PATH),
        text("file_path", FILE_PATH),
        integer("size", "f.size"),
        real("mtime", "f.mtime_ns / 1e9"),
        text("state", STATE),
        text("warnings", "f.warnings"),
        text("digest", "lower(hex(f.digest))"),
    ]
}

fn instances(name: impl Fn(&str) -> String) -> Vec<DefinedColumn> {
    let attributes = ATTRIBUTES.iter().map(|a| attribute_column(a, name(a.keyword)));
    let scalars = [
        ("PixelSpacingRow", "PixelSpacing", 0),
        ("PixelSpacingColumn", "PixelSpacing", 1),
        ("ImagePositionX", "ImagePositionPatient", 0),
        ("ImagePositionY", "ImagePositionPatient", 1),
        ("ImagePositionZ", "ImagePositionPatient", 2),
    ];
    let scalars = scalars.map(|(keyword, of, n)| {
        let of = attribute_by_keyword(of).expect("it is in the table");
        real(&name(keyword), &component(&stored(&ATTRIBUTES[of.index()]), n))
    });
    attributes.chain(scalars).chain(file_columns()).collect()
}

/// Runs over the live headers that share a study with `t`.
const STUDY_SIBLINGS: &str = "FROM study_header ot JOIN series_header os ON os.study = ot.id \
     WHERE ot.\"StudyInstanceUID\" = t.\"StudyInstanceUID\" AND ot.domain = t.domain AND os.n_live > 0";

fn joined(value: &str, from: &str) -> String {
    format!(
        "(SELECT group_concat(v, '\\') FROM (SELECT DISTINCT {value} AS v {from} AND {value} IS NOT NULL ORDER BY v))"
    )
}

const STUDY_SUM: &str = "FROM study_header ot WHERE ot.\"StudyInstanceUID\" = t.\"StudyInstanceUID\" \
     AND ot.domain = t.domain";

fn studies() -> Vec<DefinedColumn> {
    let stacks =
        STUDY_SIBLINGS.replace("WHERE", "JOIN stack_header ok ON ok.series = os.id WHERE ok.n_live > 0 AND");
    let mut columns = vec![text("domain", "t.domain")];
    columns.extend(attributes_of(&[Scope::Patient, Scope::Study]));
    columns.extend([
        text("ModalitiesInStudy", &joined("os.\"Modality\"", STUDY_SIBLINGS)),
        text("SOPClassesInStudy", &joined("ok.\"SOPClassUID\"", &stacks)),
        integer(
            "NumberOfStudyRelatedSeries",
            &format!("(SELECT count(DISTINCT os.\"SeriesInstanceUID\") {STUDY_SIBLINGS})"),
        ),
        integer("NumberOfStudyRelatedInstances", &format!("(SELECT sum(ot.n_live) {STUDY_SUM})")),
        text("InstanceAvailability", "'ONLINE'"),
        integer("PatientAgeYears", PATIENT_AGE_YEARS),
        integer("headers", &format!("(SELECT count(*) {STUDY_SUM} AND ot.n_live > 0)")),
        integer("bytes", &format!("(SELECT sum(ot.live_bytes) {STUDY_SUM})")),
    ]);
    columns
}

/// From PatientAge where it counts years, else from the dates.
const PATIENT_AGE_YEARS: &str = "CASE WHEN t.\"PatientAge\" GLOB '[0-9][0-9][0-9]Y' \
     THEN CAST(t.\"PatientAge\" AS INTEGER) \
     WHEN length(t.\"StudyDate\") = 8 AND length(t.\"PatientBirthDate\") = 8 \
     THEN (CAST(t.\"StudyDate\" AS INTEGER) - CAST(t.\"PatientBirthDate\" AS INTEGER)) / 10000 END";

/// Runs over the live headers that share a series with `s`.
const SERIES_SIBLINGS: &str = "FROM series_header os JOIN study_header ot ON os.study = ot.id \
     WHERE os.\"SeriesInstanceUID\" = s.\"SeriesInstanceUID\" \
     AND ot.\"StudyInstanceUID\" = t.\"StudyInstanceUID\" AND ot.domain = t.domain AND os.n_live > 0";

fn series() -> Vec<DefinedColumn> {
    let stacks =
        SERIES_SIBLINGS.replace("WHERE", "JOIN stack_header ok ON ok.series = os.id WHERE ok.n_live > 0 AND");
    let files = stacks.replace("WHERE", "JOIN file f ON f.stack = ok.id WHERE f.is_primary AND");
    let mut columns = vec![text("domain", "t.domain")];
    columns.extend(attributes_of(&[Scope::Patient, Scope::Study, Scope::Series]));
    columns.extend([
        integer("NumberOfSeriesRelatedInstances", &format!("(SELECT sum(os.n_live) {SERIES_SIBLINGS})")),
        integer(
            "NumberOfSeriesRelatedFrames",
            &format!("(SELECT sum(coalesce(f.\"NumberOfFrames\", 1)) {files})"),
        ),
        text("TransferSyntaxUIDs", &joined("ok.\"TransferSyntaxUID\"", &stacks)),
        integer("headers", &format!("(SELECT count(*) {stacks})")),
        integer("bytes", &format!("(SELECT sum(os.live_bytes) {SERIES_SIBLINGS})")),
    ]);
    columns
}

fn patients() -> Vec<DefinedColumn> {
    // A patient without an id is one a study: such rows are not merged.
    let same = "FROM study_header ot WHERE ot.n_live > 0 AND ot.\"PatientID\" IS t.\"PatientID\" \
         AND ot.\"IssuerOfPatientID\" IS t.\"IssuerOfPatientID\" AND ot.domain = t.domain \
         AND (t.\"PatientID\" IS NOT NULL OR ot.\"StudyInstanceUID\" = t.\"StudyInstanceUID\")";
    let same_series =
        same.replace("WHERE", "JOIN series_header os ON os.study = ot.id WHERE os.n_live > 0 AND");
    let mut columns = vec![text("domain", "t.domain")];
    columns.extend(attributes_of(&[Scope::Patient]));
    columns.extend([
        integer(
            "NumberOfPatientRelatedStudies",
            &format!("(SELECT count(DISTINCT ot.\"StudyInstanceUID\") {same})"),
        ),
        integer(
            "NumberOfPatientRelatedSeries",
            &format!(
                "(SELECT count(DISTINCT ot.\"StudyInstanceUID\" || ' ' || os.\"SeriesInstanceUID\") {same_series})"
            ),
        ),
        integer("NumberOfPatientRelatedInstances", &format!("(SELECT sum(ot.n_live) {same})")),
        integer("bytes", &format!("(SELECT sum(ot.live_bytes) {same})")),
    ]);
    columns
}

fn files() -> Vec<DefinedColumn> {
    vec![
        text("domain", "t.domain"),
        text("source", "r.name"),
        text("path", PATH),
        integer("size", "f.size"),
        real("mtime", "f.mtime_ns / 1e9"),
        text("state", STATE),
        text("reason", "f.warnings"),
        text("kind", "'dicom'"),
        text("file_path", FILE_PATH),
        text("SOPInstanceUID", UNPACKED_UID),
    ]
}

fn odd_values() -> Vec<DefinedColumn> {
    vec![
        text("domain", "t.domain"),
        text("source", "r.name"),
        text("path", PATH),
        text("keyword", "j.key"),
        text("raw", "j.value"),
    ]
}

fn radiopharmaceuticals() -> Vec<DefinedColumn> {
    let sequence = "RadiopharmaceuticalInformationSequence";
    let id = attribute_by_keyword(sequence).expect("it is in the table");
    let shardex_catalog::Source::Items(_, fields) = ATTRIBUTES[id.index()].source else {
        unreachable!("the table lists it with its items")
    };
    let mut columns = vec![
        text("domain", "t.domain"),
        text("PatientID", "t.\"PatientID\""),
        text("StudyInstanceUID", "t.\"StudyInstanceUID\""),
        text("SeriesInstanceUID", "s.\"SeriesInstanceUID\""),
        integer("item", "j.key + 1"),
    ];
    columns.extend(fields.iter().map(|(keyword, vr, _)| {
        let column = match vr {
            shardex_catalog::Vr::DS | shardex_catalog::Vr::FD => ColumnType::Real,
            _ => ColumnType::Text,
        };
        defined(keyword, column, &format!("json_extract(j.value, '$.{keyword}')"))
    }));
    columns
}

fn conflicts() -> Vec<DefinedColumn> {
    vec![
        text("domain", "c.domain"),
        text("level", "c.level"),
        text("StudyInstanceUID", "c.study_instance_uid"),
        text("SeriesInstanceUID", "c.series_instance_uid"),
        text("keyword", "c.keyword"),
        integer("n_values", "c.n_values"),
        text("value_min", "c.value_min"),
        text("value_max", "c.value_max"),
    ]
}
