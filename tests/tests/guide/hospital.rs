//! The files that the guide works on: three years of a small, made-up hospital.

use std::path::Path;

use anyhow::Result;
use shardex_tests::{Instance, Item};

const ACCESSION_NUMBER: u32 = 0x0008_0050;
const MODALITY: u32 = 0x0008_0060;
const MANUFACTURER: u32 = 0x0008_0070;
const INSTITUTION: u32 = 0x0008_0080;
const STUDY_DESCRIPTION: u32 = 0x0008_1030;
const BIRTH_DATE: u32 = 0x0010_0030;
const PATIENT_NAME: u32 = 0x0010_0010;
const WEIGHT: u32 = 0x0010_1030;
const STUDY_INSTANCE_UID: u32 = 0x0020_000D;
const SOP_CLASS: u32 = 0x0008_0016;

/// Writes the tree: `YEAR/MODALITY-NUMBER/imN.dcm`, copies and what is no image.
pub(crate) fn write(root: &Path) -> Result<()> {
    for number in 1..=6 {
        let modality = if number % 2 == 0 { "MR" } else { "CT" };
        study(root, number, modality, 5, &|instance| instance)?;
    }
    let tracers = [
        (7, "C-111A1", "^18^Fluorine", Some("Fluorodeoxyglucose"), "370000000"),
        (8, "C-111A1", "^18^Fluorine", Some("Fluorodeoxyglucose"), "352000000"),
        (9, "C-131A3", "^68^Gallium", Some("Edotreotide"), "150000000"),
        (10, "C-111A1", "^18^Fluorine", None, "361000000"),
    ];
    for (number, code, nuclide, tracer, dose) in tracers {
        let item = radiopharmaceutical(code, nuclide, tracer, dose);
        let pet = |instance: Instance| {
            let instance = instance.with(SOP_CLASS, b"UI", "1.2.840.10008.5.1.4.1.1.128");
            instance.with_item(0x0054_0016, &item).with(WEIGHT, b"DS", "72.5")
        };
        study(root, number, "PT", 10, &pet)?;
    }
    oddities(root)
}

fn year(number: u32) -> u32 {
    2019 + number % 3
}

fn folder(root: &Path, number: u32, modality: &str) -> std::path::PathBuf {
    root.join(year(number).to_string()).join(format!("{modality}-{number:02}"))
}

fn instance(number: u32, modality: &str, image: u32) -> Instance {
    let mut instance = Instance::numbered(number, number, 1, image)
        .with(MODALITY, b"CS", modality)
        .with(ACCESSION_NUMBER, b"SH", &format!("ACC{number:03}"))
        .with(INSTITUTION, b"LO", if number.is_multiple_of(2) { "North Clinic" } else { "South Clinic" })
        .with(MANUFACTURER, b"LO", "MAKER")
        .with(STUDY_DESCRIPTION, b"LO", &format!("{modality} study {number}"))
        .with(BIRTH_DATE, b"DA", "19600229");
    instance.date = format!("{}03{:02}", year(number), 10 + number);
    instance
}

fn study(
    root: &Path,
    number: u32,
    modality: &str,
    images: u32,
    change: &dyn Fn(Instance) -> Instance,
) -> Result<()> {
    let folder = folder(root, number, modality);
    std::fs::create_dir_all(&folder)?;
    for image in 1..=images {
        let bytes = change(instance(number, modality, image)).bytes();
        std::fs::write(folder.join(format!("im{image:02}.dcm")), bytes)?;
    }
    Ok(())
}

fn radiopharmaceutical(code: &str, nuclide: &str, tracer: Option<&str>, dose: &str) -> Item {
    let coded = Item::default().with(0x0008_0100, b"SH", code).with(0x0008_0102, b"SH", "SRT").with(
        0x0008_0104,
        b"LO",
        nuclide,
    );
    let item = tracer.map_or_else(Item::default, |tracer| Item::default().with(0x0018_0031, b"LO", tracer));
    item.with(0x0018_1074, b"DS", dose).with_item(0x0054_0300, &coded)
}

/// A copied folder, two patients in one study, one UID given twice, and files that are no images.
fn oddities(root: &Path) -> Result<()> {
    let copies = root.join("copies");
    std::fs::create_dir(&copies)?;
    for image in 1..=3 {
        let name = format!("im{image:02}.dcm");
        std::fs::copy(folder(root, 2, "MR").join(&name), copies.join(&name))?;
    }
    let stray =
        instance(3, "CT", 90).with(PATIENT_NAME, b"PN", "Other^Person").with(0x0010_0020, b"LO", "PAT0099");
    std::fs::write(folder(root, 3, "CT").join("im90.dcm"), stray.bytes())?;
    let mut again = instance(5, "CT", 91);
    again.sop = instance(4, "MR", 1).sop;
    std::fs::write(folder(root, 5, "CT").join("im91.dcm"), again.bytes())?;
    std::fs::write(root.join("notes.txt"), "scanned on Tuesday\n")?;
    std::fs::write(root.join("old.zip"), b"PK\x03\x04 and so on")?;
    let lost = instance(6, "MR", 92).with(STUDY_INSTANCE_UID, b"UI", "");
    std::fs::write(root.join("lost.dcm"), lost.bytes())?;
    Ok(())
}
