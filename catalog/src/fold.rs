//! Folding of person names for matching without case and accents (PS3.4 C.2.2.2.1).

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Folds a person name: compatibility decomposition, combining marks dropped, lower case, `ß` as
/// `ss`. Component (`^`) and group (`=`) separators stay.
#[must_use]
pub fn fold_person_name(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(name.len());
    for c in name.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        match c {
            'ß' => folded.push_str("ss"),
            'ø' => folded.push('o'),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'đ' | 'ð' => folded.push('d'),
            'ł' => folded.push('l'),
            'ı' => folded.push('i'),
            'ς' => folded.push('σ'),
            c => folded.push(c),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_case_and_accents() {
        for (name, folded) in [
            ("O'BRIEN^Sean", "o'brien^sean"),
            ("Müller^Käthe", "muller^kathe"),
            ("Weiß^Jörg", "weiss^jorg"),
            ("Sørensen^Åse", "sorensen^ase"),
            ("ΠΑΠΑΔΌΠΟΥΛΟΣ^Γιώργος", "παπαδοπουλοσ^γιωργοσ"),
            ("Yamada^Tarou=山田^太郎", "yamada^tarou=山田^太郎"),
        ] {
            assert_eq!(fold_person_name(name), folded);
        }
    }
}
