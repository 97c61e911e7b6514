//! The sources as this machine has them.

use std::io::Read;
use std::path::PathBuf;

use shardex_catalog::SourceName;
use shardex_proto::v1::SourceMount;

/// A file in a root that names it, whatever it is mounted from.
const MARKER: &str = ".shardex-source";
const MARKER_BYTES_MAX: u64 = 256;
const ENTRIES_MAX: usize = 1000;

/// A source and where it is mounted here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The source's name.
    pub name: SourceName,
    /// Its root on this machine.
    pub root: PathBuf,
}

impl Mount {
    /// What a coordinator must know to tell whether this is the source. A root that cannot be listed
    /// looks empty.
    pub(super) fn look(&self) -> SourceMount {
        let entries = std::fs::read_dir(&self.root);
        let root_entries = entries.map_or(0, |entries| entries.flatten().take(ENTRIES_MAX).count());
        let marker = std::fs::File::open(self.root.join(MARKER)).ok().and_then(|file| {
            let mut bytes = Vec::new();
            file.take(MARKER_BYTES_MAX).read_to_end(&mut bytes).ok()?;
            Some(String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned())
        });
        let root_entries = u32::try_from(root_entries).unwrap_or(u32::MAX);
        SourceMount { name: self.name.to_string(), marker, root_entries, refused: String::new() }
    }
}
