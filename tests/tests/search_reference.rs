//! Searches against a simple reference: every instance's row, compared one by one.
//!
//! The reference knows dates as numbers, wildcards by trying all ways and names by letters, so that it
//! shares no idea with what it checks. `SHARDEX_TEST_SEED` repeats or varies a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value as Json};
use shardex_tests::random::seed;
use shardex_tests::{Instance, Random, Shardex};

const FILES: u32 = 500;
const SEARCHES: usize = 100;

type Row = Map<String, Json>;

/// An attribute with what files say of it. An empty value leaves it out.
struct Field {
    keyword: &'static str,
    tag: u32,
    vr: &'static [u8; 2],
    values: &'static [&'static str],
}

const fn field(
    keyword: &'static str,
    tag: u32,
    vr: &'static [u8; 2],
    values: &'static [&'static str],
) -> Field {
    Field { keyword, tag, vr, values }
}

#[rustfmt::skip]
const FIELDS: &[Field] = &[
    field("PatientName", 0x0010_0010, b"PN", &["Müller^Jörg", "MULLER^Jorg^^Dr", "Doe^Jane", "doe", "Weiß^Ute", "Yamada^Tarou=山田^太郎", "山田^太郎", "O'Brien^Seán", "", "Doe^[x]"]),
    field("PatientID", 0x0010_0020, b"LO", &["P1", "P2", "p1", "P10", "P 3", ""]),
    field("StudyDate", 0x0008_0020, b"DA", &["20100115", "20110215", "20190131", "20151231", ""]),
    field("PatientSex", 0x0010_0040, b"CS", &["F", "M", "O", ""]),
    field("AccessionNumber", 0x0008_0050, b"SH", &["A1", "A2", "A10", "a1", "B[1]", "B1", "", "*"]),
    field("StudyDescription", 0x0008_1030, b"LO", &["Thorax", "thorax", "Thorax mit KM", "Abdomen?", "äöü", "\u{10FFFF}x", ""]),
    field("StudyTime", 0x0008_0030, b"TM", &["10", "1000", "100000", "100000.000000", "100000.5", "103059.999999", "1030", "235959", "000000", "00", ""]),
    field("Modality", 0x0008_0060, b"CS", &["CT", "MR", "PT", "US"]),
    field("SeriesDate", 0x0008_0021, b"DA", &["20190101", "20190131", "20190201", "20191231", "20200101", "18581117", ""]),
    field("SeriesNumber", 0x0020_0011, b"IS", &["1", "2", "10", "-3", ""]),
    field("Manufacturer", 0x0008_0070, b"LO", &["GE", "GE MEDICAL", "Siemens", "SIEMENS", ""]),
    field("SoftwareVersions", 0x0018_1020, b"LO", &["v1", "v1\\v2", "v2\\\"q\"\\v3", "v[1]\\x", ""]),
    field("ImageType", 0x0008_0008, b"CS", &["ORIGINAL\\PRIMARY", "DERIVED\\SECONDARY\\MPR", "ORIGINAL", ""]),
    field("PixelSpacing", 0x0028_0030, b"DS", &["0.5\\0.5", "1\\0.75", "1.0\\1.0", ""]),
    field("SliceThickness", 0x0018_0050, b"DS", &["1", "1.0", "2.5", ""]),
    field("AcquisitionDateTime", 0x0008_002A, b"DT", &["20190131103000", "20190131", "201901311030", "20190131103000.25", "2020", ""]),
    field("InstanceNumber", 0x0020_0013, b"IS", &["1", "2", "3", "4", ""]),
];

/// Files of few studies, so that headers of a study, and patients of a UID, often disagree.
fn instances(random: &mut Random) -> Vec<Instance> {
    let mut last = (0, 0, 0);
    let mut one = |number: u32, random: &mut Random| {
        // A UID now and then comes twice: twins, of which one is live.
        if number == 0 || random.below(20) > 0 {
            let small = |n: usize| u32::try_from(n).expect("small");
            last = (small(random.below(60)), small(random.below(3)), number);
        }
        let (study, series, number) = last;
        let mut instance =
            Instance::numbered(0, study, series, number).with(0x0008_0005, b"CS", "ISO_IR 192");
        for field in FIELDS {
            // Fields of studies and series mostly follow from these, so that headers are shared.
            let usual = (study as usize * 7 + series as usize * 3 + field.keyword.len()) % field.values.len();
            let is_odd = random.below(6) == 0;
            let value = if is_odd { random.pick(field.values) } else { &field.values[usual] };
            instance = instance.with(field.tag, field.vr, value);
        }
        instance
    };
    (0..FILES).map(|number| one(number, random)).collect()
}

