//! Every element of a file's header, for the person who looks at one file.
//!
//! A listing, not an index: it is told element by element, bounded in depth, in items, in elements and
//! in the length of each value, whatever the file says.

mod dictionary;
mod list;
mod value;

use std::ops::ControlFlow;

use shardex_catalog::Tag;

use crate::charset::DefaultCharset;
use crate::deflated;
use crate::open;
use crate::raw::RawValues;
use crate::source::{ReadAt, Window};
use crate::walk::{Encoding, Stop};
use list::Lister;

/// Bounds of a listing.
#[derive(Clone, Debug)]
pub struct HeaderLimits {
    /// Sequences in sequences that are entered.
    pub depth_max: u32,
    /// Items of a sequence that are listed.
    pub items_max: u32,
    /// Elements in all.
    pub elements_max: u64,
    /// Characters of a value.
    pub value_chars_max: usize,
    /// Character set of text that declares none.
    pub default_charset: Option<DefaultCharset>,
}

impl Default for HeaderLimits {
    fn default() -> Self {
        Self {
            depth_max: 16,
            items_max: 100,
            elements_max: 100_000,
            value_chars_max: 200,
            default_charset: None,
        }
    }
}

/// One element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderElement {
    /// Tags and numbers of items from the top, as `(0054,0016)[0].(0018,1074)`.
    pub path: String,
    /// Its tag.
    pub tag: Tag,
    /// As the data dictionary names it; `None` for private elements and those that it does not know.
    pub keyword: Option<&'static str>,
    /// Two letters, as the file says or, where it says none, the dictionary.
    pub vr: String,
    /// Bytes of the value; `None` where its end is marked instead.
    pub length: Option<u32>,
    /// Where the element begins in the file, or in the inflated data set.
    pub offset: u64,
    /// What it holds.
    pub value: HeaderValue,
}

/// The value of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    /// Decoded; several values are parted by a backslash.
    Text {
        /// The value or its beginning.
        text: String,
        /// There is more of it.
        is_cut: bool,
    },
    /// The first bytes of what is no text, as pairs of hexadecimal digits.
    Bytes {
        /// The digits.
        hex: String,
        /// There is more of it.
        is_cut: bool,
    },
    /// Items follow as elements of their own.
    Items,
    /// Pixel data or another end of the header: not read.
    Unread,
}

/// How a listing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderEnd {
    /// At the pixel data or at the end of the file.
    Whole,
    /// The one who asked wanted no more.
    Stopped,
    /// Some items, depths or elements were left out.
    Limited,
    /// The bytes end inside the element at this offset.
    Truncated(u64),
    /// What stands at this offset is no element.
    Broken(u64),
}

/// Why there is no listing.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The file does not begin as a DICOM file does.
    #[error("this is no DICOM file: it has neither preamble nor a plausible first element")]
    NotDicom,
    /// The system could not read it.
    #[error("the file cannot be read")]
    Read(#[source] std::io::Error),
}

/// Tells every element of the header of a file of `size` bytes, the file meta group first, up to the
/// pixel data. Needs no more memory than one value, and the inflated header of a deflated file.
///
/// # Errors
/// If the file is no DICOM, or its first bytes cannot be read. What breaks later ends the listing, see
/// [`HeaderEnd`].
pub fn header_elements<R: ReadAt + ?Sized>(
    file: &R,
    size: u64,
    limits: &HeaderLimits,
    tell: &mut dyn FnMut(HeaderElement) -> ControlFlow<()>,
) -> Result<HeaderEnd, HeaderError> {
    let (mut buffer, mut raw) = (Vec::new(), RawValues::default());
    raw.clear();
    let mut window = Window::open(file, size, &mut buffer).map_err(HeaderError::Read)?;
    let opened = open::open(&mut window, &mut raw).ok_or(HeaderError::NotDicom)?;
    let meta_at = if opened.has_prefix { open::META_AT } else { 0 };
    let mut lister = Lister::new(&mut window, &mut raw, limits, tell);
    if opened.meta.elements > 0 {
        let end = lister.meta(meta_at, opened.data_set_at);
        if end != HeaderEnd::Whole {
            return Ok(end);
        }
    }
    let is_limited = lister.is_limited();
    if !opened.is_deflated {
        return Ok(lister.data_set(opened.data_set_at, opened.encoding));
    }
    let (inflated, is_whole) = deflated::inflate(&mut window, opened.data_set_at);
    let mut buffer = Vec::new();
    let mut plain =
        Window::open(&*inflated, inflated.len() as u64, &mut buffer).map_err(HeaderError::Read)?;
    let end = Lister::new(&mut plain, &mut raw, limits, tell).data_set(0, Encoding::EXPLICIT_LITTLE);
    Ok(match end {
        HeaderEnd::Whole if !is_whole => HeaderEnd::Truncated(opened.data_set_at),
        HeaderEnd::Whole if is_limited => HeaderEnd::Limited,
        end => end,
    })
}

fn ended(stop: Stop) -> HeaderEnd {
    match stop {
        Stop::Truncated(at) => HeaderEnd::Truncated(at),
        Stop::Broken(at) => HeaderEnd::Broken(at),
    }
}
