//! Raw bytes to values of columns.

use std::borrow::Cow;

use shardex_catalog::{Attribute, ColumnType, Value, Vr, WarningClass, Warnings};

use crate::charset::Charset;
use crate::raw::RawValue;

/// A value, or a raw text that does not fit its column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Normal {
    /// Absent or empty.
    Null,
    /// A value of the column's type.
    Value(Value),
    /// What the file says instead.
    Odd(String),
}

/// The text of a raw value: decoded, padding removed, several values joined by a backslash.
pub(crate) fn text<'b>(
    value: RawValue,
    bytes: &'b [u8],
    charset: &Charset,
    warnings: &mut Warnings,
) -> Cow<'b, str> {
    if let Some(numbers) = binary(value, bytes) {
        return numbers.into();
    }
    let is_name = value.vr == Vr::PN;
    let (decoded, is_clean) = match value.vr {
        Vr::PN | Vr::LO | Vr::SH | Vr::ST | Vr::LT | Vr::UT | Vr::UC => charset.decode(bytes, is_name),
        // The other VRs know ASCII only; what else stands there is kept one to one.
        _ if bytes.is_ascii() => (String::from_utf8_lossy(bytes).into_owned(), true),
        _ => (bytes.iter().map(|byte| char::from(*byte)).collect(), false),
    };
    if !is_clean {
        warnings.insert(WarningClass::Charset);
    }
    each(value.vr, &decoded).into_owned().into()
}

/// As [`text`], of ASCII without escapes, which is the same in every character set.
pub(crate) fn ascii_text(value: RawValue, bytes: &[u8]) -> Cow<'_, str> {
    match binary(value, bytes) {
        Some(numbers) => numbers.into(),
        None => each(value.vr, std::str::from_utf8(bytes).unwrap_or("")),
    }
}

/// The number of a raw value that holds just one whole one.
pub(crate) fn whole_number(value: RawValue, bytes: &[u8]) -> Option<i64> {
    let ordered = |bytes: &[u8; 4]| {
        if value.is_big_endian { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) }
    };
    let ordered_short = |bytes: &[u8; 2]| {
        if value.is_big_endian { u16::from_be_bytes(*bytes) } else { u16::from_le_bytes(*bytes) }
    };
    match value.vr {
        Vr::US => Some(ordered_short(bytes.try_into().ok()?).into()),
        Vr::SS => Some(ordered_short(bytes.try_into().ok()?).cast_signed().into()),
        Vr::UL => Some(ordered(bytes.try_into().ok()?).into()),
        Vr::SL => Some(ordered(bytes.try_into().ok()?).cast_signed().into()),
        _ => None,
    }
}

/// The number of a raw value that holds just one double: what its decimals would say again.
pub(crate) fn double(value: RawValue, bytes: &[u8]) -> Option<f64> {
    let bytes: [u8; 8] = bytes.try_into().ok().filter(|_| value.vr == Vr::FD)?;
    let number = if value.is_big_endian { f64::from_be_bytes(bytes) } else { f64::from_le_bytes(bytes) };
    number.is_finite().then_some(number)
}

/// Padding of a VR removed from each of the values of a text.
fn each(vr: Vr, text: &str) -> Cow<'_, str> {
    let trimmed = trim(vr, text);
    if !has_values(vr) || !trimmed.contains('\\') {
        return trimmed.into();
    }
    let is_padding = |byte: u8| matches!(byte, b' ' | 0 | b'=');
    if !trimmed.bytes().any(is_padding) && trimmed.bytes().any(|byte| byte != b'\\') {
        return trimmed.into();
    }
    let parts: Vec<_> = text.split('\\').map(|part| trim(vr, part)).collect();
    if parts.iter().all(|part| part.is_empty()) { Cow::Borrowed("") } else { parts.join("\\").into() }
}

