//! CSA headers as Siemens MR files have them: two private elements with tables of their own
//! ("SV10": name, VR, items), the second with the whole protocol as text.

use crate::encode::Elements;
use crate::random::Random;

pub(crate) fn headers(random: &mut Random, to: &mut Elements) {
    to.text(0x0029_0010, b"LO", "SIEMENS CSA HEADER");
    to.text(0x0029_0011, b"LO", "SIEMENS MEDCOM HEADER2");
    to.text(0x0029_1008, b"CS", "IMAGE NUM 4");
    to.text(0x0029_1009, b"LO", "20140101");
    to.put(0x0029_1010, b"OB", &table(random, 100, 0));
    to.text(0x0029_1018, b"CS", "MR");
    to.text(0x0029_1019, b"LO", "20140101");
    let protocol = random.range(52_000, 160_000);
    to.put(0x0029_1020, b"OB", &table(random, 70, usize::try_from(protocol).unwrap_or(0)));
    to.text(0x0029_1160, b"LO", "com");
}

/// A table of `count` named entries; the last holds a protocol of `protocol` bytes.
fn table(random: &mut Random, count: u32, protocol: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(protocol + 24_000);
    bytes.extend_from_slice(b"SV10\x04\x03\x02\x01");
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&77_u32.to_le_bytes());
    for n in 0..count {
        let mut name = format!("SyntheticEntry{n}").into_bytes();
        name.resize(64, 0);
        bytes.extend_from_slice(&name);
        let value = if n + 1 == count {
            text(random, protocol)
        } else {
            format!("{}.{}", random.range(0, 9000), n).into_bytes()
        };
        for word in [1, u32::from_le_bytes(*b"LO\0\0"), 19, 6, 77] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        // One item that holds the value and five empty ones.
        let length = u32::try_from(value.len()).unwrap_or(0);
        for word in [length, length, 77, length] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&value);
        bytes.resize(bytes.len().next_multiple_of(4) + 5 * 16, 0);
    }
    bytes
}

/// Lines like those of a protocol.
fn text(random: &mut Random, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        let line = format!(
            "sSliceArray.asSlice[{}].dThickness = {}\n",
            random.range(0, 64),
            random.range(0, 100_000)
        );
        bytes.extend_from_slice(line.as_bytes());
    }
    bytes.truncate(length);
    bytes
}
