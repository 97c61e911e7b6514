//! What the checks of an archive find, one tampering at a time.

use std::path::PathBuf;
use std::sync::Arc;

use shardex_catalog::{
    Claim, ContentDigest, DirectoryRange, DirectoryRecord, Domain, Fence, FileKind, FileName, FileRow,
    FileStamp, FileState, Header, LedgerChange, LedgerEntry, Operation, PartitionInput, PartitionScheme,
    RelativePath, RowBatch, ShardId, SourceName, StudyKey, Value, Values, Warnings, attribute_by_keyword,
    shard_of,
};
use shardex_seams::{Ledger, Registry, ShardWriter, StudyClaim};
use shardex_shard_store::check::{Depth, Finding, Kind, Watch};
use shardex_shard_store::{Archive, ArchiveSettings, ReadArchive, SourceRoots};

const FILES: [(&str, &str, f64); 3] =
    [("a.dcm", "1.2.1", 1.5), ("b.dcm", "1.2.2", -0.0), ("c.dcm", "1.2.2", 0.0)];

#[derive(Default)]
struct Collected(Vec<Finding>);

impl Watch for Collected {
    fn found(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    fn advance(&mut self, _by: u64) {}
}

struct Fixture {
    folder: tempfile::TempDir,
    shard: ShardId,
}

impl Fixture {
    /// An archive with three files of one study, of which two are one instance.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let archive =
            Archive::create_or_open(&folder.path().join("x"), &ArchiveSettings::default()).expect("made");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let pool = archive.shards(1, SourceRoots::default()).expect("started");
        let partition = PartitionScheme::default().partition(PartitionInput {
            domain: &Domain::default(),
            study_date: Some("20190304"),
            institution: None,
        });
        let shard = shard_of(&partition);
        let claim = StudyClaim {
            site: None,
            key: StudyKey::new(&Domain::default(), "1.2"),
            domain: Domain::default(),
            partition,
            study_instance_uid: "1.2".into(),
        };
        runtime.block_on(archive.registry().claim(vec![claim])).expect("claimed");
        let operations = FILES
            .iter()
            .map(|(name, uid, width)| Operation::Upsert { directory: 0, row: row(name, uid, *width) });
        let batch = RowBatch {
            shard: shard.clone(),
            fence: Fence(1),
            directories: vec![directory()],
            operations: operations.collect(),
        };
        let applied = runtime.block_on(pool.apply(batch)).expect("applied");
        let record = DirectoryRecord {
            extract_version: 1,
            entries: FILES.iter().map(|(name, ..)| entry(name, &shard)).collect(),
            children: Vec::new(),
            claims: vec![Claim { shard: shard.clone(), applied }],
        };
        let change = LedgerChange::Replace { range: directory(), record, keep_open: false };
        runtime.block_on(archive.ledger().commit(vec![change])).expect("committed");
        Self { folder, shard }
    }

    fn path(&self, file: &str) -> PathBuf {
        let root = self.folder.path().join("x");
        match file {
            "shard" => root.join("shards").join(format!("{}.sqlite", self.shard)),
            "jobs" => root.join("jobs.sqlite"),
            other => root.join(other).join("0.sqlite"),
        }
    }

    fn tamper(&self, file: &str, sql: &str) {
        let connection = rusqlite::Connection::open(self.path(file)).expect("opened");
        connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).expect("tampered");
    }

    fn check(&self) -> Vec<Kind> {
        let archive = ReadArchive::open(&self.folder.path().join("x")).expect("an archive");
        let cancel = Arc::default();
        let mut watch = Collected::default();
        archive.check_files(Depth::Full, &cancel, &mut watch).expect("checked");
        archive.check_headers(&cancel, &mut watch).expect("checked");
        archive.check_registry(&cancel, &mut watch).expect("checked");
        archive.check_entries(&cancel, &mut watch, &mut |_| {}).expect("checked");
        let mut kinds: Vec<_> = watch.0.iter().map(|finding| finding.kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }
}

fn directory() -> DirectoryRange {
    DirectoryRange::whole(SourceName::new("site").expect("a name"), RelativePath::new(b"d"))
}

fn values(entries: &[(&str, Value)]) -> Values {
    let id = |keyword: &str| attribute_by_keyword(keyword).expect("a keyword");
    let odd = vec![(id("SeriesNumber"), "one \"and\" a\\half".into())];
    Values::new(entries.iter().map(|(k, v)| (id(k), v.clone())).collect(), odd)
}