/// Whether a backslash parts values of a VR (PS3.5 6.2).
fn has_values(vr: Vr) -> bool {
    !matches!(vr, Vr::ST | Vr::LT | Vr::UT)
}

fn trim(vr: Vr, part: &str) -> &str {
    let padding = [' ', '\0'];
    match vr {
        Vr::ST | Vr::LT | Vr::UT | Vr::UC => part.trim_end_matches(padding),
        Vr::PN => part.trim_end_matches(padding).trim_end_matches('='),
        _ => part.trim_matches(padding),
    }
}

/// Numbers of the binary VRs in decimal.
fn binary(value: RawValue, bytes: &[u8]) -> Option<String> {
    let width = match value.vr {
        Vr::US | Vr::SS => 2,
        Vr::UL | Vr::SL | Vr::FL | Vr::AT => 4,
        Vr::FD => 8,
        _ => return None,
    };
    let number = |chunk: &[u8]| {
        let mut wide = [0; 8];
        let mut ordered = chunk.to_vec();
        if value.is_big_endian {
            ordered.reverse();
        }
        wide[..width].copy_from_slice(&ordered);
        let bits = u64::from_le_bytes(wide);
        let low = |bits: u64| (bits & 0xFFFF_FFFF) as u32;
        match value.vr {
            Vr::SS => ((bits & 0xFFFF) as u16).cast_signed().to_string(),
            Vr::SL => low(bits).cast_signed().to_string(),
            Vr::FL => f32::from_bits(low(bits)).to_string(),
            Vr::FD => f64::from_bits(bits).to_string(),
            _ => bits.to_string(),
        }
    };
    Some(bytes.chunks_exact(width).map(number).collect::<Vec<_>>().join("\\"))
}

/// The value of an attribute's column.
pub(crate) fn value(attribute: &Attribute, text: &str, warnings: &mut Warnings) -> Normal {
    if text.is_empty() {
        return Normal::Null;
    }
    let normal = match attribute.column {
        ColumnType::Integer => number(text, |text| integer(text).map(Value::Integer)),
        ColumnType::Real => number(text, |text| real(text).map(Value::Real)),
        ColumnType::Text | ColumnType::Items => match attribute.vr {
            Vr::DA => dated(attribute, text, date),
            Vr::TM => dated(attribute, text, time),
            Vr::UI => {
                check_uid(text, warnings);
                Normal::Value(Value::Text(text.into()))
            }
            _ => Normal::Value(Value::Text(text.into())),
        },
    };
    if matches!(normal, Normal::Odd(_)) {
        warnings.insert(WarningClass::OddValue);
    }
    normal
}

fn number(text: &str, parse: impl Fn(&str) -> Option<Value>) -> Normal {
    match parse(text) {
        Some(value) => Normal::Value(value),
        None => Normal::Odd(text.to_owned()),
    }
}

fn integer(text: &str) -> Option<i64> {
    let plain = text.strip_prefix('+').unwrap_or(text);
    plain.parse().ok().or_else(|| {
        let number = real(text)?;
        // Whole numbers written with a point; beyond 2^53 a float is not exact.
        let is_whole = number.fract() == 0.0 && number.abs() < 9e15;
        is_whole.then(|| format!("{number:.0}").parse().ok()).flatten()
    })
}

fn real(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse::<f64>().ok().filter(|number| is_plain && number.is_finite())
}

fn dated(attribute: &Attribute, text: &str, normalise: fn(&str) -> Option<Cow<'_, str>>) -> Normal {
    let normal = if attribute.multiple && text.contains('\\') {
        // One of several values may be empty, as any.
        let values =
            text.split('\\').map(|value| if value.is_empty() { Some("".into()) } else { normalise(value) });
        values.collect::<Option<Vec<_>>>().map(|values| values.join("\\").into())
    } else {
        normalise(text)
    };
    match normal {
        Some(normal) => Normal::Value(Value::Text(normal.into())),
        None => Normal::Odd(text.to_owned()),
    }
}

