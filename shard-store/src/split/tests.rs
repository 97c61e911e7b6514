//! A split that ends after any of its steps, and is carried on by the next opening.

use std::collections::BTreeSet;
use std::path::PathBuf;

use shardex_catalog::{
    Applied, Claim, DirectoryRange, DirectoryRecord, Domain, Fence, FileKind, FileName, FileRow, FileStamp,
    FileState, Header, LedgerChange, LedgerEntry, Operation, PartitionInput, PartitionKey, PartitionScheme,
    RelativePath, RowBatch, SourceName, StudyKey, Value, Values, Warnings, attribute_by_keyword, bucket_of,
    shard_of,
};
use shardex_seams::{Ledger, Registry, ShardWriter, StudyClaim};

use super::*;
use crate::ledger::Relabeller;
use crate::registry::RegistryFile;
use crate::{ArchiveSettings, SourceRoots};

const STUDIES: u32 = 40;
const FILES: u32 = 3;

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
    runtime: tokio::runtime::Runtime,
}

fn partition() -> PartitionKey {
    let domain = Domain::default();
    PartitionScheme::default().partition(PartitionInput {
        domain: &domain,
        study_date: Some("20190304"),
        institution: None,
    })
}

fn root() -> ShardId {
    shard_of(&partition())
}

fn key(study: u32) -> StudyKey {
    StudyKey::new(&Domain::default(), &uid(study))
}

fn uid(study: u32) -> String {
    format!("1.2.{study}")
}

fn directory(study: u32) -> DirectoryRange {
    let source = SourceName::new("site").expect("a name");
    // Two studies in a directory.
    DirectoryRange::whole(source, RelativePath::new(format!("d{}", study / 2).as_bytes()))
}

fn claim(study: u32) -> StudyClaim {
    StudyClaim {
        key: key(study),
        domain: Domain::default(),
        study_instance_uid: uid(study).into(),
        partition: partition(),
        site: None,
    }
}

/// File `n` of a study. The first of all studies are files of one SOP Instance UID.
fn row(study: u32, n: u32) -> FileRow {
    let values = |entries: &[(&str, &str)]| {
        let id = |keyword: &str| attribute_by_keyword(keyword).expect("a keyword");
        Values::new(entries.iter().map(|(k, v)| (id(k), Value::from(*v))).collect(), Vec::new())
    };
    let above =
        Header::study(Domain::default(), values(&[("StudyInstanceUID", &uid(study)), ("PatientID", "P")]));
    let above =
        Header::below(&above, values(&[("SeriesInstanceUID", &format!("1.3.{study}")), ("Modality", "CT")]));
    let stack = Header::below(&above, values(&[("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2")]));
    FileRow {
        name: name(study, n),
        stamp: FileStamp { size: 100, mtime_ns: 7, ctime_ns: 7 },
        digest: None,
        warnings: Warnings::default(),
        sop_instance_uid: if n == 0 { "1.9".into() } else { format!("1.4.{study}.{n}").into() },
        stack,
        values: values(&[]),
    }
}

fn name(study: u32, n: u32) -> FileName {
    FileName::new(format!("{study:03}-{n}.dcm").as_bytes())
}

fn entry(study: u32, n: u32, shard: &ShardId) -> LedgerEntry {
    LedgerEntry {
        name: name(study, n),
        stamp: FileStamp { size: 100, mtime_ns: 7, ctime_ns: 7 },
        state: FileState::Indexed,
        kind: FileKind::Dicom,
        reason: None,
        shard: Some(shard.clone()),
        racy: false,
        missing: false,
        detail: None,
    }
}

