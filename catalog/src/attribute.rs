//! What one indexed attribute is: where it stands in a file, at which level it is stored, which
//! column it becomes. The rows themselves are in [`crate::ATTRIBUTES`].

/// A DICOM tag as `0xGGGGEEEE`.
pub type Tag = u32;

/// Where an attribute stands: tags from the top level of the data set downwards. Every tag but the
/// last is a sequence, of which the first item is entered.
pub type TagPath = &'static [Tag];

/// Index of an attribute in [`crate::ATTRIBUTES`]. Valid within one process only; what is stored
/// or sent names attributes by keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeId(pub u16);

impl AttributeId {
    /// The position in [`crate::ATTRIBUTES`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Value representation of an attribute (PS3.5 section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the standard's own")]
#[rustfmt::skip]
pub enum Vr { AE, AS, AT, CS, DA, DS, DT, FD, FL, IS, LO, LT, OB, PN, SH, SL, SQ, SS, ST, TM, UC, UI, UL, UR, US, UT }

/// The table of a shard that stores an attribute. The header levels are content-addressed and
/// shared by all files with equal values; `File` is for what differs on nearly every slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// `study_header`: patient and study attributes.
    Study,
    /// `series_header`: series and equipment attributes.
    Series,
    /// `stack_header`: image and acquisition attributes that vary little inside a series.
    Stack,
    /// `file`: one value a file.
    File,
}

/// The query level at which an attribute is asked for (PS3.4 C.6.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the standard's own")]
pub enum Scope {
    Patient,
    Study,
    Series,
    Instance,
}

/// Type of the column that holds an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// UTF-8 text; values of an attribute with several are joined by a backslash.
    Text,
    /// 64-bit integer or NULL, never text.
    Integer,
    /// 64-bit float or NULL, never text.
    Real,
    /// JSON array with one object an item of a sequence, keys are keywords.
    Items,
}

/// Attributes that extraction computes from more than one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Derivation {
    /// First non-empty of the text, the code meaning and the GE tracer name, of every item.
    Radiopharmaceutical,
    /// Nuclide by RadionuclideCodeSequence, as `18F`.
    Radionuclide,
    /// RadionuclideTotalDose in becquerel (NM and Enhanced PET files hold megabecquerel).
    RadionuclideTotalDoseBq,
}

/// Where the value of an attribute comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The first of these paths that has a value.
    Paths(&'static [TagPath]),
    /// All items of the sequence at this path; of each item the listed paths, relative to the
    /// item, under their keyword.
    Items(TagPath, &'static [(&'static str, Vr, TagPath)]),
    /// Computed.
    Derived(Derivation),
}

/// One indexed attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// DICOM keyword; the column's name in every view.
    pub keyword: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// Value representation as the data dictionary gives it (PS3.6).
    pub vr: Vr,
    /// Whether the dictionary allows more than one value; such columns are text.
    pub multiple: bool,
    /// Level at which it is asked for.
    pub scope: Scope,
    /// Table that stores it.
    pub level: Level,
    /// Type of its column.
    pub column: ColumnType,
    /// Top-level attribute that this one completes: the view's column is the first of both that is
    /// not NULL.
    pub resolves: Option<&'static str>,
    /// Whether a shard carries an index on it.
    pub indexed: bool,
    /// Schema version that added it.
    pub since: u16,
}
