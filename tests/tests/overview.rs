//! What `shardex summary` tells, on the built binary.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value as Json;
use shardex_tests::{Instance, Shardex};

const PATIENT_ID: u32 = 0x0010_0020;
const STUDY_DATE: u32 = 0x0008_0020;
const SERIES_DATE: u32 = 0x0008_0021;
const INSTITUTION: u32 = 0x0008_0080;
const MODALITY: u32 = 0x0008_0060;

struct Place {
    _folder: tempfile::TempDir,
    tree: PathBuf,
    shardex: Shardex,
}

impl Place {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let tree = folder.path().join("tree");
        std::fs::create_dir(&tree)?;
        let shardex = Shardex::new(&folder.path().join("archive"))?;
        Ok(Self { _folder: folder, tree, shardex })
    }

    fn write(&self, name: &str, instance: &Instance) -> Result<()> {
        Ok(std::fs::write(self.tree.join(name), instance.bytes())?)
    }

    fn summary(&self) -> Result<Json> {
        let tree = self.tree.to_string_lossy().into_owned();
        let ingested = self.shardex.ingest(&[&tree])?;
        assert_eq!(ingested["ended"], "complete", "{ingested}");
        let answer = self.shardex.run(&["summary", "--json"])?;
        serde_json::from_str(&answer.out).with_context(|| answer.err)
    }
}

fn finding<'a>(summary: &'a Json, name: &str) -> Option<&'a Json> {
    summary["findings"].as_array()?.iter().find(|finding| finding["finding"] == name)
}

/// Runs the command that a finding names, and returns the rows that it lists.
fn listed(shardex: &Shardex, finding: &Json) -> Result<usize> {
    let command = finding["command"].as_str().context("a command")?;
    let binary = std::env::current_exe()?;
    let folder = binary.parent().and_then(Path::parent).context("a target folder")?;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH")?);
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("{command} --format jsonl")])
        .env("PATH", path)
        .current_dir(shardex.archive().parent().context("a folder")?)
        .output()?;
    anyhow::ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().count())
}

#[test]
fn figures_are_those_of_the_tree() -> Result<()> {
    let place = Place::new()?;
    for study in 0..3 {
        for number in 1..=4 {
            let mut instance = Instance::numbered(study / 2, study, 1, number);
            if study == 1 {
                instance = instance.with(MODALITY, b"CS", "PT").with(INSTITUTION, b"LO", "North Clinic");
            }
            place.write(&format!("{study}_{number}.dcm"), &instance)?;
        }
    }
    place.write("copy.dcm", &Instance::numbered(0, 0, 1, 1))?;
    std::fs::write(place.tree.join("more.zip"), b"PK\x03\x04 and so on")?;
    let summary = place.summary()?;
    let counts = &summary["counts"];
    for (name, count) in [
        ("patients", 2),
        ("studies", 3),
        ("series", 3),
        ("instances", 12),
        ("indexed_files", 13),
        ("files", 14),
    ] {
        assert_eq!(counts[name], count, "{name}: {counts}");
    }
    let size = std::fs::metadata(place.tree.join("0_1.dcm"))?.len();
    assert!(counts["instance_bytes"].as_u64().context("a number")? > 11 * size, "{counts}");

    let modalities = summary["by"]["modality"].as_array().context("groups")?;
    assert_eq!(modalities.len(), 2, "{modalities:?}");
    assert_eq!((&modalities[0]["value"], &modalities[0]["instances"]), (&"CT".into(), &8.into()));
    assert_eq!((&modalities[1]["value"], &modalities[1]["studies"]), (&"PT".into(), &1.into()));
    let sites = summary["by"]["site"].as_array().context("groups")?;
    assert!(sites.iter().any(|site| site["value"] == "North Clinic" && site["instances"] == 4), "{sites:?}");
    assert!(sites.iter().any(|site| site["value"].is_null() && site["instances"] == 8), "{sites:?}");
    assert_eq!(summary["by"]["sop_class"][0]["name"], "CT Image Storage");
    assert_eq!(summary["by"]["transfer_syntax"][0]["name"], "Explicit VR Little Endian");
    assert_eq!(summary["by"]["year"].as_array().map(Vec::len), Some(3));

    let filled = summary["filled"].as_array().context("attributes")?;
    let share =
        |keyword: &str| filled.iter().find(|share| share["keyword"] == keyword).map(|s| s["filled"].clone());
    assert_eq!(share("PatientID"), Some(12.into()));
    assert_eq!(share("InstitutionName"), Some(4.into()));
    assert_eq!(share("InstanceNumber"), Some(12.into()));
    assert_eq!(share("SOPClassUID"), Some(12.into()));
    assert_eq!(share("EchoTime"), Some(0.into()));

    assert_eq!(summary["archives_not_opened"]["zip"], 1);
    assert_eq!(finding(&summary, "archives_not_opened").map(|f| &f["count"]), Some(&1.into()));
    let copies = finding(&summary, "copies").context("a finding")?;
    assert_eq!((&copies["count"], listed(&place.shardex, copies)?), (&1.into(), 1));
    Ok(())
}

