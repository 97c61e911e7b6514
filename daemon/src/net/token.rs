//! Shared tokens.

use std::fmt;
use std::path::Path;

use super::Error;

/// Shorter ones can be guessed.
const LENGTH_MIN: usize = 16;
const LENGTH_MAX: usize = 4096;
const TOKENS_MAX: usize = 1000;
const DEFAULT_NAME: &str = "default";

/// The tokens that a server takes. Only their digests are kept.
#[derive(Clone)]
pub struct Tokens(Vec<(String, blake3::Hash)>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Tokens {
    /// Reads a file of tokens: `NAME TOKEN` a line, or `TOKEN` alone, whose name is `default`.
    /// Empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`Error`] if the file cannot be read, holds no token, or one that is too short.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let pairs = pairs(path)?;
        Ok(Self(pairs.into_iter().map(|(name, token)| (name, blake3::hash(token.as_bytes()))).collect()))
    }

    /// The name of a token; `None` for an unknown one. Takes the same time whatever was sent:
    /// digests are compared in constant time, and all of them.
    pub(super) fn name_of(&self, token: &[u8]) -> Option<&str> {
        let digest = blake3::hash(token);
        let mut found = None;
        for (name, known) in &self.0 {
            if *known == digest {
                found = Some(name.as_str());
            }
        }
        found
    }
}

/// The first token of such a file, for a client.
pub(super) fn first(path: &Path) -> Result<String, Error> {
    Ok(pairs(path)?.swap_remove(0).1)
}

/// Names and tokens; at least one.
fn pairs(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    parse(&text).map_err(|(line, detail)| Error::Token { path: path.to_owned(), line, detail })
}

fn parse(text: &str) -> Result<Vec<(String, String)>, (usize, &'static str)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let wrong = |detail| Err((at + 1, detail));
        let words: Vec<_> = line.split_whitespace().collect();
        let (name, token) = match *words {
            [] => continue,
            [first, ..] if first.starts_with('#') => continue,
            [token] => (DEFAULT_NAME, token),
            [name, token] => (name, token),
            _ => return wrong("a line is NAME TOKEN, or TOKEN"),
        };
        if token.len() < LENGTH_MIN {
            return wrong("the token is shorter than 16 characters; `openssl rand -hex 32` makes a good one");
        }
        if token.len() > LENGTH_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return wrong("a token is at most 4096 printable ASCII characters");
        }
        if pairs.iter().any(|(known, _)| known == name) {
            return wrong("a name is used twice");
        }
        if pairs.len() == TOKENS_MAX {
            return wrong("there are more than 1000 tokens");
        }
        pairs.push((name.to_owned(), token.to_owned()));
    }
    if pairs.is_empty() { Err((1, "the file holds no token")) } else { Ok(pairs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_and_tokens() {
        let text = "# ours\n\nalice 0123456789abcdef\n  fedcba9876543210  \n";
        let pairs = parse(text).expect("two tokens");
        let expected = [("alice", "0123456789abcdef"), ("default", "fedcba9876543210")];
        assert_eq!(pairs, expected.map(|(name, token)| (name.to_owned(), token.to_owned())));
    }

    #[test]
    fn what_is_no_list_of_tokens_is_refused() {
        for (text, line) in [
            ("", 1),
            ("# only talk", 1),
            ("a short", 1),
            ("a 0123456789abcdef\nb 0123456789abcdef c", 2),
            ("a 0123456789abcdef\na 0123456789abcdeg", 2),
            ("a 0123456789abcdéf", 1),
        ] {
            assert_eq!(parse(text).map_err(|(line, _)| line), Err(line), "{text}");
        }
    }

    #[test]
    fn a_token_is_known_by_all_of_its_bytes() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "alice 0123456789abcdef\nbob 0123456789abcdeg\n").expect("written");
        let tokens = Tokens::read(file.path()).expect("tokens");
        assert_eq!(tokens.name_of(b"0123456789abcdef"), Some("alice"));
        assert_eq!(tokens.name_of(b"0123456789abcdeg"), Some("bob"));
        for wrong in [&b"0123456789abcde"[..], b"0123456789abcdef0", b"", b"alice"] {
            assert_eq!(tokens.name_of(wrong), None);
        }
        assert!(!format!("{tokens:?}").contains("0123"));
        assert_eq!(first(file.path()).expect("a token"), "0123456789abcdef");
    }
}
