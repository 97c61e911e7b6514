//! What a user writes for a source. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use shardex_catalog::{Domain, SourceName};

/// A source as it was written: `PATH`, `NAME=PATH` or `NAME@DOMAIN=PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpecification {
    /// Its name, if one was given.
    pub name: Option<SourceName>,
    /// Its domain, if one was given.
    pub domain: Option<Domain>,
    /// Its path.
    pub path: OsString,
}

/// A text that names no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no source: {detail}; write PATH, NAME=PATH or NAME@DOMAIN=PATH")]
pub struct InvalidSource {
    text: String,
    detail: String,
}

impl SourceSpecification {
    /// Takes what a user wrote. A `=` behind a slash belongs to the path.
    ///
    /// # Errors
    /// [`InvalidSource`] for an empty path or a name that is none.
    pub fn parse(text: &OsStr) -> Result<Self, InvalidSource> {
        let invalid = |detail: String| InvalidSource { text: text.to_string_lossy().into_owned(), detail };
        let bytes = text.as_bytes();
        let at = bytes.iter().position(|byte| matches!(byte, b'=' | b'/')).filter(|at| bytes[*at] == b'=');
        let (label, path) = at.map_or((None, bytes), |at| (Some(&bytes[..at]), &bytes[at + 1..]));
        if path.is_empty() {
            return Err(invalid("the path is empty".into()));
        }
        let path = OsStr::from_bytes(path).to_owned();
        let Some(label) = label else { return Ok(Self { name: None, domain: None, path }) };
        let label = std::str::from_utf8(label).map_err(|_| invalid("the name is not UTF-8".into()))?;
        let (name, domain) =
            label.split_once('@').map_or((label, None), |(name, domain)| (name, Some(domain)));
        let name = SourceName::new(name).map_err(|error| invalid(error.to_string()))?;
        let domain = domain.map(Domain::new).transpose().map_err(|error| invalid(error.to_string()))?;
        Ok(Self { name: Some(name), domain, path })
    }
}

/// The name of a source that was given none: the last component of its path, with what a name
/// cannot hold replaced, and a number where it is taken.
pub(crate) fn default_name(root: &std::path::Path, is_taken: impl Fn(&SourceName) -> bool) -> SourceName {
    let last = root.file_name().map_or("root".into(), OsStr::to_string_lossy);
    let fits = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let base: String = last.chars().map(fits).take(56).collect();
    let candidates = (1..).map(|n| if n == 1 { base.clone() } else { format!("{base}-{n}") });
    let mut names = candidates.filter_map(|name| SourceName::new(&name).ok());
    names.find(|name| !is_taken(name)).expect("numbers do not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_understood() {
        let parse = |text: &str| SourceSpecification::parse(OsStr::new(text));
        for (text, name, domain, path) in [
            ("/data/x", None, None, "/data/x"),
            ("pacs=/data", Some("pacs"), None, "/data"),
            ("pacs@research=/data", Some("pacs"), Some("research"), "/data"),
            ("/data/a=b", None, None, "/data/a=b"),
            ("./a=b", None, None, "./a=b"),
            ("x=y=z", Some("x"), None, "y=z"),
        ] {
            let specification = parse(text).expect(text);
            assert_eq!(specification.name.as_ref().map(SourceName::as_str), name, "{text}");
            assert_eq!(specification.domain.as_ref().map(Domain::as_str), domain, "{text}");
            assert_eq!(specification.path, path);
        }
        for text in ["", "x=", "=x", "a b=/x", "a@=/x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn default_names_are_made_unique() {
        let name = |path: &str, taken: &[&str]| {
            default_name(std::path::Path::new(path), |name| taken.contains(&name.as_str())).to_string()
        };
        assert_eq!(name("/mnt/PACS export", &[]), "PACS_export");
        assert_eq!(name("/a/x", &["x", "x-2"]), "x-3");
        assert_eq!(name("/", &[]), "root");
    }
}
