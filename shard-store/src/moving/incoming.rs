//! A file of a store that comes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use shardex_catalog::StoreFile;
use shardex_seams::{BLOCK_BYTES, Block, DIGEST_BYTES, Lengths, StoreError, StoreSink};

use super::blocks::{digest, each_block};
use crate::error::io_error;
use crate::layout::Layout;

/// A file that comes, in the place where it waits.
pub(super) struct Incoming {
    path: PathBuf,
    main: File,
    log: File,
    /// Of the blocks of `main`.
    digests: Vec<[u8; DIGEST_BYTES]>,
}

impl Incoming {
    pub(super) fn open(layout: &Layout, file: &StoreFile) -> Result<Self, StoreError> {
        let path = layout.moving_file(file, "sqlite");
        let log = layout.moving_file(file, "sqlite-wal");
        let (main, log) = (open(&path)?, open(&log)?);
        let mut digests = Vec::new();
        let mut gather = |block: Block| {
            digests.push(digest(&block.content));
            true
        };
        each_block(&main, false, &[], &mut gather).map_err(|error| io_error(&path, &error))?;
        Ok(Self { path, main, log, digests })
    }

    fn failed(&self, error: &io::Error) -> StoreError {
        io_error(&self.path, error)
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    file.map_err(|error| io_error(path, &error))
}

impl StoreSink for Incoming {
    fn have(&self) -> Vec<u8> {
        self.digests.concat()
    }

    fn take(&mut self, block: &Block) -> Result<(), StoreError> {
        let number = usize::try_from(block.number).unwrap_or(usize::MAX);
        // Blocks come in order; a gap would be a hole in the file.
        let is_next = block.is_log || number <= self.digests.len();
        if block.content.is_empty() || block.content.len() > BLOCK_BYTES || !is_next {
            return Err(StoreError::Query(
                "a block of a store makes no sense: is its owner of another version?".into(),
            ));
        }
        let file = if block.is_log { &self.log } else { &self.main };
        let written = file.write_all_at(&block.content, block.number * BLOCK_BYTES as u64);
        written.map_err(|error| self.failed(&error))?;
        if !block.is_log {
            let digest = digest(&block.content);
            match self.digests.get_mut(number) {
                Some(known) => *known = digest,
                None => self.digests.push(digest),
            }
        }
        Ok(())
    }

    fn end_pass(&mut self, lengths: Lengths) -> Result<(), StoreError> {
        let blocks = usize::try_from(lengths.main.div_ceil(BLOCK_BYTES as u64)).unwrap_or(usize::MAX);
        self.digests.truncate(blocks);
        let cut = self.main.set_len(lengths.main).and_then(|()| self.log.set_len(lengths.log));
        cut.map_err(|error| self.failed(&error))
    }
}
