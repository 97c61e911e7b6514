//! The outline of a file's first bytes, by which the next file is read faster.
//!
//! Slices of a series differ in a few elements, and most bytes of a header are those of the one before. A *stretch* is
//! one wanted element of the top level with the unwanted ones before it. What the scanner reads of a stretch follows from
//! its bytes alone, so where they are there again, nothing is parsed.

use shardex_catalog::Tag;

/// One stretch. Counts are of everything up to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    /// Tag of the wanted element.
    pub(crate) tag: Tag,
    /// Where it ends, bytes from the beginning of the file.
    pub(crate) end: u32,
    /// Elements seen.
    pub(crate) seen: u32,
    /// Slots filled.
    pub(crate) filled: u32,
    /// Values of kept items.
    pub(crate) items: u32,
    /// Wanted elements of the top level that may still come.
    pub(crate) nodes_left: u32,
}

/// The stretches of a file that lie in its first bytes.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// Its elements say their VR: bytes of the other encoding mean something else.
    pub(crate) is_explicit: bool,
    /// Where the data set begins, bytes from the beginning of the file.
    pub(crate) begin: u32,
    /// In the order of the file.
    pub(crate) stretches: Vec<Stretch>,
}

/// What of two files has to be compared: the rest is known to be alike.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Parts of the slots filled, in their order, that this file's own bytes gave.
    pub(crate) anew: Vec<(u32, u32)>,
    /// Parts of the slots that the file before had filled, and that were not found again.
    pub(crate) gone: Vec<(u32, u32)>,
}

impl News {
    pub(crate) fn clear(&mut self) {
        self.anew.clear();
        self.gone.clear();
    }
}

/// The number of bytes that two slices begin with alike.
pub(crate) fn common(one: &[u8], other: &[u8]) -> usize {
    const WIDE: usize = 32;
    let (wide_one, _) = one.as_chunks::<WIDE>();
    let (wide_other, _) = other.as_chunks::<WIDE>();
    let alike = wide_one.iter().zip(wide_other).take_while(|(one, other)| one == other).count() * WIDE;
    let rest = one[alike..].iter().zip(&other[alike..]);
    alike + rest.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_alike_up_to_their_first_difference() {
        let one: Vec<u8> = (0..=255).collect();
        for length in [0, 1, 31, 32, 33, 64, 100, 256] {
            assert_eq!(common(&one[..length], &one), length);
            assert_eq!(common(&one, &one[..length]), length);
        }
        for at in 0..one.len() {
            let mut other = one.clone();
            other[at] ^= 1;
            assert_eq!(common(&one, &other), at);
        }
    }
}
