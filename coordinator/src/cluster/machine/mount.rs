//! Whether what a worker has mounted is the source.

use serde::{Deserialize, Serialize};

/// A source as a worker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// First line of the marker file in its root.
    pub(crate) marker: Option<String>,
    /// Entries in its root, counted up to a bound.
    pub(crate) root_entries: u32,
}

/// What is recorded of a source's root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Identity {
    /// Nobody has read it yet.
    #[default]
    Unseen,
    /// It had this marker, or none.
    Seen(Option<String>),
}

/// Whether a mount may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usable {
    /// It is the source.
    Yes,
    /// It may be the source, but nothing must be deleted on its account.
    WithoutDeletions,
    /// It is not the source: why.
    No(&'static str),
}

impl Mount {
    /// Whether this is the source that had `identity`. Pure.
    pub(crate) fn is_usable(&self, identity: &Identity) -> Usable {
        if self.root_entries == 0 {
            return Usable::No("its root is empty there: is it mounted?");
        }
        match (identity, &self.marker) {
            (Identity::Unseen, _) => Usable::Yes,
            (Identity::Seen(known), found) if known == found => Usable::Yes,
            (Identity::Seen(None), _) => Usable::WithoutDeletions,
            (Identity::Seen(Some(_)), None) => {
                Usable::No("its file `.shardex-source` is missing there: is the right tree mounted?")
            }
            (Identity::Seen(Some(_)), Some(_)) => {
                Usable::No("its file `.shardex-source` says another thing there: is the right tree mounted?")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_source_itself_is_read() {
        let mount =
            |marker: Option<&str>, root_entries| Mount { marker: marker.map(str::to_owned), root_entries };
        let seen = |marker: Option<&str>| Identity::Seen(marker.map(str::to_owned));
        let is_refused = |mount: Mount, identity| matches!(mount.is_usable(&identity), Usable::No(_));
        assert!(is_refused(mount(Some("a"), 0), Identity::Unseen), "an empty root is no mount");
        assert!(is_refused(mount(Some("b"), 9), seen(Some("a"))));
        assert!(is_refused(mount(None, 9), seen(Some("a"))));
        assert_eq!(mount(Some("a"), 9).is_usable(&seen(Some("a"))), Usable::Yes);
        assert_eq!(mount(None, 9).is_usable(&Identity::Unseen), Usable::Yes);
        assert_eq!(mount(Some("b"), 9).is_usable(&seen(None)), Usable::WithoutDeletions);
    }
}
