//! Archives of older formats are read as they are, and brought up to date when they are written to.
//!
//! The fixtures are archives as the versions before wrote them, as SQL. A new version adds a
//! fixture; none is ever changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shardex_catalog::{Cell, LeafQuery, ShardId, View};
use shardex_seams::{Leaf, StoreError};
use shardex_shard_store::check::{Depth, Finding, Watch};
use shardex_shard_store::overview::{OverviewOptions, overview};
use shardex_shard_store::{Archive, ArchiveError, ArchiveSettings, ReadArchive};

const SHARD: &str = "2019-b059c9be/0";

struct Fixture {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl Fixture {
    /// An archive of two instances in three files, as version 1 wrote it.
    fn version_1() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("archive");
        for (file, sql) in [
            (format!("shards/{SHARD}.sqlite"), include_str!("fixtures/shard_v1.sql")),
            ("registry/0.sqlite".to_owned(), include_str!("fixtures/registry_v1.sql")),
            ("ledger/0.sqlite".to_owned(), include_str!("fixtures/ledger_v1.sql")),
            ("jobs.sqlite".to_owned(), include_str!("fixtures/jobs_v1.sql")),
        ] {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            let connection = rusqlite::Connection::open(&path).expect("opened");
            connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA journal_mode = WAL").expect("set");
            connection.execute_batch(sql).expect("a fixture");
        }
        std::fs::write(root.join("lock"), "").expect("written");
        std::fs::write(root.join("archive.toml"), "format_version = 1\npartition = \"date:year\"\n")
            .expect("written");
        Self { _folder: folder, root }
    }

    /// The same, after version 2 wrote to it.
    fn version_2() -> Self {
        let fixture = Self::version_1();
        for (file, sql) in [
            (format!("shards/{SHARD}.sqlite"), include_str!("fixtures/shard_v2.sql")),
            ("registry/0.sqlite".to_owned(), include_str!("fixtures/registry_v2.sql")),
        ] {
            let connection = rusqlite::Connection::open(fixture.root.join(file)).expect("opened");
            connection.execute_batch(sql).expect("a fixture");
        }
        let manifest = "format_version = 2\npartition = \"date:year\"\ninstitutions_max = 200\n";
        std::fs::write(fixture.root.join("archive.toml"), manifest).expect("written");
        fixture
    }

    /// The same, after version 3 wrote to its shard.
    fn version_3() -> Self {
        let fixture = Self::version_2();
        let shard = fixture.root.join(format!("shards/{SHARD}.sqlite"));
        let connection = rusqlite::Connection::open(shard).expect("opened");
        connection.execute_batch(include_str!("fixtures/shard_v3.sql")).expect("a fixture");
        fixture
    }

    /// Every older version.
    fn all() -> [(Self, [i64; 4]); 3] {
        [
            (Self::version_1(), [1, 1, 1, 1]),
            (Self::version_2(), [2, 2, 1, 1]),
            (Self::version_3(), [3, 2, 1, 1]),
        ]
    }

    fn versions(&self) -> Vec<i64> {
        let version = |file: &str| {
            let connection = rusqlite::Connection::open(self.root.join(file)).expect("opened");
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version")
        };
        [&*format!("shards/{SHARD}.sqlite"), "registry/0.sqlite", "ledger/0.sqlite", "jobs.sqlite"]
            .map(version)
            .to_vec()
    }

    fn rows(&self) -> Vec<Vec<Cell>> {
        let query = LeafQuery {
            view: View::Instances,
            columns: ["SOPInstanceUID", "PatientID", "path", "file_path", "warnings"]
                .map(str::to_owned)
                .to_vec(),
            filters: Vec::new(),
            sop_instance_uids: None,
            rows_max: None,
        };
        let leaves = ReadArchive::open(&self.root).expect("an archive").leaves(1);
        let shard = ShardId::new(SHARD).expect("an id");
        let mut rows = Vec::new();
        let mut keep = |row| {
            rows.push(row);
            true
        };
        leaves.rows(&shard, &query, &Arc::default(), &mut keep).expect("rows");
        rows.sort_by_key(|row| format!("{row:?}"));
        rows
    }

    fn instances(&self) -> (u64, u64) {
        let options = OverviewOptions {
            today: "20300101".to_owned(),
            file_rows_max: None,
            threads: 1,
            cancel: Arc::default(),
        };
        let archive = ReadArchive::open(&self.root).expect("an archive");
        let overview = overview(&archive, &options).expect("counted");
        (overview.instances, overview.findings.copies)
    }

