//! A walk that only counts, ahead of the readers, for an estimate of what is left.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::list;
use crate::part::SourceContext;
use crate::reader::Shared;
use crate::tree;

/// Names that are kept of one directory; the rest of a larger one is only counted.
const NAMES_MAX: usize = 100_000;
/// A run that is over by then needs no estimate, and to list its directories twice would be much of its work.
const BEGINS_AFTER: Duration = Duration::from_secs(1);

/// Counts the files of sources until the end, or until the run is over. Errors are the readers'
/// business: what cannot be listed is not counted.
pub(crate) fn run(shared: &Shared, sources: &[Arc<SourceContext>]) {
    if shared.frontier.wait_for_stop(BEGINS_AFTER) {
        return;
    }
    let mut counted: u64 = 0;
    for source in sources {
        let mut pending = vec![shardex_catalog::RelativePath::default()];
        while let Some(path) = pending.pop() {
            if shared.frontier.is_stopped() {
                return;
            }
            let opened = tree::open_directory(source.root.as_fd(), path.as_bytes());
            let listed = opened.and_then(|directory| list::list_pass(directory.as_fd(), 0, 0, NAMES_MAX));
            let Ok(listing) = listed else { continue };
            counted += (listing.total - listing.directories.len()) as u64;
            shared.progress.counted.fetch_max(counted + 1, Ordering::Relaxed);
            if pending.len() < NAMES_MAX {
                let filters = &shared.settings.filters;
                let children = listing.directories.iter().map(|name| (path.join(name.as_bytes()), name));
                let entered = children
                    .filter(|(path, name)| !filters.excludes_directory(path.as_bytes(), name.as_bytes()));
                pending.extend(entered.map(|(path, _)| path));
            }
        }
    }
    shared.progress.counted.store(counted + 1, Ordering::Relaxed);
}
