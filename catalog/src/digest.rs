//! Digests: of a file's beginning, and of a header's values.

use std::fmt;

/// Which bytes of a file [`ContentDigest`] covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DigestMode {
    /// XXH3-128 of the first `min(size, 8192)` bytes, with the size as seed. Independent of every
    /// setting, so that digests of different runs compare.
    #[default]
    Header,
    /// First 128 bits of BLAKE3 of all bytes.
    Full,
    /// None is taken.
    None,
}

/// 128 bits of a digest of a file's bytes, as [`DigestMode`] says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentDigest(pub [u8; 16]);

/// First 128 bits of the BLAKE3 digest of a header: its level, its parent's digest and its values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderDigest(pub [u8; 16]);

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for HeaderDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}