    fn findings(&self) -> Vec<Finding> {
        struct All(Vec<Finding>);
        impl Watch for All {
            fn found(&mut self, finding: Finding) {
                self.0.push(finding);
            }
            fn advance(&mut self, _by: u64) {}
        }
        let archive = ReadArchive::open(&self.root).expect("an archive");
        let (mut all, cancel) = (All(Vec::new()), Arc::default());
        archive.check_files(Depth::Full, &cancel, &mut all).expect("checked");
        archive.check_headers(&cancel, &mut all).expect("checked");
        archive.check_registry(&cancel, &mut all).expect("checked");
        archive.check_entries(&cancel, &mut all, &mut |_| {}).expect("checked");
        all.0
    }
}

fn manifest(root: &Path) -> String {
    std::fs::read_to_string(root.join("archive.toml")).expect("read")
}

#[test]
fn older_versions_are_read_as_they_are() {
    for (fixture, versions) in Fixture::all() {
        let before = manifest(&fixture.root);
        assert_eq!(fixture.rows().len(), 2);
        assert_eq!(fixture.instances(), (2, 1));
        assert_eq!(fixture.findings(), []);
        assert_eq!(fixture.versions(), versions, "reading changes nothing");
        assert_eq!(manifest(&fixture.root), before);
    }
}

#[test]
fn older_versions_are_brought_up_to_date_when_they_are_written_to() {
    for (fixture, _) in Fixture::all() {
        let before = fixture.rows();
        let archive = Archive::create_or_open(&fixture.root, &ArchiveSettings::default()).expect("opened");
        assert_eq!((archive.healed().ledger_files, archive.healed().registry_studies), (None, None));
        let shard = ShardId::new(SHARD).expect("an id");
        let work = shardex_shard_store::maintain::Work::Optimize;
        archive.maintain(work, Some(&shard), false, &Arc::default(), &mut |_| {}).expect("optimised");
        drop(archive);
        assert_eq!(fixture.versions(), [4, 2, 1, 1]);
        assert!(manifest(&fixture.root).contains("format_version = 2"), "{}", manifest(&fixture.root));
        assert_eq!((fixture.rows(), fixture.instances()), (before, (2, 1)));
        assert_eq!(fixture.findings(), []);
        // A file of the archive shows the views of today to whoever opens it alone.
        let shard = fixture.root.join(format!("shards/{SHARD}.sqlite"));
        let connection = rusqlite::Connection::open(shard).expect("opened");
        for sql in [
            "SELECT count(*) FROM files f JOIN instances i ON i.file_path = f.file_path",
            "SELECT count(*) FROM dicom_metadata WHERE other_patient_ids IS NULL AND ctdi_vol IS NULL",
        ] {
            let named: i64 = connection.query_row(sql, [], |row| row.get(0)).expect(sql);
            assert_eq!(named, 2, "{sql}");
        }
        drop(connection);
        Archive::create_or_open(&fixture.root, &ArchiveSettings::default()).expect("opened again");
    }
}

#[test]
fn a_newer_format_is_refused_with_both_versions() {
    for file in [&*format!("shards/{SHARD}.sqlite"), "registry/0.sqlite", "ledger/0.sqlite", "jobs.sqlite"] {
        let fixture = Fixture::version_1();
        let connection = rusqlite::Connection::open(fixture.root.join(file)).expect("opened");
        connection.pragma_update(None, "user_version", 99).expect("set");
        drop(connection);
        let text = if file.starts_with("shards") {
            let leaves = ReadArchive::open(&fixture.root).expect("an archive").leaves(1);
            let query = LeafQuery {
                view: View::Studies,
                columns: Vec::new(),
                filters: Vec::new(),
                sop_instance_uids: None,
                rows_max: None,
            };
            let shard = ShardId::new(SHARD).expect("an id");
            leaves.rows(&shard, &query, &Arc::default(), &mut |_| true).expect_err("newer").to_string()
        } else {
            let refused = Archive::create_or_open(&fixture.root, &ArchiveSettings::default());
            let Err(ArchiveError::Store(error @ StoreError::Newer { .. })) = refused else {
                panic!("{file} was opened")
            };
            error.to_string()
        };
        assert!(text.contains("version 99") && text.contains("up to"), "{file}: {text}");
    }
    let fixture = Fixture::version_1();
    std::fs::write(fixture.root.join("archive.toml"), "format_version = 3\nnew = 1\n").expect("written");
    let Err(refused) = ReadArchive::open(&fixture.root) else { panic!("a newer archive.toml was opened") };
    let text = refused.to_string();
    assert!(text.contains("version 3 is newer than 2"), "{text}");
}
