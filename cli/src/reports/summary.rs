//! What an archive holds, as rows of (section, name, counts): `query.proto` documents them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shardex_catalog::{ATTRIBUTES, Cell, FileKind, FileState, Reason};
use shardex_seams::StoreError;
use shardex_shard_store::ReadArchive;
use shardex_shard_store::overview::{Findings, Group, GroupName, Overview, OverviewOptions};

use super::{Lines, number, text};

/// Columns of the rows.
pub(crate) const SUMMARY_COLUMNS: [&str; 8] =
    ["section", "name", "studies", "series", "instances", "bytes", "count", "of"];

/// Rows of files that are read for attributes which files store themselves, unless all are.
const FILE_ROWS_MAX: u64 = 1_000_000;

pub(super) fn write(
    archive: &ReadArchive,
    is_exact: bool,
    cancel: &Arc<AtomicBool>,
    lines: &mut Lines<'_>,
) -> Result<(), StoreError> {
    let options = OverviewOptions {
        today: super::tomorrow(),
        file_rows_max: (!is_exact).then_some(FILE_ROWS_MAX),
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8),
        cancel: Arc::clone(cancel),
    };
    let mut overview = archive.overview(&options)?;
    let sizes = archive.shard_sizes().map_err(super::told)?;
    let seen = seen(archive)?;
    lines.columns(&SUMMARY_COLUMNS);
    let mut to = Sections(lines);
    to.count("partition", &archive.partition().to_string(), 0);
    let bytes = sizes.iter().map(|(_, bytes)| bytes).sum::<u64>() + archive.other_bytes();
    to.row("shards", None, &[("count", sizes.len() as u64), ("bytes", bytes)]);
    to.totals(&overview, &seen);
    to.groups(&overview);
    for (attribute, share) in ATTRIBUTES.iter().zip(&overview.filled.shares) {
        to.row("filled", Some(attribute.keyword), &[("count", share.filled), ("of", share.of)]);
    }
    if overview.filled.is_sampled {
        to.row("sampled", None, &[]);
    }
    overview.warnings.iter().for_each(|(class, count)| to.count("warning", class.as_str(), *count));
    seen.states.iter().for_each(|(state, count)| to.count("state", state.as_str(), *count));
    seen.quarantined.iter().for_each(|(reason, count)| to.count("quarantined", reason.as_str(), *count));
    seen.skipped.iter().for_each(|(reason, count)| to.count("skipped", reason.as_str(), *count));
    seen.not_dicom.iter().for_each(|(kind, count)| to.count("not_dicom", kind.as_str(), *count));
    to.count("finding", "missing", seen.missing);
    to.count("finding", "unreadable_directories", seen.unreadable_directories);
    finding_counts(&mut overview.findings)
        .iter()
        .for_each(|(name, count)| to.count("finding", name, **count));
    Ok(())
}

/// The counts of findings by name.
pub(crate) fn finding_counts(findings: &mut Findings) -> [(&'static str, &mut u64); 13] {
    [
        ("undated", &mut findings.undated),
        ("early", &mut findings.early),
        ("future", &mut findings.future),
        ("series_before_study", &mut findings.series_before_study),
        ("before_birth", &mut findings.before_birth),
        ("several_patients", &mut findings.several_patients),
        ("several_dates", &mut findings.several_dates),
        ("several_institutions", &mut findings.several_institutions),
        ("without_patient_id", &mut findings.without_patient_id),
        ("series_in_several_studies", &mut findings.series_in_several_studies),
        ("shared_sop_instance_uids", &mut findings.shared_sop_instance_uids),
        ("copies", &mut findings.copies),
        ("varied_series", &mut findings.varied_series),
    ]
}

struct Sections<'l, 's>(&'l mut Lines<'s>);

impl Sections<'_, '_> {
    fn count(&mut self, section: &str, name: &str, count: u64) {
        self.row(section, Some(name), &[("count", count)]);
    }

    fn row(&mut self, section: &str, name: Option<&str>, numbers: &[(&str, u64)]) {
        let cell = |column: &&str| match *column {
            "section" => text(section),
            "name" => name.map_or(Cell::Null, text),
            column => numbers
                .iter()
                .find(|(name, _)| *name == column)
                .map_or(Cell::Null, |(_, value)| number(*value)),
        };
        let cells: Vec<_> = SUMMARY_COLUMNS.iter().map(cell).collect();
        // A summary is wanted whole.
        let _ = self.0.row(&cells);
    }

    fn totals(&mut self, overview: &Overview, seen: &Seen) {
        self.count("total", "patients", overview.patients);
        self.count("total", "studies", overview.studies);
        self.count("total", "series", overview.series);
        let sized = [("count", overview.instances), ("bytes", overview.bytes)];
        self.row("total", Some("instances"), &sized);
        self.count("total", "indexed_files", overview.files);
        self.row("total", Some("files"), &[("count", seen.files), ("bytes", seen.bytes)]);
    }

    fn groups(&mut self, overview: &Overview) {
        for (by, groups) in &overview.groups {
            for (name, group) in groups {
                let Group { studies, series, instances, bytes } = *group;
                let numbers =
                    [("studies", studies), ("series", series), ("instances", instances), ("bytes", bytes)];
                match name {
                    GroupName::Value(value) => self.row(by.as_str(), Some(value), &numbers),
                    GroupName::None => self.row(by.as_str(), None, &numbers),
                    GroupName::Other => self.row(&format!("{}_others", by.as_str()), None, &numbers),
                }
            }
        }
    }
}

/// What the ledger knows of the files of all sources.
#[derive(Default)]
struct Seen {
    files: u64,
    bytes: u64,
    states: BTreeMap<FileState, u64>,
    not_dicom: BTreeMap<FileKind, u64>,
    quarantined: BTreeMap<Reason, u64>,
    skipped: BTreeMap<Reason, u64>,
    missing: u64,
    unreadable_directories: u64,
}

fn seen(archive: &ReadArchive) -> Result<Seen, StoreError> {
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