#[test]
fn every_finding_is_counted_and_its_command_lists_it() -> Result<()> {
    let place = Place::new()?;
    let plain = |study: u32, number: u32| Instance::numbered(study, study, 1, number);
    let files = [
        ("several_patients", plain(1, 1), plain(1, 2).with(PATIENT_ID, b"LO", "OTHER")),
        ("without_patient_id", plain(2, 1).with(PATIENT_ID, b"LO", ""), plain(3, 1)),
        ("several_dates", plain(4, 1), plain(4, 2).with(STUDY_DATE, b"DA", "20110102")),
        (
            "several_institutions",
            Instance::numbered(5, 5, 1, 1).with(INSTITUTION, b"LO", "North"),
            Instance::numbered(5, 5, 2, 1).with(INSTITUTION, b"LO", "South"),
        ),
        ("undated", plain(6, 1).with(STUDY_DATE, b"DA", ""), plain(7, 1)),
        ("early", plain(8, 1).with(STUDY_DATE, b"DA", "19000101"), plain(9, 1)),
        ("future", plain(10, 1).with(STUDY_DATE, b"DA", "29990101"), plain(11, 1)),
        ("series_before_study", plain(12, 1).with(SERIES_DATE, b"DA", "19990101"), plain(13, 1)),
        ("shared_sop_instance_uids", plain(14, 1), {
            let mut twin = plain(24, 1);
            twin.sop = plain(14, 1).sop;
            twin
        }),
        ("series_in_several_studies", plain(15, 1), {
            let mut stray = plain(16, 2);
            stray.series = plain(15, 1).series;
            stray
        }),
    ];
    for (name, first, second) in &files {
        place.write(&format!("{name}_1.dcm"), first)?;
        place.write(&format!("{name}_2.dcm"), second)?;
    }
    let summary = place.summary()?;
    for (name, ..) in &files {
        let found = finding(&summary, name).with_context(|| format!("{name}: {}", summary["findings"]))?;
        assert_eq!(found["count"], 1, "{found}");
        assert_eq!(listed(&place.shardex, found)?, 1, "{found}");
    }
    assert_eq!(summary["findings"].as_array().map(Vec::len), Some(files.len()), "{}", summary["findings"]);
    let text = place.shardex.run(&["summary"])?.out;
    assert!(text.contains("Worth a look:") && text.contains("studies dated before 1970: 1"), "{text}");
    Ok(())
}

#[test]
fn an_archive_without_anything_is_summarised() -> Result<()> {
    let place = Place::new()?;
    let summary = place.summary()?;
    assert_eq!(summary["counts"]["patients"], 0);
    let answer = place.shardex.run(&["summary"])?;
    assert_eq!(answer.code, Some(0));
    assert!(answer.out.contains("Nothing needs a look."), "{}", answer.out);
    Ok(())
}

