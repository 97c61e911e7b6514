//! Files in blocks, as they are read and compared.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use shardex_seams::{BLOCK_BYTES, Block, DIGEST_BYTES};

/// Gives the blocks of a file that differ; its length, or `None` if `to` wants no more.
pub(super) fn each_block(
    file: &File,
    is_log: bool,
    have: &[u8],
    to: &mut dyn FnMut(Block) -> bool,
) -> io::Result<Option<u64>> {
    let mut known = have.chunks(DIGEST_BYTES);
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut number = 0;
    loop {
        let at = number * BLOCK_BYTES as u64;
        let filled = read_block(file, &mut buffer, at)?;
        if filled > 0 {
            let content = &buffer[..filled];
            let is_known = known.next().is_some_and(|known| known == digest(content));
            if !is_known && !to(Block { is_log, number, content: content.to_vec() }) {
                return Ok(None);
            }
        }
        if filled < BLOCK_BYTES {
            return Ok(Some(at + filled as u64));
        }
        number += 1;
    }
}

fn read_block(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

pub(super) fn digest(content: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(&blake3::hash(content).as_bytes()[..DIGEST_BYTES]);
    digest
}
