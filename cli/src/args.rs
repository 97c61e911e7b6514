//! The command line: the list of commands, and the arguments that several of them share. What one command
//! takes stands in its own module.

mod network;
mod roles;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{
    cluster, completions, dump, files, health, ingest, institutions, maintain, man, overview, probe, recover,
    report, schema, search, show, snapshot, sql, status, tree, verify,
};
use crate::output::Color;

pub(crate) use network::{Asked, Place, Serve};
pub(crate) use roles::{Coordinators, Credentials, Network};

/// Index DICOM files where they lie, and query the index.
#[derive(Debug, Parser)]
#[command(name = "shardex", version, after_help = FIRST_STEPS, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Least severe log messages that are shown: error, warn, info, debug or trace.
    #[arg(long, global = true, default_value = "warn", value_name = "LEVEL", env = "SHARDEX_LOG")]
    pub(crate) log: String,
    /// Colours: on a terminal, always, or never. NO_COLOR in the environment means never, unless this is `always`.
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub(crate) color: Color,
}

const FIRST_STEPS: &str = "Examples:
  shardex ingest /data/dicom --archive ./archive
  shardex summary --archive ./archive
  shardex sql \"SELECT Modality, count(*) FROM instances GROUP BY Modality\" --archive ./archive
  shardex help report

SHARDEX_ARCHIVE stands for --archive. Answers go to standard output, everything else to standard error.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 incomplete (unreadable directories, failed \
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
    #[command(subcommand, after_help = maintain::MAINTAIN_EXAMPLES)]
    Maintain(maintain::Maintain),
    /// List the institutions of an archive, or try a mapping on them.
    #[command(subcommand, after_help = institutions::INSTITUTION_EXAMPLES)]
    Institutions(institutions::Institutions),
    /// Check an archive against itself and against the files that it indexes; changes nothing.
    Verify(verify::Verify),
    /// Check an archive against itself and rebuild what is lost or stale; or the state of a cluster from its workers.
    Recover(recover::Recover),
    /// Copy the shards of an archive that have changed to another folder, while it is written and queried.
    Snapshot(snapshot::Snapshot),
    /// Put shards that are lost or damaged back from snapshots, or a whole archive.
    Restore(snapshot::Restore),
    /// Answer for an archive over the network (gRPC), read-only.
    Serve(Serve),
    /// Lead a cluster, or stand by.
    Coordinator(cluster::Coordinator),
    /// Read sources and own shards for a cluster.
    Worker(cluster::Worker),
    /// Answer for a cluster over the network (gRPC), read-only.
    Router(cluster::Router),
    /// Order ingests from a cluster, and watch them.
    #[command(subcommand, after_help = cluster::JOB_EXAMPLES)]
    Job(cluster::Job),
    /// The workers of a cluster.
    #[command(subcommand, after_help = cluster::WORKER_EXAMPLES)]
    Workers(cluster::Workers),
    /// The shards of a cluster.
    #[command(subcommand, after_help = cluster::SHARD_EXAMPLES)]
    Shards(cluster::Shards),
    /// Ask a server, or a process of a cluster, whether it works.
    Health(health::Health),
    /// Write what a shell needs to complete commands and options.
    Completions(completions::Completions),
    /// Write manual pages.
    Man(man::Man),
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

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    fn check(command: &Command) {
        command.clone().debug_assert();
        let name = command.get_name();
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Examples:\n  "), "{name} has no examples");
        let examples = help.lines().filter(|line| line.starts_with("  ")).map(|line| line.chars().count());
        assert!(examples.max() <= Some(100), "{name}: an example is wrapped");
        assert!(command.get_about().is_some(), "{name} does not say what it does");
        let shown = |argument: &&clap::Arg| !argument.is_hide_set() && argument.get_help().is_none();
        assert_eq!(command.get_arguments().filter(shown).count(), 0, "{name}: an argument is not explained");
        command.get_subcommands().filter(|command| !command.is_hide_set()).for_each(check);
    }

    #[test]
    fn every_command_explains_itself() {
        check(&Arguments::command());
    }

    #[test]
    fn every_exit_code_is_documented() {
        let readme = include_str!("../../README.md");
        for code in [
            "0 done",
            "1 failed",
            "2 wrong usage",
            "3 incomplete",
            "4 deletions held",
            "5 partial",
            "130 interrupted",
        ] {
            assert!(FIRST_STEPS.contains(code), "{code} is not in --help");
            assert!(readme.contains(code), "{code} is not in README.md");
        }
    }
}
