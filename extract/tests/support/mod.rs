//! Makes DICOM files in memory, tidy ones and others.

#![allow(dead_code, reason = "every test file uses its own part")]

use std::path::PathBuf;

use shardex_extract::Extracted;

/// The folder of real files, where it is: they are not part of the repository. SHARDEX_REAL_FILES
/// names another one.
pub(crate) fn real_files() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/dev");
    let folder = std::env::var_os("SHARDEX_REAL_FILES").map_or_else(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// Says something that must be seen, as that a test was skipped.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Small seeded random numbers (xorshift64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % bound.max(1)
    }

    /// One of several.
    pub(crate) fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }
}

/// How elements are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vrs {
    Explicit,
    Implicit,
}

/// How sequences and items say where they end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lengths {
    Defined,
    Undefined,
}

/// Writes elements.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) vrs: Vrs,
    pub(crate) lengths: Lengths,
}

impl Writer {
    pub(crate) fn new(vrs: Vrs, lengths: Lengths) -> Self {
        Self { bytes: Vec::new(), vrs, lengths }
    }

    fn head(&mut self, tag: u32, vr: &str, length: u32) {
        self.bytes.extend_from_slice(&tag.rotate_left(16).to_le_bytes());
        if self.vrs == Vrs::Explicit {
            self.bytes.extend_from_slice(vr.as_bytes());
            if matches!(vr, "OB" | "OW" | "SQ" | "UN" | "UT" | "UC" | "UR" | "OF") {
                self.bytes.extend_from_slice(&[0, 0]);
            } else {
                let short = u16::try_from(length).expect("a short value");
                self.bytes.extend_from_slice(&short.to_le_bytes());
                return;
            }
        }
        self.bytes.extend_from_slice(&length.to_le_bytes());
    }

    /// An element with bytes, padded to an even length.
    pub(crate) fn bytes(&mut self, tag: u32, vr: &str, value: &[u8]) -> &mut Self {
        let mut value = value.to_vec();
        if value.len() % 2 == 1 {
            value.push(if matches!(vr, "UI" | "OB") { 0 } else { b' ' });
        }
        self.head(tag, vr, u32::try_from(value.len()).expect("a value that fits"));
        self.bytes.extend_from_slice(&value);
        self
    }

    /// An element with a text.
    pub(crate) fn text(&mut self, tag: u32, vr: &str, text: &str) -> &mut Self {
        self.bytes(tag, vr, text.as_bytes())
    }

