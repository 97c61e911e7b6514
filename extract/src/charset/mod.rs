//! Character sets of DICOM (PS3.3 C.12.1.1.2, PS3.5 6.1) to UTF-8. Undecodable bytes become U+FFFD.

mod iso2022;
mod single;

use std::str::FromStr;

use encoding_rs::{EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS, UTF_8};
pub(crate) use iso2022::G1;
pub(crate) use single::Single;

const ASCII: G1 = G1::Single(Single::Ascii);

/// How the text of a file is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    /// None is declared: ASCII. Other bytes are read as ISO 8859-1, with a warning.
    Default,
    /// One byte a character.
    Single(Single),
    /// A multi-byte encoding without escapes.
    Multi(&'static Encoding),
    /// Code extensions: the set for bytes above 127 that is in force at the beginning of a value.
    Iso2022(G1),
}

/// A character set for text that declares none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultCharset(pub(crate) Charset);

/// A name that stands for no known character set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no character set: give a defined term such as `ISO_IR 100`, or `euc-kr`, `shift_jis`")]
pub struct UnknownCharset(String);

impl FromStr for DefaultCharset {
    type Err = UnknownCharset;

    /// Takes a defined term of SpecificCharacterSet, or a name of the WHATWG encoding standard.
    fn from_str(name: &str) -> Result<Self, UnknownCharset> {
        if let Some(charset) = of_term(name.trim()) {
            return Ok(Self(charset));
        }
        let unknown = || UnknownCharset(name.chars().take(40).collect());
        let encoding = Encoding::for_label(name.trim().as_bytes()).ok_or_else(unknown)?;
        Ok(Self(Charset::Multi(encoding)))
    }
}

impl Charset {
    /// The character set that the bytes of a SpecificCharacterSet name. The second value is false
    /// if a term is not known.
    pub(crate) fn of(bytes: &[u8]) -> (Self, bool) {
        let text = String::from_utf8_lossy(bytes);
        let terms: Vec<_> = text.split('\\').map(|term| term.trim_matches([' ', '\0'])).collect();
        if let [term] = terms[..] {
            return match of_term(term) {
                Some(charset) => (charset, true),
                // Names of the encoding standard stand there too, as `latin1` or `windows-1251`.
                None => (Encoding::for_label(term.as_bytes()).map_or(Self::Default, Self::Multi), false),
            };
        }
        // With several values, the first is in force at the beginning, and escapes switch.
        match of_term(terms[0]) {
            Some(Self::Default) => (Self::Iso2022(ASCII), true),
            Some(Self::Single(single)) => (Self::Iso2022(G1::Single(single)), true),
            Some(first @ (Self::Iso2022(_) | Self::Multi(_))) => (first, true),
            None => (Self::Iso2022(ASCII), false),
        }
    }

    /// Decodes a text. `is_name`: `^` and `=` delimit too. The second value is false if bytes had
    /// no meaning, or lie outside the declared set.
    pub(crate) fn decode(&self, bytes: &[u8], is_name: bool) -> (String, bool) {
        if let Some(text) = ascii(bytes) {
            return (text, true);
        }
        match self {
            // What is UTF-8 by all appearances is not read otherwise.
            Self::Default => (Single::Latin1.decode(bytes).0, false),
            Self::Single(single) => single.decode(bytes),
            Self::Multi(encoding) => {
                let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
                (text.into_owned(), !had_errors)
            }
            Self::Iso2022(initial) => iso2022::decode(bytes, *initial, is_name),
        }
    }
}

/// Text without escapes and bytes above 127 is the same in all character sets.
fn ascii(bytes: &[u8]) -> Option<String> {
    let is_plain = bytes.iter().all(|byte| byte.is_ascii() && *byte != 0x1B);
    is_plain.then(|| String::from_utf8_lossy(bytes).into_owned())
}

fn of_term(term: &str) -> Option<Charset> {
    // `ISO-IR 100`, `ISO_IR_100` and `ISO IR 100` are written for `ISO_IR 100`.
    let plain = term.to_ascii_uppercase().replace(['_', '-'], " ");
    if let Some(number) = plain.strip_prefix("ISO IR ") {
        return of_number(number.trim());
    }
    if let Some(rest) = plain.strip_prefix("ISO 2022 IR ") {
        return match rest.trim() {
            "6" => Some(Charset::Iso2022(ASCII)),
            // Where one of these comes first, text is written in it without a first escape.
            "149" => Some(Charset::Iso2022(G1::KsX1001)),
            "58" => Some(Charset::Iso2022(G1::Gb2312)),
            "13" => Some(Charset::Iso2022(G1::Single(Single::Katakana))),
            number => match of_number(number)? {
                Charset::Single(single) => Some(Charset::Iso2022(G1::Single(single))),
                other => Some(other),
            },
        };
    }
    match &*plain {
        "" => Some(Charset::Default),
        "GB18030" => Some(Charset::Multi(GB18030)),
        "GBK" | "GB2312" | "ISO 2022 GBK" => Some(Charset::Multi(GBK)),
        "ISO 2022 58" => Some(Charset::Iso2022(G1::Gb2312)),
        "UTF 8" | "UTF8" => Some(Charset::Multi(UTF_8)),
        _ => None,
    }
}

