//! The one state that every file ends in, and why.

use std::fmt;
use std::str::FromStr;

macro_rules! named_enum {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $type {
            /// All of them, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that is stored and shown.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|known| known.as_str() == name)
                    .ok_or_else(|| UnknownName(name.chars().take(40).collect()))
            }
        }
    };
}

/// A name that stands for no variant of the type it was parsed as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name `{0}`")]
pub struct UnknownName(String);

named_enum! {
    /// What became of a file.
    FileState {
        /// Its row is in a shard.
        Indexed = "indexed",
        /// Its row is in a shard, and something about it deserves a look.
        Warning = "warning",
        /// It is something else; see [`FileKind`].
        NotDicom = "not_dicom",
        /// It was not to be indexed: DICOMDIR, symbolic link, excluded.
        Skipped = "skipped",
        /// DICOM that legitimately belongs to no study (colour palettes, hanging protocols).
        NonPatient = "non_patient",
        /// A stub of a hierarchical storage manager, not recalled.
        Offline = "offline",
        /// It could not be indexed and needs a person; see [`Reason`].
        Quarantined = "quarantined",
        /// It was there once and is gone.
        Deleted = "deleted",
    }
}

impl FileState {
    /// Whether a file of this state has a row in a shard.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Indexed | Self::Warning)
    }
}

named_enum! {
    /// What a file that is not indexed is, by its first bytes.
    FileKind {
        /// No bytes.
        Empty = "empty",
        /// ZIP archive.
        Zip = "zip",
        /// gzip stream.
        Gzip = "gzip",
        /// bzip2 stream.
        Bzip2 = "bzip2",
        /// xz stream.
        Xz = "xz",
        /// Zstandard stream.
        Zstd = "zstd",
        /// tar archive.
        Tar = "tar",
        /// 7z archive.
        SevenZip = "7z",
        /// RAR archive.
        Rar = "rar",
        /// PDF.
        Pdf = "pdf",
        /// NIfTI image.
        Nifti = "nifti",
        /// NRRD image.
        Nrrd = "nrrd",
        /// HDF5 (MINC 2, MATLAB 7.3).
        Hdf5 = "hdf5",
        /// PNG.
        Png = "png",
        /// JPEG.
        Jpeg = "jpeg",
        /// GIF.
        Gif = "gif",
        /// BMP.
        Bmp = "bmp",
        /// TIFF.
        Tiff = "tiff",
        /// XML or HTML.
        Xml = "xml",
        /// JSON.
        Json = "json",
        /// Plain text.
        Text = "text",
        /// SQLite database.
        Sqlite = "sqlite",
        /// Program.
        Executable = "executable",
        /// DICOMDIR.
        Dicomdir = "dicomdir",
        /// DICOM object.
        Dicom = "dicom",
        /// Symbolic link.
        Symlink = "symlink",
        /// FIFO, socket or device.
        Special = "special",
        /// Anything else.
        Other = "other",
    }
}

impl FileKind {
    /// Whether files of this kind may hold others, DICOM among them, that were not looked at.
    #[must_use]
    pub fn is_archive(self) -> bool {
        use FileKind::{Bzip2, Gzip, Rar, SevenZip, Tar, Xz, Zip, Zstd};
        matches!(self, Zip | Gzip | Bzip2 | Xz | Zstd | Tar | SevenZip | Rar)
    }
}

named_enum! {
    /// Why a file is `quarantined` or `skipped`.
    Reason {
        /// The file could not be opened: permission denied.
        PermissionDenied = "permission_denied",
        /// Reading failed.
        ReadError = "read_error",
        /// Nothing, or nothing that can be read, follows the DICM prefix.
        NoElements = "no_elements",
        /// The data set breaks off or breaks down before the UIDs were read.
        BrokenHeader = "broken_header",
        /// No StudyInstanceUID.
        NoStudyInstanceUid = "no_study_instance_uid",
        /// No SeriesInstanceUID.
        NoSeriesInstanceUid = "no_series_instance_uid",
        /// No SOPInstanceUID, in the data set or in the file meta group.
        NoSopInstanceUid = "no_sop_instance_uid",
        /// The reader failed on it: a defect of shardex.
        ReaderFailure = "reader_failure",
        /// It changed while it was read, again and again.
        Unstable = "unstable",
        /// Left out by `--exclude`, `--include` or a default exclusion.
        Excluded = "excluded",
        /// A DICOMDIR.
        Dicomdir = "dicomdir",
        /// A symbolic link; links are not followed.
        Symlink = "symlink",
        /// A FIFO, socket or device.
        Special = "special",
    }
}

named_enum! {
    /// What makes an indexed file a `warning`.
    WarningClass {
        /// No preamble and `DICM` prefix (PS3.10 7.1).
        NoPreamble = "no_preamble",
        /// The file meta group is absent, incomplete or wrongly encoded.
        MetaGroup = "meta_group",
        /// The data set is not in the encoding that the transfer syntax says.
        TransferSyntax = "transfer_syntax",
        /// SOPInstanceUID came from the file meta group.
        SopInstanceUidFromMeta = "sop_instance_uid_from_meta",
        /// The file ends inside the header.
        Truncated = "truncated",
        /// The data set breaks down somewhere; what could be read before and behind that is indexed.
        Broken = "broken",
        /// The file ends inside the pixel data.
        TruncatedPixelData = "truncated_pixel_data",
        /// Bytes that the character set does not define, or bytes above 127 without one.
        Charset = "charset",
        /// A value that does not fit its type; see view `odd_values`.
        OddValue = "odd_value",
        /// A UID with blanks or characters that PS3.5 section 9 forbids.
        Uid = "uid",
        /// An element twice or out of order.
        ElementOrder = "element_order",
        /// A value longer than the reader takes; it was cut.
        LongValue = "long_value",
    }
}

/// A set of warning classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Warnings(u32);

impl Warnings {
    /// Adds a class.
    pub fn insert(&mut self, class: WarningClass) {
        self.0 |= 1 << class as u32;
    }

    /// Whether a class is in the set.
    #[must_use]
    pub fn contains(self, class: WarningClass) -> bool {
        self.0 & (1 << class as u32) != 0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The classes, in order of declaration.
    pub fn iter(self) -> impl Iterator<Item = WarningClass> {
        WarningClass::ALL.iter().copied().filter(move |class| self.contains(*class))
    }

    /// The classes' names joined by commas; `None` where there is none.
    #[must_use]
    pub fn to_text(self) -> Option<String> {
        let names: Vec<_> = self.iter().map(WarningClass::as_str).collect();
        (!names.is_empty()).then(|| names.join(","))
    }

    /// Reverses [`Warnings::to_text`]; unknown names (of a later version) are left out.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut warnings = Self::default();
        text.split(',').filter_map(|name| name.parse().ok()).for_each(|class| warnings.insert(class));
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_parse_back() {
        for state in FileState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
        }
        for kind in FileKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        assert!("nonsense".parse::<FileState>().is_err());
    }

    #[test]
    fn warnings_round_trip() {
        let mut warnings = Warnings::default();
        assert_eq!(warnings.to_text(), None);
        warnings.insert(WarningClass::Charset);
        warnings.insert(WarningClass::NoPreamble);
        let text = warnings.to_text().expect("two classes");
        assert_eq!(text, "no_preamble,charset");
        assert_eq!(Warnings::from_text(&text), warnings);
        assert_eq!(Warnings::from_text("later,charset").to_text().as_deref(), Some("charset"));
    }
}