    /// A sequence with these items.
    pub(crate) fn sequence(&mut self, tag: u32, items: &[Writer]) -> &mut Self {
        let mut inside = Vec::new();
        for item in items {
            inside.extend_from_slice(&[0xFE, 0xFF, 0x00, 0xE0]);
            let length = match self.lengths {
                Lengths::Defined => u32::try_from(item.bytes.len()).expect("an item that fits"),
                Lengths::Undefined => u32::MAX,
            };
            inside.extend_from_slice(&length.to_le_bytes());
            inside.extend_from_slice(&item.bytes);
            if self.lengths == Lengths::Undefined {
                inside.extend_from_slice(&[0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0]);
            }
        }
        let length = match self.lengths {
            Lengths::Defined => u32::try_from(inside.len()).expect("a sequence that fits"),
            Lengths::Undefined => u32::MAX,
        };
        self.head(tag, "SQ", length);
        self.bytes.extend_from_slice(&inside);
        if self.lengths == Lengths::Undefined {
            self.bytes.extend_from_slice(&[0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        }
        self
    }

    /// An empty writer of the same kind, for an item.
    pub(crate) fn item(&self) -> Writer {
        Writer::new(self.vrs, self.lengths)
    }
}

/// Preamble, meta group and this data set.
pub(crate) fn part10(data_set: &Writer) -> Vec<u8> {
    let transfer_syntax = match data_set.vrs {
        Vrs::Explicit => "1.2.840.10008.1.2.1",
        Vrs::Implicit => "1.2.840.10008.1.2",
    };
    part10_as(transfer_syntax, data_set)
}

/// As [`part10`], whatever the data set is written in.
pub(crate) fn part10_as(transfer_syntax: &str, data_set: &Writer) -> Vec<u8> {
    let mut meta = Writer::new(Vrs::Explicit, Lengths::Defined);
    meta.bytes(0x0002_0001, "OB", &[0, 1])
        .text(0x0002_0002, "UI", "1.2.840.10008.5.1.4.1.1.128")
        .text(0x0002_0003, "UI", "2.25.30")
        .text(0x0002_0010, "UI", transfer_syntax);
    let mut group = Writer::new(Vrs::Explicit, Lengths::Defined);
    group.bytes(0x0002_0000, "UL", &u32::try_from(meta.bytes.len()).expect("short").to_le_bytes());
    [&[0; 128], &b"DICM"[..], &group.bytes, &meta.bytes, &data_set.bytes].concat()
}

/// A data set as a PET scanner writes it, with a private element of `private` bytes.
pub(crate) fn pet(vrs: Vrs, lengths: Lengths, private: usize) -> Writer {
    let mut to = Writer::new(vrs, lengths);
    let mut code = to.item();
    code.text(0x0008_0100, "SH", "C-111A1").text(0x0008_0102, "SH", "SRT").text(0x0008_0104, "LO", "18F");
    let mut dose = to.item();
    dose.text(0x0018_0031, "LO", "FDG").text(0x0018_1074, "DS", "350000000").sequence(0x0054_0300, &[code]);
    let second = dose.clone();
    let mut referenced = to.item();
    referenced.text(0x0008_1150, "UI", "1.2.840.10008.5.1.4.1.1.2").text(0x0008_1155, "UI", "2.25.77");
    to.text(0x0008_0005, "CS", "ISO_IR 100")
        .text(0x0008_0008, "CS", "ORIGINAL\\PRIMARY")
        .text(0x0008_0016, "UI", "1.2.840.10008.5.1.4.1.1.128")
        .text(0x0008_0018, "UI", "2.25.30")
        .text(0x0008_0020, "DA", "20190304")
        .text(0x0008_0030, "TM", "101112.25")
        .text(0x0008_0060, "CS", "PT")
        .text(0x0008_0070, "LO", "Maker")
        .sequence(0x0008_1140, &[referenced])
        .bytes(0x0009_1001, "OB", &vec![7; private])
        .bytes(0x0010_0010, "PN", b"M\xFCller^Anna")
        .text(0x0010_0020, "LO", "PAT1")
        .text(0x0018_0050, "DS", "2.5")
        .text(0x0020_000D, "UI", "2.25.10")
        .text(0x0020_000E, "UI", "2.25.20")
        .text(0x0020_0011, "IS", "4")
        .text(0x0020_0013, "IS", "odd")
        .text(0x0020_0032, "DS", "0\\0\\12.5")
        .bytes(0x0028_0010, "US", &[0, 1])
        .bytes(0x0028_0011, "US", &[0, 1])
        .sequence(0x0054_0016, &[dose, second])
        .bytes(0x7FE0_0010, "OW", &[1; 64]);
    to
}

/// Whether two readings of a file are the same in everything that is stored.
pub(crate) fn same(one: &Extracted, other: &Extracted) -> bool {
    match (one, other) {
        (Extracted::Instance(one), Extracted::Instance(other)) => {
            // A header's digest is that of its values, and of those above it.
            one.digest == other.digest
                && one.warnings == other.warnings
                && one.sop_instance_uid == other.sop_instance_uid
                && one.stack.digest() == other.stack.digest()
                && one.values == other.values
        }
        (Extracted::Other(one), Extracted::Other(other)) => format!("{one:?}") == format!("{other:?}"),
        _ => false,
    }
}
