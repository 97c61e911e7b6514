//! UIDs packed two characters a byte.

/// A UID packed as nibbles: digits are 0-9, the dot is 10, 15 pads an odd length.
///
/// A view decodes it with `replace(rtrim(hex(uid), 'F'), 'A', '.')`. Order of packed UIDs is not
/// the order of their texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackedUid {
    /// Zero behind `length`, so that equal UIDs are equal arrays.
    bytes: [u8; PACKED_MAX],
    length: u8,
}

const PACKED_MAX: usize = UID_MAX / 2;
/// Characters of a UID at most (PS3.5 9.1).
const UID_MAX: usize = 64;

impl PackedUid {
    /// Packs a text of 1 to 64 digits and dots; `None` for any other text, which is stored as it is.
    #[must_use]
    pub fn pack(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > UID_MAX {
            return None;
        }
        let mut bytes = [0; PACKED_MAX];
        for (cell, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let low = pair.get(1).map_or(Some(0x0F), |byte| nibble(*byte))?;
            *cell = (nibble(pair[0])? << 4) | low;
        }
        let length = u8::try_from(text.len().div_ceil(2)).ok()?;
        Some(Self { bytes, length })
    }

    /// The packed bytes, at most 32.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The text that packed bytes stand for; `None` where they are not packed digits and dots.
    #[must_use]
    pub fn unpack(bytes: &[u8]) -> Option<String> {
        let mut text = String::with_capacity(bytes.len() * 2);
        for (n, byte) in bytes.iter().enumerate() {
            for nibble in [byte >> 4, byte & 0x0F] {
                match nibble {
                    0..=9 => text.push(char::from(b'0' + nibble)),
                    10 => text.push('.'),
                    15 if n + 1 == bytes.len() && text.len() == n * 2 + 1 => {}
                    _ => return None,
                }
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'.' => Some(10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn unpack_reverses_pack(text in "[0-9.]{1,64}") {
            let packed = PackedUid::pack(&text).expect("canonical");
            prop_assert_eq!(packed.as_bytes().len(), text.len().div_ceil(2));
            prop_assert_eq!(PackedUid::unpack(packed.as_bytes()), Some(text));
        }
    }

    #[test]
    fn other_texts_are_not_packed() {
        for text in ["", "1.2 ", "1.a", &"1".repeat(65)] {
            assert_eq!(PackedUid::pack(text), None, "{text:?}");
        }
        for bytes in [&[][..], &[0xF1], &[0x1B], &[0x1F, 0x11], &[0xFF]] {
            assert_eq!(PackedUid::unpack(bytes), None, "{bytes:?}");
        }
    }
}
