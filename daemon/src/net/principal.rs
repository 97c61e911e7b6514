//! Who calls.

use std::fmt;

/// Who calls. Every call that a service sees carries one among its extensions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Somebody on this machine, where no token is asked for.
    Local,
    /// The holder of the token of this name.
    Token(String),
    /// The holder of a certificate with this common name.
    Certificate(String),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Token(name) => write!(f, "token:{name}"),
            Self::Certificate(subject) => write!(f, "tls:{subject}"),
        }
    }
}
