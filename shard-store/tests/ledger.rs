//! Ledger, registry and job state through the seams, and their rebuilding from shards.

use shardex_catalog::{
    Applied, Claim, DirectoryRange, DirectoryRecord, Domain, Fence, FileKind, FileName, FileStamp, FileState,
    Incarnation, LedgerChange, LedgerEntry, PartitionInput, PartitionScheme, Reason, RelativePath, ShardId,
    SourceName, StudyKey,
};
use shardex_seams::{Expect, Ledger, Registry, StudyClaim, Swap};
use shardex_shard_store::{Archive, ArchiveSettings};

struct Fixture {
    folder: tempfile::TempDir,
    archive: Archive,
    runtime: tokio::runtime::Runtime,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let archive =
            Archive::create_or_open(&folder.path().join("x"), &ArchiveSettings::default()).expect("made");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { folder, archive, runtime }
    }

    fn commit(&self, changes: Vec<LedgerChange>) {
        self.runtime.block_on(self.archive.ledger().commit(changes)).expect("committed");
    }

    fn record(&self, range: &DirectoryRange) -> Option<DirectoryRecord> {
        self.archive.ledger().record(range).expect("read")
    }

    fn missing(&self) -> Vec<DirectoryRange> {
        self.runtime.block_on(self.archive.ledger().with_missing(source(), None, 10)).expect("read")
    }
}

fn source() -> SourceName {
    SourceName::new("site").expect("a name")
}

fn shard() -> ShardId {
    ShardId::new("2019-00000000/0").expect("an id")
}

fn whole(path: &str) -> DirectoryRange {
    DirectoryRange::whole(source(), RelativePath::new(path.as_bytes()))
}

fn claim(sequence: u64) -> Claim {
    Claim { shard: shard(), applied: Applied { incarnation: Incarnation(9), sequence } }
}

fn entry(name: &str, state: FileState) -> LedgerEntry {
    LedgerEntry {
        name: FileName::new(name.as_bytes()),
        stamp: FileStamp { size: 5, mtime_ns: 6, ctime_ns: 7 },
        state,
        kind: if state.is_live() { FileKind::Dicom } else { FileKind::Zip },
        reason: (state == FileState::Quarantined).then_some(Reason::BrokenHeader),
        shard: state.is_live().then(shard),
        racy: false,
        missing: false,
        detail: None,
    }
}

fn replace(range: DirectoryRange, names: &[&str], sequence: u64) -> LedgerChange {
    let mut entries: Vec<_> = names.iter().map(|name| entry(name, FileState::Indexed)).collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let record =
        DirectoryRecord { extract_version: 1, entries, children: vec![], claims: vec![claim(sequence)] };
    LedgerChange::Replace { range, record, keep_open: false }
}

fn names(record: &DirectoryRecord) -> Vec<String> {
    record.entries.iter().map(|entry| String::from_utf8_lossy(entry.name.as_bytes()).into_owned()).collect()
}

#[test]
fn a_record_replaces_its_range_and_ends_the_open_mark() {
    let fixture = Fixture::new();
    let ledger = fixture.archive.ledger();
    fixture.runtime.block_on(ledger.open(vec![whole("a"), whole("b")], Fence(3))).expect("marked");
    assert!(ledger.is_open(&whole("a")).expect("read"));
    fixture.commit(vec![replace(whole("a"), &["x", "y"], 4)]);
    assert!(!ledger.is_open(&whole("a")).expect("read"));
    assert_eq!(names(&fixture.record(&whole("a")).expect("recorded")), ["x", "y"]);
    let open = fixture.runtime.block_on(ledger.open_before(source(), Fence(4), 10)).expect("read");
    assert_eq!(open, vec![whole("b")]);
    assert!(fixture.runtime.block_on(ledger.open_before(source(), Fence(3), 10)).expect("read").is_empty());
    let positions = fixture.runtime.block_on(ledger.positions()).expect("read");
    assert_eq!(positions, vec![(shard(), claim(4).applied)]);
    fixture.commit(vec![LedgerChange::Healed { shard: shard(), applied: None }]);
    assert!(fixture.runtime.block_on(ledger.positions()).expect("read").is_empty());
}

#[test]
fn ranges_replace_only_their_part() {
    let fixture = Fixture::new();
    let all: Vec<_> = (0..40).map(|n| format!("n{n}")).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    fixture.commit(vec![replace(whole("big"), &all, 1)]);
    let low = DirectoryRange { hash_to: u32::MAX / 2, ..whole("big") };
    let high = DirectoryRange { hash_from: u32::MAX / 2 + 1, ..whole("big") };
    let in_low = fixture.record(&low).expect("recorded").entries.len();
    let in_high = fixture.record(&high).expect("recorded").entries.len();
    assert!(in_low > 0 && in_high > 0 && in_low + in_high == 40);
    fixture.commit(vec![replace(low.clone(), &[], 2)]);
    assert_eq!(fixture.record(&low), None);
    assert_eq!(fixture.record(&whole("big")).expect("recorded").entries.len(), in_high);
}

