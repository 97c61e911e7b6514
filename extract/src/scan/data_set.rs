//! The data set of a tidy file, piece by piece.

use shardex_catalog::{Tag, Vr, WarningClass};

use super::NotUnderstood;
use super::again::Again;
use super::element::{self, Class, DEPTH_MAX, Head, ITEM, ITEM_END, SEQUENCE_END, UNDEFINED};
use crate::raw::{ItemValue, RawValue, RawValues};
use crate::source::{FIRST_BYTES, LOOK_MAX, ReadAt, Window};
use crate::wanted::{ITEMS_MAX, ItemsNumber, Node, SPECIFIC_CHARACTER_SET};

const BULK: Tag = 0x7FE0_0000;
const PIXEL_DATA: [Tag; 3] = [0x7FE0_0008, 0x7FE0_0009, 0x7FE0_0010];
/// Elements of a tidy file; one with more is left to the walker, which has its own bound.
const ELEMENTS_MAX: u32 = 100_000;

/// Scans a data set that begins at `at`. What is there as in the file `before` is not parsed again.
pub(crate) fn data_set<R: ReadAt + ?Sized>(
    window: &mut Window<'_, R>,
    raw: &mut RawValues,
    before: &RawValues,
    at: u64,
    is_explicit: bool,
    nodes: &[Node],
) -> Result<(), NotUnderstood> {
    let size = window.size();
    let mut again = Again::new(raw, before, at, is_explicit);
    let mut scanner = Scanner { raw, is_explicit, is_in_place: true, seen: 0 };
    let mut place = Place { at, nodes, before: 0 };
    loop {
        if scanner.is_in_place {
            again.pass(window.first(), &mut scanner, &mut place, nodes);
        }
        let (begin, bytes) = window.piece();
        match scanner.next(bytes, begin, size, &mut place)? {
            Step::Wanted if scanner.is_in_place => again.follow(&mut scanner, &place),
            Step::Wanted => {}
            Step::End => break,
            // Only values of the index are looked at whole, and those may be as long as a look.
            Step::Needs(bytes) if bytes <= LOOK_MAX => {
                if scanner.is_in_place {
                    scanner.raw.copy_first(window.first());
                    scanner.is_in_place = false;
                }
                if !window.extend(place.at, bytes) {
                    return Err(NotUnderstood);
                }
            }
            Step::Needs(_) => return Err(NotUnderstood),
        }
    }
    again.end(scanner.raw);
    if scanner.is_in_place {
        window.swap_first(scanner.raw);
    }
    Ok(())
}

/// How far a scan came.
enum Step {
    /// A wanted element was taken.
    Wanted,
    /// The header ended.
    End,
    /// More bytes are needed from the place reached.
    Needs(usize),
}

/// Where a scan is at the top level.
pub(super) struct Place<'n> {
    pub(super) at: u64,
    /// What is wanted from here on.
    pub(super) nodes: &'n [Node],
    pub(super) before: Tag,
}

#[derive(Clone, Copy)]
struct Kept {
    items: ItemsNumber,
    item: u32,
}

/// What values of an item are for.
#[derive(Clone, Copy)]
struct Scope {
    kept: Option<Kept>,
    /// Values of this item fill slots.
    is_first: bool,
    depth: u32,
}

const TOP: Scope = Scope { kept: None, is_first: true, depth: 0 };

pub(super) struct Scanner<'a> {
    pub(super) raw: &'a mut RawValues,
    is_explicit: bool,
    /// What is scanned are the first bytes of the file, where values may stay.
    is_in_place: bool,
    pub(super) seen: u32,
}

