//! Walking the elements of a data set, in any encoding, keeping what is wanted.
//!
//! Recursion follows the tree of wanted elements, which is a few levels deep, never the input:
//! everything else is skipped by length, or, where lengths are undefined, by counting delimiters.

use std::ops::ControlFlow;

use shardex_catalog::{Tag, Vr, WarningClass};

use crate::odd;
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
    /// Nothing of it stands behind this offset.
    limit: u64,
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
        let limit = self.window.size();
        let scope = Scope { encoding, limit, charset: 0, kept: None, is_first: true, is_top: true };
        self.elements(at, true, scope, nodes).map(drop)
    }

    /// Walks elements until the scope's limit, or, where that is not where they are to end, until the
    /// item's delimiter; returns the offset behind.
    fn elements(
        &mut self,
        mut at: u64,
        is_defined: bool,
        mut scope: Scope,
        nodes: &[Node],
    ) -> Result<u64, Stop> {
        let mut next = 0;
        let mut before = 0;
        loop {
            let wanted = nodes.get(next).map_or(Tag::MAX, |node| node.tag);
            (at, before) = self.skip_unwanted(at, before, wanted, scope);
            if at == scope.limit {
                return if is_defined { Ok(at) } else { self.unended(at) };
            }
            let element = self.head(at, scope.encoding, scope.limit)?;
            if element.tag >> 16 == 0xFFFE {
                match self.delimiter(at, element, is_defined, scope.encoding, scope.limit)? {
                    ControlFlow::Break(behind) => return Ok(behind),
                    ControlFlow::Continue(behind) => at = behind,
                }
                continue;
            }
            if scope.is_top && element.tag >= BULK {
                self.check_bulk(element);
                return Ok(at);
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
            if element.length != UNDEFINED && behind(element) > scope.limit {
                return Err(self.overrun(at, element, node, scope));
            }
            at = match node {
                Some(node) => self.wanted(element, node, &mut scope)?,
                None if element.tag == SPECIFIC_CHARACTER_SET && !scope.is_top => {
                    let value = self.capture(element, Vr::CS, scope);
                    scope.charset = self.raw.add_charset(value);
                    behind(element)
                }
                None if element.length == UNDEFINED => {
                    self.skip_undefined(element, scope.encoding, scope.limit)?
                }
                None => behind(element),
            };
        }
    }

    /// An item or delimiter where an element is due: the end of what is walked, or out of place.
    pub(crate) fn delimiter(
        &mut self,
        at: u64,
        element: Element,
        is_defined: bool,
        encoding: Encoding,
        limit: u64,
    ) -> Result<ControlFlow<u64, u64>, Stop> {
        if element.tag == ITEM_END && !is_defined {
            return Ok(ControlFlow::Break(element.value_at));
        }
        self.raw.warnings.insert(WarningClass::Broken);
        match element.tag {
            // The item's own delimiter is missing.
            ITEM | SEQUENCE_END if !is_defined => return Ok(ControlFlow::Break(at)),
            // An item of no sequence is passed over as a whole: its values are nobody's.
            ITEM if element.length == UNDEFINED => self.skip_undefined(element, encoding, limit),
            ITEM | ITEM_END | SEQUENCE_END if behind(element) <= limit => Ok(behind(element)),
            _ => Err(Stop::Broken(at)),
        }
        .map(ControlFlow::Continue)
    }

    /// What is to end with a delimiter ends without one where what encloses it ends.
    fn unended(&mut self, at: u64) -> Result<u64, Stop> {
        if at == self.window.size() {
            return Err(Stop::Truncated(at));
        }
        self.raw.warnings.insert(WarningClass::Broken);
        Ok(at)
    }

    /// An element is longer than there is room for. What stands whole in the part of a sequence that
    /// is there still counts.
    fn overrun(&mut self, at: u64, element: Element, node: Option<&Node>, mut scope: Scope) -> Stop {
        let stop = self.no_room(at, scope.limit);
        if let Some(node) = node.filter(|node| node.vr == Vr::SQ) {
            let room = scope.limit.saturating_sub(element.value_at);
            let length = u32::try_from(room).unwrap_or(UNDEFINED - 1);
            // How it breaks off there is what `stop` says already.
            let _ = self.wanted(Element { length, ..element }, node, &mut scope);
        }
        stop
    }

    /// Something goes on behind the end of the file, or of what encloses it.
    pub(crate) fn no_room(&self, at: u64, limit: u64) -> Stop {
        if limit == self.window.size() { Stop::Truncated(at) } else { Stop::Broken(at) }
    }

    /// Passes over elements below `wanted` that are plain: little endian, ascending, of defined
    /// length, inside the window. Whatever is not plain is left to the careful loop. Returns where
    /// it stopped, and the last tag it passed.
    fn skip_unwanted(&mut self, mut at: u64, mut before: Tag, wanted: Tag, scope: Scope) -> (u64, Tag) {
        let Scope { encoding, limit, .. } = scope;
        if encoding.is_big_endian {
            return (at, before);
        }
        let mut passed = 0;
        while let Some(head) = self.window.held(at) {
            let tag = u32::from_le_bytes([head[0], head[1], head[2], head[3]]).rotate_left(16);
            if tag >= wanted || tag <= before || tag >= BULK || tag == SPECIFIC_CHARACTER_SET {
                break;
            }
            let name = [head[4], head[5]];
            let (length, value) = if !encoding.is_explicit {
                (u32::from_le_bytes([head[4], head[5], head[6], head[7]]), 8)
            } else if !is_known_vr(name) {
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
                    self.skip_undefined(element, scope.encoding, scope.limit)
                } else {
                    Ok(behind(element))
                };
            }
            return match self.sequence(element, node, *scope) {
                // What breaks inside a length that is known costs no more than that.
                Err(Stop::Broken(_)) if element.length != UNDEFINED => {
                    self.raw.warnings.insert(WarningClass::Broken);
                    Ok(behind(element))
                }
                walked => walked,
            };
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
        let limit = end.unwrap_or(scope.limit);
        let encoding = self.inner_encoding(element, scope.encoding, limit);
        let mut at = element.value_at;
        let mut item = 0;
        loop {
            if end == Some(at) {
                return Ok(at);
            }
            if at == limit {
                return self.unended(at);
            }
            let head = self.item_head(at, encoding, limit)?;
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
                    None => self.skip_from(at, 1, encoding, limit),
                };
            }
            let is_first = scope.is_first && item == 0;
            let is_defined = head.length != UNDEFINED;
            let inner = Scope { encoding, limit, kept, is_first, is_top: false, ..scope };
            if !is_defined {
                at = self.elements(head.value_at, false, inner, &node.children)?;
            } else if behind(head) > limit {
                // What stands in the part of it that is there still counts.
                let stop = self.no_room(at, limit);
                self.elements(head.value_at, true, inner, &node.children)?;
                return Err(stop);
            } else {
                let inner = Scope { limit: behind(head), ..inner };
                at = self.item(head, inner, node)?;
            }
            item += 1;
        }
    }

    /// Walks an item of known length; what breaks inside it costs no more than it.
    fn item(&mut self, head: Element, scope: Scope, node: &Node) -> Result<u64, Stop> {
        match self.elements(head.value_at, true, scope, &node.children) {
            Err(Stop::Broken(_)) => {
                self.raw.warnings.insert(WarningClass::Broken);
                Ok(scope.limit)
            }
            walked => walked,
        }
    }

    /// How the items of a sequence are encoded. A UN holds implicit VR little endian in every transfer
    /// syntax (CP-246), but some writers left the data set's encoding in it: where the first element
    /// shows a VR, and read as implicit leads nowhere, it is explicit.
    pub(crate) fn inner_encoding(&mut self, element: Element, outer: Encoding, limit: u64) -> Encoding {
        const BIG_ENDIAN_ITEM: &[u8] = &[0xFF, 0xFE, 0xE0, 0x00];
        if !element.is_un {
            return outer;
        }
        let mut head = [0; 16];
        match self.window.look(element.value_at, head.len()) {
            Some(bytes) => head.copy_from_slice(bytes),
            None => return Encoding::IMPLICIT_LITTLE,
        }
        let is_big_endian = outer.is_big_endian && head.starts_with(BIG_ENDIAN_ITEM);
        let encoding = Encoding { is_explicit: false, is_big_endian };
        if !is_known_vr([head[12], head[13]]) {
            return encoding;
        }
        let item_length = encoding.u32(&head[4..]);
        let item_end = element.value_at + 8 + u64::from(item_length);
        let limit = if item_length == UNDEFINED { limit } else { limit.min(item_end) };
        let end = element.value_at + 16 + u64::from(encoding.u32(&head[12..]));
        let is_implicit = odd::leads_on(self.window, end, encoding.tag(&head[8..]), encoding, limit);
        Encoding { is_explicit: !is_implicit, is_big_endian }
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

    /// Reads the head of an element that is to end before `limit`.
    #[inline]
    pub(crate) fn head(&mut self, at: u64, encoding: Encoding, limit: u64) -> Result<Element, Stop> {
        self.raw.elements += 1;
        if self.raw.elements > ELEMENTS_MAX {
            return Err(Stop::Broken(at));
        }
        if at + 8 > limit {
            return Err(self.no_room(at, limit));
        }
        let bytes = self.window.look(at, 8).ok_or(Stop::Truncated(at))?;
        let tag = encoding.tag(bytes);
        if !encoding.is_explicit || tag >> 16 == 0xFFFE {
            let length = encoding.u32(&bytes[4..]);
            return Ok(Element { tag, vr: None, is_un: false, is_sequence: false, length, value_at: at + 8 });
        }
        let name = [bytes[4], bytes[5]];
        let (vr, is_un) = (known_vr(name), name == *b"UN");
        if is_long(name) {
            let bytes = self.window.look(at + 8, 4).ok_or(Stop::Truncated(at))?;
            let length = encoding.u32(bytes);
            let is_sequence = name == *b"SQ" || (is_un && length == UNDEFINED);
            return Ok(Element { tag, vr, is_un, is_sequence, length, value_at: at + 12 });
        }
        if vr.is_none() {
            self.raw.warnings.insert(WarningClass::Broken);
            return odd::head(self.window, at, encoding, limit).ok_or(Stop::Broken(at));
        }
        let length = u32::from(encoding.u16(&bytes[6..]));
        Ok(Element { tag, vr, is_un, is_sequence: false, length, value_at: at + 8 })
    }

    pub(crate) fn item_head(&mut self, at: u64, encoding: Encoding, limit: u64) -> Result<Element, Stop> {
        self.head(at, Encoding { is_explicit: false, ..encoding }, limit)
    }

    pub(crate) fn skip_undefined(
        &mut self,
        element: Element,
        outer: Encoding,
        limit: u64,
    ) -> Result<u64, Stop> {
        let encoding = self.inner_encoding(element, outer, limit);
        self.skip_from(element.value_at, 1, encoding, limit)
    }

    /// Skips to behind the delimiter that ends `depth` open sequences and items.
    pub(crate) fn skip_from(
        &mut self,
        mut at: u64,
        mut depth: u64,
        outer: Encoding,
        limit: u64,
    ) -> Result<u64, Stop> {
        let mut encoding = outer;
        // Depth at which a UN of undefined length began: inside all is as it is in a UN.
        let mut un_depth = None;
        while depth > 0 {
            let element = self.head(at, encoding, limit)?;
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
                        encoding = self.inner_encoding(element, outer, limit);
                    }
                    depth += 1;
                    element.value_at
                }
                _ => behind(element),
            };
            if at > limit {
                return Err(self.no_room(element.value_at, limit));
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
#[inline]
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
