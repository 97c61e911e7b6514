//! Ledger and registry, which move as one: how both are exchanged under a process that has them open, and what an
//! opening completes.
//!
//! Whoever opens an archive rebuilds a ledger or a registry whose token nobody confirms from the shards of its own
//! folder, which in a cluster are only some. So they are never seen half exchanged: `home.decided` says that both that
//! have come *will be* in their places, `home.left` that both that are there have gone to another worker. An opening
//! completes either before it looks at tokens.

use std::sync::Arc;

use shardex_catalog::{StoreFile, StoreId};
use shardex_seams::StoreError;

use super::place::{place_file, remove, remove_database, rename_mark};
use super::{ARRIVED, LEAVING};
use crate::archive::Archive;
use crate::error::{io_error, label, store_error};
use crate::layout::Layout;
use crate::ledger::{LEDGER, LedgerFile};
use crate::registry::{REGISTRY, RegistryFile};
use crate::sqlite::{self, SqliteSettings};
use crate::{private, rebuild};

/// What has come will be in its place, whatever comes.
pub(super) const DECIDED: &str = "decided";
/// What is there is another worker's by now.
pub(super) const LEFT: &str = "left";

const CACHE_BYTES: u64 = 1 << 20;

/// Ledger and registry of a process that has them open.
pub(super) struct HomeFiles {
    settings: SqliteSettings,
    ledger: Arc<LedgerFile>,
    registry: Arc<RegistryFile>,
}

impl HomeFiles {
    pub(super) fn new(archive: &Archive) -> Self {
        let (ledger, registry) = (archive.ledger(), archive.registry());
        Self { settings: archive.sqlite_settings().clone(), ledger, registry }
    }

    /// Waits for what was sent to their threads.
    pub(super) async fn rest(&self) -> Result<(), StoreError> {
        self.ledger.rest().await?;
        self.registry.rest().await
    }

    /// Puts both that have arrived in the places of those that are there. `forget` is called while both are closed.
    pub(super) async fn install(&self, layout: &Layout, forget: impl FnOnce()) -> Result<(), StoreError> {
        let place = || {
            rename_mark(layout, &StoreId::Home, ARRIVED, DECIDED)?;
            place_both(layout)
        };
        self.exchange(forget, place).await?;
        end_placing(layout)
    }

    /// Begins both anew, if those that are there have left.
    pub(super) async fn begin_anew(&self, layout: &Layout, forget: impl FnOnce()) -> Result<(), StoreError> {
        let begin = || {
            rename_mark(layout, &StoreId::Home, LEAVING, LEFT)?;
            begin_both_anew(layout, &self.settings)
        };
        self.exchange(forget, begin).await?;
        end_leaving(layout)
    }

    /// What fails leaves both closed and the mark in its place, so that it is tried again.
    async fn exchange(
        &self,
        forget: impl FnOnce(),
        act: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.ledger.close().await?;
        self.registry.close().await?;
        forget();
        act()?;
        self.ledger.reopen().await?;
        self.registry.reopen().await
    }
}

/// Whether the last pass over ledger and registry has begun, and nobody may change a byte of them.
pub(crate) fn home_is_leaving(layout: &Layout) -> bool {
    layout.moving_mark(&StoreId::Home, LEAVING).exists()
}

/// Completes what a process had decided, before anything is read.
pub(crate) fn complete_home(layout: &Layout, settings: &SqliteSettings) -> Result<(), StoreError> {
    place_both(layout)?;
    end_placing(layout)?;
    begin_both_anew(layout, settings)?;
    end_leaving(layout)
}

pub(super) fn is_decided(layout: &Layout) -> bool {
    layout.moving_mark(&StoreId::Home, DECIDED).exists()
}

fn place_both(layout: &Layout) -> Result<(), StoreError> {
    if !is_decided(layout) {
        return Ok(());
    }
    let place =
        |file: &StoreFile| place_file(layout, file).map_err(|error| io_error(&layout.file(file), &error));
    StoreId::Home.files().iter().try_for_each(place)
}

fn end_placing(layout: &Layout) -> Result<(), StoreError> {
    if !is_decided(layout) {
        return Ok(());
    }
    // What was to leave before is gone, and has come back.
    remove_mark(layout, LEAVING)?;
    remove_mark(layout, LEFT)?;
    remove_mark(layout, DECIDED)
}

fn end_leaving(layout: &Layout) -> Result<(), StoreError> {
    remove_mark(layout, LEFT)
}

fn remove_mark(layout: &Layout, kind: &str) -> Result<(), StoreError> {
    let mark = layout.moving_mark(&StoreId::Home, kind);
    if !mark.exists() {
        return Ok(());
    }
    remove(&mark).and_then(|()| private::sync_parent(&mark)).map_err(|error| io_error(&mark, &error))
}

/// Both are empty afterwards, and of one mind with the state of jobs, so that no opening rebuilds them.
fn begin_both_anew(layout: &Layout, settings: &SqliteSettings) -> Result<(), StoreError> {
    if !layout.moving_mark(&StoreId::Home, LEFT).exists() {
        return Ok(());
    }
    let token = rebuild::last_token(&layout.jobs())?;
    for (file, format) in [(StoreFile::Ledger, &LEDGER), (StoreFile::Registry, &REGISTRY)] {
        let path = layout.file(&file);
        remove_database(&path).map_err(|error| io_error(&path, &error))?;
        match token {
            Some(token) => rebuild::add_token(&path, format, settings, token)?,
            None => drop(sqlite::open_writer(&path, format, settings, CACHE_BYTES)?),
        }
    }
    Ok(())
}

/// What has come is a ledger and a registry of one moment.
pub(super) fn check(layout: &Layout) -> Result<(), StoreError> {
    let mut tokens = Vec::new();
    for (file, format) in [(StoreFile::Ledger, &LEDGER), (StoreFile::Registry, &REGISTRY)] {
        let path = layout.moving_file(&file, "sqlite");
        let Some(connection) = sqlite::open_reader(&path, format, CACHE_BYTES)? else {
            return Err(no_pair(&path, "it is empty"));
        };
        tokens.push(rebuild::tokens_of(&connection).map_err(|error| store_error(&path, error))?);
    }
    let agree = tokens.first().is_some_and(|ledger| {
        tokens.iter().skip(1).all(|registry| registry.iter().any(|token| ledger.contains(token)))
    });
    if agree { Ok(()) } else { Err(no_pair(&layout.moving(), "ledger and registry are not of one opening")) }
}

fn no_pair(path: &std::path::Path, detail: &str) -> StoreError {
    StoreError::Unusable { file: label(path), detail: detail.to_owned() }
}
