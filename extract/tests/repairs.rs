//! Files that break the rules in ways that real ones do, and what is still read of them.

mod support;

use shardex_catalog::{AttributeId, Domain, Header, Value, WarningClass, attribute_by_keyword};
use shardex_extract::{Extracted, Extractor, Instance, Settings};
use support::{Lengths, Vrs, Writer, part10, part10_as};

const ITEM: [u8; 4] = [0xFE, 0xFF, 0x00, 0xE0];
const ITEM_END: [u8; 8] = [0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0];
const SEQUENCE_END: [u8; 8] = [0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0];
const UNDEFINED: [u8; 4] = [0xFF; 4];

fn writer() -> Writer {
    Writer::new(Vrs::Explicit, Lengths::Defined)
}

/// Elements up to the UIDs; what a test adds comes behind them.
fn begin(vrs: Vrs) -> Writer {
    let mut to = Writer::new(vrs, Lengths::Defined);
    to.text(0x0008_0016, "UI", "1.2.840.10008.5.1.4.1.1.2")
        .text(0x0008_0018, "UI", "2.25.30")
        .text(0x0008_0060, "CS", "CT")
        .text(0x0010_0020, "LO", "PAT1")
        .text(0x0020_000D, "UI", "2.25.10")
        .text(0x0020_000E, "UI", "2.25.20");
    to
}

fn instance(bytes: &[u8]) -> Instance {
    let extracted =
        Extractor::new(Settings::default()).extract(bytes, bytes.len() as u64, &Domain::default());
    match extracted {
        Extracted::Instance(instance) => instance,
        Extracted::Other(other) => panic!("not indexed: {other:?}"),
    }
}

/// The value of an attribute, from whatever level it is stored at.
fn value(instance: &Instance, keyword: &str) -> Option<String> {
    let id = attribute_by_keyword(keyword).expect(keyword);
    let text = |value: &Value| match value {
        Value::Text(text) => text.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
    };
    let find = |entries: &[(AttributeId, Value)]| {
        entries.iter().find(|(known, _)| *known == id).map(|(_, value)| text(value))
    };
    let mut header: Option<&Header> = Some(&instance.stack);
    let mut found = find(instance.values.entries());
    while let Some(level) = header {
        found = found.or_else(|| find(level.values().entries()));
        header = level.parent().map(|parent| &**parent);
    }
    found
}

#[track_caller]
fn check(bytes: &[u8], warning: Option<WarningClass>, values: &[(&str, Option<&str>)]) {
    let instance = instance(bytes);
    for (keyword, expected) in values {
        assert_eq!(value(&instance, keyword).as_deref(), *expected, "{keyword}");
    }
    if let Some(warning) = warning {
        assert!(instance.warnings.contains(warning), "{warning:?} is not said");
    }
}

#[test]
fn a_vr_that_is_none_costs_its_own_element_only() {
    for (vr, length) in [
        (*b"  ", &[2, 0][..]),
        (*b"\0\0", &[2, 0]),
        (*b"??", &[2, 0]),
        (*b"ZZ", &[2, 0]),
        (*b"ZZ", &[0, 0, 2, 0, 0, 0]),
    ] {
        let mut to = begin(Vrs::Explicit);
        to.bytes.extend_from_slice(&[0x28, 0, 0x20, 0x01]);
        to.bytes.extend_from_slice(&vr);
        to.bytes.extend_from_slice(length);
        to.bytes.extend_from_slice(&[0, 0]);
        to.text(0x0028_1050, "DS", "40").text(0x0028_1051, "DS", "400");
        let values = [("WindowCenter", Some("40")), ("WindowWidth", Some("400"))];
        check(&part10(&to), Some(WarningClass::Broken), &values);
    }
}

#[test]
fn an_implicit_element_may_stand_among_explicit_ones() {
    let mut to = begin(Vrs::Explicit);
    to.bytes.extend_from_slice(&[0x28, 0, 0x10, 0, 2, 0, 0, 0, 64, 0]);
    to.bytes(0x0028_0011, "US", &[32, 0]);
    let values = [("Rows", Some("64")), ("Columns", Some("32"))];
    check(&part10(&to), Some(WarningClass::Broken), &values);
}

/// As an ultrasound machine writes them that forgets the sequence's own head.
#[test]
fn items_outside_a_sequence_are_passed_over() {
    for vrs in [Vrs::Explicit, Vrs::Implicit] {
        let mut item = Writer::new(vrs, Lengths::Defined);
        item.text(0x0018_0060, "DS", "120");
        let mut to = Writer::new(vrs, Lengths::Defined);
        to.text(0x0008_0018, "UI", "2.25.30").text(0x0008_0060, "CS", "US");
        for is_defined in [true, false] {
            to.bytes.extend_from_slice(&ITEM);
            if is_defined {
                to.bytes.extend_from_slice(&u32::try_from(item.bytes.len()).expect("short").to_le_bytes());
                to.bytes.extend_from_slice(&item.bytes);
            } else {
                to.bytes.extend_from_slice(&UNDEFINED);
                to.bytes.extend_from_slice(&item.bytes);
                to.bytes.extend_from_slice(&ITEM_END);
            }
        }
        to.bytes.extend_from_slice(&SEQUENCE_END);
        to.text(0x0020_000D, "UI", "2.25.10").text(0x0020_000E, "UI", "2.25.20");
        check(&part10(&to), Some(WarningClass::Broken), &[("Modality", Some("US")), ("KVP", None)]);
    }
}

