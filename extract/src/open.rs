//! From the first bytes of a file to its data set: preamble, file meta group, transfer syntax.

use shardex_catalog::WarningClass;

use crate::raw::RawValues;
use crate::source::{ReadAt, Window};
use crate::walk::{self, Encoding};

const PREFIX_AT: u64 = 128;
/// Where the file meta group begins, behind preamble and prefix.
pub(crate) const META_AT: u64 = PREFIX_AT + 4;
/// A file meta group longer than this is none.
const META_BYTES_MAX: u64 = 64 << 10;

const IMPLICIT_LITTLE: &[u8] = b"1.2.840.10008.1.2";
const EXPLICIT_BIG: &[u8] = b"1.2.840.10008.1.2.2";
/// Deflated explicit VR, and the two JPIP ones whose data set is deflated as well.
pub(crate) const DEFLATED: [&[u8]; 3] =
    [b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.4.95", b"1.2.840.10008.1.2.4.205"];
const GE_IMPLICIT: &[u8] = b"1.2.840.113619.5.2";

/// What the file meta group says, as bytes without padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) sop_class_uid: Vec<u8>,
    pub(crate) sop_instance_uid: Vec<u8>,
    pub(crate) transfer_syntax_uid: Vec<u8>,
    /// Elements of the group.
    pub(crate) elements: u32,
}

impl Meta {
    /// Forgets everything but the memory.
    pub(crate) fn clear(&mut self) {
        self.sop_class_uid.clear();
        self.sop_instance_uid.clear();
        self.transfer_syntax_uid.clear();
        self.elements = 0;
    }
}

/// A file that begins as a DICOM file does.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) meta: Meta,
    /// Preamble and prefix are there.
    pub(crate) has_prefix: bool,
    /// Where the data set begins.
    pub(crate) data_set_at: u64,
    pub(crate) encoding: Encoding,
    pub(crate) is_deflated: bool,
}

/// Looks at the beginning of a file; `None` if it is no DICOM.
pub(crate) fn open<R: ReadAt + ?Sized>(window: &mut Window<'_, R>, raw: &mut RawValues) -> Option<Opened> {
    let begin = window.look(0, 16).map_or(Vec::new(), <[u8]>::to_vec);
    let has_prefix = window.look(PREFIX_AT, 4).is_some_and(|prefix| prefix == b"DICM");
    let meta_follows = window.look(PREFIX_AT + 4, 2).is_some_and(|group| group == [2, 0]);
    let could_begin = is_plausible(&begin);
    // `DICM` can stand there by chance, inside the first element of a file without preamble.
    let has_prefix = has_prefix && (meta_follows || !could_begin);
    if !has_prefix && !could_begin {
        return None;
    }
    if !has_prefix {
        raw.warnings.insert(WarningClass::NoPreamble);
    }
    let at = if has_prefix { META_AT } else { 0 };
    let (meta, at) = read_meta(window, at, raw);
    if meta.transfer_syntax_uid.is_empty() {
        raw.warnings.insert(WarningClass::MetaGroup);
    }
    let declared = declared_encoding(&meta);
    let is_declared_deflated = DEFLATED.contains(&&*meta.transfer_syntax_uid);
    // A stream that begins as group 0008 with a VR does is none: its writer forgot to deflate it.
    let is_plain = |first: &[u8]| first.starts_with(&[8, 0]) && walk::is_known_vr([first[4], first[5]]);
    let is_deflated = is_declared_deflated && !window.look(at, 8).is_some_and(is_plain);
    let encoding = if is_declared_deflated {
        Encoding::EXPLICIT_LITTLE
    } else {
        let first = window.look(at, 8).map(<[u8]>::to_vec);
        first.map_or(declared, |first| sniff(&first, declared))
    };
    if (encoding != declared || is_deflated != is_declared_deflated) && !meta.transfer_syntax_uid.is_empty() {
        raw.warnings.insert(WarningClass::TransferSyntax);
    }
    Some(Opened { meta, has_prefix, data_set_at: at, encoding, is_deflated })
}

/// Whether bytes could be the first element of a data set without preamble.
fn is_plausible(begin: &[u8]) -> bool {
    if begin.len() < 16 {
        return false;
    }
    [false, true].into_iter().any(|is_big_endian| {
        let encoding = Encoding { is_explicit: false, is_big_endian };
        let (group, element) = (encoding.u16(begin), encoding.u16(&begin[2..]));
        matches!(group, 2 | 4 | 8)
            && element < 0x3000
            && (walk::is_vr([begin[4], begin[5]]) || encoding.u32(&begin[4..]) < 4096)
    })
}

