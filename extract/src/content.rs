//! The digest of a file's content, apart from reading its header.

use std::io;

use shardex_catalog::{ContentDigest, DigestMode};

use crate::source::{FIRST_BYTES, ReadAt};

const CHUNK_BYTES: usize = 1 << 20;

/// Digests a file of `size` bytes as [`DigestMode`] says; `None` for [`DigestMode::None`].
///
/// # Errors
/// Whatever the system says.
pub fn content_digest<R: ReadAt + ?Sized>(
    file: &R,
    size: u64,
    mode: DigestMode,
) -> io::Result<Option<ContentDigest>> {
    let mut hasher = blake3::Hasher::new();
    match mode {
        DigestMode::None => return Ok(None),
        DigestMode::Header => {
            let first = usize::try_from(size).unwrap_or(usize::MAX).min(FIRST_BYTES);
            each_chunk(file, first as u64, &mut |chunk| {
                hasher.update(chunk);
            })?;
            hasher.update(&size.to_le_bytes());
        }
        DigestMode::Full => each_chunk(file, u64::MAX, &mut |chunk| {
            hasher.update(chunk);
        })?,
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Ok(Some(ContentDigest(short)))
}

/// Gives the first `length` bytes, or all that there are.
fn each_chunk<R: ReadAt + ?Sized>(file: &R, length: u64, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let chunk = usize::try_from(length).unwrap_or(usize::MAX).min(CHUNK_BYTES);
    let mut buffer = vec![0; chunk];
    let mut at = 0;
    while at < length {
        let wanted = usize::try_from(length - at).unwrap_or(usize::MAX).min(chunk);
        match file.read_at(&mut buffer[..wanted], at) {
            Ok(0) => break,
            Ok(n) => {
                each(&buffer[..n]);
                at += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_told_apart_by_their_beginning_and_size() {
        let digest = |bytes: &[u8], mode| content_digest(bytes, bytes.len() as u64, mode).expect("read");
        let (mut one, mut other) = (vec![1; 20_000], vec![1; 20_000]);
        assert_eq!(digest(&one, DigestMode::Header), digest(&other, DigestMode::Header));
        other[10_000] = 2;
        assert_eq!(digest(&one, DigestMode::Header), digest(&other, DigestMode::Header), "beyond 8 KiB");
        assert_ne!(digest(&one, DigestMode::Full), digest(&other, DigestMode::Full));
        one.push(1);
        assert_ne!(digest(&one, DigestMode::Header), digest(&other, DigestMode::Header), "size");
        assert_eq!(digest(&one, DigestMode::None), None);
    }
}
