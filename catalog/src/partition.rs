//! Which partition a study belongs to. Decided once, when the first file of a study is claimed.

use std::fmt;
use std::str::FromStr;

use unicode_normalization::UnicodeNormalization;

use crate::{Domain, ShardId, normalise_institution};

/// Partition component of studies without a plausible date.
pub const UNDATED: &str = "undated";

const YEARS: std::ops::RangeInclusive<u32> = 1970..=2049;
const SLUG_CHARS_MAX: usize = 32;

/// How finely studies are partitioned by StudyDate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateGranularity {
    /// `2019`
    Year,
    /// `2019Q3`
    Quarter,
    /// `201907`
    Month,
}

/// What studies are partitioned by: any combination, or nothing (one partition).
///
/// Text form: components joined by commas, as `date:year`, `domain,date:month,institution` or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionScheme {
    /// By domain.
    pub domain: bool,
    /// By institution.
    pub institution: bool,
    /// By study date.
    pub date: Option<DateGranularity>,
}

impl Default for PartitionScheme {
    fn default() -> Self {
        Self { domain: false, institution: false, date: Some(DateGranularity::Year) }
    }
}

/// A text that is no partition scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a partition scheme: join `domain`, `institution`, `date:year`, `date:quarter` or `date:month` by commas, or say `none`"
)]
pub struct InvalidScheme(String);

impl FromStr for PartitionScheme {
    type Err = InvalidScheme;

    fn from_str(text: &str) -> Result<Self, InvalidScheme> {
        let mut scheme = Self { domain: false, institution: false, date: None };
        if text == "none" {
            return Ok(scheme);
        }
        let invalid = || InvalidScheme(text.chars().take(80).collect());
        for part in text.split(',').map(str::trim) {
            let date = match part {
                "domain" if !scheme.domain => {
                    scheme.domain = true;
                    continue;
                }
                "institution" if !scheme.institution => {
                    scheme.institution = true;
                    continue;
                }
                "date" | "date:year" => DateGranularity::Year,
                "date:quarter" => DateGranularity::Quarter,
                "date:month" => DateGranularity::Month,
                _ => return Err(invalid()),
            };
            if scheme.date.replace(date).is_some() {
                return Err(invalid());
            }
        }
        Ok(scheme)
    }
}

impl fmt::Display for PartitionScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.date.map(|date| match date {
            DateGranularity::Year => "date:year",
            DateGranularity::Quarter => "date:quarter",
            DateGranularity::Month => "date:month",
        });
        let parts: Vec<_> =
            [self.domain.then_some("domain"), self.institution.then_some("institution"), date]
                .into_iter()
                .flatten()
                .collect();
        f.write_str(if parts.is_empty() { "none".into() } else { parts.join(",") }.as_str())
    }
}

/// What a partition is chosen from: values of the first file of a study.
#[derive(Clone, Copy, Debug)]
pub struct PartitionInput<'a> {
    /// Domain of the source.
    pub domain: &'a Domain,
    /// StudyDate, `YYYYMMDD` if it is a date.
    pub study_date: Option<&'a str>,
    /// InstitutionName as it is.
    pub institution: Option<&'a str>,
}

/// A partition: equal keys are one partition. The label holds no text of a file but dates and
/// institutions; never use it in a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey {
    /// Domain, institution and date, each prefixed, joined by `|`.
    label: String,
    slug: String,
}

impl PartitionScheme {
    /// The partition of a study.
    #[must_use]
    pub fn partition(&self, input: PartitionInput<'_>) -> PartitionKey {
        self.partition_at(&input, &normalise_institution(input.institution.unwrap_or_default()))
    }

    /// The partition of a study of a site, whose name is taken as it is.
    pub(crate) fn partition_at(&self, input: &PartitionInput<'_>, site: &str) -> PartitionKey {
        let mut parts = Vec::with_capacity(3);
        if self.domain {
            parts.push(("domain=", input.domain.as_str().to_owned()));
        }
        if self.institution {
            parts.push(("institution=", site.to_owned()));
        }
        if let Some(granularity) = self.date {
            parts.push(("date=", date_component(granularity, input.study_date)));
        }
        if parts.is_empty() {
            parts.push(("", "all".to_owned()));
        }
        let label =
            parts.iter().map(|(prefix, part)| format!("{prefix}{part}")).collect::<Vec<_>>().join("|");
        let slug = parts.iter().map(|(_, part)| slug(part)).collect::<Vec<_>>().join("+");
        PartitionKey { label, slug }
    }
}

