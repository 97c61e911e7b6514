//! One value of an attribute.

use compact_str::CompactString;

/// A value of one column. NULL (absent, empty) is the absence of a `Value`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// UTF-8, padding removed, several values joined by a backslash; never empty. Most of a file's are
    /// short: those up to 24 bytes need no memory of their own, which readers would get and writers give back.
    Text(CompactString),
    /// Whole number.
    Integer(i64),
    /// Finite number.
    Real(f64),
}

impl Value {
    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Integer(_) | Self::Real(_) => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}
