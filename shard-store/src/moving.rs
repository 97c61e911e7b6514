//! Shards that leave for another machine, and arrive from one, as files.
//!
//! `moving/` in the archive's folder holds what has come of a shard so far (`<partition>~<bucket>.sqlite` and its
//! `-wal`), `….arrived` once that is all of it, and `….leaving` for a shard whose last pass has begun here:
//! without that mark nothing is ever removed.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shardex_catalog::ShardId;
use shardex_seams::{BLOCK_BYTES, Block, DIGEST_BYTES, Lengths, ShardSink, ShardSource, StoreError};

use crate::archive::Archive;
use crate::error::io_error;
use crate::layout::Layout;
use crate::leaf::LeafPool;
use crate::pool::ShardPool;
use crate::schema::SHARD;
use crate::{history, private, sqlite};

/// The shards of an archive that come and go.
pub struct Moving {
    layout: Layout,
    pool: Arc<ShardPool>,
    leaves: Arc<LeafPool>,
    /// Database files that were read here. To close one would end the locks that SQLite has on it in this
    /// process (POSIX, fcntl(2)), so they stay open until the shard is gone.
    read: Mutex<HashMap<ShardId, Arc<File>>>,
}

/// A shard that has come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedShard {
    /// Which.
    pub shard: ShardId,
    /// The move that it came by.
    pub number: u64,
    /// The process that stopped writing for it.
    pub from_session: u64,
}

#[derive(Serialize, Deserialize)]
struct Mark {
    number: u64,
    from_session: u64,
}

