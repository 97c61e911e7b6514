//! Heads of elements, and sequences passed over, in a piece of a file.

use shardex_catalog::{Tag, Vr};

use super::NotUnderstood;

pub(super) const UNDEFINED: u32 = 0xFFFF_FFFF;
pub(super) const ITEM: Tag = 0xFFFE_E000;
pub(super) const ITEM_END: Tag = 0xFFFE_E00D;
pub(super) const SEQUENCE_END: Tag = 0xFFFE_E0DD;
/// Sequences in sequences that are followed.
pub(super) const DEPTH_MAX: u32 = 16;

/// What a VR means for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Not of the standard.
    Unknown,
    /// Length in 16 bits.
    Short(Vr),
    /// Length in 32 bits, a value that columns can hold.
    Long(Vr),
    /// Length in 32 bits, bytes.
    Bytes,
    /// What was not known where it was written.
    Un,
}

/// A head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) tag: Tag,
    /// `None` in implicit VR and of items and delimiters.
    pub(super) class: Option<Class>,
    pub(super) length: u32,
    /// Where the value begins in the piece.
    pub(super) value_at: usize,
}

impl Head {
    /// Where the element ends in the piece, or beyond it; lengths are even.
    pub(super) fn end(&self) -> Result<usize, NotUnderstood> {
        if self.length == UNDEFINED || self.length & 1 == 1 {
            return Err(NotUnderstood);
        }
        Ok(self.value_at + self.length as usize)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The head of an element of a data set; `None` where the piece ends before the head does.
#[inline]
pub(super) fn head(bytes: &[u8], at: usize, is_explicit: bool) -> Result<Option<Head>, NotUnderstood> {
    let Some(first) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) else { return Ok(None) };
    let tag = u32::from_le_bytes([first[0], first[1], first[2], first[3]]).rotate_left(16);
    if !is_explicit || tag >> 16 == 0xFFFE {
        let length = u32::from_le_bytes([first[4], first[5], first[6], first[7]]);
        return Ok(Some(Head { tag, class: None, length, value_at: at + 8 }));
    }
    let class = class_of([first[4], first[5]]);
    match class {
        Class::Unknown => Err(NotUnderstood),
        Class::Short(_) => {
            let length = u32::from(u16::from_le_bytes([first[6], first[7]]));
            Ok(Some(Head { tag, class: Some(class), length, value_at: at + 8 }))
        }
        Class::Long(_) | Class::Bytes | Class::Un => Ok(u32_at(bytes, at + 8).map(|length| Head {
            tag,
            class: Some(class),
            length,
            value_at: at + 12,
        })),
    }
}

/// Passes over elements between the tags `before` and `until` that are all in the piece, ascending and
/// of defined, even length. Returns where it stopped, the last tag passed and how many were.
#[inline]
pub(super) fn pass_plain<const EXPLICIT: bool>(
    bytes: &[u8],
    mut at: usize,
    mut before: Tag,
    until: Tag,
) -> (usize, Tag, u32) {
    let mut passed = 0;
    while let Some(first) = bytes.get(at..).and_then(<[u8]>::first_chunk::<12>) {
        let tag = u32::from_le_bytes([first[0], first[1], first[2], first[3]]).rotate_left(16);
        if tag <= before || tag >= until {
            break;
        }
        let (length, value) = if !EXPLICIT {
            (u32::from_le_bytes([first[4], first[5], first[6], first[7]]), 8)
        } else {
            match class_of([first[4], first[5]]) {
                Class::Unknown => break,
                Class::Short(_) => (u32::from(u16::from_le_bytes([first[6], first[7]])), 8),
                Class::Long(_) | Class::Bytes | Class::Un => {
                    (u32::from_le_bytes([first[8], first[9], first[10], first[11]]), 12)
                }
            }
        };
        let end = at + value + length as usize;
        // An undefined length is odd too.
        if length & 1 == 1 || end > bytes.len() {
            break;
        }
        (at, before) = (end, tag);
        passed += 1;
    }
    (at, before, passed)
}

/// Passes over a sequence of undefined length whose items begin at `at`, to behind its delimiter.
/// `None` where the piece ends before it does. `seen` counts elements.
pub(super) fn pass_undefined(
    bytes: &[u8],
    mut at: usize,
    is_explicit: bool,
    seen: &mut u32,
) -> Result<Option<usize>, NotUnderstood> {
    // What is open: a sequence, an item in it, a sequence in that, and so on.
    let mut open = 1;
    while open > 0 {
        *seen += 1;
        let is_between_items = open % 2 == 1;
        let Some(head) = head(bytes, at, is_explicit)? else { return Ok(None) };
        let is_end = head.tag == if is_between_items { SEQUENCE_END } else { ITEM_END };
        if is_end && head.length == 0 {
            open -= 1;
            at = head.value_at;
            continue;
        }
        if is_end || (head.tag == ITEM) != is_between_items {
            return Err(NotUnderstood);
        }
        if !is_between_items && head.tag >> 16 == 0xFFFE {
            return Err(NotUnderstood);
        }
        if head.length == UNDEFINED {
            if head.class == Some(Class::Un) || open > 2 * DEPTH_MAX {
                return Err(NotUnderstood);
            }
            open += 1;
            at = head.value_at;
        } else {
            at = head.end()?;
        }
        if at > bytes.len() {
            return Ok(None);
        }
    }
    Ok(Some(at))
}

/// A file meta group's element: explicit VR whatever the data set has, short but for OB.
pub(super) fn meta_head(bytes: &[u8], at: usize) -> Option<Head> {
    let tag = u32_at(bytes, at)?.rotate_left(16);
    let name = *bytes.get(at + 4..)?.first_chunk()?;
    match (&name, class_of(name)) {
        (b"OB", class) => {
            let length = u32_at(bytes, at + 8)?;
            Some(Head { tag, class: Some(class), length, value_at: at + 12 })
        }
        (_, class @ Class::Short(_)) => {
            let length = u32::from(u16_at(bytes, at + 6)?);
            Some(Head { tag, class: Some(class), length, value_at: at + 8 })
        }
        _ => None,
    }
}

const LETTERS: usize = 26;

/// VRs by their letters (PS3.5 table 7.1-1).
static CLASSES: [Class; LETTERS * LETTERS] = classes();

#[inline]
fn class_of(name: [u8; 2]) -> Class {
    let [first, second] = name.map(|letter| usize::from(letter.wrapping_sub(b'A')));
    if first >= LETTERS || second >= LETTERS {
        return Class::Unknown;
    }
    CLASSES[first * LETTERS + second]
}

const fn classes() -> [Class; LETTERS * LETTERS] {
    #[rustfmt::skip]
    const ALL: [(&[u8; 2], Class); 34] = [
        (b"AE", Class::Short(Vr::AE)), (b"AS", Class::Short(Vr::AS)), (b"AT", Class::Short(Vr::AT)),
        (b"CS", Class::Short(Vr::CS)), (b"DA", Class::Short(Vr::DA)), (b"DS", Class::Short(Vr::DS)),
        (b"DT", Class::Short(Vr::DT)), (b"FD", Class::Short(Vr::FD)), (b"FL", Class::Short(Vr::FL)),
        (b"IS", Class::Short(Vr::IS)), (b"LO", Class::Short(Vr::LO)), (b"LT", Class::Short(Vr::LT)),
        (b"PN", Class::Short(Vr::PN)), (b"SH", Class::Short(Vr::SH)), (b"SL", Class::Short(Vr::SL)),
        (b"SS", Class::Short(Vr::SS)), (b"ST", Class::Short(Vr::ST)), (b"TM", Class::Short(Vr::TM)),
        (b"UI", Class::Short(Vr::UI)), (b"UL", Class::Short(Vr::UL)), (b"US", Class::Short(Vr::US)),
        (b"SQ", Class::Long(Vr::SQ)), (b"UC", Class::Long(Vr::UC)), (b"UT", Class::Long(Vr::UT)),
        (b"OB", Class::Bytes), (b"OD", Class::Bytes), (b"OF", Class::Bytes), (b"OL", Class::Bytes),
        (b"OV", Class::Bytes), (b"OW", Class::Bytes), (b"SV", Class::Bytes), (b"UR", Class::Bytes),
        (b"UV", Class::Bytes), (b"UN", Class::Un),
    ];
    let mut classes = [Class::Unknown; LETTERS * LETTERS];
    let mut n = 0;
    while n < ALL.len() {
        let (name, class) = ALL[n];
        classes[(name[0] - b'A') as usize * LETTERS + (name[1] - b'A') as usize] = class;
        n += 1;
    }
    classes
}
