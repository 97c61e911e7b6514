//! What a router asks of one shard: rows of a view, filtered, with the columns that it needs.

use std::fmt;
use std::str::FromStr;

use crate::query::{Order, SearchKey, SearchLevel};

/// A column that shards give of [`View::Patients`] besides the view's own: the rank of the header whose values a row
/// displays (its live instances, then its digest) as a text. Of a patient's rows from several shards that with the
/// greatest is displayed, as it would be in one shard.
pub const PATIENT_RANK: &str = "patient_rank";

/// The views that every shard and every answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum View {
    Patients,
    Studies,
    Series,
    Instances,
    Files,
    OddValues,
    DicomMetadata,
    Radiopharmaceuticals,
    Conflicts,
}

impl View {
    /// All views.
    pub const ALL: &'static [Self] = &[
        Self::Patients,
        Self::Studies,
        Self::Series,
        Self::Instances,
        Self::Files,
        Self::OddValues,
        Self::DicomMetadata,
        Self::Radiopharmaceuticals,
        Self::Conflicts,
    ];

    /// Name of the view in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patients => "patients",
            Self::Studies => "studies",
            Self::Series => "series",
            Self::Instances => "instances",
            Self::Files => "files",
            Self::OddValues => "odd_values",
            Self::DicomMetadata => "dicom_metadata",
            Self::Radiopharmaceuticals => "radiopharmaceuticals",
            Self::Conflicts => "conflicts",
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for View {
    type Err = ();

    /// The view of a name, without regard to ASCII case.
    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|view| view.as_str().eq_ignore_ascii_case(name)).ok_or(())
    }
}

/// A column of a view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, which gives the affinity of a merge column.
    pub column_type: crate::ColumnType,
}

/// Rows of one view of one shard.
///
/// `filters` are SQL expressions over the view's columns, joined by AND; every one was written by
/// a user and is only run read-only, sandboxed, and after [`LeafQuery::view`]'s columns were
/// checked.
#[derive(Clone, Debug)]
pub struct LeafQuery {
    /// The view.
    pub view: View,
    /// Names of the wanted columns; none asks for empty rows (to count them).
    pub columns: Vec<String>,
    /// Expressions that a row must satisfy.
    pub filters: Vec<String>,
    /// Rows of these SOP instances only (an index look-up), in addition to `filters`.
    pub sop_instance_uids: Option<Vec<String>>,
    /// At most this many rows; more is an error of the caller's limit, not of the shard.
    pub rows_max: Option<u64>,
}

/// What of one view of one shard matches a search.
#[derive(Clone, Debug, PartialEq)]
pub struct LeafSearch {
    /// What is looked for.
    pub level: SearchLevel,
    /// What it must be like.
    pub keys: Vec<SearchKey>,
    /// The view whose rows are wanted: the level's, or `instances` for the instances of what is found.
    pub view: View,
    /// Names of the wanted columns.
    pub columns: Vec<String>,
    /// Order of the rows; with `rows_max` the first of them.
    pub order: Vec<Order>,
    /// At most this many rows.
    pub rows_max: Option<u64>,
    /// One row with the number of rows in place of them.
    pub is_count: bool,
}

/// One value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// 64-bit integer.
    Integer(i64),
    /// 64-bit float.
    Real(f64),
    /// UTF-8 text.
    Text(String),
    /// Bytes; a path that is not UTF-8, for one.
    Blob(Vec<u8>),
}

/// A condition that may let a router leave a shard out.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// The column equals one of these texts.
    In(String, Vec<String>),
    /// The column is text between these, both included, in binary order.
    Between(String, Option<String>, Option<String>),
}