impl Moving {
    /// The shards of an archive that this process writes and reads by these.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be made.
    pub fn new(archive: &Archive, pool: Arc<ShardPool>, leaves: Arc<LeafPool>) -> Result<Self, StoreError> {
        let layout = archive.layout().clone();
        let folder = layout.moving();
        private::create_folder(&folder).map_err(|error| io_error(&folder, &error))?;
        Ok(Self { layout, pool, leaves, read: Mutex::default() })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What has arrived and was neither installed nor discarded.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be read.
    pub fn arrived(&self) -> Result<Vec<ArrivedShard>, StoreError> {
        let read = |shard: ShardId| {
            let path = self.layout.moving_file(&shard, "arrived");
            let text = fs::read_to_string(&path).map_err(|error| io_error(&path, &error))?;
            let mark: Mark = serde_json::from_str(&text).map_err(|error| StoreError::Unusable {
                file: path.display().to_string(),
                detail: error.to_string(),
            })?;
            Ok(ArrivedShard { shard, number: mark.number, from_session: mark.from_session })
        };
        self.marked("arrived")?.into_iter().map(read).collect()
    }

    /// Shards whose last pass has begun here.
    ///
    /// # Errors
    /// As [`Moving::arrived`].
    pub fn leaving(&self) -> Result<Vec<ShardId>, StoreError> {
        self.marked("leaving")
    }

    /// Takes a shard in; what came before, of this or an earlier try, is used. Blocks the thread.
    ///
    /// # Errors
    /// [`StoreError`] if its files cannot be opened.
    pub fn sink(&self, shard: &ShardId) -> Result<impl ShardSink + use<>, StoreError> {
        Incoming::open(&self.layout, shard)
    }

    /// Makes an arrived shard one of the archive, in place of whatever is there. May be repeated after a crash.
    ///
    /// # Errors
    /// [`StoreError`]; it may be tried again.
    pub async fn install(&self, shard: &ShardId) -> Result<(), StoreError> {
        self.pool.close(shard.clone()).await?;
        self.leaves.forget(shard);
        self.read.lock().unwrap_or_else(PoisonError::into_inner).remove(shard);
        let to = self.layout.shard(shard);
        install_files(&self.layout, shard, &to).map_err(|error| io_error(&to, &error))?;
        self.pool.move_root_of(shard.clone()).await
    }

    /// Removes what came of a shard that will not be ours.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be removed.
    pub fn discard(&self, shard: &ShardId) -> Result<(), StoreError> {
        // The mark first: what is left without it is of no use but to spare the next fetch some blocks.
        for kind in ["arrived", "sqlite-wal", "sqlite-shm", "sqlite"] {
            let path = self.layout.moving_file(shard, kind);
            remove(&path).map_err(|error| io_error(&path, &error))?;
        }
        Ok(())
    }

    /// Removes a shard that another worker owns by now, if its last pass began here.
    ///
    /// # Errors
    /// [`StoreError`]; it may be tried again.
    pub async fn remove_left(&self, shard: &ShardId) -> Result<(), StoreError> {
        let mark = self.layout.moving_file(shard, "leaving");
        if !mark.exists() {
            return Ok(());
        }
        self.pool.close(shard.clone()).await?;
        self.leaves.forget(shard);
        let path = self.layout.shard(shard);
        let removed = [PathBuf::from(&path), log_of(&path), beside(&path, "-shm")]
            .iter()
            .try_for_each(|path| remove(path))
            .and_then(|()| remove(&mark));
        self.read.lock().unwrap_or_else(PoisonError::into_inner).remove(shard);
        removed.map_err(|error| io_error(&path, &error))
    }

    /// Notes that a shard stays after all.
    ///
    /// # Errors
    /// [`StoreError`] if that cannot be noted.
    pub fn stays(&self, shard: &ShardId) -> Result<(), StoreError> {
        let mark = self.layout.moving_file(shard, "leaving");
        remove(&mark).map_err(|error| io_error(&mark, &error))
    }

    /// Forgets the file of a shard that another one has taken the place of.
    pub(crate) fn forget(&self, shard: &ShardId) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).remove(shard);
    }

    fn marked(&self, kind: &str) -> Result<Vec<ShardId>, StoreError> {
        let folder = self.layout.moving();
        let failed = |error: io::Error| io_error(&folder, &error);
        let mut shards = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let shard = name.to_str().and_then(|name| name.strip_suffix(kind)?.strip_suffix('.'));
            shards.extend(shard.and_then(|shard| ShardId::new(&shard.replacen('~', "/", 1)).ok()));
        }
        shards.sort();
        Ok(shards)
    }

    fn file(&self, shard: &ShardId) -> io::Result<Arc<File>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = read.get(shard) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(self.layout.shard(shard))?);
        read.insert(shard.clone(), Arc::clone(&file));
        Ok(file)
    }
}

#[async_trait]
impl ShardSource for Moving {
    async fn settle(&self, shard: ShardId) -> Result<(), StoreError> {
        self.pool.close(shard.clone()).await?;
        let mark = self.layout.moving_file(&shard, "leaving");
        private::create_file(&mark).map_err(|error| io_error(&mark, &error))
    }

    fn blocks(
        &self,
        shard: &ShardId,
        have: &[u8],
        with_log: bool,
        to: &mut dyn FnMut(Block) -> bool,
    ) -> Result<Lengths, StoreError> {
        let path = self.layout.shard(shard);
        let failed = |error: io::Error| io_error(&path, &error);
        let file = self.file(shard).map_err(failed)?;
        let Some(main) = each_block(&file, false, have, to).map_err(failed)? else {
            return Ok(Lengths::default());
        };
        let log = log_of(&path);
        let log = match File::open(&log) {
            Ok(file) if with_log => each_block(&file, true, &[], to).map_err(failed)?.unwrap_or_default(),
            Ok(_) => 0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(io_error(&log, &error)),
        };
        Ok(Lengths { main, log })
    }
}

