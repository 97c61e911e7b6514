//! What an archive holds, as rows of (section, name, counts): `query.proto` documents them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shardex_seams::{ReportParts, StoreError};
use shardex_shard_store::overview::{Numbers, count_row, overview};

use super::{Lines, SUMMARY_COLUMNS, Stores, Writing, reading_options};

/// Rows of files that are read for attributes which files store themselves, unless all are.
const FILE_ROWS_MAX: u64 = 1_000_000;

pub(super) fn write(
    parts: &dyn ReportParts,
    writing: &dyn Writing,
    is_exact: bool,
    cancel: &Arc<AtomicBool>,
    lines: &mut Lines<'_>,
) -> Result<(), StoreError> {
    let options = reading_options((!is_exact).then_some(FILE_ROWS_MAX), cancel);
    let overview = overview(parts, &options)?;
    let stores = Stores::ask(parts, cancel)?;
    let partition = writing.about()?.partition;
    lines.columns(&SUMMARY_COLUMNS);
    let mut row = |section: &str, name: Option<&str>, numbers: Numbers<'_>| {
        // A summary is wanted whole.
        let _ = lines.row(&count_row(section, name, numbers));
    };
    if let Some(partition) = partition {
        row("partition", Some(&partition.to_string()), &[("count", 0)]);
    }
    let bytes = stores.shard_bytes + stores.single("other").1;
    row("shards", None, &[("count", stores.shards), ("bytes", bytes)]);
    let (files, bytes) = stores.single("files");
    row("total", Some("files"), &[("count", files), ("bytes", bytes)]);
    for (section, counted) in
        [("state", "state"), ("quarantined", "quarantined"), ("skipped", "skipped"), ("not_dicom", "kind")]
    {
        for (name, count) in stores.named(counted) {
            row(section, Some(name), &[("count", count)]);
        }
    }
    row("finding", Some("missing"), &[("count", stores.single("missing").0)]);
    row("finding", Some("unreadable_directories"), &[("count", stores.single("unreadable").0)]);
    overview.to_rows(&mut |cells| {
        let _ = lines.row(&cells);
    });
    Ok(())
}