impl Place {
    /// An archive of one shard, as an ingest leaves it.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("archive");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let place = Self { _folder: folder, path, runtime };
        place.ingest(0..STUDIES);
        place
    }

    fn open(&self) -> Archive {
        Archive::create_or_open(&self.path, &ArchiveSettings::default()).expect("opened")
    }

    fn layout(&self) -> Layout {
        Layout::new(&self.path)
    }

    /// Stores studies wherever the registry says.
    fn ingest(&self, studies: std::ops::Range<u32>) {
        let archive = self.open();
        let pool = archive.shards(1, SourceRoots::default()).expect("started");
        self.runtime.block_on(async {
            for first in studies.step_by(2) {
                let range = directory(first);
                let mut record = DirectoryRecord { extract_version: 1, ..DirectoryRecord::default() };
                for study in [first, first + 1] {
                    let shard =
                        archive.registry().claim(vec![claim(study)]).await.expect("claimed").remove(0);
                    let operations =
                        (0..FILES).map(|n| Operation::Upsert { directory: 0, row: row(study, n) }).collect();
                    let (directories, fence) = (vec![range.clone()], Fence(1));
                    let batch = RowBatch { shard: shard.clone(), fence, directories, operations };
                    let applied = pool.apply(batch).await.expect("applied");
                    pool.barrier(shard.clone()).await.expect("durable");
                    record.entries.extend((0..FILES).map(|n| entry(study, n, &shard)));
                    record.claims.retain(|claim| claim.shard != shard);
                    record.claims.push(Claim { shard, applied });
                }
                let change = LedgerChange::Replace { range, record, keep_open: false };
                archive.ledger().commit(vec![change]).await.expect("recorded");
            }
            archive.truncate_logs(&pool).await.expect("emptied");
        });
    }

    fn split(&self, from: &ShardId) -> (ShardSplit, Built) {
        self.open().split(from, &Arc::default()).expect("split")
    }

    fn build(&self, from: &ShardId) -> ShardSplit {
        let split = ShardSplit::new(from, &self.shards()).expect("a split");
        build(&self.layout(), &SqliteSettings::default(), &split, 3, &Arc::default()).expect("built");
        split
    }

    fn shards(&self) -> BTreeSet<ShardId> {
        self.layout().list_shards().expect("listed").into_iter().collect()
    }

    /// Holds shards, registry and ledger of an archive that was opened once more against each other.
    fn check(&self, studies: u32, what: &str) {
        let archive = self.open();
        let shards = self.shards();
        assert!(!place::has_unplaced(&self.layout()).expect("looked"), "{what}");
        let pool = archive.shards(1, SourceRoots::default()).expect("started");
        let ledger = archive.ledger();
        self.runtime.block_on(async {
            for study in 0..studies {
                let claimed = archive.registry().claim(vec![claim(study)]).await.expect("claimed").remove(0);
                assert_eq!(claimed, bucket_of(&partition(), key(study), &shards), "{what}: study {study}");
                let record = ledger.record(&directory(study)).expect("read").expect("a record");
                for n in 0..FILES {
                    let known =
                        record.entries.iter().find(|entry| entry.name == name(study, n)).expect("an entry");
                    assert_eq!(known.shard.as_ref(), Some(&claimed), "{what}: file {n} of study {study}");
                    for shard in &shards {
                        let names = pool.names(shard.clone(), directory(study)).await.expect("names");
                        assert_eq!(
                            names.contains(&name(study, n)),
                            *shard == claimed,
                            "{what}: {shard} and study {study}"
                        );
                    }
                }
                for claim in &record.claims {
                    let history = pool.history(claim.shard.clone()).await.expect("a history");
                    assert!(
                        history.contains(claim.applied),
                        "{what}: study {study} rests on {}",
                        claim.shard
                    );
                }
            }
            let positions = ledger.positions().await.expect("positions");
            for (shard, applied) in &positions {
                let history = pool.history(shard.clone()).await.expect("a history");
                assert!(history.contains(*applied), "{what}: a position of {shard}");
            }
            for shard in &shards {
                assert!(
                    positions.iter().any(|(known, _)| known == shard),
                    "{what}: nothing rests on {shard}"
                );
            }
        });
        for shard in &shards {
            let path = self.layout().shard(shard);
            let connection = sqlite::open_tidy_reader(&path, &SHARD).expect("opened").expect("a shard");
            let wrong = "SELECT count(*) FROM file WHERE NOT is_primary";
            let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
            assert_eq!(number(wrong), 0, "{what}: every study shows its file of the shared UID");
            let without_first = "SELECT count(*) FROM file f WHERE twin > 0 AND NOT EXISTS (SELECT 1 FROM file g \
                                 WHERE g.sop_instance_uid = f.sop_instance_uid AND g.twin = 0)";
            assert_eq!(number(without_first), 0, "{what}: number 0 of the shared UID is taken");
            let counts =
                "SELECT count(*) FROM study_header h WHERE n_files <> 3 OR n_live <> 3 OR live_bytes <> 300";
            assert_eq!(number(counts), 0, "{what}: header counts");
        }
    }
}

