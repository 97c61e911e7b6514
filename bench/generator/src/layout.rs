//! Where files lie.

use std::path::{Path, PathBuf};

use crate::plan::{Series, date};

/// How a tree is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// patient/study/series/file
    Nested,
    /// All files in one directory, named by SOPInstanceUID.
    Flat,
    /// patient/study/series/number/file: every file has its own directory.
    Single,
}

impl Layout {
    /// The folder that a series' files lie in, or the one above theirs.
    pub(crate) fn folder(self, root: &Path, series: &Series) -> PathBuf {
        if self == Self::Flat {
            return root.to_owned();
        }
        let study = format!("{}_{}", date(series.day), 10_000 + series.study);
        root.join(format!("P{:07}", series.patient))
            .join(study)
            .join(format!("{:03}_{:?}", series.number, series.kind))
    }

    /// A file's path; `number` counts from 1.
    pub(crate) fn file(self, folder: &Path, number: u64, instance: &str) -> PathBuf {
        match self {
            Self::Nested => folder.join(format!("IM{number:06}.dcm")),
            Self::Flat => folder.join(format!("{instance}.dcm")),
            Self::Single => folder.join(format!("{number:05}")).join("image.dcm"),
        }
    }
}
