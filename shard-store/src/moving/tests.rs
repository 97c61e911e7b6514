//! Ledger and registry that move, and processes that die after any step of it.

use std::path::PathBuf;

use shardex_catalog::{
    Claim, DirectoryRange, DirectoryRecord, Domain, Fence, FileKind, FileName, FileRow, FileStamp, FileState,
    Header, LedgerChange, LedgerEntry, Operation, PartitionInput, PartitionKey, PartitionScheme,
    RelativePath, RowBatch, SourceName, StudyKey, Value, Values, Warnings, attribute_by_keyword,
};
use shardex_seams::{Ledger, Registry, ShardWriter, StudyClaim};

use super::place::rename_mark;
use super::*;
use crate::{ArchiveSettings, ReadArchive, SourceRoots};

const HOME: StoreId = StoreId::Home;

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
    runtime: tokio::runtime::Runtime,
}

struct Opened {
    archive: Archive,
    moving: Moving,
}

fn range() -> DirectoryRange {
    DirectoryRange::whole(SourceName::new("site").expect("a name"), RelativePath::new(b"d"))
}

fn partition() -> PartitionKey {
    let domain = Domain::default();
    let input = PartitionInput { domain: &domain, study_date: Some("20190304"), institution: None };
    PartitionScheme::default().partition(input)
}

fn claim() -> StudyClaim {
    StudyClaim {
        key: StudyKey::new(&Domain::default(), "1.2"),
        domain: Domain::default(),
        study_instance_uid: "1.2".into(),
        partition: partition(),
        site: None,
    }
}

fn name() -> FileName {
    FileName::new(b"x.dcm")
}

fn row() -> FileRow {
    let values = |entries: &[(&str, &str)]| {
        let id = |keyword: &str| attribute_by_keyword(keyword).expect("a keyword");
        Values::new(entries.iter().map(|(k, v)| (id(k), Value::from(*v))).collect(), Vec::new())
    };
    let above = Header::study(Domain::default(), values(&[("StudyInstanceUID", "1.2")]));
    let above = Header::below(&above, values(&[("SeriesInstanceUID", "1.3")]));
    FileRow {
        name: name(),
        stamp: FileStamp { size: 100, mtime_ns: 7, ctime_ns: 7 },
        digest: None,
        warnings: Warnings::default(),
        sop_instance_uid: "1.4".into(),
        stack: Header::below(&above, values(&[("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2")])),
        values: values(&[]),
    }
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("archive");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let place = Self { _folder: folder, path, runtime };
        drop(place.open());
        place
    }

    /// One that has read a file: its row, its record and its claim are here.
    fn with_a_file() -> Self {
        let place = Self::new();
        let Opened { archive, moving } = place.open();
        place.runtime.block_on(async {
            let shard = archive.registry().claim(vec![claim()]).await.expect("claimed").remove(0);
            let operations = vec![Operation::Upsert { directory: 0, row: row() }];
            let batch =
                RowBatch { shard: shard.clone(), fence: Fence(1), directories: vec![range()], operations };
            let applied = moving.pool.apply(batch).await.expect("applied");
            moving.pool.barrier(shard.clone()).await.expect("durable");
            let entry = LedgerEntry {
                name: name(),
                stamp: FileStamp { size: 100, mtime_ns: 7, ctime_ns: 7 },
                state: FileState::Indexed,
                kind: FileKind::Dicom,
                reason: None,
                shard: Some(shard.clone()),
                racy: false,
                missing: false,
                detail: None,
            };
            let record = DirectoryRecord {
                extract_version: 1,
                entries: vec![entry],
                claims: vec![Claim { shard, applied }],
                ..DirectoryRecord::default()
            };
            let change = LedgerChange::Replace { range: range(), record, keep_open: false };
            archive.ledger().commit(vec![change]).await.expect("committed");
        });
        place
    }

    fn open(&self) -> Opened {
        let settings = ArchiveSettings { is_in_cluster: true, ..ArchiveSettings::default() };
        let archive = Archive::create_or_open(&self.path, &settings).expect("opened");
        let pool = archive.shards(1, SourceRoots::default()).expect("started");
        let leaves = ReadArchive::open(&self.path).expect("read").leaves(1);
        let moving = Moving::new(&archive, pool, leaves).expect("a folder");
        Opened { archive, moving }
    }

    fn layout(&self) -> Layout {
        Layout::new(&self.path)
    }

    /// Lets ledger and registry leave for another place.
    fn leave(&self, from: &Opened) {
        let departure = Departure { store: HOME, to: "b".to_owned(), number: 5 };
        self.runtime.block_on(from.moving.settle(departure)).expect("settled");
    }

    fn forms(&self, wanted: &[&str]) {
        let marks = ["arrived", "decided", "leaving", "left"];
        let found: Vec<_> =
            marks.into_iter().filter(|kind| self.layout().moving_mark(&HOME, kind).exists()).collect();
        assert_eq!(found, wanted);
    }
}