fn of_number(number: &str) -> Option<Charset> {
    let single = match number {
        "6" => return Some(Charset::Default),
        "192" => return Some(Charset::Multi(UTF_8)),
        // Real files say ISO_IR 13 and hold Shift JIS, of which it is a part.
        "13" => return Some(Charset::Multi(SHIFT_JIS)),
        "149" => return Some(Charset::Multi(EUC_KR)),
        "58" => return Some(Charset::Multi(GBK)),
        // These are reached by escapes alone.
        "87" | "159" => return Some(Charset::Iso2022(ASCII)),
        "100" => Single::Latin1,
        "101" => Single::Latin2,
        "109" => Single::Latin3,
        "110" => Single::Latin4,
        "144" => Single::Cyrillic,
        "127" => Single::Arabic,
        "126" => Single::Greek,
        "138" => Single::Hebrew,
        "148" => Single::Latin5,
        "166" => Single::Thai,
        "203" => Single::Latin9,
        _ => return None,
    };
    Some(Charset::Single(single))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(terms: &str, bytes: &[u8], is_name: bool, expected: &str) {
        let (charset, is_known) = Charset::of(terms.as_bytes());
        assert!(is_known, "{terms}");
        assert_eq!(charset.decode(bytes, is_name), (expected.to_owned(), true), "{terms}");
    }

    #[test]
    fn single_and_multi_byte_sets() {
        check("ISO_IR 100", b"M\xfcller", true, "Müller");
        check("ISO-IR 100", b"M\xfcller", true, "Müller");
        check("ISO_IR 144", b"\xb8\xd2\xd0\xdd", true, "Иван");
        check("ISO_IR 126", b"\xc4\xe9\xef\xed", true, "Διον");
        check("ISO_IR 138", b"\xf9\xf8\xe5\xef", true, "שרון");
        check("ISO_IR 127", b"\xe2\xc8\xc7", true, "قبا");
        check("ISO_IR 148", b"\xdd\xfe", false, "İş");
        check("ISO_IR 166", b"\xca\xb9", false, "สน");
        check("ISO 2022 IR 192", "Núñez".as_bytes(), true, "Núñez");
        check("ISO_IR 58", b"\xcd\xf5", true, "王");
        check("ISO_IR 192", "Núñez".as_bytes(), true, "Núñez");
        check("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", true, "Wang^XiaoDong=王^小东");
        check("ISO_IR 13", b"\xd4\xcf\xc0\xde", true, "ﾔﾏﾀﾞ");
    }

    /// The examples of PS3.5 annexes H, I and K.
    #[test]
    fn code_extensions() {
        let yamada = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
        check("\\ISO 2022 IR 87", yamada, true, "Yamada^Tarou=山田^太郎=やまだ^たろう");
        let half = b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J";
        check("ISO 2022 IR 13\\ISO 2022 IR 87", half, true, "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎");
        let hong =
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf";
        check("\\ISO 2022 IR 149", hong, true, "Hong^Gildong=洪^吉洞=홍^길동");
        let zhang = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=";
        check("\\ISO 2022 IR 58", zhang, true, "Zhang^XiaoDong=张^小东=");
        check("ISO 2022 IR 100\\ISO 2022 IR 126", b"\xe4 \x1b-F\xc4", false, "ä Δ");
        check("ISO 2022 IR 100", b"\xe4", false, "ä");
        // Without a first escape, which the standard does not allow.
        check("ISO 2022 IR 149", b"\xc8\xab^\xb1\xe6\xb5\xbf", true, "홍^길동");
        check("ISO 2022 IR 149", b"Hong=\x1b$)C\xfb\xf3", true, "Hong=洪");
        check("ISO 2022 IR 58", b"\xcd\xf5^\xd0\xa1\xb6\xab", true, "王^小东");
        check("ISO_IR 87", b"\x1b$B;3ED\x1b(B", true, "山田");
    }

    #[test]
    fn undeclared_bytes_are_latin_1_and_noticed() {
        let (charset, _) = Charset::of(b"");
        assert_eq!(charset.decode(b"J\xf6rg", true), ("Jörg".to_owned(), false));
        assert_eq!(Charset::of(b"NONSENSE"), (Charset::Default, false));
        let (named, is_known) = Charset::of(b"windows-1251");
        assert_eq!((named.decode(b"\xc8\xe2\xe0\xed", true), is_known), (("Иван".to_owned(), true), false));
        assert!("euc-kr".parse::<DefaultCharset>().is_ok());
        assert!("nonsense".parse::<DefaultCharset>().is_err());
    }

    #[test]
    fn broken_bytes_never_fail() {
        for terms in ["ISO_IR 192", "\\ISO 2022 IR 87", "GB18030", "\\ISO 2022 IR 149"] {
            let (charset, _) = Charset::of(terms.as_bytes());
            for bytes in [&b"\xff\xfe\x1b"[..], b"\x1b$)C\xfb", b"\xff"] {
                assert!(!charset.decode(bytes, true).1, "{terms} {bytes:?}");
            }
        }
        let (charset, _) = Charset::of(b"\\ISO 2022 IR 87");
        for bytes in [&b"\x1b$B;"[..], b"\x1b(", b"\x1bZ"] {
            assert!(!charset.decode(bytes, true).1, "{bytes:?}");
        }
    }
}