#[test]
fn what_was_seen_of_a_directory_is_merged_into_its_records() {
    let fixture = Fixture::new();
    let all: Vec<_> = (0..6000).map(|n| format!("n{n:04}")).collect();
    let few: Vec<_> = all[..10].iter().map(String::as_str).collect();
    fixture.commit(vec![replace(whole("big"), &few, 1)]);
    let merged = |names: &[String], sequence| {
        let LedgerChange::Replace { range, mut record, .. } =
            replace(whole("big"), &names.iter().map(String::as_str).collect::<Vec<_>>(), sequence)
        else {
            unreachable!()
        };
        record.children = vec![FileName::new(b"deeper")];
        LedgerChange::Merge { range, record, keep_open: true }
    };
    fixture.runtime.block_on(fixture.archive.ledger().open(vec![whole("big")], Fence(3))).expect("marked");
    fixture.commit(vec![merged(&all[5..3000], 2), merged(&all[3000..], 3), merged(&all[..2], 4)]);
    let record = fixture.record(&whole("big")).expect("recorded");
    assert_eq!(names(&record), all, "every name once");
    assert_eq!(record.children, vec![FileName::new(b"deeper")]);
    assert!(fixture.archive.ledger().is_open(&whole("big")).expect("read"), "the mark was kept");
    let shards = fixture
        .archive
        .ledger()
        .shards_of(&whole("big"), &[FileName::new(b"n5999"), FileName::new(b"x"), FileName::new(b"n0000")])
        .expect("read");
    assert_eq!(shards, [Some(shard()), None, Some(shard())]);
}

#[test]
fn an_unmet_claim_is_no_position_and_is_not_covered() {
    let fixture = Fixture::new();
    let LedgerChange::Replace { range, mut record, keep_open } = replace(whole("a"), &["x", "y"], 1) else {
        unreachable!()
    };
    record.claims = vec![Claim::unmet(shard())];
    fixture.commit(vec![LedgerChange::Replace { range, record, keep_open }]);
    assert!(fixture.runtime.block_on(fixture.archive.ledger().positions()).expect("read").is_empty());
    let LedgerChange::Replace { range, record, .. } = replace(whole("a"), &["x"], 7) else { unreachable!() };
    fixture.commit(vec![LedgerChange::Merge { range, record, keep_open: false }]);
    let record = fixture.record(&whole("a")).expect("recorded");
    assert_eq!(record.claims, [Claim::unmet(shard())], "y rests on it still");
}

#[test]
fn a_vanished_directory_makes_its_whole_subtree_missing() {
    let fixture = Fixture::new();
    let paths = ["a", "a/b", "a/b/c", "a0", "ab", "z"];
    fixture.commit(paths.iter().map(|path| replace(whole(path), &["x", "y"], 1)).collect());
    fixture.commit(vec![LedgerChange::Vanished { range: whole("a") }]);
    assert_eq!(fixture.missing(), [whole("a"), whole("a/b"), whole("a/b/c")]);
    let counts =
        fixture.runtime.block_on(fixture.archive.ledger().present_and_missing(source())).expect("read");
    assert_eq!(counts, (12, 6));
}

#[test]
fn a_study_is_claimed_once() {
    let fixture = Fixture::new();
    let registry = fixture.archive.registry();
    let domain = Domain::default();
    let scheme = PartitionScheme::default();
    let claim = |uid: &str, date: &str| {
        let input = PartitionInput { domain: &domain, study_date: Some(date), institution: None };
        StudyClaim {
            site: None,
            key: StudyKey::new(&domain, uid),
            domain: domain.clone(),
            study_instance_uid: uid.into(),
            partition: scheme.partition(input),
        }
    };
    let first = fixture
        .runtime
        .block_on(registry.claim(vec![
            claim("1.2", "20190101"),
            claim("1.3", "20200101"),
            claim("1.2", "20200101"),
        ]))
        .expect("claimed");
    assert_eq!(first[0], first[2], "the first claim is its home");
    assert_ne!(first[0], first[1]);
    let later = fixture.runtime.block_on(registry.claim(vec![claim("1.2", "20210101")])).expect("claimed");
    assert_eq!(later, [first[0].clone()]);
}

#[test]
fn state_changes_by_compare_and_set() {
    let fixture = Fixture::new();
    let state = fixture.archive.state();
    let block_on = |value: &str, expect| {
        fixture.runtime.block_on(state.put("k", value.as_bytes().to_vec(), expect)).expect("an answer")
    };
    assert_eq!(block_on("a", Expect::Absent), Swap::Done(1));
    assert_eq!(block_on("b", Expect::Absent), Swap::Conflict);
    assert_eq!(block_on("b", Expect::Version(1)), Swap::Done(2));
    assert_eq!(block_on("c", Expect::Version(1)), Swap::Conflict);
    let listed = fixture.runtime.block_on(state.list("", "", 10)).expect("listed");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].1.value, b"b");
}

#[test]
fn a_new_archive_heals_nothing_and_a_second_opening_neither() {
    let fixture = Fixture::new();
    assert_eq!(fixture.archive.healed().ledger_files, None);
    let Fixture { folder, archive, runtime } = fixture;
    drop((archive, runtime));
    let archive =
        Archive::create_or_open(&folder.path().join("x"), &ArchiveSettings::default()).expect("opened");
    assert_eq!(archive.healed(), &shardex_shard_store::Healed::default());
}
