//! An archive as a whole: its folder, its lock, its files.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shardex_catalog::{
    Fence, InstitutionRule, Institutions, InvalidMapping, PartitionScheme, Placement, SITES_MAX_DEFAULT,
    ShardId, SourceName,
};
use shardex_seams::{StateStore, StoreError};

use crate::error::io_error;
use crate::layout::Layout;
use crate::leaf::LeafPool;
use crate::ledger::{LedgerFile, LedgerReader};
use crate::manifest::Manifest;
use crate::pool::ShardPool;
use crate::registry::RegistryFile;
use crate::schema::SHARD;
use crate::sqlite::{self, SqliteSettings};
use crate::state::{StateFile, StateReader};
use crate::{account, moving, private, rebuild, split};

/// Where the roots of sources are mounted here; what `file_path` is made from.
#[derive(Debug, Default)]
pub struct SourceRoots(HashMap<SourceName, Vec<u8>>);

impl SourceRoots {
    /// Roots by source, as bytes of absolute paths.
    #[must_use]
    pub fn new(roots: impl IntoIterator<Item = (SourceName, Vec<u8>)>) -> Self {
        Self(roots.into_iter().collect())
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = (&SourceName, &[u8])> {
        self.0.iter().map(|(source, root)| (source, root.as_slice()))
    }

    /// The root of a source; empty if it is not known here.
    pub(crate) fn root(&self, source: &SourceName) -> &[u8] {
        self.0.get(source).map_or(&[], Vec::as_slice)
    }
}

/// How to open an archive for writing.
#[derive(Clone, Debug, Default)]
pub struct ArchiveSettings {
    /// Partition scheme; must be that of the archive if it exists already. `None` takes what the
    /// archive has, or the default for a new one.
    pub partition: Option<PartitionScheme>,
    /// Mapping of institutions to sites; must be that of the archive if it exists already.
    pub institutions: Option<Vec<InstitutionRule>>,
    /// Unmapped institutions with partitions of their own; fixed as the mapping is.
    pub institutions_max: Option<u32>,
    /// SQLite settings.
    pub sqlite: SqliteSettings,
    /// Rebuild a lost registry though a shard that the ledger knows cannot be read: the shard must not
    /// be put back afterwards.
    pub accept_lost_shards: bool,
    /// The ledger and the registry may be another worker's: a split that is in its place is ended by whoever leads.
    pub is_in_cluster: bool,
}

/// An archive could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Somebody else writes to it.
    #[error("`{}` is being written by another process: wait until it ends, or stop it", path.display())]
    Locked {
        /// The archive.
        path: PathBuf,
    },
    /// There is none.
    #[error("`{}` is not an archive: it has no archive.toml; `shardex ingest` makes one", path.display())]
    NotAnArchive {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds other things.
    #[error("`{}` is not empty and not an archive: name a new folder", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds other things than snapshots.
    #[error("`{}` is no folder of snapshots: it holds other things; name a new folder, or one of `shardex snapshot`", path.display())]
    NotSnapshots {
        /// The folder.
        path: PathBuf,
    },
    /// The snapshots are of an archive that is partitioned otherwise.
    #[error("`{}` holds snapshots of another archive, which is partitioned otherwise, or an archive", path.display())]
    OtherSnapshots {
        /// The folder.
        path: PathBuf,
    },
    /// It is partitioned otherwise.
    #[error(
        "the archive is partitioned by `{archive}`, not by `{wanted}`: a scheme is fixed when an archive is made"
    )]
    OtherScheme {
        /// What it is partitioned by.
        archive: PartitionScheme,
        /// What was asked for.
        wanted: PartitionScheme,
    },
    /// Its institutions are mapped otherwise.
    #[error(
        "the archive was made with another {what}: studies lie where it put them, so it is fixed when an archive is \
         made; leave it out, or make a new archive"
    )]
    OtherInstitutions {
        /// What differs.
        what: &'static str,
    },
    /// A mapping would have no effect.
    #[error(
        "the archive is partitioned by `{0}`: a mapping of institutions needs `institution` in --partition"
    )]
    UnusedMapping(PartitionScheme),
    /// A mapping is wrong.
    #[error("the mapping of institutions cannot be used: {0}")]
    Mapping(#[from] InvalidMapping),
    /// It lies on a network file system.
    #[error(
        "`{}` lies on a network file system ({file_system}), where SQLite's locks do not hold: put the archive on a \
         local disk, or use it from one process only with --single-process",
        path.display()
    )]
    NetworkFileSystem {
        /// The archive.
        path: PathBuf,
        /// Its kind.
        file_system: &'static str,
    },
    /// The manifest is wrong.
    #[error("`{}`: {detail}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// It may be read, not written.
    #[error(
        "`{}` cannot be written ({source}): mount it for writing, or get the permission; queries work without",
        path.display()
    )]
    NotWritable {
        /// What should be written.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A system call failed.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// What was being used.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file of the archive cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An archive open for writing. One process at a time; readers may come and go.
pub struct Archive {
    layout: Layout,
    placement: Placement,
    settings: ArchiveSettings,
    state: Arc<StateFile>,
    ledger: Arc<LedgerFile>,
    registry: Arc<RegistryFile>,
    healed: rebuild::Healed,
    /// Held, not read: the lock ends with it.
    lock: File,
}

impl Archive {
    /// Opens an archive for writing, or makes one. A ledger or registry that is lost, or older than
    /// its shards, is rebuilt from them first.
    ///
    /// # Errors
    /// [`ArchiveError`]; a folder that is no archive is left as it was.
    pub fn create_or_open(path: &Path, settings: &ArchiveSettings) -> Result<Self, ArchiveError> {
        let layout = Layout::new(path);
        let known = Manifest::read(&layout.manifest())?;
        let placement = match &known {
            Some(manifest) => agreed(manifest.placement(&layout.manifest())?, settings)?,
            None => new_placement(settings)?,
        };
        if known.is_none() {
            prepare_folder(path)?;
        }
        refuse_network(path, &settings.sqlite)?;
        let lock = lock(&layout)?;
        for folder in [layout.shards(), layout.ledger_folder(), layout.registry_folder(), layout.temporary()]
        {
            private::create_folder(&folder).map_err(|source| ArchiveError::Io { path: folder, source })?;
        }
        split::place_decided(&layout)?;
        moving::complete_home(&layout, &settings.sqlite)?;
        let healed = rebuild::heal(&layout, &settings.sqlite, settings.accept_lost_shards)?;
        if !settings.is_in_cluster {
            split::relabel_placed(&layout, &settings.sqlite)?;
        }
        let state = Arc::new(StateFile::open(&layout.jobs())?);
        let ledger = Arc::new(LedgerFile::open(&layout.ledger(), &settings.sqlite)?);
        let registry = Arc::new(RegistryFile::open(&layout.registry(), &settings.sqlite)?);
        // Last, so that a folder with a manifest is an archive.
        if known.is_none_or(|manifest| manifest.is_older()) {
            Manifest::new(&placement).write(&layout.manifest())?;
        }
        let settings = settings.clone();
        Ok(Self { layout, placement, settings, state, ledger, registry, healed, lock })
    }

    /// The shards, written by `writers` threads, for sources mounted at `roots`.
    ///
    /// # Errors
    /// [`StoreError`] if threads cannot be started.
    pub fn shards(&self, writers: usize, roots: SourceRoots) -> Result<Arc<ShardPool>, StoreError> {
        ShardPool::start(self.layout.clone(), &self.settings.sqlite, writers, Arc::new(roots)).map(Arc::new)
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> Arc<LedgerFile> {
        Arc::clone(&self.ledger)
    }

    /// The registry.
    #[must_use]
    pub fn registry(&self) -> Arc<RegistryFile> {
        Arc::clone(&self.registry)
    }

    /// The coordinator's state.
    #[must_use]
    pub fn state(&self) -> Arc<dyn StateStore> {
        Arc::clone(&self.state) as Arc<dyn StateStore>
    }

    /// The partition scheme.
    #[must_use]
    pub fn partition(&self) -> PartitionScheme {
        self.placement.scheme
    }

    /// Where studies go.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.layout.root()
    }

    /// A private folder for files that matter to one run only.
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.layout.temporary()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Closes all files but the lock, which ends with what is returned.
    pub(crate) fn into_lock(self) -> File {
        self.lock
    }

    pub(crate) fn sqlite_settings(&self) -> &SqliteSettings {
        &self.settings.sqlite
    }

    /// What was rebuilt when it was opened.
    #[must_use]
    pub fn healed(&self) -> &rebuild::Healed {
        &self.healed
    }

    /// The highest fence that any shard has seen: the next job's must be higher, even where the
    /// job counter was lost.
    #[must_use]
    pub fn highest_fence(&self) -> Fence {
        self.healed.highest_fence
    }

    /// Empties the write-ahead logs of shards, ledger and registry into their files, all at once: the end of a job that
    /// was not interrupted.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is lost, the logs stay.
    pub async fn truncate_logs(&self, shards: &ShardPool) -> Result<(), StoreError> {
        // Somebody may be fetching these as they are.
        let is_leaving = moving::home_is_leaving(&self.layout);
        let ledger = async { if is_leaving { Ok(()) } else { self.ledger.truncate_log().await } };
        let registry = async { if is_leaving { Ok(()) } else { self.registry.truncate_log().await } };
        let accounts = async {
            shards.truncate_logs().await?;
            self.renew_accounts().await
        };
        let (accounts, ledger, registry) = tokio::join!(accounts, ledger, registry);
        accounts.and(ledger).and(registry)
    }

    /// Takes the accounts of shards that have changed, for queries to come.
    async fn renew_accounts(&self) -> Result<(), StoreError> {
        let layout = self.layout.clone();
        let stale = account::stale(&layout).map_err(|error| io_error(&layout.shards(), &error))?;
        if stale.is_empty() {
            return Ok(());
        }
        let renewed = tokio::task::spawn_blocking(move || account::renew(&layout, &stale)).await;
        renewed.map_err(|_| StoreError::Closed)
    }
}

/// An archive open for reading; somebody may be writing to it.
#[derive(Clone, Debug)]
pub struct ReadArchive {
    layout: Layout,
    placement: Placement,
}

impl ReadArchive {
    /// Opens an archive for reading.
    ///
    /// # Errors
    /// [`ArchiveError`] if it is none.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let layout = Layout::new(path);
        let manifest = Manifest::read(&layout.manifest())?
            .ok_or_else(|| ArchiveError::NotAnArchive { path: path.to_owned() })?;
        let placement = manifest.placement(&layout.manifest())?;
        Ok(Self { layout, placement })
    }

    /// The leaves, with at most `idle` connections kept.
    #[must_use]
    pub fn leaves(&self, idle: usize) -> Arc<LeafPool> {
        Arc::new(LeafPool::new(self.layout.clone(), idle))
    }

    /// The ledger; `None` if there is none yet.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn ledger(&self) -> Result<Option<LedgerReader>, StoreError> {
        let path = self.layout.ledger();
        if path.exists() { LedgerReader::open(&path) } else { Ok(None) }
    }

    /// The coordinator's state; `None` if there is none yet.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn state(&self) -> Result<Option<StateReader>, StoreError> {
        let path = self.layout.jobs();
        if path.exists() { StateReader::open(&path) } else { Ok(None) }
    }

    /// The partition scheme.
    #[must_use]
    pub fn partition(&self) -> PartitionScheme {
        self.placement.scheme
    }

    /// Where studies go.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Every shard, ascending.
    ///
    /// # Errors
    /// [`StoreError`] if the folders cannot be listed, or while a shard is being split.
    pub fn shards(&self) -> Result<Vec<ShardId>, StoreError> {
        readable_shards(&self.layout)
    }

    /// Whether another process holds the writer's lock at this moment.
    ///
    /// # Errors
    /// [`ArchiveError`] if the lock cannot be looked at.
    pub fn is_being_written(&self) -> Result<bool, ArchiveError> {
        let path = self.layout.lock();
        let failed = |source| ArchiveError::Io { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The token drawn when the archive was last opened for writing; `None` if it never was.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn token(&self) -> Result<Option<i64>, StoreError> {
        rebuild::last_token(&self.layout.jobs())
    }

    /// Number of files with a row in a shard; files of shards that cannot be read are left out.
    ///
    /// # Errors
    /// [`StoreError`] if the folders cannot be listed.
    pub fn indexed_files(&self) -> Result<u64, StoreError> {
        let count = |shard: &ShardId| {
            let connection = sqlite::open_reader(&self.layout.shard(shard), &SHARD, 1 << 20).ok()??;
            let sql = "SELECT coalesce(sum(n_files), 0) FROM study_header";
            connection.query_row(sql, [], |row| row.get::<_, i64>(0)).ok()
        };
        Ok(self.shards()?.iter().filter_map(count).sum::<i64>().cast_unsigned())
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Every shard with the bytes of its files, ascending.
    ///
    /// # Errors
    /// [`ArchiveError`] if the folders cannot be listed.
    pub fn shard_sizes(&self) -> Result<Vec<(ShardId, u64)>, ArchiveError> {
        let failed = |source| ArchiveError::Io { path: self.layout.shards(), source };
        let shards = self.layout.list_shards().map_err(failed)?;
        Ok(shards
            .into_iter()
            .map(|id| (self.layout.shard(&id), id))
            .map(|(path, id)| (id, size_with_log(&path)))
            .collect())
    }

    /// Bytes of ledger, registry and job state.
    #[must_use]
    pub fn other_bytes(&self) -> u64 {
        [self.layout.ledger(), self.layout.registry(), self.layout.jobs()]
            .iter()
            .map(|path| size_with_log(path))
            .sum()
    }

    /// A private folder for temporary files of queries; may be on read-only media.
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.layout.temporary()
    }
}

/// Every shard, ascending, if none is about to be replaced by its halves.
pub(crate) fn readable_shards(layout: &Layout) -> Result<Vec<ShardId>, StoreError> {
    // Before the list: what is split after it has not changed the list.
    if split::has_unplaced(layout)? {
        return Err(StoreError::Query(
            "a shard is being split: ask again in a moment; if this stays, the split was interrupted, and any command \
             that writes to the archive ends it, as `shardex recover`"
                .into(),
        ));
    }
    layout.list_shards().map_err(|error| io_error(&layout.shards(), &error))
}

pub(crate) fn size_with_log(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    size(path) + size(Path::new(&log))
}

/// The placement of a new archive.
fn new_placement(settings: &ArchiveSettings) -> Result<Placement, ArchiveError> {
    let scheme = settings.partition.unwrap_or_default();
    refuse_unused(scheme, settings)?;
    let rules = settings.institutions.clone().unwrap_or_default();
    let institutions = Institutions::new(rules, settings.institutions_max.unwrap_or(SITES_MAX_DEFAULT))?;
    Ok(Placement { scheme, institutions })
}

/// The placement of an archive, if what is asked for is the same.
fn agreed(placement: Placement, settings: &ArchiveSettings) -> Result<Placement, ArchiveError> {
    let archive = placement.scheme;
    if let Some(wanted) = settings.partition.filter(|wanted| *wanted != archive) {
        return Err(ArchiveError::OtherScheme { archive, wanted });
    }
    refuse_unused(archive, settings)?;
    let institutions = &placement.institutions;
    if settings.institutions.as_ref().is_some_and(|rules| rules != institutions.rules()) {
        return Err(ArchiveError::OtherInstitutions { what: "mapping of institutions" });
    }
    if settings.institutions_max.is_some_and(|wanted| wanted != institutions.sites_max()) {
        return Err(ArchiveError::OtherInstitutions { what: "number of institutions" });
    }
    Ok(placement)
}

fn refuse_unused(scheme: PartitionScheme, settings: &ArchiveSettings) -> Result<(), ArchiveError> {
    let is_asked = settings.institutions.is_some() || settings.institutions_max.is_some();
    if is_asked && !scheme.institution {
        return Err(ArchiveError::UnusedMapping(scheme));
    }
    Ok(())
}

pub(crate) fn prepare_folder(path: &Path) -> Result<(), ArchiveError> {
    let failed = |source| not_writable(path, source);
    private::create_folder(path).map_err(failed)?;
    // What an interrupted creation leaves behind is not in the way.
    let known = ["lock", "shards", "ledger", "registry", "tmp", "jobs.sqlite", "archive.toml.new"];
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if !known.iter().any(|known| name.starts_with(known)) {
            return Err(ArchiveError::NotEmpty { path: path.to_owned() });
        }
    }
    Ok(())
}

