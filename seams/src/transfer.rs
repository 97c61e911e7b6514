//! Stores that leave as files.

use async_trait::async_trait;
use shardex_catalog::{StoreFile, StoreId};

use crate::StoreError;

/// Bytes of a block of a file; the last one of a file may be shorter.
pub const BLOCK_BYTES: usize = 256 << 10;
/// Bytes of a block's digest (BLAKE3, cut).
pub const DIGEST_BYTES: usize = 16;

/// A block of a database file or of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Of the write-ahead log, not of the database file.
    pub is_log: bool,
    /// Its place in the file, in blocks.
    pub number: u64,
    /// At most [`BLOCK_BYTES`].
    pub content: Vec<u8>,
}

/// Lengths of a database file and its log in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// Of the database file.
    pub main: u64,
    /// Of the write-ahead log.
    pub log: u64,
}

/// A store that goes to another worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// What goes.
    pub store: StoreId,
    /// To which worker.
    pub to: String,
    /// The move that it goes by.
    pub number: u64,
}

/// Gives stores away.
#[async_trait]
pub trait StoreSource: Send + Sync {
    /// Brings a store's files to rest: whatever was applied is in them, and nothing changes them while nobody
    /// writes. Durably notes that the store is leaving.
    ///
    /// # Errors
    /// [`StoreError`] if that cannot be done; the store is as it was.
    async fn settle(&self, departure: Departure) -> Result<(), StoreError>;

    /// Gives the blocks of a file and its log to `to`, until that returns false; of the database file only those
    /// that differ from `have` (digests, one after the other). The log comes along only with `with_log`: what is
    /// given without it need not fit together, and only serves to make the last pass short. Blocks the thread.
    ///
    /// # Errors
    /// [`StoreError`] if the files cannot be read.
    fn blocks(
        &self,
        file: &StoreFile,
        have: &[u8],
        with_log: bool,
        to: &mut dyn FnMut(Block) -> bool,
    ) -> Result<Lengths, StoreError>;
}

/// The files of a store, with what takes each in.
pub type Sinks = Vec<(StoreFile, Box<dyn StoreSink>)>;

/// Takes one file of a store in, pass by pass. Blocks the thread.
pub trait StoreSink: Send {
    /// Digests of the blocks that are here already, one after the other.
    fn have(&self) -> Vec<u8>;

    /// Takes a block.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written, or makes no sense.
    fn take(&mut self, block: &Block) -> Result<(), StoreError>;

    /// Ends a pass.
    ///
    /// # Errors
    /// As [`StoreSink::take`].
    fn end_pass(&mut self, lengths: Lengths) -> Result<(), StoreError>;
}
