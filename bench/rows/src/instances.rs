//! Rows like those of a hospital's CT and MR: 4 series of 50 slices a study, 2 studies a patient, 12 years, 5
//! institutions, so that years make 12 shards, years and institutions 60, quarters and institutions 240.

use std::sync::Arc;

use shardex_catalog::{
    ContentDigest, Domain, FileName, FileRow, FileStamp, Header, Value, Values, Warnings, attribute_by_keyword,
};

/// Slices of a series.
pub(crate) const SLICES: u64 = 50;
/// Series of a study.
pub(crate) const SERIES: u64 = 4;
const MODALITIES: [&str; 4] = ["CT", "MR", "CT", "PT"];
const CLASSES: [&str; 4] = [
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.128",
];

fn values(entries: Vec<(&str, Value)>) -> Values {
    let id = |keyword: &str| attribute_by_keyword(keyword).expect("the keyword is in the table");
    Values::new(entries.into_iter().map(|(keyword, value)| (id(keyword), value)).collect(), Vec::new())
}

fn text(text: String) -> Value {
    Value::Text(text.into())
}

fn integer(number: u64) -> Value {
    Value::Integer(number.cast_signed())
}

fn real(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Spreads consecutive numbers, so that neither UIDs nor dates come in order.
fn spread(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

fn uid(kind: u64, of: u64, number: u64) -> String {
    format!("1.2.826.0.1.3680043.10.9999.{kind}.{}.{}.{number}", 40_000 + of % 97, spread(of) % 100_000_000_000)
}

/// Of a study: its date, 2012 to 2023.
pub(crate) fn date(study: u64) -> String {
    let day = spread(study);
    format!("{}{:02}{:02}", 2012 + day % 12, 1 + day / 12 % 12, 1 + day / 144 % 28)
}

/// Of a study: its institution.
pub(crate) fn institution(study: u64) -> String {
    format!("Synthetic Hospital {}", (b'A' + u8::try_from(spread(study) / 5000 % 5).unwrap_or(0)) as char)
}

pub(crate) fn study(study: u64) -> Arc<Header> {
    let patient = study / 2;
    Header::study(
        Domain::default(),
        values(vec![
            ("StudyInstanceUID", text(uid(1, study, 1))),
            ("PatientID", text(format!("P{patient:08}"))),
            ("PatientName", text(format!("Synth{}^Given{}", spread(patient) % 100_000, patient % 300))),
            ("PatientBirthDate", text(format!("19{:02}0{}15", 30 + patient % 60, 1 + patient % 9))),
            ("PatientSex", if patient.is_multiple_of(2) { "F" } else { "M" }.into()),
            ("StudyDate", text(date(study))),
            ("StudyTime", text(format!("10{:02}12.25", study % 60))),
            ("StudyID", text(format!("{}", 100_000 + study))),
            ("StudyDescription", text(format!("Synthetic study {}", study % 40))),
            ("AccessionNumber", text(format!("A{study:09}"))),
            ("ReferringPhysicianName", text(format!("Refer{}^Anne", study % 300))),
        ]),
    )
}

pub(crate) fn series(study: &Arc<Header>, number: u64, series: u64) -> Arc<Header> {
    let kind = usize::try_from(series).unwrap_or(0) % MODALITIES.len();
    let header = Header::below(
        study,
        values(vec![
            ("SeriesInstanceUID", text(uid(2, number * SERIES + series, 1))),
            ("Modality", MODALITIES[kind].into()),
            ("SeriesNumber", integer(series + 1)),
            ("SeriesDescription", text(format!("axial {}", series + 1))),
            ("BodyPartExamined", "CHEST".into()),
            ("ProtocolName", text(format!("Protocol {}", number % 30))),
            ("Manufacturer", text(format!("SYNTHETIC {}", number % 3))),
            ("ManufacturerModelName", text(format!("Model {}", number % 7))),
            ("InstitutionName", text(institution(number))),
            ("StationName", text(format!("STATION{}", number % 12))),
            ("FrameOfReferenceUID", text(uid(4, number, 1))),
        ]),
    );
    Header::below(
        &header,
        values(vec![
            ("SOPClassUID", CLASSES[kind].into()),
            ("TransferSyntaxUID", "1.2.840.10008.1.2.1".into()),
            ("ImageType", "ORIGINAL\\PRIMARY\\AXIAL".into()),
            ("Rows", integer(512)),
            ("Columns", integer(512)),
            ("BitsAllocated", integer(16)),
            ("PixelSpacing", "0.7\\0.7".into()),
            ("SliceThickness", Value::Real(1.25)),
            ("ImageOrientationPatient", "1\\0\\0\\0\\1\\0".into()),
        ]),
    )
}

pub(crate) fn row(stack: &Arc<Header>, series: u64, slice: u64) -> FileRow {
    let file = series * SLICES + slice;
    FileRow {
        name: FileName::new(format!("IM{slice:06}.dcm").as_bytes()),
        stamp: FileStamp {
            size: 526_000 + slice,
            mtime_ns: 1_700_000_000_000_000_000 + file.cast_signed() * 40_000,
            ctime_ns: 1_700_000_000_000_000_000,
        },
        digest: Some(ContentDigest((u128::from(spread(file)) << 64 | u128::from(file)).to_le_bytes())),
        warnings: Warnings::default(),
        sop_instance_uid: uid(3, series, slice + 1).into(),
        stack: Arc::clone(stack),
        values: values(vec![
            ("InstanceNumber", integer(slice + 1)),
            ("AcquisitionNumber", integer(1)),
            ("ImagePositionPatient", text(format!("-249.5117\\-399.5117\\{slice}.25"))),
            ("SliceLocation", Value::Real(real(slice) + 0.25)),
            ("AcquisitionTime", text(format!("1011{:02}.250000", slice % 60))),
            ("ContentTime", text(format!("1011{:02}.370000", slice % 60))),
            ("XRayTubeCurrent", integer(200 + file % 120)),
        ]),
    }
}
