//! A first look at a statement's text, before any parser sees it.

use super::error::Error;
use super::limits::{Limits, PARENTHESES_MAX};

/// Refuses texts that are too long, too deep, or more than one statement.
///
/// SQLite would find the last itself, but by recursion over all of them.
pub(super) fn check(sql: &str, limits: &Limits) -> Result<(), Error> {
    let refused = |reason: String| Err(Error::Refused(reason));
    if sql.len() > limits.text_bytes_max as usize {
        return refused(format!("the statement is longer than {} bytes", limits.text_bytes_max));
    }
    if sql.contains('\0') {
        return refused("the statement contains a NUL character".into());
    }
    let (mut depth, mut is_over, mut is_empty) = (0_usize, false, true);
    for byte in plain_bytes(sql.as_bytes()) {
        if byte.is_ascii_whitespace() {
            continue;
        }
        if is_over && byte != b';' {
            return refused("several statements: write one SELECT".into());
        }
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b';' => is_over = !is_empty,
            _ => {}
        }
        is_empty &= byte == b';';
        if depth > PARENTHESES_MAX {
            return refused(format!("more than {PARENTHESES_MAX} nested parentheses"));
        }
    }
    if is_empty { refused("no statement: write one SELECT".into()) } else { Ok(()) }
}

/// The bytes of a statement outside comments; a quoted text or name is given as its first byte.
fn plain_bytes(sql: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = sql.get(at).copied()?;
        let rest = &sql[at..];
        let find = |needle: &[u8], from: usize| {
            let tail = rest.get(from..).unwrap_or_default();
            tail.windows(needle.len()).position(|window| window == needle).map(|n| from + n + needle.len())
        };
        let (length, is_comment) = match byte {
            b'\'' | b'"' | b'`' => (find(&[byte], 1), false),
            b'[' => (find(b"]", 1), false),
            b'-' if rest.starts_with(b"--") => (find(b"\n", 2), true),
            b'/' if rest.starts_with(b"/*") => (find(b"*/", 2), true),
            _ => (Some(1), false),
        };
        at = length.map_or(sql.len(), |length| at + length);
        // A comment separates words.
        Some(if is_comment { b' ' } else { byte })
    })
}

/// The words of a statement outside quotes and comments; quoted texts and names end a word.
pub(super) fn plain_words(sql: &str) -> impl Iterator<Item = String> + '_ {
    let plain: Vec<u8> = plain_bytes(sql.as_bytes()).collect();
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
    let words: Vec<String> =
        plain.split(|byte| !is_letter(byte)).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_passes_and_anything_else_says_why() {
        let deep = format!("SELECT {}1{}", "(".repeat(300), ")".repeat(300));
        let many = "SELECT 1;".repeat(50_000);
        for (sql, expected) in [
            ("SELECT 1", None),
            ("SELECT 1;", None),
            ("SELECT 1 ; -- the end", None),
            ("SELECT 1 /* ; */ ; ;", None),
            ("SELECT ';' || \"a;b\" || [c;d] || `e;f` || 'it''s; fine'", None),
            ("", Some("no statement")),
            (" ; -- nothing", Some("no statement")),
            ("SELECT 1; SELECT 2", Some("several statements")),
            ("SELECT 1; DROP TABLE x", Some("several statements")),
            ("SELECT 1\0", Some("NUL")),
            (deep.as_str(), Some("nested parentheses")),
            (many.as_str(), Some("several statements")),
        ] {
            let reason = check(sql, &Limits::default()).err().map(|error| error.to_string());
            match (expected, &reason) {
                (None, None) => {}
                (Some(expected), Some(reason)) => assert!(reason.contains(expected), "{reason}"),
                _ => panic!("{:.40}: {reason:?}", sql),
            }
        }
    }

    #[test]
    fn a_text_over_the_limit_is_refused() {
        let limits = Limits { text_bytes_max: 10, ..Limits::default() };
        assert!(check("SELECT 12345", &limits).is_err());
    }
}
