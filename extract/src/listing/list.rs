//! Walking all elements of a header.

use std::ops::ControlFlow;

use shardex_catalog::Tag;

use super::{HeaderElement, HeaderEnd, HeaderLimits, HeaderValue, dictionary, ended, value};
use crate::charset::Charset;
use crate::raw::RawValues;
use crate::source::{LOOK_MAX, ReadAt, Window};
use crate::walk::{BULK, Element, Encoding, ITEM, ITEM_END, SEQUENCE_END, Stop, UNDEFINED, Walker, is_vr};
use crate::wanted::SPECIFIC_CHARACTER_SET;

/// Why a listing goes no further.
enum Halt {
    Stop(Stop),
    /// The one who asked has had enough, or all elements allowed were told.
    Told(HeaderEnd),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Where a listing is.
#[derive(Clone)]
struct Place {
    path: String,
    depth: u32,
    encoding: Encoding,
    /// Nothing of it stands behind this offset.
    limit: u64,
    charset: Charset,
}

/// Lists elements.
pub(super) struct Lister<'a, 'w, R: ?Sized> {
    walker: Walker<'a, 'w, R>,
    limits: &'a HeaderLimits,
    tell: &'a mut dyn FnMut(HeaderElement) -> ControlFlow<()>,
    told: u64,
    is_limited: bool,
    /// Where it broke first, though the listing went on behind that.
    broken_at: Option<u64>,
}

impl<'a, 'w, R: ReadAt + ?Sized> Lister<'a, 'w, R> {
    pub(super) fn new(
        window: &'a mut Window<'w, R>,
        raw: &'a mut RawValues,
        limits: &'a HeaderLimits,
        tell: &'a mut dyn FnMut(HeaderElement) -> ControlFlow<()>,
    ) -> Self {
        Self { walker: Walker { window, raw }, limits, tell, told: 0, is_limited: false, broken_at: None }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// Lists the file meta group, which is explicit VR little endian but in odd files.
    pub(super) fn meta(&mut self, at: u64, end: u64) -> HeaderEnd {
        let name = self.walker.window.look(at + 4, 2).map(|name| [name[0], name[1]]);
        let is_explicit = name.is_some_and(is_vr);
        let place = self.top(Encoding { is_explicit, is_big_endian: false }, end);
        self.end(|lister| lister.elements(at, true, place))
    }

    /// Lists the data set that begins at `at`.
    pub(super) fn data_set(&mut self, at: u64, encoding: Encoding) -> HeaderEnd {
        let size = self.walker.window.size();
        let place = self.top(encoding, size);
        self.end(|lister| lister.elements(at, true, place))
    }

    fn top(&self, encoding: Encoding, limit: u64) -> Place {
        let default = self.limits.default_charset.as_ref();
        let charset = default.map_or(Charset::Default, |default| default.0.clone());
        Place { path: String::new(), depth: 0, encoding, limit, charset }
    }

    fn end(&mut self, list: impl FnOnce(&mut Self) -> Result<u64, Halt>) -> HeaderEnd {
        match list(self) {
            Ok(_) | Err(Halt::Stop(_)) if self.broken_at.is_some() => {
                HeaderEnd::Broken(self.broken_at.unwrap_or_default())
            }
            Ok(_) if self.is_limited => HeaderEnd::Limited,
            Ok(_) => HeaderEnd::Whole,
            Err(Halt::Stop(stop)) => ended(stop),
            Err(Halt::Told(end)) => end,
        }
    }

    /// Lists elements until the place's limit, or until an item's delimiter; returns the offset behind.
    fn elements(&mut self, mut at: u64, is_defined: bool, mut place: Place) -> Result<u64, Halt> {
        while at != place.limit {
            let element = self.walker.head(at, place.encoding, place.limit)?;
            if element.tag == ITEM_END && !is_defined {
                return Ok(element.value_at);
            }
            if element.tag >> 16 == 0xFFFE {
                self.broken_at.get_or_insert(at);
                match self.walker.delimiter(at, element, is_defined, place.encoding, place.limit)? {
                    ControlFlow::Break(behind) => return Ok(behind),
                    ControlFlow::Continue(behind) => at = behind,
                }
                continue;
            }
            if place.depth == 0 && element.tag >= BULK {
                self.tell(at, &element, &place, HeaderValue::Unread)?;
                return Ok(at);
            }
            if element.length != UNDEFINED && element.value_at + u64::from(element.length) > place.limit {
                return Err(self.walker.no_room(at, place.limit).into());
            }
            at = self.element(at, &element, &mut place)?;
        }
        Ok(at)
    }

    fn element(&mut self, at: u64, element: &Element, place: &mut Place) -> Result<u64, Halt> {
        let known_vr = self.vr(at, element, place);
        let is_undefined = element.length == UNDEFINED;
        // Bytes in fragments are no elements, whatever encloses them.
        let is_bytes = matches!(&*known_vr, "OB" | "OW" | "OD" | "OF" | "OL" | "OV");
        if element.is_sequence || (known_vr == "SQ") || (is_undefined && !is_bytes) {
            self.tell(at, element, place, HeaderValue::Items)?;
            let end = element.value_at + u64::from(element.length);
            let listed = self.sequence(element, place);
            return if is_undefined { listed } else { self.or_behind(listed, end) };
        }
        if is_undefined {
            self.tell(at, element, place, HeaderValue::Unread)?;
            return Ok(self.walker.skip_undefined(*element, place.encoding, place.limit)?);
        }
        let encoding = if element.is_un { Encoding::IMPLICIT_LITTLE } else { place.encoding };
        let length = element.length as usize;
        let shown = length.min(value::bytes_wanted(self.limits.value_chars_max)).min(LOOK_MAX);
        let bytes = self.walker.window.look(element.value_at, shown).unwrap_or(&[]).to_vec();
        if element.tag == SPECIFIC_CHARACTER_SET {
            place.charset = Charset::of(&bytes).0;
        }
        let charset = if value::needs_charset(&known_vr) { &place.charset } else { &Charset::Default };
        let chars_max = self.limits.value_chars_max;
        let value = value::of(&known_vr, &bytes, length > shown, encoding, charset, chars_max);
        self.tell(at, element, place, value)?;
        Ok(element.value_at + u64::from(element.length))
    }

    /// What breaks inside a length that is known costs no more than that.
    fn or_behind(&mut self, listed: Result<u64, Halt>, end: u64) -> Result<u64, Halt> {
        match listed {
            Err(Halt::Stop(Stop::Broken(at))) => {
                self.broken_at.get_or_insert(at);
                Ok(end)
            }
            listed => listed,
        }
    }

    /// Lists items; what exceeds the bounds is passed over.
    fn sequence(&mut self, element: &Element, place: &Place) -> Result<u64, Halt> {
        let end = (element.length != UNDEFINED).then(|| element.value_at + u64::from(element.length));
        let limit = end.unwrap_or(place.limit);
        let encoding = self.walker.inner_encoding(*element, place.encoding, limit);
        let path = join(&place.path, element.tag);
        let mut at = element.value_at;
        for number in 0.. {
            if end == Some(at) {
                return Ok(at);
            }
            let is_too_much = number == self.limits.items_max || place.depth == self.limits.depth_max;
            if is_too_much {
                self.is_limited = true;
                return match end {
                    Some(end) => Ok(end),
                    None => Ok(self.walker.skip_from(at, 1, encoding, limit)?),
                };
            }
            let head = self.walker.item_head(at, encoding, limit)?;
            match head.tag {
                SEQUENCE_END => return Ok(end.unwrap_or(head.value_at)),
                ITEM => {}
                _ => return Err(Stop::Broken(at).into()),
            }
            let item_end = (head.length != UNDEFINED).then(|| head.value_at + u64::from(head.length));
            if item_end.is_some_and(|end| end > limit) {
                return Err(self.walker.no_room(at, limit).into());
            }
            let inner = Place {
                path: format!("{path}[{number}]"),
                depth: place.depth + 1,
                encoding,
                limit: item_end.unwrap_or(limit),
                charset: place.charset.clone(),
            };
            let listed = self.elements(head.value_at, item_end.is_some(), inner);
            at = match item_end {
                Some(end) => self.or_behind(listed, end)?,
                None => listed?,
            };
        }
        Ok(at)
    }

    /// The VR that a value is read by: the file's, or the dictionary's where the file knows none.
    fn vr(&mut self, at: u64, element: &Element, place: &Place) -> String {
        let of_dictionary = || dictionary::look_up(element.tag).map_or("UN", |known| known.vr).to_owned();
        if !place.encoding.is_explicit || element.is_un {
            return of_dictionary();
        }
        let name = self.walker.window.look(at + 4, 2).unwrap_or(b"UN");
        String::from_utf8_lossy(name).into_owned()
    }

    fn tell(&mut self, at: u64, element: &Element, place: &Place, value: HeaderValue) -> Result<(), Halt> {
        if self.told == self.limits.elements_max {
            return Err(Halt::Told(HeaderEnd::Limited));
        }
        self.told += 1;
        let vr = if element.is_un { "UN".to_owned() } else { self.vr(at, element, place) };
        let told = HeaderElement {
            path: join(&place.path, element.tag),
            tag: element.tag,
            keyword: dictionary::look_up(element.tag).map(|known| known.keyword),
            vr,
            length: (element.length != UNDEFINED).then_some(element.length),
            offset: at,
            value,
        };
        match (self.tell)(told) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Halt::Told(HeaderEnd::Stopped)),
        }
    }
}

/// A tag as the standard writes it.
pub(super) fn tag_text(tag: Tag) -> String {
    format!("({:04X},{:04X})", tag >> 16, tag & 0xFFFF)
}

fn join(path: &str, tag: Tag) -> String {
    if path.is_empty() { tag_text(tag) } else { format!("{path}.{}", tag_text(tag)) }
}
