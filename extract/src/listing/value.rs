//! The beginning of a value, as text.

use shardex_catalog::{Vr, Warnings};

use super::HeaderValue;
use crate::charset::Charset;
use crate::normalise;
use crate::raw::RawValues;
use crate::walk::{Encoding, known_vr};

/// Bytes of a value that are shown where it is no text.
const HEX_BYTES: usize = 16;
/// The widest number.
const NUMBER_BYTES: usize = 8;

/// Bytes of a value that are worth reading for so many characters.
pub(super) fn bytes_wanted(chars_max: usize) -> usize {
    // Four bytes is the longest character; cut between numbers, not inside one.
    chars_max.saturating_mul(4).max(HEX_BYTES).next_multiple_of(NUMBER_BYTES)
}

/// What a value's first bytes say; `is_cut` if it goes on behind them.
pub(super) fn of(
    vr: &str,
    bytes: &[u8],
    is_cut: bool,
    encoding: Encoding,
    charset: &Charset,
    chars_max: usize,
) -> HeaderValue {
    let text = match vr {
        "AT" => Some(tags(bytes, encoding)),
        "SV" | "UV" => Some(wide_numbers(vr, bytes, encoding)),
        "UR" => Some(String::from_utf8_lossy(bytes).trim_end().to_owned()),
        "UN" => printable(bytes),
        _ => <[u8; 2]>::try_from(vr.as_bytes()).ok().and_then(known_vr).map(|vr| {
            let mut raw = RawValues::default();
            let value = raw.store(vr, 0, encoding.is_big_endian, &[]);
            normalise::text(value, bytes, charset, &mut Warnings::default()).into_owned()
        }),
    };
    match text {
        Some(text) => cut(text, is_cut, chars_max),
        None => HeaderValue::Bytes {
            hex: bytes.iter().take(HEX_BYTES).map(|byte| format!("{byte:02x}")).collect(),
            is_cut: is_cut || bytes.len() > HEX_BYTES,
        },
    }
}

/// Whether the text of a VR depends on the character set.
pub(super) fn needs_charset(vr: &str) -> bool {
    let vr = <[u8; 2]>::try_from(vr.as_bytes()).ok().and_then(known_vr);
    matches!(vr, Some(Vr::PN | Vr::LO | Vr::SH | Vr::ST | Vr::LT | Vr::UT | Vr::UC))
}

fn cut(text: String, is_cut: bool, chars_max: usize) -> HeaderValue {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => HeaderValue::Text { text: text[..at].to_owned(), is_cut: true },
        None => HeaderValue::Text { text, is_cut },
    }
}

fn tags(bytes: &[u8], encoding: Encoding) -> String {
    let tag = |bytes: &[u8]| super::list::tag_text(encoding.tag(bytes));
    bytes.chunks_exact(4).map(tag).collect::<Vec<_>>().join("\\")
}

fn wide_numbers(vr: &str, bytes: &[u8], encoding: Encoding) -> String {
    let number = |bytes: &[u8]| {
        let bytes: [u8; NUMBER_BYTES] = bytes.try_into().unwrap_or_default();
        let bits = if encoding.is_big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) };
        if vr == "SV" { bits.cast_signed().to_string() } else { bits.to_string() }
    };
    bytes.chunks_exact(NUMBER_BYTES).map(number).collect::<Vec<_>>().join("\\")
}

/// Text by all appearances: what private elements of unknown VR often hold.
fn printable(bytes: &[u8]) -> Option<String> {
    let trimmed = crate::open::trimmed(bytes);
    let is_text = trimmed.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    (is_text && !trimmed.is_empty()).then(|| String::from_utf8_lossy(trimmed).into_owned())
}
