//! Everything that a summary tells, taken from the rows of its report.

use std::collections::BTreeMap;

use shardex_catalog::FileKind;
use shardex_shard_router::{Answers, QueryOptions, ReportKind, ReportRequest};
use shardex_shard_store::overview::Overview;

use super::Summary;
use crate::commands::reading::{self, Line};
use crate::reports::SUMMARY_COLUMNS;

/// What an archive holds.
pub(super) struct Facts {
    /// What was asked, as arguments of a command.
    pub(super) place: String,
    pub(super) partition: String,
    pub(super) shards: u64,
    pub(super) archive_bytes: u64,
    pub(super) overview: Overview,
    pub(super) seen: Seen,
}

/// What is known of the files of all sources; counts by name.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) states: BTreeMap<String, u64>,
    pub(super) warnings: BTreeMap<String, u64>,
    pub(super) not_dicom: BTreeMap<String, u64>,
    pub(super) quarantined: BTreeMap<String, u64>,
    pub(super) skipped: BTreeMap<String, u64>,
    pub(super) missing: u64,
    pub(super) unreadable_directories: u64,
}

impl Seen {
    /// Archives (zip, tar, …), which may hold DICOM files, by kind.
    pub(super) fn not_opened(&self) -> impl Iterator<Item = (&str, u64)> {
        let is_archive = |kind: &str| kind.parse().is_ok_and(FileKind::is_archive);
        self.not_dicom
            .iter()
            .filter(move |(kind, _)| is_archive(kind))
            .map(|(kind, count)| (kind.as_str(), *count))
    }
}

pub(super) fn gather(summary: &Summary) -> anyhow::Result<Facts> {
    let answers: Box<dyn Answers> = reading::ask_one(&summary.asked)?;
    let request = ReportRequest { kind: ReportKind::Summary, is_exact: summary.exact };
    let options = QueryOptions { cancel: shardex_daemon::stop_on_signals()?, ..QueryOptions::default() };
    let lines = reading::report(&*answers, &request, &options, &SUMMARY_COLUMNS)?;
    let mut facts = Facts {
        place: reading::place_argument(&summary.asked)?,
        partition: String::new(),
        shards: 0,
        archive_bytes: 0,
        overview: Overview::default(),
        seen: Seen::default(),
    };
    lines.iter().try_for_each(|line| facts.take(line))?;
    Ok(facts)
}

impl Facts {
    fn take(&mut self, line: &Line) -> anyhow::Result<()> {
        let section = line.text("section");
        let (name, count) = (line.text("name"), line.number("count"));
        let seen = &mut self.seen;
        match section {
            "partition" => name.clone_into(&mut self.partition),
            "shards" => (self.shards, self.archive_bytes) = (count, line.number("bytes")),
            "state" => drop(seen.states.insert(name.to_owned(), count)),
            "warning" => drop(seen.warnings.insert(name.to_owned(), count)),
            "quarantined" => drop(seen.quarantined.insert(name.to_owned(), count)),
            "skipped" => drop(seen.skipped.insert(name.to_owned(), count)),
            "not_dicom" => drop(seen.not_dicom.insert(name.to_owned(), count)),
            "total" if name == "files" => (seen.files, seen.bytes) = (count, line.number("bytes")),
            "finding" if name == "missing" => seen.missing = count,
            "finding" if name == "unreadable_directories" => seen.unreadable_directories = count,
            _ => self.overview.take_row(line.cells())?,
        }
        Ok(())
    }
}