/// `YYYYMMDD`, from it or from the older `YYYY.MM.DD` and from `YYYY-MM-DD` (PS3.5 6.2).
fn date(text: &str) -> Option<Cow<'_, str>> {
    let bytes = text.as_bytes();
    let digits: Cow<'_, str> = match bytes.len() {
        8 => text.into(),
        10 if bytes[4] == bytes[7] && matches!(bytes[4], b'.' | b'-' | b'/') => {
            (text.get(0..4)?.to_owned() + text.get(5..7)? + text.get(8..10)?).into()
        }
        _ => return None,
    };
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits)
}

/// `HH[MM[SS[.ffffff]]]`, from it or from the older form with colons (PS3.5 6.2).
fn time(text: &str) -> Option<Cow<'_, str>> {
    let plain: Cow<'_, str> = if text.contains(':') { text.replace(':', "").into() } else { text.into() };
    let (whole, fraction) =
        plain.split_once('.').map_or((&*plain, None), |(whole, rest)| (whole, Some(rest)));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_time = matches!(whole.len(), 2 | 4 | 6) && is_number(whole);
    let fits = fraction.is_none_or(|fraction| whole.len() == 6 && is_number(fraction));
    (is_time && fits).then_some(plain)
}

/// PS3.5 section 9: digits and dots, at most 64.
fn check_uid(text: &str, warnings: &mut Warnings) {
    let is_uid = |uid: &str| uid.len() <= 64 && uid.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !text.split('\\').all(is_uid) {
        warnings.insert(WarningClass::Uid);
    }
}

#[cfg(test)]
mod tests {
    use shardex_catalog::{ATTRIBUTES, attribute_by_keyword};

    use super::*;

    fn check(keyword: &str, text: &str, expected: Normal) {
        let id = attribute_by_keyword(keyword).expect(keyword);
        let mut warnings = Warnings::default();
        let is_odd = matches!(expected, Normal::Odd(_));
        assert_eq!(value(&ATTRIBUTES[id.index()], text, &mut warnings), expected, "{keyword} {text}");
        assert_eq!(warnings.contains(WarningClass::OddValue), is_odd);
    }

    #[test]
    fn columns_hold_their_type_or_nothing() {
        let text = |text: &str| Normal::Value(Value::from(text));
        let odd = |text: &str| Normal::Odd(text.to_owned());
        for (keyword, from, to) in [
            ("StudyDate", "20190304", text("20190304")),
            ("StudyDate", "2019.03.04", text("20190304")),
            ("StudyDate", "2019-03-04", text("20190304")),
            ("StudyDate", "4 March", odd("4 March")),
            ("StudyDate", "20190304\\20190305", odd("20190304\\20190305")),
            ("DateOfLastCalibration", "20190304\\2019.03.05", text("20190304\\20190305")),
            ("DateOfLastCalibration", "20190304\\", text("20190304\\")),
            ("DateOfLastCalibration", "20190304\\May", odd("20190304\\May")),
            ("StudyTime", "10:11:12", text("101112")),
            ("StudyTime", "101112.25", text("101112.25")),
            ("StudyTime", "10", text("10")),
            ("StudyTime", "morning", odd("morning")),
            ("InstanceNumber", "7", Normal::Value(Value::Integer(7))),
            ("InstanceNumber", "+7", Normal::Value(Value::Integer(7))),
            ("InstanceNumber", "7.0", Normal::Value(Value::Integer(7))),
            ("InstanceNumber", "7a", odd("7a")),
            ("SliceThickness", "1.50", Normal::Value(Value::Real(1.5))),
            ("SliceThickness", "nan", odd("nan")),
            ("SliceThickness", "1\\2", odd("1\\2")),
            ("PixelSpacing", "0.50\\0.50", text("0.50\\0.50")),
            ("PatientID", "", Normal::Null),
        ] {
            check(keyword, from, to);
        }
    }
}
