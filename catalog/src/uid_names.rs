//! Names of SOP classes and transfer syntaxes (PS3.6 Annex A), and of a few private ones that are
//! common in practice.

/// UID, tab, name; one a line, ascending by the bytes of the UID.
const TABLE: &str = include_str!("uid_names.tsv");

/// The name of a SOP class or transfer syntax; `None` for a UID that is neither, or private.
#[must_use]
pub fn uid_name(uid: &str) -> Option<&'static str> {
    use std::sync::LazyLock;
    static LINES: LazyLock<Vec<(&str, &str)>> =
        LazyLock::new(|| TABLE.lines().filter_map(|line| line.split_once('\t')).collect());
    let at = LINES.binary_search_by_key(&uid, |(known, _)| known).ok()?;
    Some(LINES[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found_by_its_uid() {
        let lines: Vec<_> = TABLE.lines().map(|line| line.split_once('\t').expect("a tab")).collect();
        assert!(lines.is_sorted_by_key(|(uid, _)| *uid));
        for (uid, name) in lines {
            assert_eq!(uid_name(uid), Some(name));
        }
        assert_eq!(uid_name("1.2.840.10008.5.1.4.1.1.2"), Some("CT Image Storage"));
        assert_eq!(uid_name("1.2.840.10008.1.2.4.90"), Some("JPEG 2000 Image Compression (Lossless Only)"));
        assert_eq!(uid_name("1.2"), None);
    }
}
