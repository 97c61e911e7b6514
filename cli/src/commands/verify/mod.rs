//! `shardex verify`: an archive against itself and against the files that it indexes. Changes
//! nothing.

mod disk;
mod found;
mod sources;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use shardex_shard_store::ReadArchive;
use shardex_shard_store::check::{Depth, Finding, Watch};

use super::meter::{Meter, Unit};
use crate::args::ArchiveArgument;
use crate::exit::ExitCode;
use crate::output;
use disk::{Disk, Sampling};
use found::Found;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex verify --archive ./archive
  shardex verify -a ./archive --source pacs --full
  shardex verify -a ./archive --json | jq .counts

Exit code 0: nothing was found. 3: findings, each with what to do about it.")]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) archive: ArchiveArgument,
    /// Check the content of all files, not of a sample; reads as much as their digests cover.
    #[arg(long)]
    pub(crate) full: bool,
    /// Number of files whose content is checked.
    #[arg(long, value_name = "N", default_value_t = 1000, conflicts_with = "full")]
    pub(crate) sample: u64,
    /// Only files of this source, and not the archive itself.
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// Check the archive's pages by quick_check, which leaves out its indexes.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Findings of a kind that are listed; all are counted.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
    /// As one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

pub(crate) fn run(verify: &Verify) -> anyhow::Result<ExitCode> {
    let archive = ReadArchive::open(&verify.archive.archive)?;
    if archive.is_being_written()? {
        anyhow::bail!(
            "the archive is being written: its files cannot agree before that ends; verify it afterwards"
        );
    }
    let cancel = shardex_daemon::stop_on_signals()?;
    let meter = Meter::start(verify.quiet)?;
    let found = Arc::new(Found::new(verify.limit));
    let token = archive.token()?;
    check(verify, &archive, &cancel, &meter, &found)?;
    drop(meter);
    if cancel.load(Ordering::Relaxed) {
        output::say("interrupted: what was not checked is not known");
        return Ok(ExitCode::Interrupted);
    }
    if archive.token()? != token || archive.is_being_written()? {
        output::say(
            "warning: the archive was written to meanwhile: findings may be of the moment, verify again",
        );
    }
    let mut to = output::answer();
    if verify.json {
        found.write_json(&mut to)?;
    } else {
        found.write_text(&mut to)?;
    }
    to.flush()?;
    Ok(if found.is_clean() { ExitCode::Done } else { ExitCode::Incomplete })
}

fn check(
    verify: &Verify,
    archive: &ReadArchive,
    cancel: &Arc<AtomicBool>,
    meter: &Meter,
    found: &Arc<Found>,
) -> anyhow::Result<()> {
    let mut watch = Watching { meter, found };
    let shards = archive.shards()?.len() as u64;
    let sources = sources::of(archive, verify.source.as_deref(), &mut watch)?;
    if verify.source.is_none() {
        meter.phase("files of the archive", Unit::Bytes, archive.bytes()?);
        let depth = if verify.quick { Depth::Quick } else { Depth::Full };
        found.checked("files of the archive", 3 + shards);
        finish(archive.check_files(depth, cancel, &mut watch), cancel)?;
        meter.phase("headers", Unit::Shards, shards);
        found.checked("shards: headers, counts, digests", shards);
        finish(archive.check_headers(cancel, &mut watch), cancel)?;
        meter.phase("registry", Unit::Shards, shards);
        found.checked("shards: claims of studies", shards);
        finish(archive.check_registry(cancel, &mut watch), cancel)?;
    }
    let total = archive.indexed_files()?;
    meter.phase("indexed files", Unit::Files, total);
    let sampling = if verify.full { Sampling::All } else { Sampling::about(verify.sample, total) };
    let mut disk = Disk::start(sources, sampling, Arc::clone(found), Arc::clone(cancel))?;
    let result = archive.check_entries(cancel, &mut watch, &mut |checked| {
        // Counted in full where the archive is checked, in part where one source is.
        if verify.source.as_deref().is_none_or(|only| only == checked.source) {
            disk.take(checked);
        }
    });
    let (files, digests) = disk.end();
    found.checked("indexed files: entry, row, size, time", files);
    found.checked("indexed files: content", digests);
    finish(result, cancel)
}

/// A check that was cancelled is no failure here: the caller says that it was.
fn finish(result: Result<(), shardex_seams::StoreError>, cancel: &AtomicBool) -> anyhow::Result<()> {
    match result {
        Err(_) if cancel.load(Ordering::Relaxed) => Ok(()),
        result => Ok(result?),
    }
}

struct Watching<'a> {
    meter: &'a Meter,
    found: &'a Found,
}

impl Watch for Watching<'_> {
    fn found(&mut self, finding: Finding) {
        self.found.add(finding);
    }

    fn advance(&mut self, by: u64) {
        self.meter.advance(by);
    }
}
