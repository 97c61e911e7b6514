//! `shardex recover`.

use std::io::Write;

use clap::Args;
use serde_json::json;
use shardex_daemon::SystemClock;
use shardex_seams::Clock;
use shardex_shard_store::{Archive, ArchiveSettings, ReadArchive, SourceRoots};

use super::reading;
use crate::args::ArchiveArgument;
use crate::exit::ExitCode;
use crate::output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex recover --archive ./archive
  shardex recover -a ./archive --accept-lost-shards

An ingest does the same before it begins. Run `shardex ingest` afterwards: it reads what was lost.
Exit code 3: a shard cannot be read.")]
pub(crate) struct Recover {
    #[command(flatten)]
    pub(crate) archive: ArchiveArgument,
    /// Rebuild a lost registry though a shard that the ledger knows cannot be read; that shard must not
    /// be put back afterwards.
    #[arg(long)]
    pub(crate) accept_lost_shards: bool,
    /// As one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(recover: &Recover) -> anyhow::Result<ExitCode> {
    let path = &recover.archive.archive;
    // Recovery mends archives; it makes none.
    ReadArchive::open(path)?;
    let accept_lost_shards = recover.accept_lost_shards;
    let settings = ArchiveSettings { accept_lost_shards, ..ArchiveSettings::default() };
    let archive = Archive::create_or_open(path, &settings)?;
    let state = archive.state();
    let shards = archive.shards(1, SourceRoots::default())?;
    let clock = SystemClock;
    let report = reading::block_on(async {
        let fence = shardex_coordinator::begin_job(&*state, archive.highest_fence(), clock.wall_ns()).await?;
        let (_, report) = shardex_worker::heal(&*shards, &*archive.ledger(), fence).await?;
        shardex_coordinator::end_job(&*state, fence, "recovered", 0, clock.wall_ns()).await?;
        archive.truncate_logs(&shards).await?;
        anyhow::Ok(report)
    })??;
    let healed = archive.healed();
    let unreadable = healed.unreadable_shards.iter().chain(&report.unreadable);
    let unreadable: std::collections::BTreeMap<_, _> =
        unreadable.map(|(shard, why)| (shard.to_string(), why.clone())).collect();
    let rolled_back: Vec<_> = report.rolled_back.iter().map(ToString::to_string).collect();
    let mut to = output::answer();
    if recover.json {
        let found = json!({
            "ledger_files_restored": healed.ledger_files,
            "registry_studies_restored": healed.registry_studies,
            "shards_rolled_back": rolled_back,
            "rows_removed": report.rows_removed,
            "unreadable_shards": unreadable,
        });
        writeln!(to, "{}", output::json_text(&found))?;
    } else {
        write(&mut to, healed, &rolled_back, report.rows_removed, &unreadable)?;
    }
    to.flush()?;
    Ok(if unreadable.is_empty() { ExitCode::Done } else { ExitCode::Incomplete })
}

fn write(
    to: &mut impl Write,
    healed: &shardex_shard_store::Healed,
    rolled_back: &[String],
    rows_removed: u64,
    unreadable: &std::collections::BTreeMap<String, String>,
) -> std::io::Result<()> {
    let mut is_sound = true;
    if let Some(files) = healed.ledger_files {
        is_sound = false;
        writeln!(to, "the ledger was rebuilt from the shards: {files} files")?;
    }
    if let Some(studies) = healed.registry_studies {
        is_sound = false;
        writeln!(to, "the registry was completed from the shards: {studies} studies were missing")?;
    }
    for shard in rolled_back {
        is_sound = false;
        writeln!(
            to,
            "shard {shard} is older than the ledger: its files will be read again by the next ingest"
        )?;
    }
    if rows_removed > 0 {
        writeln!(to, "{rows_removed} rows that the ledger does not know were removed")?;
    }
    for (shard, why) in unreadable {
        is_sound = false;
        writeln!(to, "shard {shard} cannot be read: {why}")?;
    }
    if is_sound {
        writeln!(to, "nothing had to be mended")?;
    }
    Ok(())
}
