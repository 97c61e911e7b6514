//! Which site an InstitutionName stands for, and how many sites are told apart.
//!
//! One hospital writes its name in a dozen ways, and de-identified or foreign files bring names
//! without end. A list of rules gives names a site; names that no rule knows are sites of their own
//! until there are as many as may be, and share [`OTHER_BUCKETS`] partitions from then on.

use unicode_normalization::UnicodeNormalization;

/// Unmapped institutions that get a partition of their own, unless an archive says otherwise.
pub const SITES_MAX_DEFAULT: u32 = 200;
/// Partitions that institutions beyond the limit share.
pub const OTHER_BUCKETS: u32 = 16;

const RULES_MAX: usize = 10_000;
const PATTERN_CHARS_MAX: usize = 200;
const UNKNOWN: &str = "unknown";

/// One line of a mapping: names that match the pattern belong to the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstitutionRule {
    /// `*` stands for any characters, `?` for one; compared as names are, see
    /// [`normalise_institution`].
    pub pattern: String,
    /// Name of the site.
    pub site: String,
}

/// A mapping that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMapping {
    /// A pattern that no name can match.
    #[error("pattern `{0}` holds no letter, digit or wildcard")]
    Pattern(String),
    /// A site without a name.
    #[error("pattern `{0}` has a site without letters and digits")]
    Site(String),
    /// Too long, or too many.
    #[error("a mapping has at most {RULES_MAX} patterns of at most {PATTERN_CHARS_MAX} characters")]
    Size,
}

/// The sites of an archive. Fixed when it is made: a study's partition must not depend on when it
/// was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Institutions {
    rules: Vec<InstitutionRule>,
    /// As compared: normalised pattern and site.
    compared: Vec<(Vec<char>, String)>,
    sites_max: u32,
}

/// What an InstitutionName stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// A rule names it.
    Mapped {
        /// Normalised name of the site.
        site: String,
        /// Place of the rule in the mapping.
        rule: usize,
    },
    /// No rule knows it: the normalised InstitutionName.
    Unmapped(String),
    /// There is none.
    Unknown,
}

impl Default for Institutions {
    fn default() -> Self {
        Self { rules: Vec::new(), compared: Vec::new(), sites_max: SITES_MAX_DEFAULT }
    }
}

impl Institutions {
    /// A mapping; the first rule that matches counts.
    ///
    /// # Errors
    /// [`InvalidMapping`] names the rule.
    pub fn new(rules: Vec<InstitutionRule>, sites_max: u32) -> Result<Self, InvalidMapping> {
        if rules.len() > RULES_MAX
            || rules.iter().any(|rule| rule.pattern.chars().count() > PATTERN_CHARS_MAX)
        {
            return Err(InvalidMapping::Size);
        }
        let compare = |rule: &InstitutionRule| {
            let pattern: Vec<char> = words(&rule.pattern, |c| matches!(c, '*' | '?')).chars().collect();
            if pattern.is_empty() {
                return Err(InvalidMapping::Pattern(rule.pattern.clone()));
            }
            let site = words(&rule.site, |_| false);
            if site.is_empty() {
                return Err(InvalidMapping::Site(rule.pattern.clone()));
            }
            Ok((pattern, site))
        };
        let compared = rules.iter().map(compare).collect::<Result<_, _>>()?;
        Ok(Self { rules, compared, sites_max })
    }

    /// The rules, as they were given.
    #[must_use]
    pub fn rules(&self) -> &[InstitutionRule] {
        &self.rules
    }

    /// Unmapped institutions that get a partition of their own.
    #[must_use]
    pub fn sites_max(&self) -> u32 {
        self.sites_max
    }

    /// What an InstitutionName stands for.
    #[must_use]
    pub fn site(&self, name: Option<&str>) -> Site {
        let name = name.map(|name| words(name, |_| false)).unwrap_or_default();
        if name.is_empty() {
            return Site::Unknown;
        }
        let chars: Vec<char> = name.chars().collect();
        match self.compared.iter().position(|(pattern, _)| matches(pattern, &chars)) {
            Some(rule) => Site::Mapped { site: self.compared[rule].1.clone(), rule },
            None => Site::Unmapped(name),
        }
    }
}

impl Site {
    /// The name in a partition's label.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Mapped { site, .. } => site,
            Self::Unmapped(name) => name,
            Self::Unknown => UNKNOWN,
        }
    }
}

/// The partition that an institution beyond the limit shares. No normalised name has a hyphen, so
/// that no institution is mistaken for it.
#[must_use]
pub fn other_bucket(normalised: &str) -> String {
    let hash = blake3::hash(normalised.as_bytes());
    format!("other-{:02}", u32::from(hash.as_bytes()[0]) % OTHER_BUCKETS)
}

/// NFKC, case folded, letters and digits of any script only; the rest separates words. `unknown`
/// where nothing is left.
#[must_use]
pub fn normalise_institution(name: &str) -> String {
    let words = words(name, |_| false);
    if words.is_empty() { UNKNOWN.to_owned() } else { words }
}

fn words(text: &str, keeps: impl Fn(char) -> bool) -> String {
    let folded: String = text.nfkc().flat_map(char::to_lowercase).collect();
    let is_word = |c: char| c.is_alphanumeric() || keeps(c);
    folded.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether a pattern with `*` and `?` matches a whole text, in time of pattern times text.
fn matches(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                // The last star takes one character more.
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
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

    fn mapping(rules: &[(&str, &str)]) -> Institutions {
        let rule = |(pattern, site): &(&str, &str)| InstitutionRule {
            pattern: (*pattern).to_owned(),
            site: (*site).to_owned(),
        };
        Institutions::new(rules.iter().map(rule).collect(), 3).expect("a mapping")
    }

    #[test]
    fn names_are_mapped_by_the_first_rule_that_matches() {
        let map = mapping(&[("st. brendan*", "Brendan"), ("*NORTH?campus", "North"), ("*", "Rest")]);
        for (name, site) in [
            (Some("St Brendan  Medical Centre"), "brendan"),
            (Some("ST.BRENDAN"), "brendan"),
            (Some("University, North-Campus"), "north"),
            (Some("北病院"), "rest"),
            (Some(" ./- "), "unknown"),
            (None, "unknown"),
        ] {
            assert_eq!(map.site(name).name(), site, "{name:?}");
        }
        assert_eq!(mapping(&[("a*", "A")]).site(Some("B-1")), Site::Unmapped("b 1".to_owned()));
    }

    #[test]
    fn wildcards_match_as_shells_do() {
        for (pattern, text, expected) in [
            ("*a*b", "xaayb", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("a*", "ba", false),
            ("*****a", &"a".repeat(200), true),
        ] {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(matches(&chars(pattern), &chars(text)), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn mappings_that_map_nothing_are_refused() {
        let rule = |pattern: &str, site: &str| InstitutionRule { pattern: pattern.into(), site: site.into() };
        let refused = |pattern, site| Institutions::new(vec![rule(pattern, site)], 1).is_err();
        assert!(
            refused("", "A") && refused("./-", "A") && refused("a", "...") && refused(&"a".repeat(201), "A")
        );
    }

    #[test]
    fn shared_partitions_are_no_institutions() {
        let bucket = other_bucket("far clinic");
        assert!(bucket.starts_with("other-") && bucket.len() == 8, "{bucket}");
        assert_ne!(normalise_institution(&bucket), bucket);
    }
}