/// Copies both; what has arrived is noted.
fn fetch(from: &Opened, to: &Opened) -> Result<(), StoreError> {
    for (file, mut sink) in to.moving.sinks(&HOME).expect("sinks") {
        let mut take = |block: Block| sink.take(&block).is_ok();
        let lengths = from.moving.blocks(&file, &[], true, &mut take).expect("blocks");
        sink.end_pass(lengths).expect("ended");
    }
    to.moving.arrive(&HOME, 5, 1)
}

impl Opened {
    fn has_record(&self) -> bool {
        self.archive.ledger().record(&range()).expect("read").is_some()
    }

    /// Nothing was made from the shards that happen to be here.
    fn is_as_it_was(&self) {
        let healed = self.archive.healed();
        assert_eq!((healed.ledger_files, healed.registry_studies), (None, None));
    }
}

#[test]
fn both_are_exchanged_under_who_has_them_open() {
    let (from, to) = (Place::with_a_file(), Place::new());
    let (old, new) = (from.open(), to.open());
    from.leave(&old);
    from.forms(&["leaving"]);
    fetch(&old, &new).expect("arrived");
    assert!(!new.has_record(), "it waits beside what is there");
    assert_eq!(new.moving.arrived().expect("read").len(), 1);
    to.runtime.block_on(new.moving.install(&HOME)).expect("installed");
    assert!(new.has_record());
    to.forms(&[]);
    let shards = to.runtime.block_on(new.archive.registry().claim(vec![claim()])).expect("claimed");
    assert_eq!(shards, to.runtime.block_on(old.archive.registry().claim(vec![claim()])).expect("claimed"));

    from.runtime.block_on(old.moving.remove_left(&HOME)).expect("removed");
    assert!(!old.has_record());
    from.forms(&[]);
    from.runtime.block_on(old.moving.remove_left(&HOME)).expect("nothing happens without a mark");
    drop((old, new));
    let (old, new) = (from.open(), to.open());
    assert!(new.has_record() && !old.has_record());
    old.is_as_it_was();
    new.is_as_it_was();
}

#[test]
fn an_opening_completes_what_was_decided_and_nothing_else() {
    for died_after in 0..4 {
        let (from, to) = (Place::with_a_file(), Place::new());
        let old = from.open();
        from.leave(&old);
        fetch(&old, &to.open()).expect("arrived");
        let layout = to.layout();
        if died_after >= 1 {
            rename_mark(&layout, &HOME, "arrived", "decided").expect("decided");
        }
        for file in HOME.files().iter().take(usize::from(died_after >= 2) + usize::from(died_after >= 3)) {
            place_file(&layout, file).expect("placed");
        }
        let new = to.open();
        new.is_as_it_was();
        assert_eq!(new.has_record(), died_after >= 1, "died after {died_after}");
        to.forms(if died_after == 0 { &["arrived"] } else { &[] });
        drop(new);
        to.open().is_as_it_was();
    }
}

#[test]
fn what_has_left_is_begun_anew_and_not_made_from_the_shards() {
    for died_after in 0..3 {
        let place = Place::with_a_file();
        place.leave(&place.open());
        rename_mark(&place.layout(), &HOME, "leaving", "left").expect("left");
        for file in HOME.files().iter().take(died_after) {
            remove_database(&place.layout().file(file)).expect("removed");
        }
        let opened = place.open();
        opened.is_as_it_was();
        assert!(!opened.has_record(), "died after {died_after}");
        place.forms(&[]);
    }
}

#[test]
fn a_home_that_stays_has_what_it_had() {
    let place = Place::with_a_file();
    let opened = place.open();
    place.leave(&opened);
    assert_eq!(opened.moving.home_departure().expect("read").map(|departure| departure.number), Some(5));
    opened.moving.stays(&HOME).expect("it stays");
    drop(opened);
    let opened = place.open();
    opened.is_as_it_was();
    assert!(opened.has_record());
    place.forms(&[]);
}

#[test]
fn a_ledger_and_a_registry_of_two_openings_are_no_pair() {
    let (from, to) = (Place::with_a_file(), Place::new());
    let new = to.open();
    {
        let old = from.open();
        from.leave(&old);
        fetch(&old, &new).expect("arrived");
    }
    let registry = to.layout().moving_file(&StoreFile::Registry, "sqlite");
    let log = log_of(&registry);
    let (bytes, tail) = (fs::read(&registry).expect("read"), fs::read(&log).expect("read"));
    fetch(&from.open(), &new).expect("arrived");
    fs::write(&registry, bytes).expect("written");
    fs::write(&log, tail).expect("written");
    let arrived = new.moving.arrive(&HOME, 5, 1);
    assert!(arrived.is_err_and(|error| error.to_string().contains("not of one opening")));
}
