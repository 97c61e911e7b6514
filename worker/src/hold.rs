//! Whether files that are gone may be removed from the index. Pure.

/// Share of a source's live files that may vanish at once.
const VANISHED_PERCENT_MAX: u64 = 5;
/// So few may always vanish: five percent of a small source is less than a file.
const VANISHED_FILES_MAX: u64 = 5;

/// What is known of a source at the end of its walk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Findings {
    /// Its root could be listed.
    pub(crate) root_was_listed: bool,
    /// Its root had no entry at all.
    pub(crate) root_is_empty: bool,
    /// Its identity is not the one recorded.
    pub(crate) identity_changed: bool,
    /// Files that are known, missing ones included.
    pub(crate) present: u64,
    /// Files that are gone.
    pub(crate) missing: u64,
    /// Of the missing, those that were read again elsewhere in this run.
    pub(crate) moved: u64,
}

/// Why deletions are held; `None` if they may be carried out.
pub(crate) fn why_held(findings: Findings) -> Option<&'static str> {
    let vanished = findings.missing.saturating_sub(findings.moved);
    if !findings.root_was_listed {
        Some("its root could not be listed")
    } else if findings.identity_changed {
        Some("its root is on another file system than before: is the right one mounted?")
    } else if findings.root_is_empty {
        Some("its root is empty: is it mounted?")
    } else if vanished > VANISHED_FILES_MAX && vanished * 100 > findings.present * VANISHED_PERCENT_MAX {
        Some("more than 5 % of its files are gone")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_not_emptied_by_accident() {
        let usual = Findings { root_was_listed: true, present: 1000, missing: 50, ..Findings::default() };
        assert_eq!(why_held(usual), None);
        for held in [
            Findings { missing: 51, ..usual },
            Findings { root_is_empty: true, missing: 1, ..usual },
            Findings { identity_changed: true, missing: 1, ..usual },
            Findings { root_was_listed: false, ..usual },
        ] {
            assert!(why_held(held).is_some(), "{held:?}");
        }
        assert_eq!(why_held(Findings { missing: 500, moved: 480, ..usual }), None, "a renamed folder");
        assert_eq!(why_held(Findings { present: 8, missing: 5, ..usual }), None, "a small source");
    }
}
