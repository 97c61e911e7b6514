//! Small DICOM files in explicit VR little endian, with synthetic values only.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// What one file says.
#[derive(Clone, Debug)]
pub struct Instance {
    /// PatientID; empty for none.
    pub patient: String,
    /// StudyInstanceUID.
    pub study: String,
    /// SeriesInstanceUID.
    pub series: String,
    /// SOPInstanceUID.
    pub sop: String,
    /// StudyDate.
    pub date: String,
    /// InstanceNumber.
    pub number: u32,
    /// Further elements, or others in place of the usual ones: tag, VR, value; an empty value leaves
    /// the element out.
    pub more: BTreeMap<u32, ([u8; 2], String)>,
    /// Sequences: tag, encoded items.
    pub sequences: BTreeMap<u32, Vec<u8>>,
}

/// An item of a sequence; its elements are given in the order of their tags.
#[derive(Clone, Debug, Default)]
pub struct Item(Vec<u8>);

impl Item {
    /// The same with one more element.
    #[must_use]
    pub fn with(mut self, tag: u32, vr: &[u8; 2], value: &str) -> Self {
        element(&mut self.0, tag, *vr, value);
        self
    }

    /// The same with one more sequence, of one item.
    #[must_use]
    pub fn with_item(mut self, tag: u32, item: &Self) -> Self {
        sequence(&mut self.0, tag, &item.encoded());
        self
    }

    fn encoded(&self) -> Vec<u8> {
        let mut bytes = vec![0xFE, 0xFF, 0x00, 0xE0];
        bytes.extend_from_slice(&u32::try_from(self.0.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&self.0);
        bytes
    }
}

impl Instance {
    /// An instance of patient `patient`, study `study` and so on, by numbers.
    #[must_use]
    pub fn numbered(patient: u32, study: u32, series: u32, number: u32) -> Self {
        Self {
            patient: format!("PAT{patient:04}"),
            study: format!("2.25.1{study:06}"),
            series: format!("2.25.2{study:06}{series:03}"),
            sop: format!("2.25.3{study:06}{series:03}{number:05}"),
            date: format!("20{:02}0{}15", 10 + study % 10, 1 + study % 9),
            number,
            more: BTreeMap::new(),
            sequences: BTreeMap::new(),
        }
    }

    /// The same with another value of one element.
    #[must_use]
    pub fn with(mut self, tag: u32, vr: &[u8; 2], value: &str) -> Self {
        self.more.insert(tag, (*vr, value.to_owned()));
        self
    }

    /// The same with another item of a sequence.
    #[must_use]
    pub fn with_item(mut self, tag: u32, item: &Item) -> Self {
        self.sequences.entry(tag).or_default().extend_from_slice(&item.encoded());
        self
    }

    /// The bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
        let mut meta = Vec::new();
        element(&mut meta, 0x0002_0002, *b"UI", CT);
        element(&mut meta, 0x0002_0003, *b"UI", &self.sop);
        element(&mut meta, 0x0002_0010, *b"UI", "1.2.840.10008.1.2.1");
        let mut bytes = vec![0; 128];
        bytes.extend_from_slice(b"DICM");
        bytes.extend_from_slice(&[2, 0, 0, 0, b'U', b'L', 4, 0]);
        bytes.extend_from_slice(&u32::try_from(meta.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&meta);
        let name = format!("Test^{}", self.patient);
        let usual = [
            (0x0008_0016, *b"UI", CT),
            (0x0008_0018, *b"UI", &self.sop),
            (0x0008_0020, *b"DA", &self.date),
            (0x0008_0060, *b"CS", "CT"),
            (0x0008_0070, *b"LO", "MAKER"),
            (0x0010_0010, *b"PN", &name),
            (0x0010_0020, *b"LO", &self.patient),
            (0x0020_000D, *b"UI", &self.study),
            (0x0020_000E, *b"UI", &self.series),
            (0x0020_0013, *b"IS", &self.number.to_string()),
        ];
        let mut elements: BTreeMap<_, _> =
            usual.into_iter().map(|(tag, vr, value)| (tag, (vr, value.to_owned()))).collect();
        elements.extend(self.more.clone());
        let mut encoded = BTreeMap::new();
        for (tag, (vr, value)) in elements.iter().filter(|(_, (_, value))| !value.is_empty()) {
            element(encoded.entry(*tag).or_default(), *tag, *vr, value);
        }
        for (tag, items) in &self.sequences {
            sequence(encoded.entry(*tag).or_default(), *tag, items);
        }
        encoded.values().for_each(|element: &Vec<u8>| bytes.extend_from_slice(element));
        bytes
    }
}

fn element(bytes: &mut Vec<u8>, tag: u32, vr: [u8; 2], value: &str) {
    let [e0, e1, g0, g1] = tag.to_le_bytes();
    let padding = if vr == *b"UI" { 0 } else { b' ' };
    let length = u16::try_from(value.len().next_multiple_of(2)).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&[g0, g1, e0, e1, vr[0], vr[1]]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(value.as_bytes());
    if value.len() % 2 == 1 {
        bytes.push(padding);
    }
}

fn sequence(bytes: &mut Vec<u8>, tag: u32, items: &[u8]) {
    let [e0, e1, g0, g1] = tag.to_le_bytes();
    bytes.extend_from_slice(&[g0, g1, e0, e1, b'S', b'Q', 0, 0]);
    bytes.extend_from_slice(&u32::try_from(items.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(items);
}

/// Writes `count` files of one series into a folder.
///
/// # Errors
/// Whatever the system says.
pub fn write_series(folder: &Path, patient: u32, study: u32, series: u32, count: u32) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for number in 1..=count {
        let bytes = Instance::numbered(patient, study, series, number).bytes();
        std::fs::write(folder.join(format!("im{number:05}.dcm")), bytes)?;
    }
    Ok(())
}
