//! The levels at which a search looks.

use std::fmt;
use std::str::FromStr;

use crate::View;

/// What a search looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the standard's own")]
pub enum SearchLevel {
    Patients,
    Studies,
    Series,
    Instances,
}

impl SearchLevel {
    /// All levels, from above.
    pub const ALL: &'static [Self] = &[Self::Patients, Self::Studies, Self::Series, Self::Instances];

    /// The view with a row for each of what is looked for.
    #[must_use]
    pub fn view(self) -> View {
        match self {
            Self::Patients => View::Patients,
            Self::Studies => View::Studies,
            Self::Series => View::Series,
            Self::Instances => View::Instances,
        }
    }

    /// The columns that an answer has unless others are asked for.
    #[must_use]
    pub fn usual_columns(self) -> &'static [&'static str] {
        match self {
            Self::Patients => &[
                "PatientID",
                "PatientName",
                "PatientBirthDate",
                "PatientSex",
                "NumberOfPatientRelatedStudies",
                "NumberOfPatientRelatedInstances",
            ],
            Self::Studies => &[
                "StudyDate",
                "PatientID",
                "PatientName",
                "ModalitiesInStudy",
                "StudyDescription",
                "AccessionNumber",
                "NumberOfStudyRelatedSeries",
                "NumberOfStudyRelatedInstances",
                "StudyInstanceUID",
            ],
            Self::Series => &[
                "StudyDate",
                "PatientID",
                "Modality",
                "SeriesNumber",
                "SeriesDescription",
                "NumberOfSeriesRelatedInstances",
                "SeriesInstanceUID",
                "StudyInstanceUID",
            ],
            Self::Instances => {
                &["StudyDate", "PatientID", "Modality", "InstanceNumber", "SOPInstanceUID", "file_path"]
            }
        }
    }
}

impl fmt::Display for SearchLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.view().as_str())
    }
}

impl FromStr for SearchLevel {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|level| level.view().as_str() == name).ok_or(())
    }
}
