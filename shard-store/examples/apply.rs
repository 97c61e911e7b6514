//! Microseconds and bytes a row of the store alone: `cargo run --release --example apply [ROWS]`.
//!
//! Rows like those of a CT series of 100 slices, over 12 shards, in batches of 5,000, with a barrier
//! every 20 batches. Prints CPU time (all threads) and the archive's size.

use std::path::Path;

use shardex_catalog::{
    ContentDigest, DirectoryRange, Domain, Fence, FileName, FileRow, FileStamp, Header, Operation,
    RelativePath, RowBatch, ShardId, SourceName, Value, Values, Warnings, attribute_by_keyword,
};
use shardex_seams::ShardWriter;
use shardex_shard_store::{Archive, ArchiveSettings, ReadArchive, SourceRoots};

const SERIES_FILES: u64 = 100;

fn values(entries: &[(&str, Value)]) -> Values {
    let id = |keyword: &str| attribute_by_keyword(keyword).expect("a keyword");
    Values::new(entries.iter().map(|(k, v)| (id(k), v.clone())).collect(), Vec::new())
}

fn text(text: String) -> Value {
    Value::Text(text.into())
}

fn rows_of_series(series: u64) -> Vec<FileRow> {
    let uid = |kind: u64, n: u64| {
        format!("1.3.6.1.4.1.99999.{kind}.{}.{}", 1_000_000_000 + series, 10_000_000_000_000 + n * 7919)
    };
    let study = Header::study(
        Domain::default(),
        values(&[
            ("StudyInstanceUID", text(uid(1, series / 4))),
            ("PatientID", text(format!("P{:08}", series / 8))),
            ("PatientName", text(format!("Family{}^Given", series / 8))),
            ("StudyDate", text("20190304".into())),
            ("AccessionNumber", text(format!("A{}", series / 4))),
        ]),
    );
    let header = Header::below(
        &study,
        values(&[
            ("SeriesInstanceUID", text(uid(2, series))),
            ("Modality", "CT".into()),
            ("Manufacturer", "MAKER".into()),
            ("SeriesNumber", Value::Integer(3)),
        ]),
    );
    let stack = Header::below(
        &header,
        values(&[
            ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2".into()),
            ("TransferSyntaxUID", "1.2.840.10008.1.2.1".into()),
            ("Rows", Value::Integer(512)),
            ("Columns", Value::Integer(512)),
            ("SliceThickness", Value::Real(1.25)),
        ]),
    );
    let row = |n: u64| FileRow {
        name: FileName::new(format!("IM{n:06}.dcm").as_bytes()),
        stamp: FileStamp {
            size: 526_000 + n,
            mtime_ns: 1_700_000_000_000_000_000 + n.cast_signed() * 40_000,
            ctime_ns: 0,
        },
        digest: Some(ContentDigest((u128::from(series) << 64 | u128::from(n * 77_777_777)).to_le_bytes())),
        warnings: Warnings::default(),
        sop_instance_uid: uid(3, n).into(),
        stack: stack.clone(),
        values: values(&[
            ("InstanceNumber", Value::Integer(n.cast_signed())),
            ("ImagePositionPatient", text(format!("-249.5117\\-399.5117\\{}.25", n))),
            ("SliceLocation", Value::Real(n as f64 + 0.25)),
            ("AcquisitionTime", text(format!("1011{:02}.250000", n % 60))),
            ("ContentTime", text(format!("1011{:02}.370000", n % 60))),
        ]),
    };
    (0..SERIES_FILES).map(row).collect()
}

fn cpu_seconds(of: rustix::time::ClockId) -> f64 {
    let now = rustix::time::clock_gettime(of);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn main() {
    let total: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("archive");
    let archive = Archive::create_or_open(&path, &ArchiveSettings::default()).expect("an archive");
    let source = SourceName::new("x").expect("a name");
    let pool = archive.shards(2, SourceRoots::new([(source.clone(), b"/x".to_vec())])).expect("threads");
    let shards: Vec<_> =
        (0..12).map(|n| ShardId::new(&format!("20{n:02}-aaaaaaaa/0")).expect("an id")).collect();
    let mut batches = Vec::new();
    for first in (0..total / SERIES_FILES).step_by(50) {
        let directories: Vec<_> = (first..first + 50)
            .map(|n| {
                DirectoryRange::whole(
                    source.clone(),
                    RelativePath::new(format!("site/p{}/s{n}", n / 4).as_bytes()),
                )
            })
            .collect();
        let operations = (0..50_u32).flat_map(|n| {
            rows_of_series(first + u64::from(n))
                .into_iter()
                .map(move |row| Operation::Upsert { directory: n, row })
        });
        let shard = shards[usize::try_from(first / 50 % 12).expect("small")].clone();
        batches.push(RowBatch { shard, fence: Fence(1), directories, operations: operations.collect() });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let before = cpu_seconds(rustix::time::ClockId::ProcessCPUTime);
    let wall = cpu_seconds(rustix::time::ClockId::Monotonic);
    runtime.block_on(async {
        for (n, batch) in batches.into_iter().enumerate() {
            pool.apply(batch).await.expect("applied");
            if n % 20 == 19 {
                for shard in &shards {
                    pool.barrier(shard.clone()).await.expect("durable");
                }
            }
        }
        archive.truncate_logs(&pool).await.expect("truncated");
    });
    let cpu = cpu_seconds(rustix::time::ClockId::ProcessCPUTime) - before;
    let wall = cpu_seconds(rustix::time::ClockId::Monotonic) - wall;
    let bytes = bytes_of(&path);
    #[expect(clippy::print_stdout, reason = "the answer")]
    {
        let rows = total as f64;
        println!(
            "{total} rows: {:.2} us CPU a row, {:.2} us wall, {:.0} bytes",
            cpu / rows * 1e6,
            wall / rows * 1e6,
            bytes as f64 / rows
        );
    }
}

fn bytes_of(path: &Path) -> u64 {
    let archive = ReadArchive::open(path).expect("an archive");
    archive.shard_sizes().expect("sizes").iter().map(|(_, bytes)| bytes).sum()
}