/// Gives the blocks of a file that differ; its length, or `None` if `to` wants no more.
fn each_block(
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

fn digest(content: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(&blake3::hash(content).as_bytes()[..DIGEST_BYTES]);
    digest
}

/// A shard that comes.
struct Incoming {
    layout: Layout,
    shard: ShardId,
    main: File,
    log: File,
    /// Of the blocks of `main`.
    digests: Vec<[u8; DIGEST_BYTES]>,
}

impl Incoming {
    fn open(layout: &Layout, shard: &ShardId) -> Result<Self, StoreError> {
        // What is there is about to change.
        let mark = layout.moving_file(shard, "arrived");
        remove(&mark).map_err(|error| io_error(&mark, &error))?;
        let open = |kind: &str| {
            let path = layout.moving_file(shard, kind);
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
            file.map_err(|error| io_error(&path, &error))
        };
        let (main, log) = (open("sqlite")?, open("sqlite-wal")?);
        let mut digests = Vec::new();
        let mut gather = |block: Block| {
            digests.push(digest(&block.content));
            true
        };
        let path = layout.moving_file(shard, "sqlite");
        each_block(&main, false, &[], &mut gather).map_err(|error| io_error(&path, &error))?;
        Ok(Self { layout: layout.clone(), shard: shard.clone(), main, log, digests })
    }

    fn failed(&self, error: &io::Error) -> StoreError {
        io_error(&self.layout.moving_file(&self.shard, "sqlite"), error)
    }
}

impl ShardSink for Incoming {
    fn have(&self) -> Vec<u8> {
        self.digests.concat()
    }

    fn take(&mut self, block: &Block) -> Result<(), StoreError> {
        let number = usize::try_from(block.number).unwrap_or(usize::MAX);
        // Blocks come in order; a gap would be a hole in the file.
        let is_next = block.is_log || number <= self.digests.len();
        if block.content.is_empty() || block.content.len() > BLOCK_BYTES || !is_next {
            return Err(StoreError::Query(
                "a shard's block makes no sense: is its owner of another version?".into(),
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

    fn arrive(&mut self, number: u64, from_session: u64) -> Result<(), StoreError> {
        let synced = self.main.sync_all().and_then(|()| self.log.sync_all());
        synced.map_err(|error| self.failed(&error))?;
        let path = self.layout.moving_file(&self.shard, "sqlite");
        // It opens, is of a format that we know, and says which lives it had.
        if let Some(connection) = sqlite::open_reader(&path, &SHARD, 1 << 20)? {
            history::read(&connection).map_err(|error| crate::error::store_error(&path, error))?;
        }
        let mark = Mark { number, from_session };
        let text = serde_json::to_string(&mark).map_err(|error| StoreError::Query(error.to_string()))?;
        let to = self.layout.moving_file(&self.shard, "arrived");
        write_whole(&to, &text).map_err(|error| io_error(&to, &error))
    }
}

/// Writes a small file, all of it or nothing, durably.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let new = beside(path, "-new");
    private::create_file(&new)?;
    fs::write(&new, text)?;
    File::open(&new)?.sync_all()?;
    fs::rename(&new, path)?;
    private::sync_parent(path)
}

/// The log goes first: a log without its file is nothing, a file without its log has lost rows.
fn install_files(layout: &Layout, shard: &ShardId, to: &Path) -> io::Result<()> {
    let mark = layout.moving_file(shard, "arrived");
    if !mark.exists() {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        private::create_folder(folder)?;
    }
    let (main, log) = (layout.moving_file(shard, "sqlite"), layout.moving_file(shard, "sqlite-wal"));
    if log.exists() {
        remove(to)?;
        remove(&beside(to, "-shm"))?;
        fs::rename(&log, log_of(to))?;
        private::sync_parent(to)?;
    }
    if main.exists() {
        fs::rename(&main, to)?;
        private::sync_parent(to)?;
    }
    remove(&layout.moving_file(shard, "sqlite-shm"))?;
    remove(&layout.moving_file(shard, "leaving"))?;
    remove(&mark)?;
    private::sync_parent(&mark)
}

pub(crate) fn log_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
