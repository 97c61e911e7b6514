//! Where the sources lie, and which of them are not there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use shardex_shard_store::ReadArchive;
use shardex_shard_store::check::{Finding, Kind, Watch};

use crate::commands::reading;

/// Roots by name of the source; `None` for one that is not there: its files are not looked for.
pub(super) type Roots = HashMap<String, Option<PathBuf>>;

pub(super) fn of(archive: &ReadArchive, only: Option<&str>, watch: &mut dyn Watch) -> anyhow::Result<Roots> {
    let sources = reading::sources(archive)?;
    if let Some(only) = only.filter(|only| !sources.iter().any(|source| source.name.as_str() == *only)) {
        let known: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
        anyhow::bail!("the archive has no source `{only}`; it has {}", known.join(", "));
    }
    let mut roots = Roots::new();
    for source in sources {
        let name = source.name.to_string();
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let why = absence(&source.root);
        if let Some(why) = &why {
            watch.found(Finding {
                kind: Kind::SourceMissing,
                place: name.clone(),
                path: None,
                detail: format!("its root {} {why}; its files were not looked for", source.root.display()),
            });
        }
        roots.insert(name, why.is_none().then_some(source.root));
    }
    Ok(roots)
}

/// Why the root of a source cannot be what was indexed.
fn absence(root: &Path) -> Option<String> {
    match std::fs::read_dir(root) {
        // An empty folder is what a mount point looks like without its mount.
        Ok(mut entries) => entries.next().is_none().then(|| "is empty".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some("is not there".to_owned()),
        Err(error) => Some(format!("cannot be listed: {error}")),
    }
}
