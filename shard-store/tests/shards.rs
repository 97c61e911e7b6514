//! Shards through the seams: counts, twins, fences and lives, under random operations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use shardex_catalog::{
    Cell, ContentDigest, DirectoryRange, Domain, Fence, FileName, FileRow, FileStamp, Header, LeafQuery,
    Operation, RelativePath, RowBatch, ShardId, SourceName, Value, Values, View, Warnings,
    attribute_by_keyword,
};
use shardex_seams::{Leaf, ShardWriter, StoreError};
use shardex_shard_store::{Archive, ArchiveSettings, ReadArchive, ShardPool, SourceRoots};

struct Fixture {
    folder: tempfile::TempDir,
    pool: Arc<ShardPool>,
    runtime: tokio::runtime::Runtime,
    _archive: Archive,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::open(folder)
    }

    fn open(folder: tempfile::TempDir) -> Self {
        let archive = Archive::create_or_open(&folder.path().join("archive"), &ArchiveSettings::default())
            .expect("opened");
        let pool = archive.shards(2, SourceRoots::new([(source(), b"/mnt/x".to_vec())])).expect("started");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { folder, pool, runtime, _archive: archive }
    }

    fn reopen(self) -> Self {
        let Self { folder, pool, runtime, _archive } = self;
        drop((pool, runtime, _archive));
        Self::open(folder)
    }

    fn apply(&self, fence: u64, operations: Vec<Operation>) -> Result<shardex_catalog::Applied, StoreError> {
        let batch = RowBatch {
            shard: shard(),
            fence: Fence(fence),
            directories: vec![directory("a"), directory("b")],
            operations,
        };
        self.runtime.block_on(self.pool.apply(batch))
    }

    fn rows(&self, view: View, columns: &[&str], filters: &[&str]) -> Vec<Vec<Cell>> {
        let leaves = ReadArchive::open(&self.folder.path().join("archive")).expect("an archive").leaves(4);
        let query = LeafQuery {
            view,
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            filters: filters.iter().map(|text| (*text).to_owned()).collect(),
            sop_instance_uids: None,
            rows_max: None,
        };
        let mut rows = Vec::new();
        let mut keep = |row| {
            rows.push(row);
            true
        };
        leaves.rows(&shard(), &query, &Arc::new(AtomicBool::new(false)), &mut keep).expect("rows");
        rows.sort_by_key(|row| format!("{row:?}"));
        rows
    }
}

fn source() -> SourceName {
    SourceName::new("site").expect("a name")
}

fn shard() -> ShardId {
    ShardId::new("2019-00000000/0").expect("an id")
}

fn directory(path: &str) -> DirectoryRange {
    DirectoryRange::whole(source(), RelativePath::new(path.as_bytes()))
}

fn values(entries: &[(&str, &str)]) -> Values {
    let id = |keyword: &str| attribute_by_keyword(keyword).expect("a keyword");
    Values::new(entries.iter().map(|(k, v)| (id(k), Value::from(*v))).collect(), Vec::new())
}

/// A file of patient `patient`, study `study`, series `series`, instance `instance`.
fn file(name: &str, patient: &str, study: &str, series: &str, instance: &str, mtime_ns: i64) -> FileRow {
    let study = Header::study(
        Domain::default(),
        values(&[("StudyInstanceUID", study), ("PatientID", patient), ("StudyDate", "20190304")]),
    );
    let series = Header::below(&study, values(&[("SeriesInstanceUID", series), ("Modality", "CT")]));
    let stack = Header::below(&series, values(&[("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2")]));
    FileRow {
        name: FileName::new(name.as_bytes()),
        stamp: FileStamp { size: 100, mtime_ns, ctime_ns: mtime_ns },
        digest: Some(ContentDigest([7; 16])),
        warnings: Warnings::default(),
        sop_instance_uid: instance.into(),
        stack,
        values: values(&[("ContentTime", "101112")]),
    }
}

fn upsert(directory: u32, row: FileRow) -> Operation {
    Operation::Upsert { directory, row }
}

fn remove(directory: u32, name: &str) -> Operation {
    Operation::Remove { directory, name: FileName::new(name.as_bytes()) }
}

