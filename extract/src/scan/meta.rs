//! Preamble and file meta group of a tidy file.

use super::NotUnderstood;
use super::element::{self, Head};
use crate::open::{DEFLATED, Meta, Opened, trimmed};
use crate::walk::Encoding;

const META_AT: usize = 132;
const GROUP_LENGTH: u32 = 0x0002_0000;
const IMPLICIT_LITTLE: &[u8] = b"1.2.840.10008.1.2";
const EXPLICIT_LITTLE: &[u8] = b"1.2.840.10008.1.2.1";
/// JPEG, JPEG 2000, MPEG, RLE ...: the data set is explicit VR little endian.
const ENCAPSULATED: &[&[u8]] = &[b"1.2.840.10008.1.2.4.", b"1.2.840.10008.1.2.5"];
const MEDIA_STORAGE_DIRECTORY: &[u8] = b"1.2.840.10008.1.3.10";

/// Reads preamble and meta group from the first bytes of a file; `None` where they are not tidy. `meta`
/// lends the memory of the file before.
pub(crate) fn open(first: &[u8], mut meta: Meta) -> Option<Opened> {
    meta.clear();
    if first.get(128..META_AT)? != b"DICM" {
        return None;
    }
    let length =
        element::meta_head(first, META_AT).filter(|head| head.tag == GROUP_LENGTH && head.length == 4)?;
    let begin = length.value_at + 4;
    let end = begin.checked_add(element::u32_at(first, length.value_at)? as usize)?;
    let group = first.get(..end)?;
    meta.elements = 1;
    let (mut at, mut before) = (begin, GROUP_LENGTH);
    while at < end {
        let head = element::meta_head(group, at)?;
        if head.tag >> 16 != 2 || head.tag <= before {
            return None;
        }
        let behind = head.end().ok()?;
        let value = group.get(head.value_at..behind)?;
        take(&mut meta, &head, value);
        meta.elements += 1;
        (at, before) = (behind, head.tag);
    }
    let encoding = encoding(&meta.transfer_syntax_uid)?;
    let is_directory = meta.sop_class_uid == MEDIA_STORAGE_DIRECTORY;
    if is_directory || !begins(first.get(end..)?, encoding) {
        return None;
    }
    Some(Opened { meta, has_prefix: true, data_set_at: end as u64, encoding, is_deflated: false })
}

fn take(meta: &mut Meta, head: &Head, value: &[u8]) {
    let to = match head.tag {
        0x0002_0002 => &mut meta.sop_class_uid,
        0x0002_0003 => &mut meta.sop_instance_uid,
        0x0002_0010 => &mut meta.transfer_syntax_uid,
        _ => return,
    };
    to.extend_from_slice(trimmed(value));
}

fn encoding(transfer_syntax_uid: &[u8]) -> Option<Encoding> {
    if transfer_syntax_uid == IMPLICIT_LITTLE {
        return Some(Encoding::IMPLICIT_LITTLE);
    }
    let is_explicit = transfer_syntax_uid == EXPLICIT_LITTLE
        || (ENCAPSULATED.iter().any(|family| transfer_syntax_uid.starts_with(family))
            && !DEFLATED.contains(&transfer_syntax_uid));
    is_explicit.then_some(Encoding::EXPLICIT_LITTLE)
}

/// Whether the data set begins with group 0008 in the encoding that the meta group declares.
fn begins(data_set: &[u8], encoding: Encoding) -> bool {
    if !data_set.starts_with(&[8, 0]) {
        return false;
    }
    match element::head(data_set, 0, true) {
        Ok(Some(_)) => encoding.is_explicit,
        Ok(None) => false,
        Err(NotUnderstood) => !encoding.is_explicit,
    }
}
