//! What makes a root the same root as last time.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// A file in a root that names it, whatever it is mounted from: its first line counts.
const MARKER: &str = ".shardex-source";
const MARKER_BYTES_MAX: usize = 256;

/// Identity of a root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Id of the file system (statvfs(3)).
    file_system: u64,
    /// First line of the marker file, where there is one.
    marker: Option<String>,
}

impl Identity {
    /// Looks at a root.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn of(root: &Path) -> std::io::Result<Self> {
        let file_system = rustix::fs::statvfs(root)?.f_fsid;
        let marker = std::fs::read(root.join(MARKER)).ok().map(|mut bytes| {
            bytes.truncate(MARKER_BYTES_MAX);
            String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned()
        });
        Ok(Self { file_system, marker })
    }

    /// Whether a root with identity `now` may be the one that had `self`. A marker says more than a
    /// file system's number, which some systems draw anew at every mount.
    #[must_use]
    pub fn is_still(&self, now: &Self) -> bool {
        match (&self.marker, &now.marker) {
            (Some(before), now) => now.as_ref() == Some(before),
            (None, _) => self.file_system == now.file_system,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_say_more_than_file_systems() {
        let identity =
            |file_system, marker: Option<&str>| Identity { file_system, marker: marker.map(str::to_owned) };
        assert!(identity(1, None).is_still(&identity(1, None)));
        assert!(!identity(1, None).is_still(&identity(2, None)));
        assert!(identity(1, Some("a")).is_still(&identity(2, Some("a"))));
        assert!(!identity(1, Some("a")).is_still(&identity(1, None)), "an unmounted root has no marker");
    }
}
