//! `shardex maintain`: upkeep of an archive's files, and what takes their room.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use serde_json::json;
use shardex_catalog::{ShardId, ShardSplit};
use shardex_shard_store::maintain::{FileSize, Maintained, Work};
use shardex_shard_store::{Archive, ArchiveSettings, Built, ReadArchive};

use super::meter::{Meter, Unit};
use crate::args::ArchiveArgument;
use crate::exit::ExitCode;
use crate::output::{self, Table, byte_size, grouped};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Maintain {
    /// Gather statistics for the query planner.
    #[command(after_help = MAINTAIN_EXAMPLES)]
    Analyze(MaintainWork),
    /// Do what SQLite holds to be worth while; quick, good after every large ingest.
    #[command(after_help = MAINTAIN_EXAMPLES)]
    Optimize(MaintainWork),
    /// Make indexes anew from their tables.
    #[command(after_help = MAINTAIN_EXAMPLES)]
    Reindex(MaintainWork),
    /// Write files anew without free pages; needs twice a file's size free on its disk.
    #[command(after_help = MAINTAIN_EXAMPLES)]
    Vacuum(MaintainWork),
    /// Split a shard that has grown too large in two; studies stay whole, no file is read again.
    #[command(after_help = SPLIT_EXAMPLES)]
    Split(MaintainSplit),
    /// Show what takes the room: files, tables, indexes, bytes an indexed file.
    #[command(after_help = MAINTAIN_EXAMPLES)]
    Size(MaintainSize),
}

/// Of all its commands.
pub(crate) const MAINTAIN_EXAMPLES: &str = "Examples:
  shardex maintain size --archive ./archive
  shardex maintain optimize -a ./archive
  shardex maintain vacuum --dry-run -a ./archive
  shardex maintain reindex --shard 2019-b059c9be/0 -a ./archive

All but `size` lock the archive against an ingest; queries go on. Each file is one transaction: after Ctrl-C or a
crash it is as it was.";

/// Of `maintain split`.
const SPLIT_EXAMPLES: &str = "Examples:
  shardex maintain split 2019-b059c9be/0 --archive ./archive

About half of the shard's studies go to a new shard beside it, by their hash; the room that they took is given back. Needs
1.5 times the shard's size free on its disk while it works. Locks the archive against an ingest; queries wait only while the two
files are put in place. After Ctrl-C or a crash the shard is as it was, or the next command that writes ends the split.";

