//! Real files against what an independent reader (pydicom, see the data's README) gives for them.
//!
//! The files are not part of the repository; where they are absent the test says so and passes.

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value as Json;
use shardex_catalog::{
    ATTRIBUTES, AttributeId, Domain, FileState, Header, Value, Values, attribute_by_keyword,
};
use shardex_extract::{Extracted, Extractor, Instance, Settings};
use support::say;

/// Files on which the oracle and shardex disagree on purpose, with the reason.
const DISAGREEMENTS: &[(&str, &str, &str)] = &[];

fn data() -> Option<PathBuf> {
    let folder = support::real_files()?.parent()?.to_owned();
    folder.join("dev_oracle.jsonl").exists().then_some(folder)
}

/// Every value of an instance as text by keyword, odd ones included.
fn texts(instance: &Instance) -> BTreeMap<&'static str, String> {
    let mut texts = BTreeMap::new();
    let mut add = |values: &Values| {
        let keyword = |id: &AttributeId| ATTRIBUTES[id.index()].keyword;
        for (id, value) in values.entries() {
            let text = match value {
                Value::Text(text) => text.to_string(),
                Value::Integer(number) => number.to_string(),
                Value::Real(number) => number.to_string(),
            };
            texts.insert(keyword(id), text);
        }
        texts.extend(values.odd().iter().map(|(id, raw)| (keyword(id), raw.to_string())));
    };
    add(&instance.values);
    let mut header: Option<&Header> = Some(&instance.stack);
    while let Some(level) = header {
        add(level.values());
        header = level.parent().map(|parent| &**parent);
    }
    texts.insert("SOPInstanceUID", instance.sop_instance_uid.to_string());
    texts
}

/// Whether two texts of a value are the same but for how numbers, dates and padding are written.
fn equal(keyword: &str, ours: &str, theirs: &str) -> bool {
    if ours == theirs {
        return true;
    }
    let of = |text: &str| text.split('\\').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
    let (ours, theirs) = (of(ours), of(theirs));
    let vr = attribute_by_keyword(keyword).map(|id| format!("{:?}", ATTRIBUTES[id.index()].vr));
    ours.len() == theirs.len()
        && ours.iter().zip(&theirs).all(|(ours, theirs)| {
            let numbers = ours.parse::<f64>().ok().zip(theirs.parse::<f64>().ok());
            match vr.as_deref() {
                Some("DA" | "TM") => {
                    *ours == theirs.replace(['.', '-', ':'], "") || *ours == theirs.replace(':', "")
                }
                Some("PN") => ours.trim_end_matches('=') == theirs.trim_end_matches('='),
                _ => ours == theirs || numbers.is_some_and(|(a, b)| (a - b).abs() <= 1e-6 * b.abs()),
            }
        })
}

#[test]
fn real_files_have_the_values_of_the_oracle() {
    let Some(folder) = data() else {
        say("SKIPPED: 1 test, the real files are not here");
        return;
    };
    let oracle = std::fs::read_to_string(folder.join("dev_oracle.jsonl")).expect("read");
    let mut extractor = Extractor::new(Settings::default());
    let (mut files, mut values, mut failures) = (0, 0, Vec::new());
    let (mut radionuclides, mut expected_radionuclides) = (0, 0);
    for line in oracle.lines() {
        let expected: Json = serde_json::from_str(line).expect("JSON");
        let path = expected["path"].as_str().expect("a path");
        let bytes = std::fs::read(folder.join("dev").join(path)).expect("read");
        let extracted = extractor.extract(&*bytes, bytes.len() as u64, &Domain::default());
        files += 1;
        let has_code = expected["values"].get("RadionuclideCodeMeaning").is_some();
        let fails = check(path, &expected, &extracted, &mut values);
        failures.extend(
            fails
                .into_iter()
                .filter(|(keyword, _)| {
                    !DISAGREEMENTS.iter().any(|(known, of, _)| *known == path && of == keyword)
                })
                .map(|(_, text)| text),
        );
        if let Extracted::Instance(instance) = &extracted {
            expected_radionuclides += usize::from(has_code);
            radionuclides += usize::from(has_code && texts(instance).contains_key("Radionuclide"));
        }
    }
    say(&format!(
        "{files} files, {values} values compared, {radionuclides} of {expected_radionuclides} radionuclides"
    ));
    assert_eq!(radionuclides, expected_radionuclides);
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}

fn check(path: &str, expected: &Json, extracted: &Extracted, values: &mut usize) -> Vec<(String, String)> {
    let status = expected["status"].as_str().expect("a status");
    let fail = |keyword: &str, text: String| vec![(keyword.to_owned(), format!("{path}: {keyword}: {text}"))];
    let instance = match (status, extracted) {
        ("dicom", Extracted::Instance(instance)) => instance,
        ("dicom", Extracted::Other(other)) => {
            let has =
                |keyword: &str| expected["values"][keyword].as_str().is_some_and(|text| !text.is_empty());
            let has_uids = has("StudyInstanceUID") && has("SeriesInstanceUID");
            let is_dicomdir = expected["dicomdir"].as_bool() == Some(true);
            let fits = match other.state {
                FileState::Skipped => is_dicomdir,
                FileState::NonPatient | FileState::Quarantined => !has_uids,
                _ => false,
            };
            return if fits { Vec::new() } else { fail("state", format!("{other:?}")) };
        }
        (_, Extracted::Other(other)) => {
            let fits = matches!(other.state, FileState::NotDicom | FileState::Skipped);
            return if fits { Vec::new() } else { fail("state", format!("{other:?} is not DICOM")) };
        }
        (_, Extracted::Instance(_)) => return fail("state", "indexed, but it is not DICOM".into()),
    };
    let ours = texts(instance);
    let mut failures = Vec::new();
    for (keyword, theirs) in expected["values"].as_object().expect("values") {
        if attribute_by_keyword(keyword).is_none() {
            failures.extend(fail(keyword, "not in the table".into()));
            continue;
        }
        let theirs = theirs.as_str().expect("a text");
        let alternative = expected["alternatives"][keyword].as_str();
        let ours = ours.get(&**keyword).map_or("", String::as_str);
        *values += 1;
        if !equal(keyword, ours, theirs) && !alternative.is_some_and(|other| equal(keyword, ours, other)) {
            failures.extend(fail(keyword, format!("ours {ours:?}, oracle {theirs:?}")));
        }
    }
    failures
}
