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
    match mode {
        DigestMode::None => Ok(None),
        DigestMode::Header => {
            let wanted = usize::try_from(size).unwrap_or(usize::MAX).min(FIRST_BYTES);
            let mut first = Vec::with_capacity(wanted);
            each_chunk(file, wanted as u64, &mut |chunk| first.extend_from_slice(chunk))?;
            Ok(Some(header_digest(&first, size)))
        }
        DigestMode::Full => full_digest(file).map(Some),
    }
}

/// The digest of a file by its first bytes and its size.
///
/// XXH3 is a tenth of what BLAKE3 costs, which would be an eighth of an ingest. It stands against
/// chance alone; so would any digest of a beginning, behind which anything can be changed.
pub(crate) fn header_digest(first: &[u8], size: u64) -> ContentDigest {
    ContentDigest(xxhash_rust::xxh3::xxh3_128_with_seed(first, size).to_be_bytes())
}

/// The digest of all bytes of a file.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn full_digest<R: ReadAt + ?Sized>(file: &R) -> io::Result<ContentDigest> {
    let mut hasher = blake3::Hasher::new();
    each_chunk(file, u64::MAX, &mut |chunk| {
        hasher.update(chunk);
    })?;
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Ok(ContentDigest(short))
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

    /// Stored digests must stay what they are; other implementations of both say the same.
    #[test]
    fn digests_are_those_of_the_format() {
        let digest =
            |mode| content_digest(&b"abc"[..], 3, mode).expect("read").map(|digest| digest.to_string());
        assert_eq!(digest(DigestMode::Header).as_deref(), Some("51805c6efc28b714c098c3086bccefa0"));
        assert_eq!(digest(DigestMode::Full).as_deref(), Some("6437b3ac38465133ffb63b75273a8db5"));
    }

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