fn text(value: &str) -> Cell {
    Cell::Text(value.into())
}

#[test]
fn a_stored_file_is_seen_in_every_view() {
    let fixture = Fixture::new();
    fixture
        .apply(1, vec![upsert(0, file("x.dcm", "P1", "1.2", "1.3", "1.4.5", 1_500_000_000))])
        .expect("applied");
    let columns = ["PatientID", "SOPInstanceUID", "file_path", "mtime", "ContentTime", "StudyDate"];
    let expected = vec![vec![
        text("P1"),
        text("1.4.5"),
        text("/mnt/x/a/x.dcm"),
        Cell::Real(1.5),
        text("101112"),
        text("20190304"),
    ]];
    assert_eq!(fixture.rows(View::Instances, &columns, &["PatientID = 'P1' AND Modality = 'CT'"]), expected);
    let counts =
        ["NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "ModalitiesInStudy", "bytes"];
    let expected = vec![vec![Cell::Integer(1), Cell::Integer(1), text("CT"), Cell::Integer(100)]];
    assert_eq!(fixture.rows(View::Studies, &counts, &[]), expected);
    assert_eq!(
        fixture.rows(View::DicomMetadata, &["patient_id"], &["modality = 'CT' AND study_date < '2020'"]),
        vec![vec![text("P1")]]
    );
    assert_eq!(fixture.rows(View::Instances, &[], &["Modality = 'MR'"]), Vec::<Vec<Cell>>::new());
    assert_eq!(fixture.rows(View::Files, &[], &[]), vec![vec![]], "a row without columns counts");
}

#[test]
fn two_patients_with_one_study_uid_are_never_mixed() {
    let fixture = Fixture::new();
    let rows = ["1", "2", "3"].map(|n| upsert(0, file(n, "ADA", "1.2", "1.3", &format!("1.4.{n}"), 5)));
    fixture.apply(1, rows.into()).expect("applied");
    fixture.apply(1, vec![upsert(1, file("9", "BEN", "1.2", "1.9", "1.4.9", 5))]).expect("applied");
    let shown = fixture.rows(View::Studies, &["PatientID", "NumberOfStudyRelatedInstances", "headers"], &[]);
    assert_eq!(shown, vec![vec![text("ADA"), Cell::Integer(4), Cell::Integer(2)]]);
    let own = fixture.rows(View::Instances, &["PatientID", "SOPInstanceUID"], &["SOPInstanceUID = '1.4.9'"]);
    assert_eq!(own, vec![vec![text("BEN"), text("1.4.9")]]);
    let conflicts =
        fixture.rows(View::Conflicts, &["keyword", "value_min", "value_max"], &["level = 'patient'"]);
    assert_eq!(conflicts, vec![vec![text("PatientID"), text("ADA"), text("BEN")]]);
}

#[test]
fn the_newest_file_of_an_instance_is_its_primary_whatever_the_order() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
        let fixture = Fixture::new();
        let files = [("x", 10), ("y", 30), ("z", 20)];
        for at in order {
            let (name, mtime_ns) = files[at];
            fixture
                .apply(1, vec![upsert(0, file(name, "P", "1.2", "1.3", "1.4", mtime_ns))])
                .expect("applied");
        }
        assert_eq!(fixture.rows(View::Instances, &["path"], &[]), vec![vec![text("a/y")]], "{order:?}");
        assert_eq!(fixture.rows(View::Files, &["path"], &[]).len(), 3);
        fixture.apply(1, vec![remove(0, "y")]).expect("applied");
        assert_eq!(fixture.rows(View::Instances, &["path"], &[]), vec![vec![text("a/z")]], "{order:?}");
    }
}

#[test]
fn a_lower_fence_is_refused_and_changes_nothing() {
    let fixture = Fixture::new();
    fixture.apply(5, vec![upsert(0, file("x", "NEW", "1.2", "1.3", "1.4", 5))]).expect("applied");
    let late = fixture.apply(4, vec![upsert(0, file("x", "OLD", "1.2", "1.3", "1.4", 5))]);
    assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
    assert_eq!(fixture.rows(View::Instances, &["PatientID"], &[]), vec![vec![text("NEW")]]);
    // What the refused batch looked up must not be believed later.
    fixture.apply(6, vec![upsert(1, file("y", "OLD", "1.2", "1.3", "1.5", 5))]).expect("applied");
    let patients = fixture.rows(View::Instances, &["PatientID"], &["SOPInstanceUID = '1.5'"]);
    assert_eq!(patients, vec![vec![text("OLD")]]);
}

