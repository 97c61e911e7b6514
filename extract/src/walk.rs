//! Walking the elements of a data set, in any encoding, keeping what is wanted.
//!
//! Recursion follows the tree of wanted elements, which is a few levels deep, never the input:
//! everything else is skipped by length, or, where lengths are undefined, by counting delimiters.

use shardex_catalog::{Tag, Vr, WarningClass};

use crate::raw::{ItemValue, RawValue, RawValues};
use crate::source::{LOOK_MAX, ReadAt, Window};
use crate::wanted::{ITEMS_MAX, ItemsNumber, Node, SPECIFIC_CHARACTER_SET};

pub(crate) const UNDEFINED: u32 = 0xFFFF_FFFF;
pub(crate) const ITEM: Tag = 0xFFFE_E000;
pub(crate) const ITEM_END: Tag = 0xFFFE_E00D;
pub(crate) const SEQUENCE_END: Tag = 0xFFFE_E0DD;
/// Pixel data, and whatever else stands at the end of a data set.
pub(crate) const BULK: Tag = 0x7FE0_0000;
const PIXEL_DATA: [Tag; 3] = [0x7FE0_0008, 0x7FE0_0009, 0x7FE0_0010];
/// Elements of one file that are looked at; no header has a hundredth of it.
const ELEMENTS_MAX: u64 = 4_000_000;

/// How elements are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoding {
    pub(crate) is_explicit: bool,
    pub(crate) is_big_endian: bool,
}

impl Encoding {
    pub(crate) const IMPLICIT_LITTLE: Self = Self { is_explicit: false, is_big_endian: false };
    pub(crate) const EXPLICIT_LITTLE: Self = Self { is_explicit: true, is_big_endian: false };

    pub(crate) fn u16(self, bytes: &[u8]) -> u16 {
        let bytes = [bytes[0], bytes[1]];
        if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    pub(crate) fn u32(self, bytes: &[u8]) -> u32 {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    pub(crate) fn tag(self, bytes: &[u8]) -> Tag {
        (u32::from(self.u16(bytes)) << 16) | u32::from(self.u16(&bytes[2..]))
    }
}

/// Why a walk ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes end inside an element.
    Truncated(u64),
    /// What stands there is no element.
    Broken(u64),
}

/// An element's head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element {
    pub(crate) tag: Tag,
    /// As the file says it; `None` for implicit VR, UN and what is no VR of the table.
    pub(crate) vr: Option<Vr>,
    pub(crate) is_un: bool,
    pub(crate) is_sequence: bool,
    pub(crate) length: u32,
    pub(crate) value_at: u64,
}

/// The item that values are collected for.
#[derive(Clone, Copy)]
struct Kept {
    items: ItemsNumber,
    item: u32,
}

/// Where a walk is inside the tree.
#[derive(Clone, Copy)]
struct Scope {
    encoding: Encoding,
    charset: u8,
    kept: Option<Kept>,
    /// Values of this item fill slots.
    is_first: bool,
    is_top: bool,
}

/// Walks one data set.
pub(crate) struct Walker<'a, 'w, R: ?Sized> {
    pub(crate) window: &'a mut Window<'w, R>,
    pub(crate) raw: &'a mut RawValues,
}

impl<R: ReadAt + ?Sized> Walker<'_, '_, R> {
    /// Walks a data set from `at` to the pixel data or the end. What was read before a stop holds.
    pub(crate) fn data_set(&mut self, at: u64, encoding: Encoding, nodes: &[Node]) -> Result<(), Stop> {
        let scope = Scope { encoding, charset: 0, kept: None, is_first: true, is_top: true };
        let end = self.window.size();
        self.elements(at, Some(end), scope, nodes).map(drop)
    }