#[test]
fn a_study_is_shown_as_a_tree() -> Result<()> {
    let place = Place::new()?;
    for (series, number) in [(1, 1), (1, 2), (2, 1)] {
        place.write(&format!("{series}_{number}.dcm"), &Instance::numbered(1, 1, series, number))?;
    }
    place.write("other.dcm", &Instance::numbered(1, 2, 1, 1))?;
    place.summary()?;
    let study = Instance::numbered(1, 1, 1, 1).study;
    let shown = place.shardex.run(&["tree", &study, "--files", "--json"])?;
    let tree: Json = serde_json::from_str(&shown.out).with_context(|| shown.err)?;
    let studies = tree["studies"].as_array().context("studies")?;
    assert_eq!(studies.len(), 1);
    let series = studies[0]["series"].as_array().context("series")?;
    assert_eq!(series.iter().map(|s| s["files"].as_array().map_or(0, Vec::len)).collect::<Vec<_>>(), [2, 1]);
    let patient = place.shardex.run(&["tree", "PAT0001"])?.out;
    assert_eq!(patient.lines().filter(|line| line.starts_with("study ")).count(), 2, "{patient}");
    assert!(patient.contains("├─") && patient.contains("2 instances"), "{patient}");
    assert!(!patient.contains(".dcm"), "files are listed only where they are asked for: {patient}");
    assert_eq!(place.shardex.run(&["tree", "NOBODY"])?.code, Some(1));
    Ok(())
}

fn report(place: &Place, arguments: &[&str]) -> Result<Vec<Json>> {
    let answer = place.shardex.run(&[&["report", "--format", "jsonl"], arguments].concat())?;
    anyhow::ensure!(answer.code == Some(0), "{}", answer.err);
    answer.out.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[test]
fn duplicates_are_copies_or_uids_given_twice() -> Result<()> {
    let place = Place::new()?;
    let first = Instance::numbered(1, 1, 1, 1);
    place.write("a.dcm", &first)?;
    place.write("b.dcm", &first)?;
    place.write("c.dcm", &first.clone().with(INSTITUTION, b"LO", "Elsewhere"))?;
    let mut twin = Instance::numbered(1, 11, 1, 1);
    twin.sop.clone_from(&first.sop);
    place.write("d.dcm", &twin)?;
    place.write("alone.dcm", &Instance::numbered(1, 1, 1, 2))?;
    place.summary()?;
    let rows = report(&place, &["duplicates"])?;
    assert_eq!(rows.len(), 4, "{rows:?}");
    assert!(
        rows.iter().all(|row| row["SOPInstanceUID"] == first.sop.as_str() && row["sharing_instances"] == 2)
    );
    let of = |path: &str| rows.iter().find(|row| row["path"] == path).cloned().unwrap_or_default();
    assert_eq!(of("d.dcm")["role"], "shown");
    // The newest, then the last by path, is shown.
    assert_eq!((&of("c.dcm")["role"], &of("a.dcm")["role"]), (&"shown".into(), &"copy".into()), "{rows:?}");
    assert_eq!(of("a.dcm")["same_content"], "no");
    let copies = report(&place, &["duplicates", "--only", "copy", "--limit", "1"])?;
    assert_eq!(copies.len(), 1);
    Ok(())
}

#[test]
fn what_is_gone_is_listed_and_paired_with_what_it_became() -> Result<()> {
    let place = Place::new()?;
    for number in 1..=40 {
        place.write(&format!("{number}.dcm"), &Instance::numbered(1, 1, 1, number))?;
    }
    place.summary()?;
    std::fs::create_dir(place.tree.join("new"))?;
    std::fs::rename(place.tree.join("1.dcm"), place.tree.join("new/1.dcm"))?;
    std::fs::remove_file(place.tree.join("2.dcm"))?;
    place.summary()?;
    let deletions = report(&place, &["deletions"])?;
    assert_eq!(deletions.iter().map(|row| &row["path"]).collect::<Vec<_>>(), ["1.dcm", "2.dcm"]);
    assert!(deletions.iter().all(|row| row["state"] == "deleted"), "{deletions:?}");
    let moves = report(&place, &["moves"])?;
    assert_eq!(moves.len(), 1, "{moves:?}");
    assert_eq!((&moves[0]["path"], &moves[0]["to_path"]), (&"1.dcm".into(), &"new/1.dcm".into()));
    let split = report(&place, &["split-studies"])?;
    assert!(split.is_empty(), "{split:?}");
    let table = place.shardex.run(&["report", "moves"])?;
    assert!(table.err.contains("moved or renamed"), "{}", table.err);
    Ok(())
}