#[test]
fn every_opening_is_a_life_and_batches_are_numbered_in_it() {
    let fixture = Fixture::new();
    let first = fixture.apply(1, vec![]).expect("applied");
    let second = fixture.apply(1, vec![]).expect("applied");
    assert_eq!((first.sequence, second.sequence, first.incarnation), (1, 2, second.incarnation));
    let fixture = fixture.reopen();
    let third = fixture.apply(1, vec![]).expect("applied");
    assert_ne!(third.incarnation, first.incarnation);
    let history = fixture.runtime.block_on(fixture.pool.history(shard())).expect("read");
    assert!(history.contains(second) && history.contains(third));
    assert!(!history.contains(shardex_catalog::Applied { sequence: 3, ..second }));
}

#[test]
fn names_and_moves_are_found() {
    let fixture = Fixture::new();
    let row = |name: &str| file(name, "P", "1.2", "1.3", "1.4", 5);
    fixture.apply(1, vec![upsert(0, row("old"))]).expect("applied");
    fixture.apply(2, vec![upsert(1, row("new"))]).expect("applied");
    let block_on = |future| fixture.runtime.block_on(future);
    assert_eq!(
        block_on(fixture.pool.names(shard(), directory("a"))).expect("read"),
        vec![FileName::new(b"old")]
    );
    let moved = |fence| {
        let names = vec![FileName::new(b"old"), FileName::new(b"never")];
        fixture
            .runtime
            .block_on(fixture.pool.moved(shard(), directory("a"), names, Fence(fence)))
            .expect("read")
    };
    assert_eq!((moved(2), moved(3)), (1, 0));
    let files = fixture.runtime.block_on(fixture.pool.files_after(shard(), None, 10)).expect("read");
    assert_eq!(files.len(), 2);
    let rest = fixture
        .runtime
        .block_on(fixture.pool.files_after(shard(), Some(files[0].clone()), 10))
        .expect("read");
    assert_eq!(rest, files[1..]);
}

#[test]
fn non_utf8_names_are_kept_as_bytes() {
    let fixture = Fixture::new();
    let mut row = file("x", "P", "1.2", "1.3", "1.4", 5);
    row.name = FileName::new(b"caf\xe9.dcm");
    fixture.apply(1, vec![upsert(0, row)]).expect("applied");
    assert_eq!(fixture.rows(View::Files, &["path"], &[]), vec![vec![Cell::Blob(b"a/caf\xe9.dcm".to_vec())]]);
    fixture
        .apply(1, vec![Operation::Remove { directory: 0, name: FileName::new(b"caf\xe9.dcm") }])
        .expect("applied");
    assert!(fixture.rows(View::Files, &["path"], &[]).is_empty());
}

