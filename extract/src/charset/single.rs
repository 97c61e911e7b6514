//! Character sets of one byte a character.

use encoding_rs::{
    Encoding, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5, ISO_8859_6, ISO_8859_7, ISO_8859_8,
    ISO_8859_15, SHIFT_JIS, WINDOWS_874, WINDOWS_1254,
};

/// A set of one byte a character; ASCII below 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Single {
    Ascii,
    Latin1,
    Latin2,
    Latin3,
    Latin4,
    Latin5,
    Latin9,
    Cyrillic,
    Arabic,
    Greek,
    Hebrew,
    Thai,
    /// JIS X 0201: half-width katakana above 128.
    Katakana,
}

impl Single {
    /// Decodes bytes; the second value is false if some had no meaning.
    pub(crate) fn decode(self, bytes: &[u8]) -> (String, bool) {
        let Some(encoding) = self.encoding() else {
            let is_known = self == Self::Latin1 || bytes.is_ascii();
            return (bytes.iter().map(|byte| char::from(*byte)).collect(), is_known);
        };
        let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
        (text.into_owned(), !had_errors)
    }

    /// `None` for ISO 8859-1 itself: the encoding standard's `latin1` is windows-1252.
    fn encoding(self) -> Option<&'static Encoding> {
        Some(match self {
            Self::Ascii | Self::Latin1 => return None,
            Self::Latin2 => ISO_8859_2,
            Self::Latin3 => ISO_8859_3,
            Self::Latin4 => ISO_8859_4,
            Self::Latin5 => WINDOWS_1254,
            Self::Latin9 => ISO_8859_15,
            Self::Cyrillic => ISO_8859_5,
            Self::Arabic => ISO_8859_6,
            Self::Greek => ISO_8859_7,
            Self::Hebrew => ISO_8859_8,
            Self::Thai => WINDOWS_874,
            Self::Katakana => SHIFT_JIS,
        })
    }
}