    /// Walks elements until `end`, or until the item's delimiter; returns the offset behind.
    fn elements(
        &mut self,
        mut at: u64,
        end: Option<u64>,
        mut scope: Scope,
        nodes: &[Node],
    ) -> Result<u64, Stop> {
        let mut next = 0;
        let mut before = 0;
        loop {
            let wanted = nodes.get(next).map_or(Tag::MAX, |node| node.tag);
            (at, before) = self.skip_unwanted(at, before, wanted, end, scope.encoding);
            if end == Some(at) {
                return Ok(at);
            }
            let element = self.head(at, scope.encoding)?;
            if element.tag == ITEM_END && end.is_none() {
                return Ok(element.value_at);
            }
            if element.tag >> 16 == 0xFFFE {
                return Err(Stop::Broken(at));
            }
            if scope.is_top && element.tag >= BULK {
                self.check_bulk(element);
                return Ok(at);
            }
            let limit = end.unwrap_or(self.window.size());
            if element.length != UNDEFINED && element.value_at + u64::from(element.length) > limit {
                return Err(if scope.is_top || end.is_none() {
                    Stop::Truncated(at)
                } else {
                    Stop::Broken(at)
                });
            }
            if element.tag < before {
                self.raw.warnings.insert(WarningClass::ElementOrder);
                next = 0;
            }
            before = element.tag;
            while nodes.get(next).is_some_and(|node| node.tag < element.tag) {
                next += 1;
            }
            let node = nodes.get(next).filter(|node| node.tag == element.tag);
            at = match node {
                Some(node) => self.wanted(element, node, &mut scope)?,
                None if element.tag == SPECIFIC_CHARACTER_SET && !scope.is_top => {
                    let value = self.capture(element, Vr::CS, scope);
                    scope.charset = self.raw.add_charset(value);
                    behind(element)
                }
                None if element.length == UNDEFINED => self.skip_undefined(element, scope.encoding)?,
                None => behind(element),
            };
        }
    }

    /// Passes over elements below `wanted` that are plain: little endian, ascending, of defined
    /// length, inside the window. Whatever is not plain is left to the careful loop. Returns where
    /// it stopped, and the last tag it passed.
    fn skip_unwanted(
        &mut self,
        mut at: u64,
        mut before: Tag,
        wanted: Tag,
        end: Option<u64>,
        encoding: Encoding,
    ) -> (u64, Tag) {
        if encoding.is_big_endian {
            return (at, before);
        }
        let limit = end.unwrap_or(self.window.size());
        let mut passed = 0;
        while let Some(head) = self.window.held(at) {
            let tag = u32::from_le_bytes([head[0], head[1], head[2], head[3]]).rotate_left(16);
            if tag >= wanted || tag <= before || tag >= BULK || tag == SPECIFIC_CHARACTER_SET {
                break;
            }
            let name = [head[4], head[5]];
            let (length, value) = if !encoding.is_explicit {
                (u32::from_le_bytes([head[4], head[5], head[6], head[7]]), 8)
            } else if !is_vr(name) {
                break;
            } else if is_long(name) {
                (u32::from_le_bytes([head[8], head[9], head[10], head[11]]), 12)
            } else {
                (u32::from(u16::from_le_bytes([head[6], head[7]])), 8)
            };
            let behind = at + value + u64::from(length);
            if length == UNDEFINED || behind > limit {
                break;
            }
            at = behind;
            before = tag;
            passed += 1;
        }
        self.raw.elements += passed;
        (at, before)
    }

    fn wanted(&mut self, element: Element, node: &Node, scope: &mut Scope) -> Result<u64, Stop> {
        let has_items = element.is_sequence || element.length == UNDEFINED || node.vr == Vr::SQ;
        if has_items {
            if let Some(slot) = node.slot.filter(|_| scope.is_first) {
                let present = self.raw.store(Vr::SQ, 0, false, &[]);
                self.raw.set(slot, present);
            }
            if node.vr != Vr::SQ {
                return if element.length == UNDEFINED {
                    self.skip_undefined(element, scope.encoding)
                } else {
                    Ok(behind(element))
                };
            }
            return self.sequence(element, node, *scope);
        }
        let value = self.capture(element, node.vr, *scope);
        if node.tag == SPECIFIC_CHARACTER_SET {
            if scope.is_top {
                self.raw.set_charset(value);
            } else {
                scope.charset = self.raw.add_charset(value);
            }
        }
        let is_new = match node.slot.filter(|_| scope.is_first) {
            Some(slot) => self.raw.set(slot, value),
            None => true,
        };
        if !is_new && scope.is_top {
            self.raw.warnings.insert(WarningClass::ElementOrder);
        }
        if let Some(Kept { items, item }) = scope.kept {
            let of_items = |(number, _): &&(ItemsNumber, u16)| *number == items;
            if let Some((_, field)) = node.fields.iter().find(of_items) {
                self.raw.items.push(ItemValue { items, item, field: *field, value });
            }
        }
        Ok(behind(element))
    }

