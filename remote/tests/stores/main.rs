//! Stores over gRPC: a real archive, a real server on loopback, and the stories of ADR 0002.

mod owner;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shardex_catalog::{
    Cell, Claim, DirectoryRange, DirectoryRecord, Domain, Fence, FileKind, FileName, FileStamp, FileState,
    LeafQuery, LedgerChange, LedgerEntry, PartitionInput, PartitionScheme, Predicate, RelativePath, StudyKey,
    View,
};
use shardex_remote::{LedgerFileRows, Locator as _, RemoteLeaf};
use shardex_seams::{Clock, Leaf, ShardWriter, StoreError, StudyClaim};
use tokio::runtime::Handle;

use owner::{Owner, PATIENCE, batch, directory, shard, source};

fn is_fenced<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Over { .. }))
}

/// The text of an error that says `words`.
fn says<T>(result: Result<T, StoreError>, words: &[&str]) {
    let text = result.err().expect("an error").to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

/// Runs what blocks its thread, as readers do.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

fn leaf(owner: &Owner) -> RemoteLeaf {
    let locator = Arc::clone(&owner.locator) as Arc<dyn shardex_remote::Locator>;
    let clock = Arc::clone(&owner.clock) as Arc<dyn Clock>;
    RemoteLeaf::new(Arc::clone(&owner.peers), locator, Handle::current(), PATIENCE, clock)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_travel_there_and_back() {
    let owner = Owner::start().await;
    owner.take(&[(1, 5)]);
    let unit = owner.unit(1, 5);
    unit.begin().await.expect("begun");
    let shards = unit.shards();
    let applied = shards.apply(batch(5, 3, 8)).await.expect("applied");
    shards.barrier(shard()).await.expect("durable");
    assert!(shards.history(shard()).await.expect("a history").contains(applied));
    assert_eq!(shards.shards().await.expect("the map's"), [shard()]);
    let names = [0, 1, 2].map(|n: u32| FileName::new(format!("{n:06}.dcm").as_bytes()));
    assert_eq!(shards.names(shard(), directory()).await.expect("names"), names);
    let first = shards.files_after(shard(), None, 2).await.expect("files");
    assert_eq!(first.iter().map(|file| &file.name).collect::<Vec<_>>(), [&names[0], &names[1]]);
    let rest = shards.files_after(shard(), first.last().cloned(), 2).await.expect("files");
    assert_eq!((rest.len(), &rest[0].name, rest[0].directory.as_bytes()), (1, &names[2], &b"a/b"[..]));
    assert_eq!(shards.moved(shard(), directory(), names.to_vec(), Fence(5)).await.expect("a count"), 0);

    let leaf = leaf(&owner);
    let query = LeafQuery {
        view: View::Instances,
        columns: vec!["PatientID".into(), "SOPInstanceUID".into()],
        filters: vec!["SOPInstanceUID <> '1.2.3.1'".into()],
        sop_instance_uids: None,
        rows_max: None,
    };
    let (mut rows, files, hit, miss, refused) = blocking(move || {
        let (mut rows, mut files) = (Vec::new(), Vec::new());
        let take = &mut |row| {
            rows.push(row);
            true
        };
        Leaf::rows(&leaf, &shard(), &query, &Arc::default(), take).expect("rows");
        let rows_of_ledger = LedgerFileRows::rows(&leaf, &mut |row| {
            files.push(row);
            true
        });
        rows_of_ledger.expect("files");
        let is = |uid: &str| Predicate::In("StudyInstanceUID".into(), vec![uid.into()]);
        let (hit, miss) = (leaf.excludes(&shard(), &is("1.2")), leaf.excludes(&shard(), &is("9.9")));
        let bad = LeafQuery { filters: vec!["no_such_column = 1".into()], ..query };
        (rows, files, hit, miss, Leaf::rows(&leaf, &shard(), &bad, &Arc::default(), &mut |_| true))
    })
    .await;
    rows.sort_by_key(|row| format!("{row:?}"));
    let row = |uid: &str| vec![Cell::Text("P1".into()), Cell::Text(uid.into())];
    assert_eq!(rows, [row("1.2.3.0"), row("1.2.3.2")]);
    assert_eq!((files.len(), files[0].len()), (1, 9));
    assert_eq!((hit.expect("an answer"), miss.expect("an answer")), (false, true));
    assert!(matches!(refused, Err(StoreError::Query(_))), "a mistake is the asker's");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_files_travels_there_and_back() {
    let owner = Owner::start().await;
    owner.take(&[(1, 5)]);
    let unit = owner.unit(1, 5);
    unit.begin().await.expect("begun");
    let domain = Domain::default();
    let partition =
        "institution,date:year".parse::<PartitionScheme>().expect("a scheme").partition(PartitionInput {
            domain: &domain,
            study_date: Some("20190304"),
            institution: Some("St. Brendan | Süd"),
        });
    let claim = StudyClaim {
        key: StudyKey::new(&domain, "1.2"),
        domain,
        study_instance_uid: "1.2".into(),
        partition: partition.clone(),
        site: None,
    };
    let claimed = unit.registry().claim(vec![claim.clone(), claim]).await.expect("claimed");
    assert_eq!(claimed, [shardex_catalog::shard_of(&partition), shardex_catalog::shard_of(&partition)]);

    let ledger = unit.ledger();
    let applied = unit.shards().apply(batch(5, 1, 8)).await.expect("applied");
    ledger.open(vec![directory()], Fence(5)).await.expect("open");
    let looked = Arc::clone(&ledger);
    assert!(blocking(move || looked.is_open(&directory())).await.expect("an answer"));
    assert_eq!(ledger.open_before(source(), Fence(6), 9).await.expect("ranges"), [directory()]);
    let entry = LedgerEntry {
        name: FileName::new(b"000000.dcm"),
        stamp: FileStamp { size: 100, mtime_ns: 5, ctime_ns: 6 },
        state: FileState::Indexed,
        kind: FileKind::Dicom,
        reason: None,
        shard: Some(shard()),
        racy: false,
        missing: true,
        detail: None,
    };
    let record = DirectoryRecord {
        extract_version: 1,
        entries: vec![entry],
        children: vec![FileName::new(b"\xFF")],
        claims: vec![Claim { shard: shard(), applied }],
    };
    let changes = vec![
        LedgerChange::Replace { range: directory(), record: record.clone(), keep_open: false },
        LedgerChange::Position { shard: shard(), applied },
    ];
    ledger.commit(changes).await.expect("committed");
    let looked = Arc::clone(&ledger);
    let (found, rest_on) = blocking(move || {
        let names = [FileName::new(b"000000.dcm"), FileName::new(b"other")];
        // More than one question takes, and one that is known at the end.
        let unknown = DirectoryRange { path: RelativePath::new(b"other"), ..directory() };
        let ranges = [vec![unknown; 1500], vec![directory()]].concat();
        (looked.records(&ranges), looked.shards_of(&directory(), &names))
    })
    .await;
    let found = found.expect("an answer");
    assert_eq!((found.len(), found.iter().flatten().collect::<Vec<_>>()), (1501, vec![&record]));
    assert_eq!(found[1500].as_ref(), Some(&record));
    assert_eq!(rest_on.expect("an answer"), [Some(shard()), None]);
    assert_eq!(ledger.with_missing(source(), None, 9).await.expect("ranges"), [directory()]);
    assert_eq!(ledger.present_and_missing(source()).await.expect("counts"), (1, 1));
    assert_eq!(ledger.positions().await.expect("positions"), [(shard(), applied)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_may_be_longer_than_what_grpc_takes_by_itself() {
    let owner = Owner::start().await;
    owner.take(&[(1, 5)]);
    let unit = owner.unit(1, 5);
    unit.begin().await.expect("begun");
    let long = batch(5, 3000, 4000);
    assert!(shardex_proto::packed::batch_out(&long).len() > 8 << 20);
    unit.shards().apply(long).await.expect("applied");
    assert_eq!(unit.shards().names(shard(), directory()).await.expect("names").len(), 3000);
    // What no owner takes is refused before it is sent, not tried for ever.
    says(unit.shards().apply(batch(5, 9000, 4000)).await, &["32 MiB"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_units_that_began_and_still_hold_their_fence_write() {
    for owner in Owner::start_both().await {
        owner.take(&[(1, 5)]);
        let (zombie, successor) = (owner.unit(1, 5), owner.unit(1, 9));
        assert!(is_fenced(zombie.shards().apply(batch(5, 1, 8)).await), "it has not begun");
        zombie.begin().await.expect("begun");
        owner.take(&[(1, 9)]);
        successor.begin().await.expect("begun");
        assert!(is_fenced(zombie.shards().apply(batch(5, 1, 8)).await));
        assert!(is_fenced(zombie.shards().barrier(shard()).await));
        let ledger = zombie.ledger();
        assert!(is_fenced(ledger.open(vec![directory()], Fence(5)).await));
        assert!(is_fenced(ledger.commit(vec![LedgerChange::Vanished { range: directory() }]).await));
        assert!(is_fenced(zombie.registry().claim(Vec::new()).await));
        assert!(is_fenced(zombie.begin().await));
        assert_eq!(
            successor.shards().history(shard()).await.expect("a history").0,
            [],
            "nothing was applied"
        );
        // The fence of the rows is the session's: a higher one would keep its successors out.
        assert!(successor.shards().apply(batch(77, 1, 8)).await.is_err());
        successor.shards().apply(batch(9, 1, 8)).await.expect("applied");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_newer_than_the_table_begins_when_the_leader_was_asked() {
    let owner = Arc::new(Owner::start().await);
    let asked = tokio::spawn({
        let owner = Arc::clone(&owner);
        async move {
            owner.gate.table_is_wanted().await;
            owner.take(&[(1, 5)]);
        }
    });
    owner.unit(1, 5).begin().await.expect("begun");
    asked.await.expect("the store asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_waits_for_a_write_whose_caller_is_gone() {
    for owner in Owner::start_both().await {
        owner.take(&[(1, 5)]);
        let zombie = owner.unit(1, 5);
        zombie.begin().await.expect("begun");
        owner.held.batches.forget_permits(1000);
        let shards = zombie.shards();
        let write = tokio::spawn(async move { shards.apply(batch(5, 2, 8)).await });
        owner.held.arrived.acquire().await.expect("the batch has come").forget();
        #[expect(clippy::disallowed_methods, reason = "the caller that goes away is what is tested")]
        write.abort();
        owner.take(&[(1, 9)]);
        let successor = owner.unit(1, 9);
        let wait = Duration::from_millis(200);
        assert!(tokio::time::timeout(wait, successor.begin()).await.is_err(), "a write is under way");
        owner.held.batches.add_permits(1000);
        successor.begin().await.expect("begun");
        let names = successor.shards().names(shard(), directory()).await.expect("names");
        assert_eq!(names.len(), 2, "what was under way is there before the successor reads");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_serves_only_while_its_lease_holds() {
    for owner in Owner::start_both().await {
        owner.take(&[(1, 5)]);
        let unit = owner.unit(1, 5);
        unit.begin().await.expect("begun");
        owner.clock.turn(Duration::from_secs(11));
        says(unit.shards().apply(batch(5, 1, 8)).await, &["worker", "w", "lease is over"]);
        says(unit.shards().history(shard()).await, &["lease is over"]);
        says(unit.begin().await, &["lease is over"]);
        let (ledger, leaf) = (unit.ledger(), leaf(&owner));
        let (record, excludes) = blocking(move || {
            let predicate = Predicate::In("StudyInstanceUID".into(), vec!["1".into()]);
            (ledger.record(&directory()), leaf.excludes(&shard(), &predicate))
        })
        .await;
        says(record, &["lease is over"]);
        says(excludes, &["lease is over"]);
        owner.take(&[(1, 5)]);
        unit.shards().apply(batch(5, 1, 8)).await.expect("its session has outlived the pause");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_owners_is_refused_and_looked_for_elsewhere() {
    let owner = Owner::start().await;
    owner.take(&[(1, 5)]);
    let unit = owner.unit(1, 5);
    unit.begin().await.expect("begun");
    let other = shardex_catalog::ShardId::new("2020-00000000/0").expect("an id");
    says(unit.shards().history(other).await, &["2020-00000000/0", "no worker owns it"]);
    owner.lose();
    says(unit.shards().history(shard()).await, &["worker gone"]);
    says(unit.begin().await, &["worker gone"]);
    // Whoever cancels does not wait for an owner that is gone: this one is asked for a day.
    let locator = Arc::clone(&owner.locator) as Arc<dyn shardex_remote::Locator>;
    let day = Duration::from_secs(86_400);
    let clock = Arc::clone(&owner.clock) as Arc<dyn Clock>;
    let leaf = RemoteLeaf::new(Arc::clone(&owner.peers), locator, Handle::current(), day, clock);
    let query = LeafQuery {
        view: View::Files,
        columns: Vec::new(),
        filters: Vec::new(),
        sop_instance_uids: None,
        rows_max: None,
    };
    let cancel = Arc::new(true.into());
    let cancelled = blocking(move || Leaf::rows(&leaf, &shard(), &query, &cancel, &mut |_| true)).await;
    assert!(matches!(cancelled, Err(StoreError::Query(_))));
}

/// An owner whose shard has a row.
async fn owner_with_a_row() -> Owner {
    let owner = Owner::start().await;
    owner.take(&[(1, 5)]);
    let unit = owner.unit(1, 5);
    unit.begin().await.expect("begun");
    unit.shards().apply(batch(5, 1, 8)).await.expect("applied");
    unit.shards().barrier(shard()).await.expect("durable");
    owner
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_waits_for_an_owner_once_whatever_it_owns() {
    let owner = owner_with_a_row().await;
    let leaf = Arc::new(leaf(&owner));
    let ask = || {
        let leaf = Arc::clone(&leaf);
        let of_ct = Predicate::In("Modality".to_owned(), vec!["CT".to_owned()]);
        blocking(move || leaf.excludes(&shard(), &of_ct))
    };
    // Who asks again for the owner waits for it.
    let waits = || owner.locator.1.load(Ordering::Relaxed);
    let begun = waits();
    ask().await.expect("it serves");
    assert_eq!(waits(), begun);
    owner.clock.turn(Duration::from_secs(11));
    says(ask().await, &["worker w", "lease is over"]);
    let waited = waits();
    assert!(waited > begun, "it may come back soon");
    for _ in 0..100 {
        says(ask().await, &["worker w", "lease is over"]);
    }
    owner.clock.turn(Duration::from_secs(1));
    says(ask().await, &["worker w", "lease is over"]);
    assert_eq!(waits(), waited, "one wait is enough");
    owner.take(&[]);
    says(ask().await, &["lease is over"]);
    owner.clock.turn(Duration::from_secs(1));
    ask().await.expect("it serves again");
    owner.clock.turn(Duration::from_secs(11));
    says(ask().await, &["lease is over"]);
    assert!(waits() > waited, "it was back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_elsewhere_is_no_fault_of_its_worker() {
    let owner = owner_with_a_row().await;
    let other = shardex_catalog::ShardId::new("2020-00000000/0").expect("an id");
    let mut map = (*owner.locator.map()).clone();
    map.shards.insert(other.clone(), "w".to_owned());
    *owner.locator.0.lock().expect("not poisoned") = Arc::new(map);
    let leaf = Arc::new(leaf(&owner));
    let ask = |shard| {
        let leaf = Arc::clone(&leaf);
        blocking(move || leaf.excludes(&shard, &Predicate::In("Modality".to_owned(), vec!["CT".to_owned()])))
    };
    says(ask(other).await, &["does not own what is asked for"]);
    ask(shard()).await.expect("it serves");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_uses_the_stores_of_its_process_without_a_call() {
    for (owner, needs_call) in Owner::start_both().await.into_iter().zip([true, false]) {
        owner.take(&[(1, 5)]);
        let unit = owner.unit(1, 5);
        unit.begin().await.expect("begun");
        // Whoever calls finds nobody.
        owner.lose();
        let (shards, ledger) = (unit.shards(), unit.ledger());
        assert_eq!(shards.apply(batch(5, 2, 8)).await.is_err(), needs_call);
        assert_eq!(ledger.open(vec![directory()], Fence(5)).await.is_err(), needs_call);
        let change = LedgerChange::Vanished { range: directory() };
        assert_eq!(ledger.commit(vec![change]).await.is_err(), needs_call);
        let records = blocking(move || ledger.records(&[directory()])).await;
        assert_eq!(records.is_err(), needs_call);
        let names = owner.held.names(shard(), directory()).await.expect("names");
        assert_eq!(names.len(), if needs_call { 0 } else { 2 });
    }
}
