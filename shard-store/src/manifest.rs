//! `archive.toml`: what an archive is, fixed when it is made.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shardex_catalog::{InstitutionRule, Institutions, Placement, SITES_MAX_DEFAULT};

use crate::archive::ArchiveError;
use crate::private;

/// Version of the layout of an archive's folder. Version 2 added institutions; a file of version 1
/// has none, and is written anew when it is opened for writing.
const FORMAT_VERSION: u32 = 2;

/// Contents of `archive.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Version of the folder's layout.
    pub(crate) format_version: u32,
    /// What studies are partitioned by.
    pub(crate) partition: String,
    /// Unmapped institutions with a partition of their own.
    #[serde(default = "sites_max_default")]
    institutions_max: u32,
    /// Mapping of institutions to sites, in order.
    #[serde(default, rename = "institution", skip_serializing_if = "Vec::is_empty")]
    institutions: Vec<StoredRule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRule {
    pattern: String,
    site: String,
}

fn sites_max_default() -> u32 {
    SITES_MAX_DEFAULT
}

impl Manifest {
    /// The manifest of a new archive.
    pub(crate) fn new(placement: &Placement) -> Self {
        let stored =
            |rule: &InstitutionRule| StoredRule { pattern: rule.pattern.clone(), site: rule.site.clone() };
        Self {
            format_version: FORMAT_VERSION,
            partition: placement.scheme.to_string(),
            institutions_max: placement.institutions.sites_max(),
            institutions: placement.institutions.rules().iter().map(stored).collect(),
        }
    }

    /// Where studies go.
    pub(crate) fn placement(&self, path: &Path) -> Result<Placement, ArchiveError> {
        let wrong = |detail| ArchiveError::Manifest { path: path.to_owned(), detail };
        let scheme = self.partition.parse().map_err(|error| wrong(format!("{error}")))?;
        let rules = self.institutions.iter();
        let rules =
            rules.map(|rule| InstitutionRule { pattern: rule.pattern.clone(), site: rule.site.clone() });
        let institutions = Institutions::new(rules.collect(), self.institutions_max)
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Placement { scheme, institutions })
    }

    /// Whether studies go to the same shards by both.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        let places = |manifest: &Self| Self { format_version: FORMAT_VERSION, ..manifest.clone() };
        places(self) == places(other)
    }

    /// Whether it is of an older version and should be written anew.
    pub(crate) fn is_older(&self) -> bool {
        self.format_version < FORMAT_VERSION
    }

    /// Reads a manifest; `None` if there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, ArchiveError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ArchiveError::Io { path: path.to_owned(), source: error }),
        };
        Self::parse(&text)
            .map(Some)
            .map_err(|detail| ArchiveError::Manifest { path: path.to_owned(), detail })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
        // A later version may hold what this one does not know: its number is looked at first.
        let found = table.get("format_version").and_then(toml::Value::as_integer);
        if let Some(found) = found.filter(|found| *found > i64::from(FORMAT_VERSION)) {
            return Err(format!(
                "format version {found} is newer than {FORMAT_VERSION}, the highest that this program knows: use a newer shardex"
            ));
        }
        table.try_into().map_err(|error| error.message().to_owned())
    }

    /// Writes the manifest: whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<(), ArchiveError> {
        let failed = |source| ArchiveError::Io { path: path.to_owned(), source };
        let text = toml::to_string(self)
            .map_err(|error| ArchiveError::Manifest { path: path.to_owned(), detail: error.to_string() })?;
        let temporary = path.with_extension("toml.new");
        private::create_file(&temporary).map_err(failed)?;
        std::fs::write(&temporary, text).map_err(failed)?;
        std::fs::File::open(&temporary).and_then(|file| file.sync_all()).map_err(failed)?;
        std::fs::rename(&temporary, path).map_err(failed)?;
        private::sync_parent(path).map_err(failed)
    }
}

/// A placement as `archive.toml` has it: what the processes of a cluster compare.
///
/// # Errors
/// A text if it cannot be written, which no sound placement gives.
pub fn placement_to_text(placement: &Placement) -> Result<String, String> {
    toml::to_string(&Manifest::new(placement)).map_err(|error| error.to_string())
}

/// Reverses [`placement_to_text`].
///
/// # Errors
/// What is wrong with the text.
pub fn placement_from_text(text: &str) -> Result<Placement, String> {
    Manifest::parse(text)?.placement(Path::new("archive.toml")).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_read_or_refused_by_number() {
        let first = Manifest::parse("format_version = 1\npartition = \"date:year\"\n").expect("version 1");
        assert!(first.is_older());
        assert_eq!(first.placement(Path::new("x")).expect("a placement"), Placement::default());
        let refused = Manifest::parse("format_version = 7\npartition = \"date:year\"\nsplit = true\n");
        let text = refused.expect_err("newer");
        assert!(text.contains("version 7 is newer than 2"), "{text}");
        assert!(Manifest::parse("format_version = 2\npartition = \"none\"\nother = 1\n").is_err());
    }

    #[test]
    fn a_mapping_is_kept_in_order() {
        let rule = |pattern: &str, site: &str| InstitutionRule { pattern: pattern.into(), site: site.into() };
        let rules = vec![rule("b*", "B \"x\""), rule("*", "Rest")];
        let placement = Placement {
            scheme: "institution".parse().expect("a scheme"),
            institutions: Institutions::new(rules, 7).expect("a mapping"),
        };
        let text = toml::to_string(&Manifest::new(&placement)).expect("text");
        let read = Manifest::parse(&text).expect("read");
        assert_eq!(read.placement(Path::new("x")).expect("a placement"), placement, "{text}");
    }
}
