//! Everything that a summary is made from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use shardex_catalog::{FileKind, FileState, PartitionScheme, Reason};
use shardex_daemon::SystemClock;
use shardex_seams::Clock;
use shardex_shard_store::ReadArchive;
use shardex_shard_store::overview::{Overview, OverviewOptions};

use super::Summary;
use crate::output::dates;

/// Rows of files that are read for attributes which files store themselves, unless `--exact`.
const FILE_ROWS_MAX: u64 = 1_000_000;

/// What shards, ledger and folders tell.
pub(super) struct Facts {
    pub(super) path: PathBuf,
    pub(super) partition: PartitionScheme,
    pub(super) shards: usize,
    pub(super) archive_bytes: u64,
    pub(super) overview: Overview,
    pub(super) seen: Seen,
}

/// What the ledger knows of the files of all sources.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) states: BTreeMap<FileState, u64>,
    pub(super) not_dicom: BTreeMap<FileKind, u64>,
    pub(super) quarantined: BTreeMap<Reason, u64>,
    pub(super) skipped: BTreeMap<Reason, u64>,
    pub(super) missing: u64,
    pub(super) unreadable_directories: u64,
}

impl Seen {
    /// Archives (zip, tar, …), which may hold DICOM files, by kind.
    pub(super) fn not_opened(&self) -> impl Iterator<Item = (FileKind, u64)> {
        self.not_dicom.iter().filter(|(kind, _)| kind.is_archive()).map(|(kind, count)| (*kind, *count))
    }
}

pub(super) fn gather(summary: &Summary) -> anyhow::Result<Facts> {
    let path = &summary.archive.archive;
    let archive = ReadArchive::open(path)?;
    // Clocks and time zones of scanners differ by up to a day.
    let tomorrow = dates::day_of(SystemClock.wall_ns()) + 1;
    let options = OverviewOptions {
        today: dates::compact(tomorrow),
        file_rows_max: (!summary.exact).then_some(FILE_ROWS_MAX),
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8),
        cancel: shardex_daemon::stop_on_signals()?,
    };
    let overview = archive.overview(&options)?;
    let sizes = archive.shard_sizes()?;
    Ok(Facts {
        path: path.clone(),
        partition: archive.partition(),
        shards: sizes.len(),
        archive_bytes: sizes.iter().map(|(_, bytes)| bytes).sum::<u64>() + archive.other_bytes(),
        overview,
        seen: seen(&archive)?,
    })
}

fn seen(archive: &ReadArchive) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    let Some(ledger) = archive.ledger()? else { return Ok(seen) };
    ledger.rows(&mut |row| {
        let entry = row.entry;
        *seen.states.entry(entry.state).or_default() += 1;
        seen.missing += u64::from(entry.missing);
        if entry.state == FileState::Deleted {
            return true;
        }
        seen.files += 1;
        seen.bytes += entry.stamp.size;
        match (entry.state, entry.reason) {
            (FileState::NotDicom, _) => *seen.not_dicom.entry(entry.kind).or_default() += 1,
            (FileState::Quarantined, Some(reason)) => *seen.quarantined.entry(reason).or_default() += 1,
            (FileState::Skipped, Some(reason)) => *seen.skipped.entry(reason).or_default() += 1,
            _ => {}
        }
        true
    })?;
    seen.unreadable_directories = ledger.unreadable()?.len() as u64;
    Ok(seen)
}
