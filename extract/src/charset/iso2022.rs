//! Code extension by ISO 2022 escapes (PS3.5 6.1.2.4, 6.1.2.5).

use encoding_rs::{EUC_JP, EUC_KR, GBK};

use super::Single;

const ESCAPE: u8 = 0x1B;

/// The set for bytes below 128.
#[derive(Clone, Copy, PartialEq, Eq)]
enum G0 {
    Ascii,
    JisX0208,
    JisX0212,
}

/// The set for bytes above 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum G1 {
    /// One byte a character.
    Single(Single),
    /// Korean.
    KsX1001,
    /// Simplified Chinese.
    Gb2312,
}

struct Decoder {
    initial: G1,
    g0: G0,
    g1: G1,
    text: String,
    is_clean: bool,
}

/// Decodes a text that begins in a set and may switch.
pub(crate) fn decode(bytes: &[u8], initial: G1, is_name: bool) -> (String, bool) {
    let text = String::with_capacity(bytes.len() * 2);
    let mut decoder = Decoder { initial, g0: G0::Ascii, g1: initial, text, is_clean: true };
    let mut rest = bytes;
    while let Some(byte) = rest.first().copied() {
        rest = match byte {
            ESCAPE => decoder.escape(&rest[1..]),
            0..0x80 if decoder.g0 == G0::Ascii || byte <= 0x20 => decoder.delimit(byte, is_name, &rest[1..]),
            0..0x80 => decoder.double(rest),
            _ => decoder.high(rest),
        };
    }
    (decoder.text, decoder.is_clean)
}

impl Decoder {
    /// Takes what follows an escape byte; an unknown sequence is dropped with its escape.
    fn escape<'b>(&mut self, rest: &'b [u8]) -> &'b [u8] {
        use Single::{
            Arabic, Cyrillic, Greek, Hebrew, Katakana, Latin1, Latin2, Latin3, Latin4, Latin5, Latin9, Thai,
        };
        let (g0, g1, taken) = match rest {
            [b'(', b'B' | b'J', ..] => (Some(G0::Ascii), None, 2),
            [b')', b'I', ..] => (None, Some(G1::Single(Katakana)), 2),
            [b'$', b'B' | b'@', ..] => (Some(G0::JisX0208), None, 2),
            [b'$', b'(', b'D', ..] => (Some(G0::JisX0212), None, 3),
            [b'$', b')', b'C', ..] => (None, Some(G1::KsX1001), 3),
            [b'$', b')', b'A', ..] => (None, Some(G1::Gb2312), 3),
            [b'-', set, ..] => {
                let set = match set {
                    b'A' => Latin1,
                    b'B' => Latin2,
                    b'C' => Latin3,
                    b'D' => Latin4,
                    b'M' => Latin5,
                    b'b' => Latin9,
                    b'L' => Cyrillic,
                    b'G' => Arabic,
                    b'F' => Greek,
                    b'H' => Hebrew,
                    b'T' => Thai,
                    _ => return self.unknown(rest),
                };
                (None, Some(G1::Single(set)), 2)
            }
            _ => return self.unknown(rest),
        };
        self.g0 = g0.unwrap_or(self.g0);
        self.g1 = g1.unwrap_or(self.g1);
        &rest[taken..]
    }

    fn unknown<'b>(&mut self, rest: &'b [u8]) -> &'b [u8] {
        self.lose();
        rest
    }

    /// Takes an ASCII byte; delimiters restore the initial sets.
    fn delimit<'b>(&mut self, byte: u8, is_name: bool, rest: &'b [u8]) -> &'b [u8] {
        let is_delimiter =
            matches!(byte, b'\\' | b'\t' | b'\n' | 0x0C | b'\r') || (is_name && matches!(byte, b'^' | b'='));
        if is_delimiter {
            self.g0 = G0::Ascii;
            self.g1 = self.initial;
        }
        self.text.push(char::from(byte));
        rest
    }

    /// Takes a character of two bytes below 128.
    fn double<'b>(&mut self, rest: &'b [u8]) -> &'b [u8] {
        let [first, second, rest @ ..] = rest else {
            self.lose();
            return &[];
        };
        let (first, second) = (first | 0x80, second | 0x80);
        if self.g0 == G0::JisX0212 {
            self.push(EUC_JP, &[0x8F, first, second]);
        } else {
            self.push(EUC_JP, &[first, second]);
        }
        rest
    }

    /// Takes a character above 127.
    fn high<'b>(&mut self, rest: &'b [u8]) -> &'b [u8] {
        let encoding = match self.g1 {
            G1::Single(single) => {
                let (text, is_clean) = single.decode(&rest[..1]);
                self.text.push_str(&text);
                self.is_clean &= is_clean;
                return &rest[1..];
            }
            G1::KsX1001 => EUC_KR,
            G1::Gb2312 => GBK,
        };
        if rest.len() < 2 {
            self.lose();
            return &[];
        }
        self.push(encoding, &rest[..2]);
        &rest[2..]
    }

    fn push(&mut self, encoding: &'static encoding_rs::Encoding, bytes: &[u8]) {
        let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
        self.text.push_str(&text);
        self.is_clean &= !had_errors;
    }

    fn lose(&mut self) {
        self.text.push(char::REPLACEMENT_CHARACTER);
        self.is_clean = false;
    }
}