    /// Walks the items of a wanted sequence: the first, and all where they are kept.
    fn sequence(&mut self, element: Element, node: &Node, scope: Scope) -> Result<u64, Stop> {
        let end = (element.length != UNDEFINED).then(|| behind(element));
        // UN of undefined length holds implicit VR little endian, in every transfer syntax (CP-246).
        let encoding = if element.is_un { Encoding::IMPLICIT_LITTLE } else { scope.encoding };
        let mut at = element.value_at;
        let mut item = 0;
        loop {
            if end == Some(at) {
                return Ok(at);
            }
            let head = self.item_head(at, encoding)?;
            match head.tag {
                SEQUENCE_END => return Ok(end.unwrap_or(head.value_at)),
                ITEM => {}
                _ => return Err(Stop::Broken(at)),
            }
            let is_kept = node.items.is_some() && item < ITEMS_MAX;
            let kept = if is_kept { node.items.map(|items| Kept { items, item }) } else { scope.kept };
            if item > 0 && !is_kept {
                return match end {
                    Some(end) => Ok(end),
                    None => self.skip_from(at, 1, encoding),
                };
            }
            let is_first = scope.is_first && item == 0;
            let inner = Scope { encoding, kept, is_first, is_top: false, ..scope };
            let item_end = (head.length != UNDEFINED).then(|| head.value_at + u64::from(head.length));
            let limit = end.unwrap_or(self.window.size());
            if item_end.is_some_and(|end| end > limit) {
                // What stands in the part of it that is there still counts.
                let stop = if limit == self.window.size() { Stop::Truncated(at) } else { Stop::Broken(at) };
                self.elements(head.value_at, Some(limit), inner, &node.children)?;
                return Err(stop);
            }
            at = self.elements(head.value_at, item_end, inner, &node.children)?;
            item += 1;
        }
    }

    /// Copies a value, cut where it is too long.
    fn capture(&mut self, element: Element, vr: Vr, scope: Scope) -> RawValue {
        let vr = element.vr.unwrap_or(vr);
        let is_big_endian = scope.encoding.is_big_endian && !element.is_un;
        let mut length = element.length as usize;
        if length > LOOK_MAX {
            length = LOOK_MAX;
            self.raw.warnings.insert(WarningClass::LongValue);
        }
        let bytes = self.window.look(element.value_at, length).unwrap_or(&[]);
        self.raw.store(vr, scope.charset, is_big_endian, bytes)
    }

    /// Reads the head of an element.
    #[inline]
    pub(crate) fn head(&mut self, at: u64, encoding: Encoding) -> Result<Element, Stop> {
        self.raw.elements += 1;
        if self.raw.elements > ELEMENTS_MAX {
            return Err(Stop::Broken(at));
        }
        let bytes = self.window.look(at, 8).ok_or(Stop::Truncated(at))?;
        let tag = encoding.tag(bytes);
        if !encoding.is_explicit || tag >> 16 == 0xFFFE {
            let length = encoding.u32(&bytes[4..]);
            return Ok(Element { tag, vr: None, is_un: false, is_sequence: false, length, value_at: at + 8 });
        }
        let name = [bytes[4], bytes[5]];
        if !is_vr(name) {
            return Err(Stop::Broken(at));
        }
        let (vr, is_un) = (known_vr(name), name == *b"UN");
        if is_long(name) {
            let bytes = self.window.look(at + 8, 4).ok_or(Stop::Truncated(at))?;
            let length = encoding.u32(bytes);
            let is_sequence = name == *b"SQ" || (is_un && length == UNDEFINED);
            return Ok(Element { tag, vr, is_un, is_sequence, length, value_at: at + 12 });
        }
        let length = u32::from(encoding.u16(&bytes[6..]));
        Ok(Element { tag, vr, is_un, is_sequence: false, length, value_at: at + 8 })
    }

