//! UIDs packed two characters a byte.

/// A UID packed as nibbles: digits are 0-9, the dot is 10, 15 pads an odd length.
///
/// A view decodes it with `replace(rtrim(hex(uid), 'F'), 'A', '.')`. Order of packed UIDs is not
/// the order of their texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackedUid(Box<[u8]>);

impl PackedUid {
    /// Packs a text of 1 to 64 digits and dots; `None` for any other text, which is stored as it is.
    #[must_use]
    pub fn pack(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > 64 {
            return None;
        }
        let mut packed = vec![0xFF_u8; text.len().div_ceil(2)];
        for (n, byte) in text.bytes().enumerate() {
            let nibble = match byte {
                b'0'..=b'9' => byte - b'0',
                b'.' => 10,
                _ => return None,
            };
            let cell = &mut packed[n / 2];
            *cell = if n % 2 == 0 { (nibble << 4) | 0x0F } else { (*cell & 0xF0) | nibble };
        }
        Some(Self(packed.into()))
    }

    /// The packed bytes, at most 32.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
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
