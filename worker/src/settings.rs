//! How to ingest.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use shardex_catalog::{FileName, Placement, Span};

use crate::filters::Filters;
use crate::suspects::{Probe, Suspect};

/// Called with the name of a file before it is read: how tests make a file crash or hang its reader.
pub type BeforeRead = Arc<dyn Fn(&FileName) + Send + Sync>;

/// How many files are read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// As many as keep the cores busy: few where files come from memory, up to `max` where storage
    /// makes every open wait.
    Adaptive {
        /// Upper bound.
        max: usize,
    },
    /// Always this many.
    Fixed(usize),
}

/// Which files of a source are looked at.
pub enum Coverage {
    /// All. Only then can what is gone be told.
    Full,
    /// A part of the only source: what is gone of it can be told, and is left to whoever finishes the
    /// job.
    Part {
        /// The part.
        span: Span,
        /// What others walk of it.
        excluded: Vec<Span>,
    },
    /// The first file of each directory, by name.
    Sample,
    /// The files that this list names, one a line (or ended by NUL): absolute paths below a source's
    /// root, or paths relative to the only source.
    FilesFrom {
        /// The list.
        list: Box<dyn BufRead + Send + Sync>,
        /// Ends a path: a newline or NUL.
        delimiter: u8,
    },
}

/// Settings of an ingest.
pub struct Settings {
    /// How files are read.
    pub extract: shardex_extract::Settings,
    /// How many at once.
    pub readers: Readers,
    /// Files opened a second, by all readers together. `None`: as many as can be.
    pub files_per_second: Option<u32>,
    /// Bytes of rows that may wait for their shards, all shards together.
    pub row_budget_bytes: usize,
    /// Rows of a shard after which they are sent.
    pub batch_rows: usize,
    /// Time between barriers.
    pub barrier_interval: Duration,
    /// Ledger entries that may wait for a barrier.
    pub pending_entries_max: usize,
    /// What is left out.
    pub filters: Filters,
    /// Do not enter directories on other file systems than their source's root.
    pub one_file_system: bool,
    /// Read quarantined files again although they have not changed.
    pub retry_quarantined: bool,
    /// Carry out deletions that would be held.
    pub accept_deletions: bool,
    /// Which files are looked at.
    pub coverage: Coverage,
    /// Read, but write nothing.
    pub dry_run: bool,
    /// What studies are partitioned by.
    pub placement: Placement,
    /// Device and inode of a directory that is not entered: the archive's own.
    pub avoid: Option<(u64, u64)>,
    /// Count files ahead, for an estimate of the total.
    pub count_ahead: bool,
    /// How long a reader may be at one file or one listing before it is tried in a child process.
    pub patience: Duration,
    /// Reads a file in a child process; without one, whatever hangs is given up.
    pub probe: Option<Arc<dyn Probe>>,
    /// Folder for the breadcrumbs of readers; `None` leaves none.
    pub breadcrumbs: Option<PathBuf>,
    /// The run before died: leave breadcrumbs.
    pub after_a_death: bool,
    /// Files that may kill their reader, besides those that `breadcrumbs` names.
    pub suspects: Vec<Suspect>,
    /// Called before a file is read.
    pub before_read: Option<BeforeRead>,
    /// Names of one directory that are held in memory at once; a larger one is read in passes.
    pub names_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            extract: shardex_extract::Settings::default(),
            // Each takes up to 1.3 MiB, where a file has a folder: more would exceed 200 MB.
            readers: Readers::Adaptive { max: 48 },
            files_per_second: None,
            row_budget_bytes: 24 << 20,
            batch_rows: 5000,
            barrier_interval: Duration::from_secs(5),
            pending_entries_max: 100_000,
            filters: Filters::default(),
            one_file_system: false,
            retry_quarantined: false,
            accept_deletions: false,
            coverage: Coverage::Full,
            dry_run: false,
            placement: Placement::default(),
            avoid: None,
            count_ahead: false,
            patience: Duration::from_secs(60),
            probe: None,
            breadcrumbs: None,
            after_a_death: false,
            suspects: Vec::new(),
            before_read: None,
            names_max: 100_000,
        }
    }
}
