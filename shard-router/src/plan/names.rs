//! Names and texts as SQL writes them.

/// A name or text without its quotes.
pub(super) fn unquoted(token: &str) -> String {
    let mut chars = token.chars();
    let close = match chars.next() {
        Some(open @ ('"' | '\'' | '`')) => open,
        Some('[') => ']',
        _ => return token.to_owned(),
    };
    let inner = chars.as_str();
    let inner = inner.strip_suffix(close).unwrap_or(inner);
    if close == ']' {
        inner.to_owned()
    } else {
        inner.replace(&format!("{close}{close}"), &close.to_string())
    }
}

/// A name as an SQL identifier.
pub(super) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal.
pub(super) fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_come_off() {
        for (token, expected) in [
            ("Modality", "Modality"),
            ("\"a\"\"b\"", "a\"b"),
            ("[a b]", "a b"),
            ("`x`", "x"),
            ("'it''s'", "it's"),
            ("''", ""),
        ] {
            assert_eq!(unquoted(token), expected);
        }
    }
}
