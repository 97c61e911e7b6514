//! Where bytes come from, and a window over them.

use std::io;

use crate::raw::RawValues;

/// Bytes of the first read: enough for the header of most files, and for its digest.
pub(crate) const FIRST_BYTES: usize = 8 << 10;
/// Bytes that one look may ask for; longer values are cut to it.
pub(crate) const LOOK_MAX: usize = 64 << 10;

/// Something that can be read at any offset.
pub trait ReadAt {
    /// Reads at an offset; fewer bytes than asked for only at the end.
    ///
    /// # Errors
    /// Whatever the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for std::fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let n = buffer.len().min(self.len() - from);
        buffer[..n].copy_from_slice(&self[from..from + n]);
        Ok(n)
    }
}

/// A part of the bytes in memory. It moves to where it is needed and never grows beyond
/// [`LOOK_MAX`], whatever a length field says.
pub(crate) struct Window<'a, R: ?Sized> {
    source: &'a R,
    buffer: &'a mut Vec<u8>,
    start: u64,
    size: u64,
    failed: bool,
}

impl<'a, R: ReadAt + ?Sized> Window<'a, R> {
    /// Reads the first bytes into a reused buffer.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn open(source: &'a R, size: u64, buffer: &'a mut Vec<u8>) -> io::Result<Self> {
        let wanted = usize::try_from(size).unwrap_or(usize::MAX).min(FIRST_BYTES);
        let mut window = Self { source, buffer, start: 0, size, failed: false };
        window.fill(0, wanted)?;
        // A file that is shorter than its size says ends where it ends.
        if window.buffer.len() < wanted {
            window.size = window.buffer.len() as u64;
        }
        Ok(window)
    }

    /// Bytes in all.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether a read failed; what was looked at then seemed to be the end.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// The first bytes, while the window has not moved.
    pub(crate) fn first(&self) -> &[u8] {
        self.buffer
    }

    /// Where the bytes in memory begin, and these.
    pub(crate) fn piece(&self) -> (u64, &[u8]) {
        (self.start, self.buffer)
    }

    /// Leaves the first bytes to the values that stand in them, for those of another file: nothing is in memory then.
    pub(crate) fn swap_first(&mut self, raw: &mut RawValues) {
        raw.swap_first(self.buffer);
        self.start = u64::MAX;
    }

    /// The head of an element at an offset, if all of it is in memory.
    #[inline]
    pub(crate) fn held(&self, offset: u64) -> Option<&[u8; 12]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.buffer.get(from..)?.first_chunk()
    }

    /// Moves to an offset, and reads at least `n` bytes there, at most [`LOOK_MAX`]; false if they are
    /// not all there.
    pub(crate) fn extend(&mut self, offset: u64, n: usize) -> bool {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let n = n.clamp(FIRST_BYTES, LOOK_MAX).min(left);
        if self.fill(offset, n).is_err() {
            self.buffer.clear();
        }
        self.buffer.len() == n
    }

    /// `n` bytes at an offset; `None` where there are not so many.
    #[inline]
    pub(crate) fn look(&mut self, offset: u64, n: usize) -> Option<&[u8]> {
        if let Some(from) = offset.checked_sub(self.start)
            && from + n as u64 <= self.buffer.len() as u64
        {
            let from = usize::try_from(from).ok()?;
            return Some(&self.buffer[from..from + n]);
        }
        self.look_elsewhere(offset, n)
    }

    #[cold]
    fn look_elsewhere(&mut self, offset: u64, n: usize) -> Option<&[u8]> {
        if n > LOOK_MAX || offset.checked_add(n as u64)? > self.size {
            return None;
        }
        let left = usize::try_from(self.size - offset).unwrap_or(usize::MAX);
        if self.fill(offset, n.max(FIRST_BYTES).min(left)).is_err() {
            self.failed = true;
            self.buffer.clear();
        }
        self.buffer.get(..n)
    }

    fn fill(&mut self, offset: u64, n: usize) -> io::Result<()> {
        self.buffer.resize(n, 0);
        let mut done = 0;
        while done < n {
            match self.source.read_at(&mut self.buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(more) => done += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.truncate(done);
        self.start = offset;
        Ok(())
    }
}