/// Rows are inserted many at a time while none is known; a known name, a known instance, one that comes twice and a
/// removal, wherever they stand among them, leave what one row after the other leaves.
#[test]
fn rows_that_come_together_are_stored_as_those_that_come_alone() {
    let many = 70;
    let new = |n: usize| file(&format!("new{n:02}"), "P", "1.2", "1.3", &format!("1.4.1{n:02}"), 5);
    let known = [file("known", "P", "1.2", "1.3", "1.4.1", 5), file("other", "Q", "1.2", "1.33", "1.4.2", 5)];
    for at in [0, 1, 31, 32, 33, 63, 64, 69] {
        let again = [
            upsert(0, file("known", "P", "1.2", "1.3", "1.4.99", 6)),
            upsert(0, file("copy", "Q", "1.2", "1.33", "1.4.2", 6)),
            upsert(0, file("known", "P", "1.2", "1.3", "1.4.1", 6)),
            upsert(0, file("twin", "P", "1.2", "1.3", "1.4.100", 4)),
            upsert(0, file("new00", "P", "1.2", "1.3", "1.4.98", 6)),
            remove(0, "known"),
            remove(0, "new00"),
        ];
        for (kind, again) in again.into_iter().enumerate() {
            let mut operations: Vec<_> = (0..many).map(|n| upsert(0, new(n))).collect();
            operations.insert(at, again);
            let [together, alone] = [Fixture::new(), Fixture::new()];
            for fixture in [&together, &alone] {
                fixture.apply(1, known.iter().map(|row| upsert(0, row.clone())).collect()).expect("applied");
            }
            together.apply(1, operations.clone()).expect("applied");
            for operation in operations {
                alone.apply(1, vec![operation]).expect("applied");
            }
            let shown = |fixture: &Fixture| {
                [
                    fixture.rows(View::Files, &["path", "SOPInstanceUID", "mtime"], &[]),
                    fixture.rows(View::Instances, &["path", "PatientID", "SOPInstanceUID"], &[]),
                    fixture.rows(
                        View::Series,
                        &["SeriesInstanceUID", "NumberOfSeriesRelatedInstances", "bytes"],
                        &[],
                    ),
                ]
            };
            let [files, instances, series] = shown(&together);
            assert!(files.len() > many && instances.len() >= many && series.len() == 2, "{kind} at {at}");
            assert_eq!([files, instances, series], shown(&alone), "{kind} at {at}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Upsert { directory: u32, name: u8, patient: u8, instance: u8, mtime_ns: i64 },
    Remove { directory: u32, name: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..2_u32, 0..4_u8, 0..2_u8, 0..3_u8, 0..3_i64).prop_map(|(directory, name, patient, instance, mtime_ns)| {
            Step::Upsert { directory, name, patient, instance, mtime_ns }
        }),
        1 => (0..2_u32, 0..4_u8).prop_map(|(directory, name)| Step::Remove { directory, name }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever was stored and removed, files are those of the last operation on each name, every
    /// instance has one primary, and derived counts are what counting the files gives.
    #[test]
    fn counts_follow_files(batches in proptest::collection::vec(proptest::collection::vec(step(), 1..8), 1..8)) {
        let fixture = Fixture::new();
        let mut model: BTreeMap<(u32, u8), (u8, u8, i64)> = BTreeMap::new();
        for batch in batches {
            let operations = batch.iter().map(|step| match step {
                Step::Upsert { directory, name, patient, instance, mtime_ns } => {
                    model.insert((*directory, *name), (*patient, *instance, *mtime_ns));
                    let series = if *patient == 0 { "1.3" } else { "1.33" };
                    let row = file(&name.to_string(), &format!("P{patient}"), "1.2", series, &format!("1.4.{instance}"), *mtime_ns);
                    upsert(*directory, row)
                }
                Step::Remove { directory, name } => {
                    model.remove(&(*directory, *name));
                    remove(*directory, &name.to_string())
                }
            });
            fixture.apply(1, operations.collect()).expect("applied");
        }
        // An instance is (series, SOP Instance UID); its primary is the newest file, then the last path.
        let mut primaries: BTreeMap<(u8, u8), (i64, String)> = BTreeMap::new();
        for ((directory, name), (patient, instance, mtime_ns)) in &model {
            let path = format!("{}/{name}", ["a", "b"][*directory as usize]);
            let best = primaries.entry((*patient, *instance)).or_insert((*mtime_ns, path.clone()));
            if (*mtime_ns, path.clone()) > *best {
                *best = (*mtime_ns, path);
            }
        }
        let mut paths: Vec<_> = primaries.values().map(|(_, path)| vec![text(path)]).collect();
        paths.sort_by_key(|row| format!("{row:?}"));
        prop_assert_eq!(fixture.rows(View::Instances, &["path"], &[]), paths);
        prop_assert_eq!(fixture.rows(View::Files, &[], &[]).len(), model.len());
        let studies = fixture.rows(View::Studies, &["NumberOfStudyRelatedInstances", "bytes"], &[]);
        let total = i64::try_from(primaries.len()).expect("few");
        let expected = if total == 0 { vec![] } else { vec![vec![Cell::Integer(total), Cell::Integer(100 * total)]] };
        prop_assert_eq!(studies, expected);
    }
}
