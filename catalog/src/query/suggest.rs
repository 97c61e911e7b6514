//! Names near to one that does not exist.

/// The names nearest to what was written, best first; at most `max`.
pub fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>, max: usize) -> Vec<&'n str> {
    let mut near: Vec<(usize, &str)> =
        names.filter_map(|name| nearness(written, name).map(|distance| (distance, name))).collect();
    near.sort_unstable();
    near.into_iter().take(max).map(|(_, name)| name).collect()
}

/// How far a name is from what was written, letters and digits only; `None` if it is no help.
#[must_use]
pub fn nearness(written: &str, name: &str) -> Option<usize> {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).take(64).collect::<String>().to_lowercase()
    };
    let (written, name) = (plain(written), plain(name));
    if written.is_empty() {
        return None;
    }
    if written == name {
        return Some(0);
    }
    if written.len() >= 3 && (name.contains(&written) || written.contains(&name)) {
        return Some(1 + name.len().abs_diff(written.len()));
    }
    let distance = edit_distance(&written, &name);
    (distance <= 1 + written.len() / 4).then_some(1 + distance)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_left_out() {
        assert_eq!(nearness("patient_id", "PatientID"), Some(0));
        assert!(nearness("StudyUID", "StudyInstanceUID").is_none());
        assert!(nearness("PatientNam", "PatientName").is_some());
        assert!(nearness("Modalty", "Modality").is_some());
        assert!(nearness("x", "Rows").is_none());
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(nearest("Modalty", ["Rows", "Modality"].into_iter(), 3), ["Modality"]);
    }
}