/// A key as the command line takes it.
#[derive(Clone, Debug)]
struct Key {
    field: usize,
    text: String,
    /// Given as a file of literal values.
    is_list: bool,
}

impl Key {
    fn any(random: &mut Random) -> Self {
        let field = random.below(FIELDS.len());
        let pick = |random: &mut Random| (*random.pick(FIELDS[field].values)).to_owned();
        let single = |random: &mut Random| {
            let values = pick(random);
            let several: Vec<&str> = values.split('\\').collect();
            (*random.pick(&several)).to_owned()
        };
        let text = match FIELDS[field].vr {
            _ if random.below(8) == 0 => String::new(),
            b"DA" | b"TM" | b"DT" => range(random, &pick),
            b"IS" | b"DS" => single(random),
            b"PN" => name(random, &pick),
            _ => match random.below(3) {
                0 => single(random),
                1 => {
                    let text = single(random);
                    wildcard(random, &text)
                }
                _ => [single(random), single(random)].join("\\"),
            },
        };
        let takes_lists = matches!(FIELDS[field].vr, b"SH" | b"LO" | b"CS");
        Self { field, text, is_list: takes_lists && random.below(4) == 0 }
    }

    fn argument(&self, folder: &Path) -> Result<String> {
        let keyword = FIELDS[self.field].keyword;
        if !self.is_list || self.text.is_empty() {
            return Ok(format!("{keyword}={}", self.text));
        }
        let file = folder.join("list.csv");
        let lines = self.text.split('\\').map(|value| format!("\"{}\"\r\n", value.replace('"', "\"\"")));
        std::fs::write(&file, lines.collect::<String>())?;
        Ok(format!("{keyword}=@{}", file.display()))
    }

    /// Whether such a key can be asked at all; the reference need not know what is refused.
    fn is_askable(&self) -> bool {
        let is_empty_among = self.text.contains('\\') && self.text.split('\\').any(str::is_empty);
        !is_empty_among && !self.text.starts_with('@') && self.text != "-"
    }

    fn matches(&self, row: &Row) -> bool {
        let field = &FIELDS[self.field];
        let value = match &row[field.keyword] {
            Json::Null => {
                return self.text.is_empty() || (is_universal(field.vr, &self.text) && !self.is_list);
            }
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        if self.text.is_empty() {
            return false;
        }
        if is_universal(field.vr, &self.text) && !self.is_list {
            return true;
        }
        let values: Vec<&str> = value.split('\\').collect();
        self.text.split('\\').any(|wanted| {
            values.iter().any(|value| match self.is_list {
                true => wanted == *value,
                false => matches_one(field.vr, wanted, value),
            })
        })
    }
}

fn is_universal(vr: &[u8; 2], text: &str) -> bool {
    !matches!(vr, b"DA" | b"TM" | b"DT" | b"IS" | b"DS")
        && text.split('\\').any(|part| !part.is_empty() && part.bytes().all(|byte| byte == b'*'))
}

fn matches_one(vr: &[u8; 2], wanted: &str, value: &str) -> bool {
    match vr {
        b"DA" | b"TM" | b"DT" => in_range(vr, wanted, value),
        b"IS" | b"DS" => wanted.parse::<f64>().ok() == value.parse::<f64>().ok(),
        b"PN" => name_matches(wanted, value),
        _ => glob(&wanted.chars().collect::<Vec<_>>(), &value.chars().collect::<Vec<_>>()),
    }
}

/// All ways to take a `*`.
fn glob(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|taken| glob(rest, &text[taken..])),
        Some(('?', rest)) => !text.is_empty() && glob(rest, &text[1..]),
        Some((c, rest)) => text.first() == Some(c) && glob(rest, &text[1..]),
    }
}

fn letters(text: &str) -> String {
    let plain = |c: char| match c {
        'ü' | 'Ü' => "u".to_owned(),
        'ö' | 'Ö' => "o".to_owned(),
        'á' => "a".to_owned(),
        'ß' => "ss".to_owned(),
        c => c.to_lowercase().collect(),
    };
    text.chars().map(plain).collect()
}