    pub(crate) fn item_head(&mut self, at: u64, encoding: Encoding) -> Result<Element, Stop> {
        let element = self.head(at, Encoding { is_explicit: false, ..encoding })?;
        Ok(element)
    }

    fn skip_undefined(&mut self, element: Element, encoding: Encoding) -> Result<u64, Stop> {
        let encoding = if element.is_un { Encoding::IMPLICIT_LITTLE } else { encoding };
        self.skip_from(element.value_at, 1, encoding)
    }

    /// Skips to behind the delimiter that ends `depth` open sequences and items.
    pub(crate) fn skip_from(&mut self, mut at: u64, mut depth: u64, outer: Encoding) -> Result<u64, Stop> {
        let mut encoding = outer;
        // Depth at which a UN of undefined length began: inside all is implicit VR little endian.
        let mut un_depth = None;
        while depth > 0 {
            let element = self.head(at, encoding)?;
            at = match element.tag {
                ITEM_END | SEQUENCE_END => {
                    depth -= 1;
                    if un_depth == Some(depth) {
                        un_depth = None;
                        encoding = outer;
                    }
                    element.value_at
                }
                _ if element.length == UNDEFINED => {
                    if element.is_un && un_depth.is_none() {
                        un_depth = Some(depth);
                        encoding = Encoding::IMPLICIT_LITTLE;
                    }
                    depth += 1;
                    element.value_at
                }
                _ => behind(element),
            };
            if at > self.window.size() {
                return Err(Stop::Truncated(element.value_at));
            }
        }
        Ok(at)
    }

    fn check_bulk(&mut self, element: Element) {
        let is_short = element.length != UNDEFINED
            && element.value_at + u64::from(element.length) > self.window.size()
            && PIXEL_DATA.contains(&element.tag);
        if is_short {
            self.raw.warnings.insert(WarningClass::TruncatedPixelData);
        }
    }
}

fn behind(element: Element) -> u64 {
    element.value_at + u64::from(element.length)
}

/// Whether two bytes can be a VR at all.
#[inline]
pub(crate) fn is_vr(name: [u8; 2]) -> bool {
    name[0].is_ascii_uppercase() && name[1].is_ascii_uppercase()
}

/// VRs with a length of 32 bits (PS3.5 table 7.1-1).
#[inline]
fn is_long(name: [u8; 2]) -> bool {
    matches!(
        &name,
        b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV"
    )
}

/// Whether two bytes are a VR of the standard.
pub(crate) fn is_known_vr(name: [u8; 2]) -> bool {
    known_vr(name).is_some() || is_long(name)
}

#[inline]
pub(crate) fn known_vr(name: [u8; 2]) -> Option<Vr> {
    Some(match &name {
        b"AE" => Vr::AE,
        b"AS" => Vr::AS,
        b"AT" => Vr::AT,
        b"CS" => Vr::CS,
        b"DA" => Vr::DA,
        b"DS" => Vr::DS,
        b"DT" => Vr::DT,
        b"FD" => Vr::FD,
        b"FL" => Vr::FL,
        b"IS" => Vr::IS,
        b"LO" => Vr::LO,
        b"LT" => Vr::LT,
        b"PN" => Vr::PN,
        b"SH" => Vr::SH,
        b"SL" => Vr::SL,
        b"SQ" => Vr::SQ,
        b"SS" => Vr::SS,
        b"ST" => Vr::ST,
        b"TM" => Vr::TM,
        b"UC" => Vr::UC,
        b"UI" => Vr::UI,
        b"UL" => Vr::UL,
        b"US" => Vr::US,
        b"UT" => Vr::UT,
        _ => return None,
    })
}
