//! The only place that prints: answers to standard output, talk to standard error.

pub(crate) mod dates;
mod escape;
mod fit;
mod json;
mod paint;
mod rows;
mod screen;
mod table;
mod words;

use std::io::{self, BufWriter, Write};

pub(crate) use escape::escaped;
pub(crate) use fit::cut;
pub(crate) use json::{json_text, write_json, write_json_pretty};
pub(crate) use rows::Rows;
pub(crate) use screen::{Color, look, talk_width};
pub(crate) use table::Table;
pub(crate) use words::{byte_size, duration, elapsed, grouped, shell_quoted};

/// Standard output, buffered.
pub(crate) fn answer() -> BufWriter<io::Stdout> {
    BufWriter::with_capacity(1 << 16, io::stdout())
}

/// Says something to the one who waits, line by line. A closed standard error stops nothing.
pub(crate) fn say(text: &str) {
    let mut to = io::stderr().lock();
    for line in text.lines() {
        let _ = writeln!(to, "{}", paint::talk(screen::talk_screen(), &escaped(line)));
    }
}

/// Says on one line why something failed, whatever the names in it hold.
pub(crate) fn say_error(error: &anyhow::Error) {
    say(&escaped(&format!("error: {error:#}")));
}

/// Writes a line that the next one replaces; an empty one clears it.
pub(crate) fn say_over(text: &str) {
    let _ = write!(io::stderr(), "\r{}\x1b[K", cut(&escaped(text), talk_width().saturating_sub(1)));
}

/// Whether somebody looks at standard error.
pub(crate) fn is_watched() -> bool {
    use std::io::IsTerminal;
    io::stderr().is_terminal()
}
