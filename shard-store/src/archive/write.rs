//! An archive that this process writes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shardex_catalog::{Fence, InstitutionRule, Institutions, PartitionScheme, Placement, SITES_MAX_DEFAULT};
use shardex_seams::{StateStore, StoreError};

use super::folder::{lock, prepare_folder, refuse_network};
use super::{ArchiveError, SourceRoots};
use crate::error::io_error;
use crate::layout::Layout;
use crate::ledger::LedgerFile;
use crate::manifest::Manifest;
use crate::pool::ShardPool;
use crate::registry::RegistryFile;
use crate::sqlite::SqliteSettings;
use crate::state::StateFile;
use crate::{account, moving, private, rebuild, split};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::ReadArchive;

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
