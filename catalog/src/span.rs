//! Parts of a source's tree that are walked by different workers.

use std::fmt;

use crate::RelativePath;

/// A directory with all below it, or a range of its sub-directories with all below them.
///
/// A range holds nothing that lies in the directory itself: that belongs to whoever holds the
/// directory whole. Names are compared byte by byte.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    directory: RelativePath,
    names: Option<NameRange>,
}

/// Names from the first to before the last.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct NameRange {
    from: Vec<u8>,
    /// Empty: to the last name.
    to: Vec<u8>,
}

impl NameRange {
    fn contains(&self, name: &[u8]) -> bool {
        name >= &self.from[..] && (self.to.is_empty() || name < &self.to[..])
    }

    fn covers(&self, other: &Self) -> bool {
        self.from <= other.from && (self.to.is_empty() || (!other.to.is_empty() && other.to <= self.to))
    }
}

impl Span {
    /// A directory with all below it.
    #[must_use]
    pub fn whole(directory: RelativePath) -> Self {
        Self { directory, names: None }
    }

    /// The sub-directories of a directory with names from `from` to before `to`; an empty `to` is no
    /// bound. `None` for a range that holds no name.
    #[must_use]
    pub fn range(directory: RelativePath, from: &[u8], to: &[u8]) -> Option<Self> {
        let names = NameRange { from: from.to_vec(), to: to.to_vec() };
        (to.is_empty() || from < to).then_some(Self { directory, names: Some(names) })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &RelativePath {
        &self.directory
    }

    /// First name and the one after the last, of a range.
    #[must_use]
    pub fn names(&self) -> Option<(&[u8], &[u8])> {
        self.names.as_ref().map(|names| (&names.from[..], &names.to[..]))
    }

    /// Whether the sub-directory `name` of `parent` begins in this span: it is one of its range, or
    /// it is its directory.
    #[must_use]
    pub fn holds_child(&self, parent: &RelativePath, name: &[u8]) -> bool {
        match &self.names {
            Some(names) => self.directory == *parent && names.contains(name),
            None => !self.directory.is_root() && parent.join(name) == self.directory,
        }
    }

    /// Whether the directory at `path` lies in this span.
    #[must_use]
    pub fn contains(&self, path: &RelativePath) -> bool {
        let Some(rest) = below(&self.directory, path) else { return false };
        match &self.names {
            None => true,
            Some(names) => {
                let name = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
                !name.is_empty() && names.contains(name)
            }
        }
    }

    /// Whether all of `other` lies in this span.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (&self.names, &other.names) {
            (Some(own), Some(theirs)) if self.directory == other.directory => own.covers(theirs),
            _ => self.contains(&other.directory),
        }
    }

    /// This span without `other`, where that is its tail: the range ends earlier. `None` for any
    /// other, and where nothing would be left.
    #[must_use]
    pub fn without_tail(&self, other: &Self) -> Option<Self> {
        let (own, theirs) = (self.names.as_ref()?, other.names.as_ref()?);
        let is_tail = self.directory == other.directory && own.to == theirs.to && own.from < theirs.from;
        is_tail.then(|| Self {
            directory: self.directory.clone(),
            names: Some(NameRange { from: own.from.clone(), to: theirs.from.clone() }),
        })
    }

    /// Both as one, where they are ranges of one directory and touch.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Option<Self> {
        let (own, theirs) = (self.names.as_ref()?, other.names.as_ref()?);
        let (first, second) = if own.from <= theirs.from { (own, theirs) } else { (theirs, own) };
        let touch = first.to.is_empty() || first.to >= second.from;
        let to = match (&first.to[..], &second.to[..]) {
            ([], _) | (_, []) => &[],
            (one, other) => one.max(other),
        };
        (self.directory == other.directory && touch).then(|| Self {
            directory: self.directory.clone(),
            names: Some(NameRange { from: first.from.clone(), to: to.to_vec() }),
        })
    }

    /// Adds a span to exclusions; ranges that touch become one.
    pub fn add_to(self, exclusions: &mut Vec<Self>) {
        let mut span = self;
        while let Some((at, joined)) =
            exclusions.iter().enumerate().find_map(|(at, known)| Some((at, known.joined(&span)?)))
        {
            exclusions.swap_remove(at);
            span = joined;
        }
        exclusions.retain(|known| !span.covers(known));
        exclusions.push(span);
    }
}

impl fmt::Debug for Span {
    /// Never the names: they are protected health information, and debug output ends in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.names.is_some() { "range of" } else { "whole" };
        write!(f, "<{kind} {:?}>", self.directory)
    }
}

/// What of `path` lies below `directory`, without the slash between them; empty for itself.
fn below<'p>(directory: &RelativePath, path: &'p RelativePath) -> Option<&'p [u8]> {
    if directory.is_root() {
        return Some(path.as_bytes());
    }
    let rest = path.as_bytes().strip_prefix(directory.as_bytes())?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelativePath {
        RelativePath::new(text.as_bytes())
    }

    fn range(directory: &str, from: &str, to: &str) -> Span {
        Span::range(path(directory), from.as_bytes(), to.as_bytes()).expect("it holds names")
    }

    #[test]
    fn spans_contain_what_lies_below() {
        let whole = Span::whole(path("a"));
        for (inside, expected) in [("a", true), ("a/b", true), ("a/b/c", true), ("ab", false), ("", false)] {
            assert_eq!(whole.contains(&path(inside)), expected, "{inside}");
        }
        let some = range("a", "c", "f");
        for (inside, expected) in
            [("a", false), ("a/b", false), ("a/c", true), ("a/e/x", true), ("a/f", false), ("b/c", false)]
        {
            assert_eq!(some.contains(&path(inside)), expected, "{inside}");
        }
        assert!(range("", "c", "").contains(&path("zzz/y")));
        assert_eq!(Span::range(path(""), b"c", b"c"), None);
    }

    #[test]
    fn a_cut_leaves_two_parts() {
        let root = Span::whole(path(""));
        let tail = range("", "m", "");
        assert!(root.covers(&tail));
        assert_eq!(root.without_tail(&tail), None, "the root's own files are in no range");
        let later = range("", "t", "");
        assert_eq!(tail.without_tail(&later), Some(range("", "m", "t")));
        assert_eq!(tail.without_tail(&tail), None);
        assert!(tail.covers(&later) && !later.covers(&tail));
        assert!(tail.covers(&range("n/x", "a", "b")) && !later.covers(&range("n/x", "a", "b")));
        assert!(tail.holds_child(&path(""), b"n") && !tail.holds_child(&path("n"), b"n"));
        assert!(Span::whole(path("a/b")).holds_child(&path("a"), b"b"));
    }

    #[test]
    fn touching_exclusions_become_one() {
        let mut exclusions = Vec::new();
        for span in [range("", "t", ""), range("b", "a", "b"), range("", "m", "t"), range("", "f", "m")] {
            span.add_to(&mut exclusions);
        }
        exclusions.sort();
        assert_eq!(exclusions, [range("", "f", ""), range("b", "a", "b")]);
        range("", "a", "").add_to(&mut exclusions);
        assert_eq!(exclusions.len(), 1, "what lies in another is no exclusion of its own");
    }
}