#[test]
fn halves_add_up_and_new_studies_go_by_prefix() {
    let place = Place::new();
    let (split, built) = place.split(&root());
    assert_eq!((split.to.bucket(), split.moved.to_string()), ("0.1", "1".to_owned()));
    assert_eq!((built.stays.studies + built.goes.studies, built.stays.files + built.goes.files), (40, 120));
    assert!((8..=32).contains(&built.goes.studies), "{built:?}");
    place.check(STUDIES, "split once");
    place.split(&root());
    place.split(&split.to);
    assert_eq!(place.shards().len(), 4);
    place.check(STUDIES, "split three times");
    place.ingest(STUDIES..STUDIES + 20);
    place.check(STUDIES + 20, "new studies");
}

#[test]
fn a_split_is_carried_on_wherever_it_ended() {
    let whole = BTreeSet::from([root()]);
    let place = Place::new();
    place.build(&root());
    place.check(STUDIES, "built, not decided");
    assert_eq!(place.shards(), whole, "undecided, it has not happened");

    let split = place.build(&root());
    decided(&place.layout(), &root()).expect("decided");
    assert!(place::has_unplaced(&place.layout()).expect("looked"), "nobody reads now");
    let halves = BTreeSet::from([root(), split.to.clone()]);
    place.check(STUDIES, "decided");
    assert_eq!(place.shards(), halves);

    let place = Place::new();
    place.build(&root());
    decided(&place.layout(), &root()).expect("decided");
    let goes = place::file(&place.layout(), &root(), place::Part::Goes);
    std::fs::rename(goes, place.layout().shard(&split.to)).expect("renamed");
    place.check(STUDIES, "the new shard is in its place");
    assert_eq!(place.shards(), halves);

    let place = Place::new();
    place.build(&root());
    decided(&place.layout(), &root()).expect("decided");
    place_decided(&place.layout()).expect("placed");
    place.check(STUDIES, "placed");

    let place = Place::new();
    let split = place.build(&root());
    decided(&place.layout(), &root()).expect("decided");
    place_decided(&place.layout()).expect("placed");
    let settings = SqliteSettings::default();
    RegistryFile::relabel(&place.layout().registry(), &settings, &split).expect("relabelled");
    let mut ledger = Relabeller::open(&place.layout().ledger(), &settings, &split).expect("opened");
    let path = place.layout().shard(&split.to);
    let connection = sqlite::open_tidy_reader(&path, &SHARD).expect("opened").expect("a shard");
    ledger.page(&crate::shard::files_after(&connection, None, 10).expect("files")).expect("relabelled");
    drop((ledger, connection));
    place.check(STUDIES, "half relabelled");
}

#[test]
fn the_registry_is_right_after_it_was_lost_or_is_older_than_a_split() {
    let place = Place::new();
    let registry = place.layout().registry();
    let old = std::fs::read(&registry).expect("read");
    place.split(&root());
    std::fs::remove_file(&registry).expect("removed");
    place.check(STUDIES, "lost");
    std::fs::write(&registry, old).expect("written");
    place.check(STUDIES, "put back");
}

#[test]
fn what_cannot_be_split_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("archive");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let place = Place { _folder: folder, path, runtime };
    drop(place.open());
    let none = place.open().split(&root(), &Arc::default()).expect_err("there is none");
    assert!(none.to_string().contains("no shard"), "{none}");
    place.ingest(0..2);
    place.split(&root());
    // Of two studies at most one is left in each, or both in one.
    let refused = place.shards().iter().any(|shard| {
        let error = place.open().split(shard, &Arc::default()).err();
        error.is_some_and(|error| error.to_string().contains("a study is never split"))
    });
    assert!(refused);
    place.check(2, "refused");
    let cancelled = Arc::new(AtomicBool::new(true));
    let place = Place::new();
    place.open().split(&root(), &cancelled).expect_err("cancelled");
    assert_eq!(place.shards().len(), 1);
    place.check(STUDIES, "cancelled");
}

#[test]
fn a_shard_that_nothing_rests_on_stays_one() {
    let place = Place::new();
    let split = place.build(&root());
    decided(&place.layout(), &root()).expect("decided");
    place_decided(&place.layout()).expect("placed");
    let connection = sqlite::open_writer(
        &place.layout().ledger(),
        &crate::ledger::LEDGER,
        &SqliteSettings::default(),
        1 << 20,
    )
    .expect("opened");
    connection.execute("DELETE FROM position", []).expect("deleted");
    drop(connection);
    relabel_placed(&place.layout(), &SqliteSettings::default()).expect("relabelled");
    let archive = place.open();
    let positions: Vec<(ShardId, Applied)> =
        place.runtime.block_on(archive.ledger().positions()).expect("positions");
    assert!(positions.iter().all(|(shard, _)| *shard != split.to && *shard != root()), "{positions:?}");
}
