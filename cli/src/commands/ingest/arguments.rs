//! Arguments of `shardex ingest`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use shardex_catalog::DigestMode;

use crate::args::ArchiveArgument;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Digest {
    /// Of the size and the first 8 KiB.
    Header,
    /// Of all bytes: reads whole files.
    Full,
    /// None.
    None,
}

impl Digest {
    /// As extraction takes it.
    pub(crate) fn mode(self) -> DigestMode {
        match self {
            Self::Header => DigestMode::Header,
            Self::Full => DigestMode::Full,
            Self::None => DigestMode::None,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex ingest /data/dicom --archive /var/lib/shardex
  shardex ingest pacs=/mnt/pacs research@deid=/mnt/research --archive ./archive
  find /data -newer stamp -name '*.dcm' | shardex ingest /data --files-from - --archive ./archive

Run it again to pick up changes: unchanged files are not opened. After Ctrl-C or a crash the same command goes on.")]
pub(crate) struct Ingest {
    /// Sources: PATH, NAME=PATH or NAME@DOMAIN=PATH.
    #[arg(required = true, value_name = "SRC")]
    pub(crate) sources: Vec<OsString>,
    #[command(flatten)]
    pub(crate) archive: ArchiveArgument,
    /// What studies are partitioned by: domain, institution, date:year, date:quarter or date:month,
    /// joined by commas, or none. Fixed when the archive is made [default: date:year].
    #[arg(long, value_name = "SCHEME")]
    pub(crate) partition: Option<String>,
    /// Mapping of institutions to sites, for partitions by institution: TOML with [[institution]]
    /// pattern and site, or CSV with these two columns. Fixed when the archive is made.
    #[arg(long, value_name = "FILE")]
    pub(crate) institution_map: Option<PathBuf>,
    /// Institutions without a site in the mapping that get partitions of their own; later ones share
    /// 16. Fixed when the archive is made [default: 200].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) institutions_max: Option<u32>,
    /// Domain of sources that name none: the space in which UIDs and patient ids mean one thing.
    #[arg(long, value_name = "NAME")]
    pub(crate) domain: Option<String>,
    /// Let a known source name move to another root: the same files, mounted elsewhere.
    #[arg(long)]
    pub(crate) rebind: bool,
    /// Digest taken of each file.
    #[arg(long, value_enum, default_value = "header")]
    pub(crate) digest: Digest,
    /// Character set of text that declares none, as `ISO_IR 100` or `euc-kr`.
    #[arg(long, value_name = "TERM")]
    pub(crate) charset: Option<String>,
    /// These sources lie on a hierarchical storage manager: files that have a size but no block on
    /// disk are not opened, and end in state offline. Kept for later runs; =false ends it.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) offline_stubs: Option<bool>,
    /// Read files that are offline all the same, which brings them back to disk.
    #[arg(long)]
    pub(crate) recall: bool,
    /// Take only files whose name or path matches. May be repeated.
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Leave out files and directories whose name or path matches. May be repeated.
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Do not enter other file systems.
    #[arg(long)]
    pub(crate) one_file_system: bool,
    /// Look only at the files that this list names, one a line; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "sample")]
    pub(crate) files_from: Option<PathBuf>,
    /// Paths of --files-from are ended by NUL.
    #[arg(long, requires = "files_from")]
    pub(crate) from0: bool,
    /// Look only at the first file of each directory.
    #[arg(long)]
    pub(crate) sample: bool,
    /// Read and count, but write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Remove files that are gone from the index even where this would be held.
    #[arg(long)]
    pub(crate) accept_deletions: bool,
    /// Read quarantined files again although they have not changed.
    #[arg(long)]
    pub(crate) retry_quarantined: bool,
    #[command(flatten)]
    pub(crate) tuning: Tuning,
    /// Progress as JSON on standard error, the summary as JSON on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Tuning")]
pub(crate) struct Tuning {
    /// Files read at once [default: adapts to the storage, at most 64].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) readers: Option<u16>,
    /// Files opened a second at most, to spare a storage that others work with [default: no limit].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..))]
    pub(crate) files_per_second: Option<u32>,
    /// Threads that write shards [default: one a core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) writers: Option<u16>,
    /// Memory for rows that wait for their shards, MiB.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(crate) row_budget_mib: u32,
    /// Rows of a transaction.
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) batch_rows: u32,
    /// Seconds between points to which a crash can set back.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) barrier_seconds: u32,
    /// Seconds that a file may keep its reader before it is read in a process of its own, and set aside
    /// if it hangs or crashes that.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) patience_seconds: u32,
    /// Shards open for writing at once.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) open_shards: u16,
    /// Page cache of all open shards together, MiB.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(crate) cache_mib: u32,
    /// A SQLite pragma for files that are written, as `synchronous=FULL`; `page_size` for new files.
    /// May be repeated; docs/formats.md lists those that can be set.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) sqlite: Vec<String>,
    /// The archive is used by this process only: allows network file systems.
    #[arg(long)]
    pub(crate) single_process: bool,
}
