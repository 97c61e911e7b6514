//! Numbers, texts and lists as bytes.

use shardex_catalog::{FileName, RelativePath};

/// Packed bytes that are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer sent packed rows or records that cannot be read")]
pub struct Malformed;

/// Longest name of a file, and longest path of a directory, bytes.
const NAME_MAX: usize = 4096;
const PATH_MAX: usize = 1 << 20;

#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    pub(super) fn signed(&mut self, value: i64) {
        self.number(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
}

pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7F);
            if shift == 63 && part > 1 {
                return Err(Malformed);
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    pub(super) fn signed(&mut self) -> Result<i64, Malformed> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// A number of things of which each takes a byte at least: no more than there are bytes left.
    pub(super) fn count(&mut self) -> Result<usize, Malformed> {
        let count = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        if count > self.0.len() { Err(Malformed) } else { Ok(count) }
    }

    /// [`Reader::count`], at most `max`.
    pub(super) fn count_to(&mut self, max: usize) -> Result<usize, Malformed> {
        self.count().and_then(|count| if count > max { Err(Malformed) } else { Ok(count) })
    }

    /// An index below `end`.
    pub(super) fn index(&mut self, end: usize) -> Result<usize, Malformed> {
        let index = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        if index < end { Ok(index) } else { Err(Malformed) }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.count()?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    pub(super) fn name(&mut self) -> Result<FileName, Malformed> {
        let name = self.bytes()?;
        let fits = !name.is_empty()
            && name.len() <= NAME_MAX
            && !matches!(name, b"." | b"..")
            && !name.iter().any(|byte| matches!(byte, 0 | b'/'));
        if fits { Ok(FileName::new(name)) } else { Err(Malformed) }
    }

    pub(super) fn path(&mut self) -> Result<RelativePath, Malformed> {
        let path = self.bytes()?;
        let is_part = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.contains(&0);
        let fits =
            path.len() <= PATH_MAX && (path.is_empty() || path.split(|byte| *byte == b'/').all(is_part));
        if fits { Ok(RelativePath::new(path)) } else { Err(Malformed) }
    }

    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}
