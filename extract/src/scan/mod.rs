//! The fast way through a tidy file: little endian, preamble, a file meta group as long as it says,
//! even lengths, tags ascending, sequences that end where they should.
//!
//! It shares no parsing with the tolerant walker, and it never guesses: at the first thing that it does
//! not understand it gives up, and the walker reads the file from its beginning. So it must not know
//! warnings (but for pixel data cut short), repairs or sniffing; where it answers, it answers as the
//! walker does, which a differential test and a fuzzer hold it to.

mod again;
mod data_set;
mod element;
mod meta;

pub(crate) use data_set::data_set;
pub(crate) use meta::open;

/// The scanner does not understand the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotUnderstood;
