//! Deflated data sets (PS3.5 A.5).

use std::io::Read;

use crate::source::{FIRST_BYTES, ReadAt, Window};

/// Bytes of a deflated data set that are inflated to find its header.
const INFLATED_MAX: u64 = 16 << 20;

/// The beginning of a data set that is deflated from `at` on, and whether nothing broke. What was
/// inflated before an error still counts.
pub(crate) fn inflate<R: ReadAt + ?Sized>(window: &mut Window<'_, R>, at: u64) -> (Vec<u8>, bool) {
    let mut inflated = Vec::new();
    let compressed = Sequential { window, at };
    let mut decoder = flate2::read::DeflateDecoder::new(compressed).take(INFLATED_MAX);
    let is_whole = decoder.read_to_end(&mut inflated).is_ok();
    (inflated, is_whole)
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
