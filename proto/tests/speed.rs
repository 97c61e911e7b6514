//! What packing costs. `cargo test --release -p shardex-proto --test speed -- --ignored --nocapture`

use std::sync::Arc;
use std::time::Instant;

use shardex_catalog::{
    ContentDigest, DirectoryRange, Domain, Fence, FileName, FileRow, FileStamp, Header, Operation,
    RelativePath, RowBatch, ShardId, SourceName, Value, Values, Warnings, attribute_by_keyword,
};
use shardex_proto::packed::{batch_in, batch_out};

const FILES: u32 = 5000;
const PASSES: u32 = 40;

/// A batch as a scanner's series make it: a stack header every hundred files, ten values a file.
fn batch() -> RowBatch {
    let value = |keyword: &str, value| (attribute_by_keyword(keyword).expect("a keyword"), value);
    let text = |keyword: &str, text: &str| value(keyword, Value::from(text));
    let uid = text("StudyInstanceUID", "1.2.840.113619.2.55.3.604688119.971.1268921732.467");
    let study = Header::study(Domain::default(), Values::new(vec![uid, text("PatientID", "P1")], Vec::new()));
    let mut stack = None;
    let mut row = |n: u32| {
        if n.is_multiple_of(100) {
            let uid = format!("1.2.840.113619.2.55.3.604688119.971.1268921732.{n}");
            let series =
                Header::below(&study, Values::new(vec![text("SeriesInstanceUID", &uid)], Vec::new()));
            stack =
                Some(Header::below(&series, Values::new(vec![text("ImageType", "ORIGINAL")], Vec::new())));
        }
        FileRow {
            name: FileName::new(format!("IM{n:06}.dcm").as_bytes()),
            stamp: FileStamp {
                size: 526_000,
                mtime_ns: 1_500_000_000_000_000_000,
                ctime_ns: 1_500_000_001_000_000_000,
            },
            digest: Some(ContentDigest([7; 16])),
            warnings: Warnings::default(),
            sop_instance_uid: format!("1.2.840.113619.2.55.3.604688119.971.1268921733.{n}").into(),
            stack: Arc::clone(stack.as_ref().expect("the first file makes one")),
            values: Values::new(
                vec![
                    value("InstanceNumber", Value::Integer(n.into())),
                    value("SliceLocation", Value::Real(f64::from(n) / 3.0)),
                    text("ContentTime", "101112.130000"),
                    text("AcquisitionTime", "101112.130000"),
                    text("ImagePositionPatient", "-125.000000\\-125.000000\\17.500000"),
                ],
                Vec::new(),
            ),
        }
    };
    let operations = (0..FILES).map(|n| Operation::Upsert { directory: 0, row: row(n) }).collect();
    let source = SourceName::new("s").expect("a name");
    RowBatch {
        shard: ShardId::new("2019-1f/0").expect("an id"),
        fence: Fence(7),
        directories: vec![DirectoryRange::whole(source, RelativePath::new(b"a"))],
        operations,
    }
}

#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "a measurement is for looking at")]
fn what_a_row_costs() {
    let batch = batch();
    let bytes = batch_out(&batch);
    let each = |began: Instant| began.elapsed().as_nanos() / u128::from(FILES * PASSES);
    let began = Instant::now();
    (0..PASSES).for_each(|_| assert_eq!(batch_out(&batch).len(), bytes.len()));
    let packing = each(began);
    let began = Instant::now();
    (0..PASSES).for_each(|_| assert!(batch_in(&bytes).is_ok()));
    let row_bytes = bytes.len() / usize::try_from(FILES).expect("few");
    eprintln!("a row: {row_bytes} bytes, packed in {packing} ns, read in {} ns", each(began));
}
