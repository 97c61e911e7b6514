//! JSON whose text does nothing on a terminal: control characters that JSON itself lets pass (DEL, C1) and those
//! that change the direction of writing are written as `\u` escapes. It means the same.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use super::escape::is_harmful;

/// One line.
pub(crate) fn write_json(to: impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(to, Safe(CompactFormatter))).map_err(io::Error::from)
}

/// Indented.
pub(crate) fn write_json_pretty(to: impl Write, value: &impl Serialize) -> io::Result<()> {
    value
        .serialize(&mut Serializer::with_formatter(to, Safe(PrettyFormatter::new())))
        .map_err(io::Error::from)
}

/// One line, as text.
pub(crate) fn json_text(value: &serde_json::Value) -> String {
    let mut text = Vec::new();
    write_json(&mut text, value).expect("memory takes it, and the keys are texts");
    String::from_utf8(text).expect("JSON is UTF-8")
}

struct Safe<F>(F);

impl<F: Formatter> Formatter for Safe<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, to: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_harmful) {
            let (plain, harmful) = rest.split_at(at);
            to.write_all(plain.as_bytes())?;
            let mut characters = harmful.chars();
            if let Some(c) = characters.next() {
                write!(to, "\\u{:04x}", u32::from(c))?;
            }
            rest = characters.as_str();
        }
        to.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.begin_array(to)
    }

    fn end_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.end_array(to)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(to, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.end_array_value(to)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.begin_object(to)
    }

    fn end_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.end_object(to)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(to, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.begin_object_value(to)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.end_object_value(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_means_the_same() {
        for text in ["plain", "a\u{9b}31mb", "\u{202e}cod", "a\u{7f}", "\u{1b}[2J\n", "山田", "\u{9b}"] {
            let value = serde_json::json!({ "path": [text] });
            let (mut line, mut pretty) = (Vec::new(), Vec::new());
            write_json(&mut line, &value).expect("written");
            write_json_pretty(&mut pretty, &value).expect("written");
            for written in [line, pretty] {
                let written = String::from_utf8(written).expect("text");
                assert!(!written.replace('\n', "").contains(is_harmful), "{written:?}");
                assert_eq!(serde_json::from_str::<serde_json::Value>(&written).expect("JSON"), value);
            }
        }
    }
}
