//! Deflated data sets (PS3.5 A.5).

use std::io::Read;

use crate::source::{FIRST_BYTES, ReadAt, Window};

/// Bytes of a deflated data set that are inflated to find its header.
const INFLATED_MAX: u64 = 16 << 20;

/// The beginning of a data set that is deflated from `at` on, and whether nothing broke. What was
/// inflated before an error still counts. Some writers leave zlib's head in front of the stream.
pub(crate) fn inflate<R: ReadAt + ?Sized>(window: &mut Window<'_, R>, at: u64) -> (Vec<u8>, bool) {
    let mut inflated = Vec::new();
    let at = if window.look(at, 2).is_some_and(is_zlib) { at + 2 } else { at };
    let compressed = Sequential { window, at };
    let mut decoder = flate2::read::DeflateDecoder::new(compressed).take(INFLATED_MAX);
    let is_whole = decoder.read_to_end(&mut inflated).is_ok();
    (inflated, is_whole)
}

/// Whether two bytes are the head of a zlib stream (RFC 1950, 2.2): deflate with a window of 32 KiB. No
/// deflate stream begins so: its first block would be a stored one with bits set where none may be.
fn is_zlib(head: &[u8]) -> bool {
    head[0] == 0x78 && u16::from_be_bytes([head[0], head[1]]).is_multiple_of(31) && head[1] & 0x20 == 0
}

/// A window read from front to back.
struct Sequential<'a, 'w, R: ?Sized> {
    window: &'a mut Window<'w, R>,
    at: u64,
}

impl<R: ReadAt + ?Sized> Read for Sequential<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.window.size().saturating_sub(self.at)).unwrap_or(usize::MAX);
        let n = buffer.len().min(FIRST_BYTES).min(left);
        let bytes = self.window.look(self.at, n).unwrap_or(&[]);
        buffer[..bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}