#[derive(Debug, Args)]
pub(crate) struct MaintainSplit {
    #[command(flatten)]
    pub(crate) archive: ArchiveArgument,
    /// The shard, as `maintain size` names it, without `shards/` and `.sqlite`.
    #[arg(value_name = "SHARD")]
    pub(crate) shard: String,
    /// As one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MaintainWork {
    #[command(flatten)]
    pub(crate) archive: ArchiveArgument,
    /// Only this shard, as `maintain size` names it, without `shards/` and `.sqlite`.
    #[arg(long, value_name = "SHARD")]
    pub(crate) shard: Option<String>,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// As one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MaintainSize {
    #[command(flatten)]
    pub(crate) archive: ArchiveArgument,
    /// List every file, table and index.
    #[arg(long)]
    pub(crate) all: bool,
    /// As one JSON object, complete.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Files that are listed one by one unless all are asked for.
const FILES_SHOWN: usize = 20;

pub(crate) fn run(maintain: &Maintain) -> anyhow::Result<ExitCode> {
    match maintain {
        Maintain::Analyze(work) => run_work(work, Work::Analyze),
        Maintain::Optimize(work) => run_work(work, Work::Optimize),
        Maintain::Reindex(work) => run_work(work, Work::Reindex),
        Maintain::Vacuum(work) => run_work(work, Work::Vacuum),
        Maintain::Split(split) => run_split(split),
        Maintain::Size(size) => run_size(size),
    }
}

fn run_work(arguments: &MaintainWork, work: Work) -> anyhow::Result<ExitCode> {
    let path = &arguments.archive.archive;
    // Upkeep makes no archives.
    let reading = ReadArchive::open(path)?;
    let shard = arguments.shard.as_deref().map(ShardId::new).transpose()?;
    let cancel = shardex_daemon::stop_on_signals()?;
    let meter = Meter::start(arguments.quiet)?;
    meter.phase("upkeep", Unit::Bytes, if shard.is_none() { reading.bytes()? } else { 0 });
    let archive = Archive::create_or_open(path, &ArchiveSettings::default())?;
    let mut files = Vec::new();
    let result = archive.maintain(work, shard.as_ref(), arguments.dry_run, &cancel, &mut |done| {
        meter.advance(done.bytes_before);
        files.push(done);
    });
    drop(meter);
    write_work(arguments, &files)?;
    finish(result, &cancel)
}

fn finish(
    result: Result<(), shardex_seams::StoreError>,
    cancel: &Arc<AtomicBool>,
) -> anyhow::Result<ExitCode> {
    if result.is_err() && cancel.load(Ordering::Relaxed) {
        output::say("interrupted: the file that was being worked on is as it was; the others are done");
        return Ok(ExitCode::Interrupted);
    }
    result.context("the files listed are done, this one is as it was")?;
    Ok(ExitCode::Done)
}

fn write_work(arguments: &MaintainWork, files: &[Maintained]) -> anyhow::Result<()> {
    let mut to = output::answer();
    if arguments.json {
        let files: Vec<_> = files
            .iter()
            .map(|f| json!({ "file": f.file, "bytes_before": f.bytes_before, "bytes_after": f.bytes_after }))
            .collect();
        let answer = json!({ "dry_run": arguments.dry_run, "files": files });
        writeln!(to, "{}", output::json_text(&answer))?;
    } else {
        let mut table = Table::new(&["file", "before", if arguments.dry_run { "expected" } else { "after" }]);
        for file in files {
            table.row([file.file.clone(), byte_size(file.bytes_before), byte_size(file.bytes_after)]);
        }
        let sum = |of: fn(&Maintained) -> u64| byte_size(files.iter().map(of).sum());
        table.row(["all".to_owned(), sum(|f| f.bytes_before), sum(|f| f.bytes_after)]);
        table.write(&mut to, true)?;
    }
    to.flush()?;
    if arguments.dry_run {
        output::say("dry run: nothing was changed");
    }
    Ok(())
}

fn run_split(arguments: &MaintainSplit) -> anyhow::Result<ExitCode> {
    let path = &arguments.archive.archive;
    // Upkeep makes no archives.
    let known = ReadArchive::open(path)?;
    let shard = ShardId::new(&arguments.shard)?;
    if !known.shard_sizes()?.iter().any(|(id, _)| *id == shard) {
        anyhow::bail!("the archive has no shard `{shard}`: `shardex maintain size --all` names them");
    }
    let cancel = shardex_daemon::stop_on_signals()?;
    let archive = Archive::create_or_open(path, &ArchiveSettings::default())?;
    let (split, built) = match archive.split(&shard, &cancel) {
        Err(_) if cancel.load(Ordering::Relaxed) => {
            output::say(
                "interrupted: the shard is as it was, or the next command that writes ends the split",
            );
            return Ok(ExitCode::Interrupted);
        }
        result => result?,
    };
    write_split(arguments, &split, &built, &known.shard_sizes()?)?;
    Ok(ExitCode::Done)
}

fn write_split(
    arguments: &MaintainSplit,
    split: &ShardSplit,
    built: &Built,
    sizes: &[(ShardId, u64)],
) -> anyhow::Result<()> {
    let bytes = |shard: &ShardId| sizes.iter().find(|(id, _)| id == shard).map_or(0, |(_, bytes)| *bytes);
    let halves = [(&split.from, &built.stays), (&split.to, &built.goes)];
    let mut to = output::answer();
    if arguments.json {
        let shard = |(id, holds): (&ShardId, &shardex_shard_store::Contents)| json!({ "shard": id.as_str(), "studies": holds.studies, "files": holds.files, "bytes": bytes(id) });
        let answer =
            json!({ "shard": split.from.as_str(), "new": split.to.as_str(), "shards": halves.map(shard) });
        writeln!(to, "{}", output::json_text(&answer))?;
    } else {
        let mut table = Table::new(&["shard", "studies", "files", "size"]);
        for (id, holds) in halves {
            table.row([id.to_string(), grouped(holds.studies), grouped(holds.files), byte_size(bytes(id))]);
        }
        table.write(&mut to, true)?;
    }
    to.flush()?;
    Ok(())
}

fn run_size(size: &MaintainSize) -> anyhow::Result<ExitCode> {
    let archive = ReadArchive::open(&size.archive.archive)?;
    let mut files = archive.sizes()?;
    files.sort_by(|a, b| (b.bytes, &a.file).cmp(&(a.bytes, &b.file)));
    let indexed = archive.indexed_files()?;
    let mut to = output::answer();
    if size.json {
        output::write_json_pretty(&mut to, &size_json(&files, indexed))?;
        writeln!(to)?;
    } else {
        write_size(&mut to, size, &files, indexed)?;
    }
    to.flush()?;
    Ok(ExitCode::Done)
}

/// Bytes and unused bytes of tables and indexes of the same name in all files: (name, is index).
fn objects(files: &[FileSize]) -> BTreeMap<(&str, bool), (u64, u64)> {
    let mut objects: BTreeMap<(&str, bool), (u64, u64)> = BTreeMap::new();
    for object in files.iter().filter_map(|file| file.objects.as_ref()).flatten() {
        let sum = objects.entry((&object.name, object.is_index)).or_default();
        sum.0 += object.bytes;
        sum.1 += object.unused;
    }
    objects
}

fn size_json(files: &[FileSize], indexed: u64) -> serde_json::Value {
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let listed: Vec<_> = files
        .iter()
        .map(|f| {
            json!({
                "file": f.file, "bytes": f.bytes, "page_size": f.page_size, "pages": f.pages,
                "free_pages": f.free_pages,
            })
        })
        .collect();
    let objects: Vec<_> = objects(files)
        .into_iter()
        .map(|((name, is_index), (bytes, unused))| {
            json!({ "name": name, "kind": kind(is_index), "bytes": bytes, "unused": unused })
        })
        .collect();
    json!({
        "bytes": bytes,
        "indexed_files": indexed,
        "bytes_per_indexed_file": bytes.checked_div(indexed),
        "objects_measured": files.iter().all(|file| file.objects.is_some()),
        "files": listed,
        "objects": objects,
    })
}

fn kind(is_index: bool) -> &'static str {
    if is_index { "index" } else { "table" }
}

