//! What is left out of a walk.

use globset::{Glob, GlobSet, GlobSetBuilder};

/// Directories of file servers and desktops that hold copies or nothing of interest.
const DEFAULT_DIRECTORIES: &[&str] = &[".snapshot", "~snapshot", ".zfs", "@eaDir", "#recycle", "lost+found"];
const DEFAULT_DIRECTORY_PREFIX: &str = ".Trash";

/// A glob that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{glob}` is not a glob: {detail}")]
pub struct InvalidFilter {
    glob: String,
    detail: String,
}

/// Include and exclude globs over paths relative to a source, or over names where the glob has no
/// slash. `*` matches any character, `/` included.
#[derive(Clone, Debug)]
pub struct Filters {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Default for Filters {
    fn default() -> Self {
        Self { include: None, exclude: GlobSet::empty() }
    }
}

impl Filters {
    /// Filters from globs. Without include globs every file is included.
    ///
    /// # Errors
    /// [`InvalidFilter`] names the first glob that is none.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, InvalidFilter> {
        let include = if include.is_empty() { None } else { Some(compile(include)?) };
        Ok(Self { include, exclude: compile(exclude)? })
    }

    /// Whether a directory is not entered.
    #[must_use]
    pub fn excludes_directory(&self, path: &[u8], name: &[u8]) -> bool {
        let by_default = std::str::from_utf8(name).is_ok_and(|name| {
            DEFAULT_DIRECTORIES.contains(&name) || name.starts_with(DEFAULT_DIRECTORY_PREFIX)
        });
        by_default || matches(&self.exclude, path, name)
    }

    /// Whether a file is left out.
    #[must_use]
    pub fn excludes_file(&self, path: &[u8], name: &[u8]) -> bool {
        self.include.as_ref().is_some_and(|include| !matches(include, path, name))
            || matches(&self.exclude, path, name)
    }

    /// Whether every file of every directory passes: no path needs to be built.
    #[must_use]
    pub fn passes_all_files(&self) -> bool {
        self.include.is_none() && self.exclude.is_empty()
    }
}

fn compile(globs: &[String]) -> Result<GlobSet, InvalidFilter> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let invalid =
            |error: globset::Error| InvalidFilter { glob: glob.clone(), detail: error.kind().to_string() };
        set.add(Glob::new(glob).map_err(invalid)?);
    }
    set.build().map_err(|error| InvalidFilter { glob: globs.join(" "), detail: error.kind().to_string() })
}

fn matches(set: &GlobSet, path: &[u8], name: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let is_match = |bytes| set.is_match(std::path::Path::new(std::ffi::OsStr::from_bytes(bytes)));
    !set.is_empty() && (is_match(path) || is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn files_pass_includes_and_not_excludes() {
        let filters = Filters::new(&globs(&["*.dcm", "raw/*"]), &globs(&["*/tmp/*"])).expect("globs");
        for (path, name, excluded) in [
            ("a/x.dcm", "x.dcm", false),
            ("a/x.txt", "x.txt", true),
            ("raw/x", "x", false),
            ("a/tmp/x.dcm", "x.dcm", true),
        ] {
            assert_eq!(filters.excludes_file(path.as_bytes(), name.as_bytes()), excluded, "{path}");
        }
        assert!(Filters::new(&globs(&["a["]), &[]).is_err());
    }

    #[test]
    fn snapshots_and_bins_are_not_entered() {
        let filters = Filters::default();
        for (name, excluded) in
            [(".snapshot", true), (".Trash-1000", true), ("@eaDir", true), ("2019", false)]
        {
            assert_eq!(filters.excludes_directory(name.as_bytes(), name.as_bytes()), excluded, "{name}");
        }
    }
}