fn declared_encoding(meta: &Meta) -> Encoding {
    match &*meta.transfer_syntax_uid {
        b"" | IMPLICIT_LITTLE | GE_IMPLICIT => Encoding::IMPLICIT_LITTLE,
        EXPLICIT_BIG => Encoding { is_explicit: true, is_big_endian: true },
        _ => Encoding::EXPLICIT_LITTLE,
    }
}

/// The encoding that the first element of a data set shows, where it differs from the declared one.
fn sniff(first: &[u8], declared: Encoding) -> Encoding {
    let little = Encoding::IMPLICIT_LITTLE.u16(first);
    let is_big_endian = little.swap_bytes() < little;
    let shows_vr = walk::is_known_vr([first[4], first[5]]);
    let encoding = Encoding { is_explicit: shows_vr, is_big_endian };
    // Two letters can be a length too, of gigabytes: only a VR says more than the declaration.
    if shows_vr || declared.is_explicit || declared.is_big_endian != is_big_endian {
        // Letters that are no VR of today's standard are left to the declaration.
        if !shows_vr && walk::is_vr([first[4], first[5]]) { declared } else { encoding }
    } else {
        declared
    }
}

/// Reads elements of group 0002, explicit or implicit VR, whatever the group length says.
fn read_meta<R: ReadAt + ?Sized>(window: &mut Window<'_, R>, begin: u64, raw: &mut RawValues) -> (Meta, u64) {
    let mut meta = Meta::default();
    let mut at = begin;
    while at < begin + META_BYTES_MAX {
        let Some(head) = window.look(at, 8).map(|head| <[u8; 8]>::try_from(head).unwrap_or_default()) else {
            break;
        };
        let little = Encoding::EXPLICIT_LITTLE;
        if little.u16(&head) != 2 {
            break;
        }
        let name = [head[4], head[5]];
        let is_explicit = walk::is_vr(name);
        let (length, value_at) = if !is_explicit {
            (little.u32(&head[4..]), at + 8)
        } else if matches!(&name, b"OB" | b"UN" | b"UT" | b"OW" | b"SQ") {
            let Some(length) = window.look(at + 8, 4) else { break };
            (little.u32(length), at + 12)
        } else {
            (u32::from(little.u16(&head[6..])), at + 8)
        };
        if !is_explicit {
            raw.warnings.insert(WarningClass::MetaGroup);
        }
        if value_at + u64::from(length) > window.size() {
            break;
        }
        meta.elements += 1;
        let value = |window: &mut Window<'_, R>| {
            let bytes = window.look(value_at, length as usize).unwrap_or(&[]);
            trimmed(bytes).to_vec()
        };
        match little.u16(&head[2..]) {
            0x0002 => meta.sop_class_uid = value(window),
            0x0003 => meta.sop_instance_uid = value(window),
            0x0010 => meta.transfer_syntax_uid = value(window),
            _ => {}
        }
        at = value_at + u64::from(length);
    }
    (meta, at)
}

/// Without blanks and NULs at either end.
pub(crate) fn trimmed(bytes: &[u8]) -> &[u8] {
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let from = bytes.iter().position(|byte| !is_padding(byte)).unwrap_or(bytes.len());
    let to = bytes.iter().rposition(|byte| !is_padding(byte)).map_or(from, |at| at + 1);
    &bytes[from..to]
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIG: Encoding = Encoding { is_explicit: true, is_big_endian: true };

    #[test]
    fn the_first_element_corrects_the_declaration() {
        for (first, declared, expected) in [
            (b"\x08\0\x05\0CS\x0a\0", Encoding::IMPLICIT_LITTLE, Encoding::EXPLICIT_LITTLE),
            (b"\x08\0\x05\0\x0a\0\0\0", Encoding::EXPLICIT_LITTLE, Encoding::IMPLICIT_LITTLE),
            (b"\0\x08\0\x05CS\0\x0a", Encoding::EXPLICIT_LITTLE, BIG),
            (b"\x08\0\x05\0CS\x0a\0", BIG, Encoding::EXPLICIT_LITTLE),
            (b"\x08\0\x05\0ZZ\x0a\0", Encoding::EXPLICIT_LITTLE, Encoding::EXPLICIT_LITTLE),
            (b"\x08\0\x05\0\x0a\0\0\0", Encoding::IMPLICIT_LITTLE, Encoding::IMPLICIT_LITTLE),
        ] {
            assert_eq!(sniff(first, declared), expected, "{first:?}");
        }
    }
}