fn write_size(
    to: &mut impl Write,
    size: &MaintainSize,
    files: &[FileSize],
    indexed: u64,
) -> std::io::Result<()> {
    let shown = if size.all { usize::MAX } else { FILES_SHOWN };
    let mut table = Table::new(&["file", "size", "pages", "free pages"]);
    for file in files.iter().take(shown) {
        table.row([file.file.clone(), byte_size(file.bytes), grouped(file.pages), grouped(file.free_pages)]);
    }
    table.write(to, true)?;
    if files.len() > shown {
        writeln!(to, "… {} more, with --all", files.len() - shown)?;
    }
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    if files.iter().any(|file| file.objects.is_none()) {
        writeln!(to, "\nTables and indexes were not measured: this SQLite was built without dbstat.")?;
    }
    let mut objects: Vec<_> = objects(files).into_iter().collect();
    objects.sort_by_key(|((name, _), (bytes, _))| (std::cmp::Reverse(*bytes), *name));
    let mut table = Table::new(&["in all files", "kind", "size", "share", "unused"]);
    for ((name, is_index), (bytes, unused)) in
        objects.into_iter().take(if size.all { usize::MAX } else { 25 })
    {
        let share = format!("{:.1} %", 100.0 * bytes as f64 / total.max(1) as f64);
        table.row([name.to_owned(), kind(is_index).to_owned(), byte_size(bytes), share, byte_size(unused)]);
    }
    if table.len() > 0 {
        writeln!(to)?;
        table.write(to, true)?;
    }
    writeln!(to, "\n{} in {} files of the archive", byte_size(total), grouped(files.len() as u64))?;
    if let Some(each) = total.checked_div(indexed) {
        writeln!(to, "{} bytes for each of {} indexed files", grouped(each), grouped(indexed))?;
    }
    Ok(())
}
