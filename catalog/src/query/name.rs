//! Person names (VR PN), compared without case and accents over their components (PS3.4 C.2.2.2.1).

use std::collections::{HashMap, HashSet};

use crate::fold_person_name;

/// Names, or patterns of names, any of which may match.
///
/// A pattern holds for one component group (alphabetic, ideographic, phonetic; PS3.5 6.2.1) of a name: for
/// the alphabetic one if it is of ASCII letters once it is folded, else for any. With `=` it says group by
/// group what each must be; an empty group may be anything. In a group, components left out at the end may
/// be anything: `Doe` finds `Doe^Jane`. `*` and `?` stand for any text and any character, `^` included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonNames {
    /// Names without wildcards and `=`, looked up rather than tried: a list may hold very many.
    plain: HashSet<String>,
    /// Names of several groups without wildcards, by their first group that says something, and its place.
    grouped: HashMap<(usize, String), Vec<Vec<String>>>,
    patterns: Vec<Vec<String>>,
}

impl PersonNames {
    /// Reads patterns joined by backslashes, which no name holds.
    #[must_use]
    pub fn new(patterns: &str) -> Self {
        let mut names = Self::default();
        for pattern in patterns.split('\\') {
            let folded = fold_person_name(pattern);
            let groups: Vec<String> = folded.split('=').map(plain).collect();
            let first = groups.iter().position(|group| !group.is_empty());
            match (&*groups, first) {
                _ if folded.contains(['*', '?']) => names.patterns.push(groups),
                ([only], _) => drop(names.plain.insert(only.clone())),
                (_, Some(at)) => names.grouped.entry((at, groups[at].clone())).or_default().push(groups),
                (_, None) => names.patterns.push(groups),
            }
        }
        names
    }

    /// Whether a value, of one or several names, matches.
    #[must_use]
    pub fn match_any(&self, value: &str) -> bool {
        value.split('\\').any(|name| {
            let folded = fold_person_name(name);
            let groups: Vec<String> = folded.split('=').map(plain).collect();
            self.has(&groups) || self.patterns.iter().any(|pattern| is_match(pattern, &groups))
        })
    }

    /// Whether a name without wildcards matches.
    fn has(&self, groups: &[String]) -> bool {
        groups.iter().enumerate().any(|(at, group)| {
            let ends = group.match_indices('^').map(|(end, _)| end).chain([group.len()]);
            let mut beginnings = ends.map(|end| &group[..end]);
            beginnings.any(|name| {
                let is_plain = (at == 0 || !name.is_ascii()) && self.plain.contains(name);
                is_plain || (!self.grouped.is_empty() && self.has_grouped(at, name, groups))
            })
        })
    }

    fn has_grouped(&self, at: usize, name: &str, groups: &[String]) -> bool {
        let candidates = self.grouped.get(&(at, name.to_owned()));
        candidates.into_iter().flatten().any(|pattern| is_match(pattern, groups))
    }
}

/// A text with which the folded name of every match begins; `None` if nothing is known of it. It ends with
/// the first component, because blanks around components do not count.
#[must_use]
pub fn folded_prefix(pattern: &str) -> Option<String> {
    let folded = fold_person_name(pattern);
    let first = folded.split('=').next().unwrap_or_default();
    let is_alphabetic = folded.contains('=') || folded.is_ascii();
    let prefix = first.split(['^', '*', '?']).next().unwrap_or_default().trim();
    (is_alphabetic && !prefix.is_empty()).then(|| prefix.to_owned())
}

fn is_match(pattern: &[String], groups: &[String]) -> bool {
    match pattern {
        [only] if only.is_ascii() => groups.first().is_some_and(|group| group_matches(only, group)),
        [only] => groups.iter().any(|group| group_matches(only, group)),
        several => several.iter().enumerate().all(|(at, wanted)| {
            wanted.is_empty() || groups.get(at).is_some_and(|group| group_matches(wanted, group))
        }),
    }
}

fn group_matches(pattern: &str, group: &str) -> bool {
    wildcard_matches(pattern, group) || wildcard_matches(&format!("{pattern}^*"), group)
}

/// A group without blanks around it and its components, and without empty components at its end.
fn plain(group: &str) -> String {
    let components: Vec<&str> = group.split('^').map(str::trim).collect();
    components.join("^").trim_end_matches('^').to_owned()
}

/// Whether a text is what a pattern of `*` and `?` says. Linear but for the last `*`.
fn wildcard_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and the text that it has not taken yet.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, t) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_without_case_and_accents() {
        for (patterns, value, expected) in [
            ("müller", "Muller^Jorg", true),
            ("MULLER^JÖRG", "Müller^Jörg^^Dr.", true),
            ("Müller^Jörg^^", "Müller^Jörg", true),
            ("mull", "Müller^Jörg", false),
            ("mull*", "Müller^Jörg", true),
            ("m?ller", "Müller^Jörg", true),
            ("*jorg", "Müller^Jörg", true),
            ("Jörg", "Müller^Jörg", false),
            ("m*^j*", "Müller^Jörg", true),
            ("Doe^Jane", "Doe", false),
            ("Doe\\Roe", "Roe^Rita", true),
            ("Doe", "Roe^Rita\\Doe^Jane", true),
            ("Yamada", "Yamada^Tarou=山田^太郎=やまだ^たろう", true),
            ("山田", "Yamada^Tarou=山田^太郎=やまだ^たろう", true),
            ("やまだ^たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう", true),
            ("=山田", "Yamada^Tarou=山田^太郎", true),
            ("Yamada=田中", "Yamada^Tarou=山田^太郎", false),
            ("=x", "Doe^Jane", false),
            ("Yamada^Tarou=山田^太郎", "YAMADA^TAROU=山田^太郎=x", true),
            ("Yamada^Tarou=山田^太郎", "Yamada^Tarou", false),
            ("=山田=やまだ", "x=山田^太郎=やまだ^たろう", true),
            ("=", "Doe", true),
            (" Doe ^Jane", "Doe^ Jane ", true),
            ("太郎", "山田^太郎", false),
            ("Tarou", "Yamada^Tarou=Tarou", false),
            ("Tar*", "Yamada^Tarou=Tarou", false),
            ("^Jane", "^Jane", true),
            ("[a-z]*", "Doe^Jane", false),
            ("Weiß", "WEISS^Ute", true),
        ] {
            assert_eq!(PersonNames::new(patterns).match_any(value), expected, "{patterns} {value}");
        }
    }

    #[test]
    fn a_prefix_is_what_the_folded_name_begins_with() {
        for (pattern, expected) in [
            ("Müller^J*", Some("muller")),
            ("Mü*", Some("mu")),
            ("Doe^", Some("doe")),
            ("*Doe", None),
            ("山田", None),
            ("Yamada=山田", Some("yamada")),
            ("=山田", None),
            ("Doe ^Jane", Some("doe")),
        ] {
            assert_eq!(folded_prefix(pattern).as_deref(), expected, "{pattern}");
        }
    }
}