fn name_matches(wanted: &str, value: &str) -> bool {
    let (wanted, value) = (letters(wanted), letters(value));
    let groups: Vec<&str> = value.split('=').collect();
    let wanted = wanted.trim_end_matches('^');
    let candidates = if wanted.is_ascii() { &groups[..1] } else { &groups[..] };
    let parts: Vec<char> = wanted.chars().collect();
    candidates.iter().any(|group| {
        // The whole group, or all up to one of its carets.
        let group: Vec<char> = group.trim_end_matches('^').chars().collect();
        let ends = (0..group.len()).filter(|at| group[*at] == '^').chain([group.len()]);
        ends.into_iter().any(|end| glob(&parts, &group[..end]))
    })
}

/// Digits of a date or time as the first and last moment of it, as numbers.
fn moments(vr: &[u8; 2], text: &str) -> (u128, u128) {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (date, time) = match vr {
        b"DA" => (whole, ""),
        b"TM" => ("", whole),
        _ => whole.split_at(whole.len().min(8)),
    };
    let digits = |given: &str, least: &str, most: &str| {
        let fill = |rest: &str| format!("{given}{}", rest.get(given.len()..).unwrap_or_default());
        (fill(least), fill(most))
    };
    let date = digits(date, "00000101", "99991231");
    let time = digits(time, "000000", "235959");
    let fraction = digits(fraction, "000000", "999999");
    let number = |date: &str, time: &str, fraction: &str| {
        format!("{date}{time}{fraction}").parse::<u128>().expect("digits")
    };
    // Of a time, the day does not count.
    let day = if vr == b"TM" { ("0".to_owned(), "0".to_owned()) } else { date };
    (number(&day.0, &time.0, &fraction.0), number(&day.1, &time.1, &fraction.1))
}

fn in_range(vr: &[u8; 2], wanted: &str, value: &str) -> bool {
    let begins = moments(vr, value).0;
    match wanted.split_once('-') {
        Some((low, high)) => {
            (low.is_empty() || begins >= moments(vr, low).0)
                && (high.is_empty() || begins <= moments(vr, high).1)
        }
        None => begins >= moments(vr, wanted).0 && begins <= moments(vr, wanted).1,
    }
}

fn range(random: &mut Random, pick: &dyn Fn(&mut Random) -> String) -> String {
    let cut = |random: &mut Random| -> String {
        let text = pick(random);
        if text.contains('.') || random.below(2) == 0 {
            return text;
        }
        let lengths: Vec<usize> = [2, 4, 6, 8, 10, 12, 14].into_iter().filter(|n| *n <= text.len()).collect();
        let shortest = if text.len() >= 8 || text.len() == 4 && text.starts_with("20") { 4 } else { 2 };
        let lengths: Vec<usize> = lengths.into_iter().filter(|n| *n >= shortest).collect();
        if lengths.is_empty() { text } else { text[..*random.pick(&lengths)].to_owned() }
    };
    match random.below(4) {
        0 => cut(random),
        1 => format!("{}-", cut(random)),
        2 => format!("-{}", cut(random)),
        _ => format!("{}-{}", cut(random), cut(random)),
    }
}

fn wildcard(random: &mut Random, text: &str) -> String {
    let one = |c: char| match random.below(5) {
        0 => "?".to_owned(),
        1 => "*".to_owned(),
        2 => format!("{c}*"),
        _ => c.to_string(),
    };
    text.chars().map(one).collect()
}

fn name(random: &mut Random, pick: &dyn Fn(&mut Random) -> String) -> String {
    let whole = pick(random);
    let groups: Vec<&str> = whole.split('=').collect();
    let group = *random.pick(&groups);
    let components: Vec<&str> = group.split('^').collect();
    let kept = 1 + random.below(components.len());
    let text = components[..kept].join("^");
    match random.below(4) {
        0 => text,
        1 => text.to_uppercase().replace("SS", "ss"),
        2 => wildcard(random, &text),
        _ => letters(&text),
    }
}

/// What a row is, at a level.
fn identity(level: &str, row: &Row) -> String {
    let text = |name: &str| row.get(name).map_or_else(String::new, Json::to_string);
    let study = format!("{} {}", text("domain"), text("StudyInstanceUID"));
    match level {
        "instances" => text("file_path"),
        "series" => format!("{study} {}", text("SeriesInstanceUID")),
        "studies" => study,
        _ if row["PatientID"].is_null() => format!("none {study}"),
        _ => format!("{} {} {}", text("domain"), text("IssuerOfPatientID"), text("PatientID")),
    }
}

fn columns(level: &str) -> &'static str {
    match level {
        "instances" => "file_path,domain",
        "series" => "domain,StudyInstanceUID,SeriesInstanceUID",
        "studies" => "domain,StudyInstanceUID",
        _ => {
            "domain,IssuerOfPatientID,PatientID,NumberOfPatientRelatedInstances,NumberOfPatientRelatedStudies"
        }
    }
}

