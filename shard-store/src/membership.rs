//! What the folder of a worker is, and what it remembers of its cluster. Beside the shards that come and go.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shardex_seams::StoreError;

use crate::error::io_error;
use crate::layout::Layout;
use crate::moving::{Moving, write_whole};

/// What a folder remembers of its cluster: a state of the coordinators that knows less was lost, or put back from a
/// backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The cluster's name; empty while the folder belongs to none.
    pub cluster: String,
    /// Version of the newest map that was taken.
    pub map_version: u64,
    /// The domain of each source.
    pub domains: BTreeMap<String, String>,
}

impl Moving {
    /// A name of the folder by chance, made with it: another folder in its place is noticed.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read or made.
    pub fn folder_id(&self) -> Result<String, StoreError> {
        let path = self.id_path();
        let failed = |error: io::Error| io_error(&path, &error);
        match fs::read_to_string(&path) {
            Ok(id) if !id.is_empty() => Ok(id),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => {
                let id = format!("{:016x}", crate::pool::random_u64());
                write_whole(&path, &id).map_err(failed)?;
                Ok(id)
            }
        }
    }

    /// Looks whether the folder is still the one of this name: what was emptied under a process that has files of it
    /// open must not answer as if it had never held anything.
    ///
    /// # Errors
    /// [`StoreError`] if it is not.
    pub fn is_in_place(&self, folder_id: &str) -> Result<(), StoreError> {
        let path = self.id_path();
        let detail = match fs::read_to_string(&path) {
            Ok(id) if id == folder_id => return Ok(()),
            Ok(_) => "it is another folder than when this process began".to_owned(),
            Err(error) => format!("{error}: was the folder emptied, or its disk lost?"),
        };
        Err(StoreError::Unusable { file: path.display().to_string(), detail })
    }

    /// What is remembered; nothing in a new folder.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn membership(&self) -> Result<Membership, StoreError> {
        let path = self.membership_path();
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| StoreError::Unusable {
                file: path.display().to_string(),
                detail: error.to_string(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Membership::default()),
            Err(error) => Err(io_error(&path, &error)),
        }
    }

    /// Remembers, durably.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn remember(&self, membership: &Membership) -> Result<(), StoreError> {
        let path = self.membership_path();
        let text = serde_json::to_string(membership).map_err(|error| StoreError::Unusable {
            file: path.display().to_string(),
            detail: error.to_string(),
        })?;
        write_whole(&path, &text).map_err(|error| io_error(&path, &error))
    }

    fn id_path(&self) -> PathBuf {
        self.layout().moving().join("folder-id")
    }

    fn membership_path(&self) -> PathBuf {
        membership_path(self.layout())
    }
}

fn membership_path(layout: &Layout) -> PathBuf {
    layout.moving().join("cluster.json")
}

/// Whether an archive's folder is the store of a worker of a cluster.
#[must_use]
pub fn is_workers(archive: &Path) -> bool {
    membership_path(&Layout::new(archive)).exists()
}
