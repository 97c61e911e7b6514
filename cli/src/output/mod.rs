//! The only place that prints: answers to standard output, talk to standard error.

pub(crate) mod dates;
mod escape;
mod rows;
mod table;
mod words;

use std::io::{self, BufWriter, Write};

pub(crate) use escape::escaped;
pub(crate) use rows::Rows;
pub(crate) use table::Table;
pub(crate) use words::{byte_size, duration, grouped, shell_quoted};

/// Standard output, buffered.
pub(crate) fn answer() -> BufWriter<io::Stdout> {
    BufWriter::with_capacity(1 << 16, io::stdout())
}

/// Says something to the one who waits. A closed standard error stops nothing.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether somebody looks at standard error.
pub(crate) fn is_watched() -> bool {
    use std::io::IsTerminal;
    io::stderr().is_terminal()
}