pub(crate) fn lock(layout: &Layout) -> Result<File, ArchiveError> {
    lock_folder(layout.root(), &layout.lock())
}

/// Takes the lock of a folder; it ends with the file.
pub(crate) fn lock_folder(folder: &Path, path: &Path) -> Result<File, ArchiveError> {
    let failed = |source| not_writable(path, source);
    private::create_file(path).map_err(failed)?;
    let file = OpenOptions::new().write(true).mode(0o600).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ArchiveError::Locked { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn not_writable(path: &Path, source: std::io::Error) -> ArchiveError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            ArchiveError::NotWritable { path, source }
        }
        _ => ArchiveError::Io { path, source },
    }
}

/// The state of a coordinator that has a folder of its own.
pub struct StateFolder {
    state: Arc<StateFile>,
    /// Held, not read: the lock ends with it.
    _lock: File,
}

impl StateFolder {
    /// Opens the folder, or makes it. One process at a time.
    ///
    /// # Errors
    /// [`ArchiveError`] if it cannot be used.
    pub fn create_or_open(path: &Path) -> Result<Self, ArchiveError> {
        private::create_folder(path).map_err(|source| ArchiveError::Io { path: path.to_owned(), source })?;
        let lock = lock_folder(path, &path.join("lock"))?;
        let state = Arc::new(StateFile::open(&path.join("state.sqlite"))?);
        Ok(Self { state, _lock: lock })
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> Arc<dyn StateStore> {
        Arc::clone(&self.state) as Arc<dyn StateStore>
    }
}

fn refuse_network(path: &Path, settings: &SqliteSettings) -> Result<(), ArchiveError> {
    if settings.exclusive {
        return Ok(());
    }
    let statistics = rustix::fs::statfs(path)
        .map_err(|error| ArchiveError::Io { path: path.to_owned(), source: error.into() })?;
    match network_file_system(statistics.f_type) {
        Some(file_system) => Err(ArchiveError::NetworkFileSystem { path: path.to_owned(), file_system }),
        None => Ok(()),
    }
}

/// Name of the file system with this magic number (statfs(2)), if other machines can write to it.
fn network_file_system(magic: i64) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS"),
        0x517B => Some("SMB"),
        0xFF53_4D42 | 0xFE53_4D42 => Some("CIFS"),
        0x0BD0_0BD0 => Some("Lustre"),
        0x00C3_6400 => Some("Ceph"),
        0x4750_4653 => Some("GPFS"),
        0x5346_414F => Some("AFS"),
        0x1983_0326 => Some("BeeGFS"),
        0x7461_636F => Some("OCFS2"),
        0x0116_1970 => Some("GFS2"),
        0x0102_1997 => Some("9p"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_magic() {
        assert_eq!(network_file_system(0x6969), Some("NFS"));
        assert_eq!(network_file_system(0xEF53), None, "ext4");
        assert_eq!(network_file_system(0x0102_1994), None, "tmpfs");
    }

    #[test]
    fn a_folder_with_other_things_is_not_touched() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("thesis.txt"), "x").expect("written");
        let opened = Archive::create_or_open(folder.path(), &ArchiveSettings::default());
        assert!(matches!(opened, Err(ArchiveError::NotEmpty { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn one_writer_at_a_time_and_a_fixed_scheme() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("archive");
        let first = Archive::create_or_open(&path, &ArchiveSettings::default()).expect("made");
        let second = Archive::create_or_open(&path, &ArchiveSettings::default());
        assert!(matches!(second, Err(ArchiveError::Locked { .. })));
        drop(first);
        let other =
            ArchiveSettings { partition: Some("none".parse().expect("a scheme")), ..Default::default() };
        assert!(matches!(Archive::create_or_open(&path, &other), Err(ArchiveError::OtherScheme { .. })));
        assert!(ReadArchive::open(&path).is_ok());
    }
}
