//! The command line: the list of commands, and the arguments that several of them share. What one command
//! takes stands in its own module.

mod network;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{
    dump, files, ingest, institutions, maintain, overview, probe, recover, report, schema, search, show, sql,
    status, tree, verify,
};

pub(crate) use network::{Asked, Place, Serve};

/// Index DICOM files where they lie, and query the index.
#[derive(Debug, Parser)]
#[command(name = "shardex", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Least severe log messages that are shown: error, warn, info, debug or trace.
    #[arg(long, global = true, default_value = "warn", value_name = "LEVEL", env = "SHARDEX_LOG")]
    pub(crate) log: String,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 incomplete (unreadable directories, failed \
shards; `verify` found something), 4 deletions held, 5 partial answer, 130 interrupted (the same command goes on).";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Walk directories, read headers, and write or update an archive.
    Ingest(Box<ingest::Ingest>),
    /// Find patients, studies, series or instances by keys.
    Search(search::Search),
    /// Run a read-only SELECT over the views of all shards.
    Sql(sql::Sql),
    /// List files with what became of them.
    Files(files::Files),
    /// Show what an archive holds and whether anything needs a look.
    Status(status::Status),
    /// Summarise what an archive holds: counts, what is filled, what deserves a look.
    Summary(overview::Summary),
    /// Show a study, or all studies of a patient, with their series and counts.
    Tree(tree::Tree),
    /// List what a data manager can act on: conflicts, duplicates, moves, deletions, dates, split studies.
    Report(report::Report),
    /// Show all that is known of a file, or of a study, series or instance UID.
    Show(show::Show),
    /// List the indexed attributes.
    Schema(schema::Schema),
    /// Write the logical content as JSON Lines, sorted, to compare two archives.
    Dump(dump::Dump),
    /// Keep the files of an archive in good order, and see what takes their room.
    #[command(subcommand)]
    Maintain(maintain::Maintain),
    /// List the institutions of an archive, or try a mapping on them.
    #[command(subcommand)]
    Institutions(institutions::Institutions),
    /// Check an archive against itself and against the files that it indexes; changes nothing.
    Verify(verify::Verify),
    /// Check an archive against itself and rebuild what is lost or stale.
    Recover(recover::Recover),
    /// Answer for an archive over the network (gRPC), read-only.
    Serve(Serve),
    /// Read one file and end: what an ingest tries a file with that crashes or hangs it.
    #[command(hide = true)]
    ProbeFile(probe::ProbeFile),
}

/// The archive of a command.
#[derive(Debug, Args)]
pub(crate) struct ArchiveArgument {
    /// Folder of the archive.
    #[arg(long, short, value_name = "DIR", env = "SHARDEX_ARCHIVE")]
    pub(crate) archive: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns.
    Table,
    /// One JSON array.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// CSV with a header line.
    Csv,
    /// File paths, one a line.
    Paths,
    /// File paths, each ended by NUL.
    Paths0,
}
