//! Data elements as bytes, in explicit or implicit VR little endian (PS3.5 7.1).

use std::collections::BTreeMap;

/// How elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    ExplicitLittleEndian,
    ImplicitLittleEndian,
}

/// Elements of one data set, each encoded, in the order of their tags.
#[derive(Clone, Debug)]
pub(crate) struct Elements {
    syntax: Syntax,
    by_tag: BTreeMap<u32, Vec<u8>>,
}

/// VRs with a length of 32 bits in explicit VR (PS3.5 7.1.2).
const LONG: [&[u8; 2]; 6] = [b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF"];

impl Elements {
    pub(crate) fn new(syntax: Syntax) -> Self {
        Self { syntax, by_tag: BTreeMap::new() }
    }

    pub(crate) fn put(&mut self, tag: u32, vr: &[u8; 2], value: &[u8]) {
        let mut bytes = Vec::with_capacity(value.len() + 13);
        element(&mut bytes, self.syntax, tag, vr, value);
        self.by_tag.insert(tag, bytes);
    }

    pub(crate) fn text(&mut self, tag: u32, vr: &[u8; 2], value: &str) {
        self.put(tag, vr, value.as_bytes());
    }

    pub(crate) fn us(&mut self, tag: u32, value: u16) {
        self.put(tag, b"US", &value.to_le_bytes());
    }

    pub(crate) fn fd(&mut self, tag: u32, value: f64) {
        self.put(tag, b"FD", &value.to_le_bytes());
    }

    /// A sequence of items of defined length.
    pub(crate) fn sequence(&mut self, tag: u32, items: &[Elements]) {
        let mut value = Vec::new();
        for item in items {
            let body = item.bytes();
            value.extend_from_slice(&[0xFE, 0xFF, 0x00, 0xE0]);
            value.extend_from_slice(&length32(body.len()));
            value.extend_from_slice(&body);
        }
        self.put(tag, b"SQ", &value);
    }

    /// An item with a code (PS3.3 8.8), as sequences of codes hold it.
    pub(crate) fn code(&mut self, tag: u32, value: &str, scheme: &str, meaning: &str) {
        let mut item = Elements::new(self.syntax);
        item.text(0x0008_0100, b"SH", value);
        item.text(0x0008_0102, b"SH", scheme);
        item.text(0x0008_0104, b"LO", meaning);
        self.sequence(tag, &[item]);
    }

    pub(crate) fn syntax(&self) -> Syntax {
        self.syntax
    }

    pub(crate) fn len(&self) -> usize {
        self.by_tag.len()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.by_tag.values().flatten().copied().collect()
    }

    /// Appends these elements and those of another set, in the order of tags; the other's win.
    pub(crate) fn merge_into(&self, other: &Elements, bytes: &mut Vec<u8>) {
        let mut others = other.by_tag.iter().peekable();
        for (tag, element) in &self.by_tag {
            while let Some((_, before)) = others.next_if(|(at, _)| *at < tag) {
                bytes.extend_from_slice(before);
            }
            match others.next_if(|(at, _)| *at == tag) {
                Some((_, instead)) => bytes.extend_from_slice(instead),
                None => bytes.extend_from_slice(element),
            }
        }
        others.for_each(|(_, rest)| bytes.extend_from_slice(rest));
    }
}

fn length32(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// Appends one element; the value is padded to an even length (PS3.5 6.2).
pub(crate) fn element(bytes: &mut Vec<u8>, syntax: Syntax, tag: u32, vr: &[u8; 2], value: &[u8]) {
    let [e0, e1, g0, g1] = tag.to_le_bytes();
    bytes.extend_from_slice(&[g0, g1, e0, e1]);
    let length = value.len().next_multiple_of(2);
    match syntax {
        Syntax::ImplicitLittleEndian => bytes.extend_from_slice(&length32(length)),
        Syntax::ExplicitLittleEndian if LONG.contains(&vr) => {
            bytes.extend_from_slice(&[vr[0], vr[1], 0, 0]);
            bytes.extend_from_slice(&length32(length));
        }
        Syntax::ExplicitLittleEndian => {
            bytes.extend_from_slice(vr);
            bytes.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX - 1).to_le_bytes());
        }
    }
    bytes.extend_from_slice(value);
    if value.len() % 2 == 1 {
        bytes.push(if matches!(vr, b"UI" | b"OB" | b"UN") { 0 } else { b' ' });
    }
}

/// Preamble and file meta information (PS3.10 7.1).
pub(crate) fn file_meta(bytes: &mut Vec<u8>, class: &str, instance: &str, transfer_syntax: &str) {
    let mut meta = Elements::new(Syntax::ExplicitLittleEndian);
    meta.put(0x0002_0001, b"OB", &[0, 1]);
    meta.text(0x0002_0002, b"UI", class);
    meta.text(0x0002_0003, b"UI", instance);
    meta.text(0x0002_0010, b"UI", transfer_syntax);
    meta.text(0x0002_0012, b"UI", "1.2.826.0.1.3680043.10.9999.1");
    meta.text(0x0002_0013, b"SH", "SYNTHETIC_1");
    meta.text(0x0002_0016, b"AE", "BENCH");
    let body = meta.bytes();
    bytes.extend_from_slice(&[0; 128]);
    bytes.extend_from_slice(b"DICM");
    element(bytes, Syntax::ExplicitLittleEndian, 0x0002_0000, b"UL", &length32(body.len()));
    bytes.extend_from_slice(&body);
}
