//! Bytes of one DICOM file to header values, or to what else it is.
//!
//! Reads the header only: a first piece of 8 KiB, further pieces where wanted elements lie behind
//! long ones, never the pixel data. What is wanted comes from `catalog`'s table of attributes.
//! Nothing here knows paths, sources or where values are stored.

mod charset;
mod content;
mod deflated;
mod extractor;
mod headers;
mod kind;
mod likeness;
mod listing;
mod normalise;
mod nuclides;
mod odd;
mod open;
mod outline;
mod radiopharmaceutical;
mod raw;
mod readable;
mod scan;
mod source;
mod walk;
mod wanted;

pub use charset::{DefaultCharset, UnknownCharset};
pub use content::content_digest;
pub use extractor::{Extracted, Extractor, Instance, Other, Settings};
pub use listing::{HeaderElement, HeaderEnd, HeaderError, HeaderLimits, HeaderValue, header_elements};
pub use source::ReadAt;

/// Version of what extraction makes of a file. Files that another version read are read again.
pub const VERSION: u16 = 3;