fn rows(shardex: &Shardex, arguments: &[&str]) -> Result<Vec<Row>> {
    let answer = shardex.run(&[arguments, &["--format", "jsonl"]].concat())?;
    anyhow::ensure!(answer.code == Some(0), "{arguments:?}: {}", answer.err);
    answer.out.lines().map(|line| serde_json::from_str(line).context("JSON")).collect()
}

/// Patients without an id cannot be told apart: they are compared by their counts.
fn patients_expected(all: &[Row], found: &BTreeSet<String>) -> BTreeMap<String, usize> {
    let mut expected = BTreeMap::new();
    for identity_found in found {
        let whole: Vec<&Row> =
            all.iter().filter(|row| identity("patients", row) == *identity_found).collect();
        let studies: BTreeSet<String> = whole.iter().map(|row| identity("studies", row)).collect();
        let name = if identity_found.starts_with("none ") { "none" } else { identity_found };
        *expected.entry(format!("{name} {} {}", whole.len(), studies.len())).or_default() += 1;
    }
    expected
}

fn patients_found(answer: &[Row]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for row in answer {
        let name = if row["PatientID"].is_null() { "none".to_owned() } else { identity("patients", row) };
        let counts =
            ["NumberOfPatientRelatedInstances", "NumberOfPatientRelatedStudies"].map(|name| &row[name]);
        *found.entry(format!("{name} {} {}", counts[0], counts[1])).or_default() += 1;
    }
    found
}

#[test]
fn searches_find_what_a_reference_finds() -> Result<()> {
    let seed = seed();
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree)?;
    for (n, instance) in instances(&mut random).iter().enumerate() {
        std::fs::write(tree.join(format!("{n:04}.dcm")), instance.bytes())?;
    }
    let shardex = Shardex::new(&folder.path().join("archive"))?;
    let summary = shardex.ingest(&[&tree.to_string_lossy()])?;
    anyhow::ensure!(summary["ended"] == "complete", "{summary}");
    let all = rows(&shardex, &["sql", "SELECT * FROM instances"])?;
    assert!(all.len() > 400 && all.len() < FILES as usize, "{} rows: no twins", all.len());

    let mut hits = 0;
    for _ in 0..SEARCHES {
        let mut keys: Vec<Key> = (0..random.below(3)).map(|_| Key::any(&mut random)).collect();
        keys.retain(Key::is_askable);
        keys.dedup_by_key(|key| key.field);
        let level = *random.pick(&["patients", "studies", "series", "instances"]);
        // One list a search: they share a file.
        let lists = keys.iter().filter(|key| key.is_list).count();
        if lists > 1 {
            keys.truncate(1);
        }
        let given: Vec<String> = keys.iter().map(|key| key.argument(folder.path())).collect::<Result<_>>()?;
        let mut arguments = vec!["search", level];
        arguments.extend(given.iter().map(String::as_str));
        let asked = [&arguments[..], &["--columns", columns(level)]].concat();
        let answer = match rows(&shardex, &asked) {
            // A range that ends before it begins has no answer to compare.
            Err(error) if error.to_string().contains("ends before it begins") => continue,
            answer => answer.with_context(|| format!("seed {seed}"))?,
        };
        let expected: BTreeSet<String> = all
            .iter()
            .filter(|row| keys.iter().all(|key| key.matches(row)))
            .map(|row| identity(level, row))
            .collect();
        hits += usize::from(!expected.is_empty() && !keys.is_empty());
        if level == "patients" {
            assert_eq!(patients_found(&answer), patients_expected(&all, &expected), "seed {seed}: {given:?}");
        } else {
            let found: BTreeSet<String> = answer
                .iter()
                .map(|row| match level {
                    "instances" => row["file_path"].to_string(),
                    _ => identity(level, row),
                })
                .collect();
            let missing: Vec<_> = expected.difference(&found).collect();
            let wrong: Vec<_> = found.difference(&expected).collect();
            assert_eq!((missing, wrong), (vec![], vec![]), "seed {seed}: {level} {given:?}");
            assert_eq!(found.len(), answer.len(), "seed {seed}: {level} {given:?}: twice");
        }
        let count = rows(&shardex, &[&arguments[..], &["--count"]].concat())?;
        assert_eq!(count[0]["count"], expected.len(), "seed {seed}: {level} {given:?}");
    }
    assert!(hits > SEARCHES / 4, "only {hits} searches found anything");
    Ok(())
}
