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
pub(crate) use screen::{Color, answer_rows, look, talk_width};
pub(crate) use table::Table;
pub(crate) use words::{byte_size, duration, elapsed, grouped, shell_quoted};

/// Standard output, buffered.
pub(crate) fn answer() -> BufWriter<io::Stdout> {
    BufWriter::with_capacity(1 << 16, io::stdout())
}

/// Says something to the one who waits, line by line. A closed standard error stops nothing.
pub(crate) fn say(text: &str) {
    let mut to = io::stderr().lock();
    let screen = screen::talk_screen();
    for line in text.lines() {
        let line = escaped(line);
        let line = screen.width.map_or_else(|| line.to_string(), |width| fit::wrapped(&line, width));
        let _ = writeln!(to, "{}", paint::talk(screen, &line));
    }
}

/// Says on one line why something failed, whatever the names in it hold.
pub(crate) fn say_error(error: &anyhow::Error) {
    say(&escaped(&format!("error: {}", reasons(error))));
}

/// An error with its causes; what one of them has said already is not repeated.
fn reasons(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        let missing = || anyhow::anyhow!("no such file");
        assert_eq!(reasons(&missing().context("`a`")), "`a`: no such file");
        assert_eq!(
            reasons(&missing().context("`a`: no such file; is it mounted?")),
            "`a`: no such file; is it mounted?"
        );
    }
}
