//! `shardex recover`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use shardex_daemon::SystemClock;
use shardex_seams::Clock;
use shardex_shard_store::{Archive, ArchiveSettings, Healed, ReadArchive, SourceRoots};
use shardex_worker::Others;

use super::{cluster, reading};
use crate::args::Credentials;
use crate::exit::ExitCode;
use crate::output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex recover --archive ./archive
  shardex recover -a ./archive --accept-lost-shards
  shardex recover --coordinator http://127.0.0.1:7500

Of an archive: an ingest does the same before it begins. Run `shardex ingest` afterwards: it reads what was lost.
Of a cluster, when its coordinators say that their state is gone, or older than the workers': makes it anew from what \
the workers hold. Start all workers; it waits for those with shards that the ledger knows.
Exit code 3: a shard cannot be read.")]
pub(crate) struct Recover {
    /// Folder of the archive.
    #[arg(long, short, value_name = "DIR", env = "SHARDEX_ARCHIVE", required_unless_present = "coordinator")]
    pub(crate) archive: Option<PathBuf>,
    /// In place of an archive: URLs of the coordinators of a cluster, joined by commas.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub(crate) coordinator: Vec<String>,
    /// Do not insist on shards that the ledger knows and that are gone: they must not be put back afterwards, and the
    /// next ingest or job reads their files again.
    #[arg(long)]
    pub(crate) accept_lost_shards: bool,
    /// As one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

pub(crate) fn run(recover: &Recover) -> anyhow::Result<ExitCode> {
    match &recover.archive {
        Some(archive) if recover.coordinator.is_empty() => recover_archive(recover, archive),
        _ => cluster::recover(recover),
    }
}

fn recover_archive(recover: &Recover, path: &Path) -> anyhow::Result<ExitCode> {
    // Recovery mends archives; it makes none.
    ReadArchive::open(path)?;
    let mended = mend(path, recover.accept_lost_shards)?;
    let mut to = output::answer();
    if recover.json {
        writeln!(to, "{}", output::json_text(&mended.json()))?;
    } else {
        mended.write(&mut to)?;
    }
    to.flush()?;
    Ok(if mended.unreadable.is_empty() { ExitCode::Done } else { ExitCode::Incomplete })
}

/// What recovery did.
pub(super) struct Mended {
    healed: Healed,
    rolled_back: Vec<String>,
    rows_removed: u64,
    /// Shards that cannot be read, with the reason.
    pub(super) unreadable: BTreeMap<String, String>,
}

/// Makes ledger, registry and shards agree.
pub(super) fn mend(path: &Path, accept_lost_shards: bool) -> anyhow::Result<Mended> {
    let settings = ArchiveSettings { accept_lost_shards, ..ArchiveSettings::default() };
    let archive = Archive::create_or_open(path, &settings)?;
    let state = archive.state();
    let shards = archive.shards(1, SourceRoots::default())?;
    let clock = SystemClock;
    let report = reading::block_on(async {
        let fence = shardex_coordinator::begin_job(&*state, archive.highest_fence(), clock.wall_ns()).await?;
        let (_, report) = shardex_worker::heal(&*shards, &*archive.ledger(), fence, Others::Nobody).await?;
        shardex_coordinator::end_job(&*state, fence, "recovered", 0, clock.wall_ns()).await?;
        archive.truncate_logs(&shards).await?;
        anyhow::Ok(report)
    })??;
    let healed = archive.healed().clone();
    let unreadable = healed.unreadable_shards.iter().chain(&report.unreadable);
    Ok(Mended {
        unreadable: unreadable.map(|(shard, why)| (shard.to_string(), why.clone())).collect(),
        rolled_back: report.rolled_back.iter().map(ToString::to_string).collect(),
        rows_removed: report.rows_removed,
        healed,
    })
}

impl Mended {
    /// Whether no file's state is known any more but by its row.
    pub(super) fn has_new_ledger(&self) -> bool {
        self.healed.ledger_files.is_some()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        json!({
            "ledger_files_restored": self.healed.ledger_files,
            "registry_studies_restored": self.healed.registry_studies,
            "shards_rolled_back": self.rolled_back,
            "rows_removed": self.rows_removed,
            "unreadable_shards": self.unreadable,
        })
    }

    pub(super) fn write(&self, to: &mut impl Write) -> std::io::Result<()> {
        let mut is_sound = true;
        if let Some(files) = self.healed.ledger_files {
            is_sound = false;
            writeln!(to, "the ledger was rebuilt from the shards: {files} files")?;
        }
        if let Some(studies) = self.healed.registry_studies {
            is_sound = false;
            writeln!(to, "the registry was completed from the shards: {studies} studies were missing")?;
        }
        for shard in &self.rolled_back {
            is_sound = false;
            writeln!(
                to,
                "shard {shard} is older than the ledger: its files will be read again by the next ingest"
            )?;
        }
        if self.rows_removed > 0 {
            writeln!(to, "{} rows that the ledger does not know were removed", self.rows_removed)?;
        }
        for (shard, why) in &self.unreadable {
            is_sound = false;
            writeln!(to, "shard {shard} cannot be read: {why}")?;
        }
        if is_sound {
            writeln!(to, "nothing had to be mended")?;
        }
        Ok(())
    }
}