fn row(name: &str, uid: &str, width: f64) -> FileRow {
    let study = Header::study(
        Domain::default(),
        values(&[
            ("StudyInstanceUID", "1.2".into()),
            ("PatientID", "P".into()),
            ("StudyDate", "20190304".into()),
        ]),
    );
    let series = Header::below(&study, values(&[("SeriesInstanceUID", "1.2.0".into())]));
    let stack = Header::below(
        &series,
        values(&[("SliceThickness", Value::Real(width)), ("Rows", Value::Integer(512))]),
    );
    FileRow {
        name: FileName::new(name.as_bytes()),
        stamp: stamp(),
        digest: Some(ContentDigest([7; 16])),
        warnings: Warnings::default(),
        sop_instance_uid: uid.into(),
        stack,
        values: values(&[]),
    }
}

fn stamp() -> FileStamp {
    FileStamp { size: 100, mtime_ns: 5, ctime_ns: 5 }
}

fn entry(name: &str, shard: &ShardId) -> LedgerEntry {
    LedgerEntry {
        name: FileName::new(name.as_bytes()),
        stamp: stamp(),
        state: FileState::Indexed,
        kind: FileKind::Dicom,
        reason: None,
        shard: Some(shard.clone()),
        racy: false,
        missing: false,
        detail: None,
    }
}

#[test]
fn a_sound_archive_gives_nothing() {
    assert_eq!(Fixture::new().check(), []);
}

#[test]
fn every_tampering_is_found_as_what_it_is() {
    let primary = "UPDATE file SET is_primary = 1; UPDATE stack_header SET n_live = n_files, live_bytes = 100 * n_files;
         UPDATE series_header SET n_live = n_files, live_bytes = 100 * n_files;
         UPDATE study_header SET n_live = n_files, live_bytes = 100 * n_files;";
    for (file, sql, expected) in [
        ("shard", "UPDATE study_header SET n_live = n_live + 1", &[Kind::Count][..]),
        ("shard", "UPDATE stack_header SET live_bytes = 7", &[Kind::Count]),
        ("shard", primary, &[Kind::Primary]),
        ("shard", "UPDATE study_header SET \"PatientID\" = 'Q'", &[Kind::HeaderDigest]),
        ("shard", "UPDATE stack_header SET \"Rows\" = 513", &[Kind::HeaderDigest]),
        ("shard", "UPDATE series_header SET odd = NULL", &[Kind::HeaderDigest]),
        ("shard", "UPDATE file SET mtime_ns = 6 WHERE name = 'a.dcm'", &[Kind::RowDiffers]),
        ("shard", "UPDATE file SET stack = 999 WHERE name = 'a.dcm'", &[Kind::Reference, Kind::Count]),
        (
            "shard",
            "UPDATE file SET name = 'x.dcm' WHERE name = 'a.dcm'",
            &[Kind::RowMissing, Kind::RowWithoutEntry],
        ),
        ("shard", "UPDATE history SET last_sequence = 0", &[Kind::OlderShard]),
        ("shard", "DROP INDEX file_stack", &[Kind::Schema]),
        ("shard", "DROP VIEW studies", &[Kind::Schema]),
        ("shard", "CREATE INDEX own ON file(size); CREATE VIEW mine AS SELECT 1", &[]),
        ("registry", "DELETE FROM study", &[Kind::Unclaimed]),
        ("registry", "UPDATE shard SET name = 'other-00000000/0'", &[Kind::ClaimedElsewhere]),
        ("registry", "UPDATE token SET value = value + 1", &[Kind::Token]),
        ("ledger", "DELETE FROM record", &[Kind::RowWithoutEntry]),
        ("ledger", "INSERT INTO open_mark VALUES ('site', x'64', 0, 4294967295, 1)", &[Kind::Interrupted]),
        ("jobs", "PRAGMA user_version = 99", &[Kind::Unreadable, Kind::Token]),
    ] {
        let fixture = Fixture::new();
        fixture.tamper(file, sql);
        let mut expected = expected.to_vec();
        expected.sort();
        let found: Vec<_> = fixture.check();
        assert_eq!(found, expected, "{file}: {sql}");
    }
}

#[test]
fn damaged_pages_are_found_and_the_rest_is_checked() {
    let fixture = Fixture::new();
    fixture.tamper("shard", "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE");
    let path = fixture.path("shard");
    let mut bytes = std::fs::read(&path).expect("read");
    let length = bytes.len();
    bytes[8192..length].fill(0xAB);
    std::fs::write(&path, bytes).expect("written");
    let found = fixture.check();
    assert!(found.contains(&Kind::Damaged), "{found:?}");
}
