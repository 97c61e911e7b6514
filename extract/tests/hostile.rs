//! Bytes that want to do harm: no panic, no memory by a length field, an answer for everything.

use shardex_catalog::{Domain, FileState, WarningClass};
use shardex_extract::{Extracted, Extractor, Settings};

fn element(bytes: &mut Vec<u8>, group: u16, number: u16, vr: &[u8; 2], value: &[u8]) {
    bytes.extend_from_slice(&group.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(vr);
    bytes.extend_from_slice(&u16::try_from(value.len()).expect("a short value").to_le_bytes());
    bytes.extend_from_slice(value);
}

/// A whole file with `middle` between the SOP Instance UID and the study's.
fn file_with(middle: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes.extend_from_slice(b"DICM");
    element(&mut bytes, 0x0002, 0x0010, b"UI", b"1.2.840.10008.1.2.1\0");
    element(&mut bytes, 0x0008, 0x0016, b"UI", b"1.2.840.10008.5.1.4.1.1.2\0");
    element(&mut bytes, 0x0008, 0x0018, b"UI", b"2.25.30\0");
    element(&mut bytes, 0x0008, 0x0060, b"CS", b"CT");
    bytes.extend_from_slice(middle);
    element(&mut bytes, 0x0010, 0x0020, b"LO", b"PAT1");
    element(&mut bytes, 0x0020, 0x000D, b"UI", b"2.25.10\0");
    element(&mut bytes, 0x0020, 0x000E, b"UI", b"2.25.20\0");
    bytes
}

fn extract(bytes: &[u8]) -> Extracted {
    Extractor::new(Settings::default()).extract(bytes, bytes.len() as u64, &Domain::default())
}

fn is_indexed(bytes: &[u8]) -> bool {
    matches!(extract(bytes), Extracted::Instance(_))
}

/// A sequence of undefined length that nothing wants, `depth` deep; ended or not.
fn nested(depth: usize, is_explicit: bool, is_ended: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..depth {
        bytes.extend_from_slice(&[0x09, 0, 0x01, 0x10]);
        if is_explicit {
            bytes.extend_from_slice(b"SQ\0\0");
        }
        bytes.extend_from_slice(&[0xFF; 4]);
        bytes.extend_from_slice(&[0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
    }
    for _ in 0..if is_ended { depth } else { 0 } {
        bytes.extend_from_slice(&[0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
    }
    bytes
}

#[test]
fn lengths_are_not_believed() {
    assert!(is_indexed(&file_with(&[])));
    let mut long = vec![0x09, 0, 0x01, 0x10, b'O', b'B', 0, 0];
    long.extend_from_slice(&0xFFFF_FFF0_u32.to_le_bytes());
    let Extracted::Other(other) = extract(&file_with(&long)) else { panic!("indexed without its UIDs") };
    assert_eq!(other.state, FileState::Quarantined);
    assert!(other.readable.is_some_and(|readable| readable.contains("CT")), "what was readable is kept");
}

#[test]
fn depth_costs_no_stack() {
    assert!(is_indexed(&file_with(&nested(10_000, true, true))));
    assert!(!is_indexed(&file_with(&nested(10_000, true, false))));
    assert!(!is_indexed(&file_with(&nested(10_000, false, false))));
}

#[test]
fn many_private_elements_are_passed_over() {
    let mut middle = Vec::new();
    for n in 0..100_000_u32 {
        let group = 0x0009 + u16::try_from(n / 50_000).expect("small") * 2;
        element(&mut middle, group, 0x1000 + u16::try_from(n % 50_000).expect("small"), b"LO", b"xy");
    }
    assert!(is_indexed(&file_with(&middle)[..]) || middle.is_empty());
}

#[test]
fn a_file_may_end_anywhere() {
    let whole = file_with(&nested(3, true, true));
    let mut indexed = 0;
    for end in 0..whole.len() {
        if let Extracted::Instance(instance) = extract(&whole[..end]) {
            indexed += 1;
            assert!(instance.warnings.contains(WarningClass::Truncated), "cut at {end}, and nobody says so");
        }
    }
    assert!(indexed < 16, "{indexed} cuts left all UIDs whole");
}

#[test]
fn random_changes_never_panic() {
    let whole = file_with(&nested(3, true, true));
    let mut state = 7_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap_or(0)
    };
    let mut extractor = Extractor::new(Settings::default());
    for _ in 0..50_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + next() % 6 {
            let at = next() % bytes.len();
            bytes[at] = [0, 0xFF, b'S', b'Q', u8::try_from(next() % 256).unwrap_or(0)][next() % 5];
        }
        let fresh = format!("{:?}", extract(&bytes));
        let reused = format!("{:?}", extractor.extract(&*bytes, bytes.len() as u64, &Domain::default()));
        assert_eq!(fresh, reused, "what was read before must not change an answer");
    }
}
