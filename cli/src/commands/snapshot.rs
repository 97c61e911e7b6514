//! `shardex snapshot` and `shardex restore`.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use shardex_catalog::ShardId;
use shardex_daemon::SystemClock;
use shardex_seams::{Clock, StoreError};
use shardex_shard_store::snapshot::{Missed, Restored, SnapshotSettings, Taken, restore};
use shardex_shard_store::{ArchiveError, ReadArchive, is_workers};

use super::meter::{Meter, Unit};
use super::recover;
use crate::args::ArchiveArgument;
use crate::exit::ExitCode;
use crate::output::dates::moment;
use crate::output::{self, Table, byte_size};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex snapshot --archive ./archive --to /backup/archive
  shardex snapshot -a ./archive --to /backup/archive --keep 5

Each shard that has changed since its last snapshot is copied as it is at one moment, checked, and named by its digest; \
ingests and queries go on. Ledger and registry are not copied: they are made from the shards. Workers of one cluster may \
share a folder: say it for each of their stores.
Exit code 3: a shard could not be copied; its last snapshot stays.")]
pub(crate) struct Snapshot {
    #[command(flatten)]
    archive: ArchiveArgument,
    /// Folder of the snapshots; made if it is not there.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Copies of each shard that are kept.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
    /// Take the place of snapshots of another archive, or of a shard that was lost or put back since.
    #[arg(long)]
    replace: bool,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
    /// No progress.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex restore --archive ./archive --from /backup/archive --dry-run
  shardex restore --archive ./archive --from /backup/archive
  shardex restore -a ./archive --from /backup/archive 2019-b059c9be/0

Without names, all shards that are gone or damaged are put back. Run the same ingest afterwards: it reads what the snapshots \
lack, and nothing else. An archive that is gone is made anew, and answers at once; its next ingest opens all files.
In a cluster: stop the worker, name shards that the cluster gives it (`shardex shards list`), start it, and submit a job.
Exit code 3: a shard cannot be read.")]
pub(crate) struct Restore {
    /// Folder of the archive.
    #[arg(long, short, value_name = "DIR", env = "SHARDEX_ARCHIVE")]
    archive: PathBuf,
    /// Folder of the snapshots.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Shards to put back, whatever is there.
    #[arg(value_name = "SHARD")]
    shards: Vec<String>,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn take(arguments: &Snapshot) -> anyhow::Result<ExitCode> {
    let archive = ReadArchive::open(&arguments.archive.archive)?;
    let cancel = shardex_daemon::stop_on_signals()?;
    let meter = Meter::start(arguments.quiet)?;
    let sizes: HashMap<_, _> = archive.shard_sizes()?.into_iter().collect();
    meter.phase("snapshot", Unit::Bytes, sizes.values().sum());
    let settings = SnapshotSettings {
        keep: arguments.keep.into(),
        replace: arguments.replace,
        now_ns: SystemClock.wall_ns(),
    };
    let mut shards = Vec::new();
    let result = archive.snapshot(&arguments.to, settings, &cancel, &mut |shard, taken| {
        meter.advance(sizes.get(shard).copied().unwrap_or_default());
        shards.push((shard.clone(), taken));
    });
    drop(meter);
    write_taken(arguments, &shards)?;
    if let Some(code) = interrupted(&result, &cancel, "the snapshots listed are whole") {
        return Ok(code);
    }
    result?;
    let failed: Vec<_> =
        shards.iter().filter_map(|(shard, taken)| Some((shard, taken.as_ref().err()?))).collect();
    for (shard, error) in &failed {
        output::say(&format!("shard {shard} was not copied: {error}"));
    }
    Ok(if failed.is_empty() { ExitCode::Done } else { ExitCode::Incomplete })
}

fn interrupted(result: &Result<(), ArchiveError>, cancel: &AtomicBool, what: &str) -> Option<ExitCode> {
    let is_so = result.is_err() && cancel.load(Ordering::Relaxed);
    is_so.then(|| {
        output::say(&format!("interrupted: {what}; the same command goes on"));
        ExitCode::Interrupted
    })
}

fn write_taken(arguments: &Snapshot, shards: &[(ShardId, Result<Taken, StoreError>)]) -> anyhow::Result<()> {
    let of = |taken: &Result<Taken, StoreError>| match taken {
        Ok(Taken::Copied(bytes)) => ("copied", *bytes),
        Ok(Taken::Unchanged(bytes)) => ("unchanged", *bytes),
        Ok(Taken::Empty) => ("empty", 0),
        Err(_) => ("failed", 0),
    };
    let mut to = output::answer();
    if arguments.json {
        let listed = |(shard, taken): &(ShardId, Result<Taken, StoreError>)| {
            let (state, bytes) = of(taken);
            let error = taken.as_ref().err().map(ToString::to_string);
            json!({ "shard": shard.as_str(), "state": state, "bytes": bytes, "error": error })
        };
        let shards: Vec<_> = shards.iter().map(listed).collect();
        writeln!(to, "{}", output::json_text(&json!({ "shards": shards })))?;
    } else {
        let mut table = Table::new(&["shard", "snapshot", "size"]);
        for (shard, taken) in shards {
            let (state, bytes) = of(taken);
            table.row([shard.to_string(), state.to_owned(), byte_size(bytes)]);
        }
        let copied = shards.iter().filter(|(_, taken)| matches!(taken, Ok(Taken::Copied(_)))).count();
        let bytes = shards.iter().map(|(_, taken)| of(taken).1).sum();
        table.row(["all".to_owned(), format!("{copied} copied"), byte_size(bytes)]);
        table.write(&mut to, true)?;
    }
    to.flush()?;
    Ok(())
}

pub(crate) fn put_back(arguments: &Restore) -> anyhow::Result<ExitCode> {
    let named = arguments.shards.iter().map(|shard| ShardId::new(shard)).collect::<Result<Vec<_>, _>>()?;
    let cancel = shardex_daemon::stop_on_signals()?;
    let mut shards = Vec::new();
    let (archive, from) = (&arguments.archive, &arguments.from);
    let result = restore(archive, from, &named, arguments.dry_run, &cancel, &mut |done| shards.push(done));
    let code = interrupted(&result, &cancel, "the shards listed are in place");
    // A worker's store agrees with the cluster's ledger, which may be another worker's.
    if result.is_err() || arguments.dry_run || is_workers(archive) {
        write_restored(arguments, &shards, None)?;
        if let Some(code) = code {
            return Ok(code);
        }
        result?;
        say_next(arguments, &shards, None);
        return Ok(ExitCode::Done);
    }
    let mended = recover::mend(archive, false);
    write_restored(arguments, &shards, mended.as_ref().ok())?;
    let mended = mended
        .context("the shards listed are in place; `shardex recover` and the next ingest go on from there")?;
    say_next(arguments, &shards, Some(&mended));
    Ok(if mended.unreadable.is_empty() { ExitCode::Done } else { ExitCode::Incomplete })
}

fn say_next(arguments: &Restore, shards: &[Restored], mended: Option<&recover::Mended>) {
    output::say(match (arguments.dry_run, shards.is_empty()) {
        (true, _) => "dry run: nothing was changed",
        (false, true) => "nothing is gone or damaged; name a shard to put it back all the same",
        (false, false) if is_workers(&arguments.archive) => {
            "now start the worker and submit a job: it reads what the snapshots lack"
        }
        (false, false) if mended.is_some_and(recover::Mended::has_new_ledger) => {
            "it answers as when the snapshots were taken; now run the same ingest again: it opens all files, as the \
             ledger is new"
        }
        (false, false) => "now run the same ingest again: it reads what the snapshots lack",
    });
}

fn write_restored(
    arguments: &Restore,
    shards: &[Restored],
    mended: Option<&recover::Mended>,
) -> anyhow::Result<()> {
    let why = |missed| match missed {
        Missed::Gone => "gone",
        Missed::Damaged => "damaged",
        Missed::Named => "named",
    };
    let mut to = output::answer();
    if arguments.json {
        let listed = |done: &Restored| {
            json!({
                "shard": done.shard.as_str(), "because": why(done.missed), "bytes": done.bytes,
                "taken": moment(done.taken_ns),
            })
        };
        let answer = json!({
            "dry_run": arguments.dry_run,
            "shards": shards.iter().map(listed).collect::<Vec<_>>(),
            "recovered": mended.map(recover::Mended::json),
        });
        writeln!(to, "{}", output::json_text(&answer))?;
    } else {
        let mut table = Table::new(&["shard", "because", "size", "snapshot of"]);
        for done in shards {
            let size = byte_size(done.bytes);
            table.row([done.shard.to_string(), why(done.missed).to_owned(), size, moment(done.taken_ns)]);
        }
        table.write(&mut to, true)?;
        if let Some(mended) = mended {
            mended.write(&mut to)?;
        }
    }
    to.flush()?;
    Ok(())
}