impl PartitionKey {
    /// Reverses [`PartitionKey::label`]; `None` for a text that is no label.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        let part = |part: &'_ str| {
            let known =
                ["domain=", "institution=", "date="].iter().find_map(|prefix| part.strip_prefix(prefix));
            known.map(str::to_owned).or_else(|| (part == "all").then(|| part.to_owned()))
        };
        let parts: Option<Vec<String>> = label.split('|').map(part).collect();
        let slug = parts?.iter().map(|part| slug(part)).collect::<Vec<_>>().join("+");
        Some(Self { label: label.to_owned(), slug })
    }

    /// The label: stable, and unique to the partition.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// The first shard of a partition, `<slug>-<hash>/0`: the only one until it is split (see [`crate::bucket_of`]).
#[must_use]
pub fn shard_of(partition: &PartitionKey) -> ShardId {
    let hash = blake3::hash(partition.label.as_bytes());
    let short = &hash.to_hex()[..8];
    ShardId::new(&format!("{}-{short}/0", partition.slug)).expect("slugs are of plain ASCII characters")
}

fn date_component(granularity: DateGranularity, study_date: Option<&str>) -> String {
    let parsed = study_date.filter(|date| date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()));
    let Some(date) = parsed else { return UNDATED.to_owned() };
    let number = |range: std::ops::Range<usize>| date[range].parse::<u32>().unwrap_or(0);
    let (year, month) = (number(0..4), number(4..6));
    if !YEARS.contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&number(6..8)) {
        return UNDATED.to_owned();
    }
    match granularity {
        DateGranularity::Year => format!("{year}"),
        DateGranularity::Quarter => format!("{year}Q{}", month.div_ceil(3)),
        DateGranularity::Month => format!("{year}{month:02}"),
    }
}

/// Readable ASCII for a path; uniqueness comes from the hash beside it.
fn slug(part: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let slug: String = part.nfkd().filter(|c| c.is_ascii()).map(plain).take(SLUG_CHARS_MAX).collect();
    if slug.is_empty() { "x".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(scheme: &str, date: Option<&str>, institution: Option<&str>) -> String {
        let scheme: PartitionScheme = scheme.parse().expect("a scheme");
        let domain = Domain::default();
        let key = scheme.partition(PartitionInput { domain: &domain, study_date: date, institution });
        let id = shard_of(&key).to_string();
        let at = id.rfind('-').expect("a hash");
        format!("{} {}", &id[..at], key.label())
    }

    #[test]
    fn partitions() {
        for (scheme, date, institution, expected) in [
            ("date:year", Some("20190731"), None, "2019 date=2019"),
            ("date:quarter", Some("20190731"), None, "2019Q3 date=2019Q3"),
            ("date:month", Some("20190731"), None, "201907 date=201907"),
            ("date:month", Some("20191331"), None, "undated date=undated"),
            ("date:year", Some("18990101"), None, "undated date=undated"),
            ("date:year", Some("2019.07.31"), None, "undated date=undated"),
            ("date:year", None, None, "undated date=undated"),
            ("none", None, None, "all all"),
            (
                "institution",
                None,
                Some("St. Brendan  MEDICAL"),
                "st_brendan_medical institution=st brendan medical",
            ),
            ("institution", None, Some("東海病院"), "x institution=東海病院"),
            ("institution", None, Some("../.."), "unknown institution=unknown"),
            ("domain,date:year", Some("20010101"), None, "default+2001 domain=default|date=2001"),
        ] {
            assert_eq!(shard(scheme, date, institution), expected);
        }
    }

    #[test]
    fn schemes_parse_and_print() {
        for text in ["none", "date:year", "domain,institution,date:month"] {
            assert_eq!(text.parse::<PartitionScheme>().map(|s| s.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "date:day", "date:year,date:month", "domain,domain", "none,domain"] {
            assert!(text.parse::<PartitionScheme>().is_err(), "{text}");
        }
    }
}