impl Scanner<'_> {
    /// Scans elements of the top level up to the next wanted one, in bytes of the file that begin at `begin`.
    fn next(
        &mut self,
        bytes: &[u8],
        begin: u64,
        size: u64,
        place: &mut Place<'_>,
    ) -> Result<Step, NotUnderstood> {
        let left = size - begin;
        let mut at = usize::try_from(place.at - begin).unwrap_or(usize::MAX);
        loop {
            let until = place.nodes.first().map_or(BULK, |node| node.tag.min(BULK));
            let (passed_to, last, passed) = if self.is_explicit {
                element::pass_plain::<true>(bytes, at, place.before, until)
            } else {
                element::pass_plain::<false>(bytes, at, place.before, until)
            };
            (at, place.before) = (passed_to, last);
            self.seen += passed;
            place.at = begin + at as u64;
            if at as u64 == left {
                return Ok(Step::End);
            }
            let is_all = bytes.len() as u64 >= left;
            let Some(head) = element::head(bytes, at, self.is_explicit)? else {
                return if is_all { Err(NotUnderstood) } else { Ok(Step::Needs(FIRST_BYTES)) };
            };
            self.count()?;
            if head.tag <= place.before || head.tag >> 16 == 0xFFFE {
                return Err(NotUnderstood);
            }
            if head.tag >= BULK {
                self.bulk(&head, left);
                return Ok(Step::End);
            }
            let node = wanted(&mut place.nodes, head.tag);
            let end = if head.length == UNDEFINED {
                match self.undefined_end(bytes, &head)? {
                    Some(end) => end,
                    // A sequence without a length is read again from its head, in the largest piece.
                    None if !is_all && bytes.len() - at < LOOK_MAX => return Ok(Step::Needs(LOOK_MAX)),
                    None => return Err(NotUnderstood),
                }
            } else {
                head.end()?
            };
            if end as u64 > left {
                return Err(NotUnderstood);
            }
            if let Some(node) = node {
                if end > bytes.len() {
                    return Ok(Step::Needs(end - at));
                }
                self.wanted(&bytes[..end], &head, node, TOP)?;
                (place.before, place.at) = (head.tag, begin + end as u64);
                return Ok(Step::Wanted);
            }
            (place.before, place.at) = (head.tag, begin + end as u64);
            at = end;
            if at > bytes.len() {
                return Ok(if at as u64 == left { Step::End } else { Step::Needs(FIRST_BYTES) });
            }
        }
    }

    fn count(&mut self) -> Result<(), NotUnderstood> {
        self.seen += 1;
        if self.seen > ELEMENTS_MAX { Err(NotUnderstood) } else { Ok(()) }
    }

    fn undefined_end(&mut self, bytes: &[u8], head: &Head) -> Result<Option<usize>, NotUnderstood> {
        match head.class {
            None | Some(Class::Long(Vr::SQ)) => {
                element::pass_undefined(bytes, head.value_at, self.is_explicit, &mut self.seen)
            }
            Some(_) => Err(NotUnderstood),
        }
    }

    /// Takes a wanted element; `bytes` end where it does.
    fn wanted(&mut self, bytes: &[u8], head: &Head, node: &Node, scope: Scope) -> Result<(), NotUnderstood> {
        let vr = match head.class {
            None if head.length == UNDEFINED && node.vr != Vr::SQ => return Err(NotUnderstood),
            None => node.vr,
            Some(Class::Short(vr) | Class::Long(vr)) => vr,
            Some(_) => return Err(NotUnderstood),
        };
        if (vr == Vr::SQ) != (node.vr == Vr::SQ) {
            return Err(NotUnderstood);
        }
        if vr == Vr::SQ {
            if let Some(slot) = node.slot.filter(|_| scope.is_first) {
                let present = self.value(Vr::SQ, bytes, bytes.len());
                self.raw.set(slot, present);
            }
            return self.sequence(bytes, head, node, scope);
        }
        let value = self.value(vr, bytes, head.value_at);
        self.keep(node, scope, value);
        Ok(())
    }

    /// The value that stands from `at` to the end of `bytes`.
    fn value(&mut self, vr: Vr, bytes: &[u8], at: usize) -> RawValue {
        if self.is_in_place {
            RawValue::in_place(vr, at, bytes.len() - at)
        } else {
            self.raw.store(vr, 0, false, &bytes[at..])
        }
    }

    fn keep(&mut self, node: &Node, scope: Scope, value: RawValue) {
        if node.tag == SPECIFIC_CHARACTER_SET {
            self.raw.set_charset(value);
        }
        if let Some(slot) = node.slot.filter(|_| scope.is_first) {
            self.raw.set(slot, value);
        }
        if let Some(Kept { items, item }) = scope.kept
            && let Some((_, field)) = node.fields.iter().find(|(number, _)| *number == items)
        {
            self.raw.items.push(ItemValue { items, item, field: *field, value });
        }
    }

    /// Takes what is wanted of a sequence that ends where `bytes` do.
    fn sequence(
        &mut self,
        bytes: &[u8],
        head: &Head,
        node: &Node,
        scope: Scope,
    ) -> Result<(), NotUnderstood> {
        if scope.depth == DEPTH_MAX {
            return Err(NotUnderstood);
        }
        let is_undefined = head.length == UNDEFINED;
        let mut at = head.value_at;
        let mut number = 0;
        while at < bytes.len() {
            let item = element::head(bytes, at, false)?.ok_or(NotUnderstood)?;
            self.count()?;
            if is_undefined && item.tag == SEQUENCE_END {
                return Ok(());
            }
            if item.tag != ITEM {
                return Err(NotUnderstood);
            }
            let own = node.items.filter(|_| number < ITEMS_MAX);
            if number > 0 && own.is_none() {
                return Ok(());
            }
            let inner = Scope {
                kept: own.map(|items| Kept { items, item: number }).or(scope.kept),
                is_first: scope.is_first && number == 0,
                depth: scope.depth + 1,
            };
            at = if item.length == UNDEFINED {
                self.item(bytes, item.value_at, true, inner, &node.children)?
            } else {
                let inside = bytes.get(..item.end()?).ok_or(NotUnderstood)?;
                self.item(inside, item.value_at, false, inner, &node.children)?
            };
            number += 1;
        }
        // One of undefined length ends with its delimiter.
        if is_undefined { Err(NotUnderstood) } else { Ok(()) }
    }

    /// Takes what is wanted of an item: up to its delimiter, or to where `bytes` end.
    fn item(
        &mut self,
        bytes: &[u8],
        mut at: usize,
        is_undefined: bool,
        scope: Scope,
        mut nodes: &[Node],
    ) -> Result<usize, NotUnderstood> {
        let mut before = 0;
        while at < bytes.len() {
            let head = element::head(bytes, at, self.is_explicit)?.ok_or(NotUnderstood)?;
            self.count()?;
            if is_undefined && head.tag == ITEM_END {
                return if head.length == 0 { Ok(head.value_at) } else { Err(NotUnderstood) };
            }
            // An item's own character set is rare enough for the walker.
            let is_tidy = head.tag > before && head.tag >> 16 != 0xFFFE && head.tag != SPECIFIC_CHARACTER_SET;
            if !is_tidy {
                return Err(NotUnderstood);
            }
            let end = match head.length {
                UNDEFINED => self.undefined_end(bytes, &head)?.ok_or(NotUnderstood)?,
                _ => head.end()?,
            };
            let element = bytes.get(..end).ok_or(NotUnderstood)?;
            if let Some(node) = wanted(&mut nodes, head.tag) {
                self.wanted(element, &head, node, scope)?;
            }
            (at, before) = (end, head.tag);
        }
        if is_undefined { Err(NotUnderstood) } else { Ok(at) }
    }

    /// Pixel data that the file does not hold whole is worth a warning.
    fn bulk(&mut self, head: &Head, left: u64) {
        let is_cut = head.length != UNDEFINED && head.value_at as u64 + u64::from(head.length) > left;
        if is_cut && PIXEL_DATA.contains(&head.tag) {
            self.raw.warnings.insert(WarningClass::TruncatedPixelData);
        }
    }
}

/// The node of a tag, if it is wanted; those of lower tags are left behind.
#[inline]
fn wanted<'n>(nodes: &mut &'n [Node], tag: Tag) -> Option<&'n Node> {
    while let [node, rest @ ..] = *nodes {
        if node.tag >= tag {
            return (node.tag == tag).then_some(node);
        }
        *nodes = rest;
    }
    None
}