#[test]
fn what_breaks_inside_a_sequence_of_known_length_costs_no_more_than_it() {
    let whole = {
        let mut dose = writer();
        dose.text(0x0018_0031, "LO", "FDG").text(0x0018_1074, "DS", "350000000");
        dose
    };
    let mut broken = whole.clone();
    // An element that is longer than its item.
    broken.bytes.extend_from_slice(&[0x18, 0, 0x75, 0x10, b'D', b'S', 0xF0, 0, b'1']);
    let mut to = begin(Vrs::Explicit);
    to.sequence(0x0054_0016, &[broken, whole]).text(0x0054_1001, "CS", "BQML");
    let values = [
        ("Radiopharmaceutical", Some("FDG")),
        ("RadionuclideTotalDose", Some("350000000")),
        ("Units", Some("BQML")),
    ];
    check(&part10(&to), Some(WarningClass::Broken), &values);
    let mut to = begin(Vrs::Explicit);
    let inside = [&[0x08, 0, 0x05, 0][..], b"CS\x02\0ab"].concat();
    to.bytes(0x0054_0016, "SQ", &inside).text(0x0054_1001, "CS", "BQML");
    check(&part10(&to), Some(WarningClass::Broken), &[("Units", Some("BQML"))]);
}

#[test]
fn delimiters_may_be_missing_where_the_end_is_known() {
    let mut dose = writer();
    dose.text(0x0018_0031, "LO", "FDG");
    let item = [&ITEM[..], &UNDEFINED, &dose.bytes].concat();
    let values = [("Radiopharmaceutical", Some("FDG")), ("Units", Some("BQML"))];
    let mut to = begin(Vrs::Explicit);
    to.bytes(0x0054_0016, "SQ", &item).text(0x0054_1001, "CS", "BQML");
    check(&part10(&to), Some(WarningClass::Broken), &values);
    // The sequence's delimiter ends the item too.
    let mut to = begin(Vrs::Explicit);
    to.bytes.extend_from_slice(&[0x54, 0, 0x16, 0, b'S', b'Q', 0, 0]);
    to.bytes.extend_from_slice(&[&UNDEFINED[..], &item, &SEQUENCE_END].concat());
    to.text(0x0054_1001, "CS", "BQML");
    check(&part10(&to), Some(WarningClass::Broken), &values);
}

#[test]
fn a_sequence_that_is_cut_off_gives_what_is_there() {
    let mut dose = writer();
    dose.text(0x0018_0031, "LO", "FDG").text(0x0018_1074, "DS", "350000000");
    let mut to = begin(Vrs::Explicit);
    to.sequence(0x0054_0016, &[dose]);
    let bytes = part10(&to);
    let values = [("Radiopharmaceutical", Some("FDG")), ("RadionuclideTotalDose", None)];
    check(&bytes[..bytes.len() - 2], Some(WarningClass::Truncated), &values);
}

#[test]
fn the_content_of_un_may_be_explicit_all_the_same() {
    for vrs in [Vrs::Explicit, Vrs::Implicit] {
        let mut inside = Writer::new(vrs, Lengths::Defined);
        let mut dose = inside.item();
        dose.text(0x0018_0031, "LO", "FDG").text(0x0018_1074, "DS", "350000000");
        inside.sequence(0x0054_0016, &[dose]);
        let items = &inside.bytes[if vrs == Vrs::Explicit { 12 } else { 8 }..];
        let values = [("Radiopharmaceutical", Some("FDG")), ("Units", Some("BQML"))];
        let mut to = begin(Vrs::Explicit);
        to.bytes(0x0054_0016, "UN", items).text(0x0054_1001, "CS", "BQML");
        check(&part10(&to), None, &values);
        let mut to = begin(Vrs::Explicit);
        to.bytes.extend_from_slice(&[0x54, 0, 0x16, 0, b'U', b'N', 0, 0]);
        to.bytes.extend_from_slice(&[&UNDEFINED[..], items, &SEQUENCE_END].concat());
        to.text(0x0054_1001, "CS", "BQML");
        check(&part10(&to), None, &values);
    }
}

#[test]
fn deflated_data_sets_are_inflated_whatever_stands_before_the_stream() {
    let data_set = begin(Vrs::Explicit);
    // A stored block (RFC 1951, 3.2.4).
    let length = u16::try_from(data_set.bytes.len()).expect("short");
    let stream = [&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), &data_set.bytes].concat();
    let zlib = [&[0x78, 0x9C][..], &stream, &[0; 4]].concat();
    for syntax in ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"] {
        for bytes in [&stream, &zlib] {
            let mut to = writer();
            to.bytes.clone_from(bytes);
            check(&part10_as(syntax, &to), None, &[("Modality", Some("CT"))]);
        }
        let forgotten = part10_as(syntax, &data_set);
        check(&forgotten, Some(WarningClass::TransferSyntax), &[("Modality", Some("CT"))]);
    }
}
