//! The router over a real archive: many shards answer as one shard does whose leaf is never sent a
//! filter.

#[expect(unused, reason = "every test uses a part of it")]
mod support;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use shardex_catalog::query::{Given, GivenKey, SearchLevel, SearchRequest, SortKey};
use shardex_catalog::{
    Cell, DirectoryRange, Domain, Fence, FileName, FileRow, FileStamp, Header, LeafQuery, LeafSearch, Level,
    Operation, Predicate, RelativePath, RowBatch, ShardId, SourceName, Value, Values, View, Warnings,
    attribute, attribute_by_keyword,
};
use shardex_seams::{Leaf, ShardWriter, StoreError};
use shardex_shard_router::{QueryOptions, Router, Settings};
use shardex_shard_store::{Archive, ArchiveSettings, LeafPool, ReadArchive, SourceRoots, view_columns};

use support::{Answer, FakeLedger, Rows, archive, ask, clock, columns, comparable};

/// Awaits on this thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Writes instances as an archive's files, each to the shard that its row's date gives.
fn write(folder: &Path, instances: &Rows, shard_of: &dyn Fn(&[Cell]) -> String) {
    let source = SourceName::new("scans").expect("a name");
    let archive = Archive::create_or_open(folder, &ArchiveSettings::default()).expect("an archive");
    let pool = archive.shards(2, SourceRoots::new([(source.clone(), b"/mnt/x".to_vec())])).expect("shards");
    let directory = DirectoryRange::whole(source, RelativePath::new(b"a"));
    let mut operations: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for (n, row) in instances.iter().enumerate() {
        let row_of_file = file_row(n, row);
        let operation = Operation::Upsert { directory: 0, row: row_of_file };
        operations.entry(shard_of(row)).or_default().push(operation);
    }
    for (shard, operations) in operations {
        let shard = ShardId::new(&shard).expect("valid");
        let directories = vec![directory.clone()];
        block_on(pool.apply(RowBatch { shard: shard.clone(), fence: Fence(1), directories, operations }))
            .expect("applied");
        block_on(pool.barrier(shard)).expect("durable");
    }
}

fn file_row(n: usize, row: &[Cell]) -> FileRow {
    let mut levels: BTreeMap<Level, Vec<_>> = BTreeMap::new();
    let mut add = |keyword: &str, value: Value| {
        let id = attribute_by_keyword(keyword).expect("an attribute");
        levels.entry(attribute(id).level).or_default().push((id, value));
    };
    for (column, cell) in columns(View::Instances).iter().zip(row) {
        match cell {
            _ if ["domain", "SOPInstanceUID"].contains(&column.name.as_str()) => {}
            Cell::Text(text) => add(&column.name, Value::from(text.as_str())),
            Cell::Integer(number) => add(&column.name, Value::Integer(*number)),
            Cell::Real(number) => add(&column.name, Value::Real(*number)),
            Cell::Null | Cell::Blob(_) => {}
        }
    }
    if row[14] != Cell::Null {
        add("Radiopharmaceutical", Value::from("FDG"));
    }
    let mut values = |level| Values::new(levels.remove(&level).unwrap_or_default(), Vec::new());
    let (Cell::Text(domain), Cell::Text(uid)) = (&row[0], &row[9]) else { panic!("always there") };
    let study = Header::study(Domain::new(domain).expect("a name"), values(Level::Study));
    let series = Header::below(&study, values(Level::Series));
    let stack = Header::below(&series, values(Level::Stack));
    FileRow {
        name: FileName::new(format!("{n:06}.dcm").as_bytes()),
        stamp: FileStamp { size: 4000 + n as u64, mtime_ns: 1_500_000_000, ctime_ns: 1 },
        digest: None,
        warnings: Warnings::default(),
        sop_instance_uid: uid.as_str().into(),
        stack,
        values: values(Level::File),
    }
}

fn router(leaf: Arc<dyn Leaf>, ledger: Rows) -> Router {
    Router::new(leaf, Arc::new(FakeLedger(ledger)), Settings::new(clock(), view_columns)).expect("a router")
}

/// Gives all rows, whatever statements ask; and searches however little a shard may hold.
struct Unfiltered(Arc<LeafPool>);

impl Leaf for Unfiltered {
    fn rows(
        &self,
        shard: &ShardId,
        query: &LeafQuery,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        let all = LeafQuery { filters: Vec::new(), sop_instance_uids: None, ..query.clone() };
        self.0.rows(shard, &all, cancel, row)
    }

    fn search(
        &self,
        shard: &ShardId,
        search: &LeafSearch,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        self.0.search(shard, search, cancel, row)
    }

    fn shards(&self) -> Result<Vec<ShardId>, StoreError> {
        self.0.shards()
    }

    fn excludes(&self, _: &ShardId, _: &Predicate) -> Result<bool, StoreError> {
        Ok(false)
    }
}

fn by_year(row: &[Cell]) -> String {
    let (Cell::Text(date), Cell::Text(study)) = (&row[4], &row[3]) else { panic!("always there") };
    format!("{}-00000000/{}", &date[..4], study.len() % 2)
}

#[test]
fn many_shards_answer_as_one_does() {
    let made = archive(40);
    let folder = tempfile::tempdir().expect("a folder");
    let (many, one) = (folder.path().join("many"), folder.path().join("one"));
    let instances = &made.all[&View::Instances];
    write(&many, instances, &by_year);
    write(&one, instances, &|_| "all-00000000/0".to_owned());
    let many = ReadArchive::open(&many).expect("an archive").leaves(16);
    let one = ReadArchive::open(&one).expect("an archive").leaves(16);
    let many = router(many, made.ledger.clone());
    let one = router(Arc::new(Unfiltered(one)), made.ledger);
    let mut with_rows = 0;
    let mut checked = 0;
    for sql in
        include_str!("statements.sql").lines().filter(|line| !line.is_empty() && !line.starts_with("--"))
    {
        let is_ordered = sql.contains("ORDER BY") && !sql.contains("OVER");
        let (answer, completeness) = ask(&many, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let (expected, _) = ask(&one, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(comparable(&answer.rows, is_ordered), comparable(&expected.rows, is_ordered), "{sql}");
        assert!(completeness.is_complete());
        checked += 1;
        with_rows += usize::from(!answer.rows.is_empty());
    }
    assert!(with_rows * 10 >= checked * 9, "only {with_rows} of {checked} statements find rows");
}

fn request(
    level: SearchLevel,
    keys: &[(&str, &str)],
    sort: Option<&str>,
    limit: Option<u64>,
) -> SearchRequest {
    let key = |(name, text): &(&str, &str)| GivenKey {
        name: (*name).to_owned(),
        given: Given::Text((*text).to_owned()),
    };
    let sort = sort.map(|name| SortKey { name: name.to_owned(), descending: true });
    SearchRequest {
        keys: keys.iter().map(key).collect(),
        sort: sort.into_iter().collect(),
        limit,
        columns: vec!["*".to_owned()],
        ..SearchRequest::new(level)
    }
}

/// Searches of pruned shards give the rows, and the order, of one shard that is never pruned.
#[test]
fn pruned_searches_answer_as_unpruned_ones() {
    let made = archive(40);
    let folder = tempfile::tempdir().expect("a folder");
    let (many, one) = (folder.path().join("many"), folder.path().join("one"));
    let instances = &made.all[&View::Instances];
    write(&many, instances, &by_year);
    write(&one, instances, &|_| "all-00000000/0".to_owned());
    let many = router(ReadArchive::open(&many).expect("an archive").leaves(16), Rows::new());
    let one = ReadArchive::open(&one).expect("an archive").leaves(16);
    let one = router(Arc::new(Unfiltered(one)), Rows::new());
    let text = |cell: &Cell| if let Cell::Text(text) = cell { text.clone() } else { panic!("always there") };
    let (patient, study, uid) = (text(&instances[7][1]), text(&instances[7][3]), text(&instances[7][9]));
    let looked_up: [&[(&str, &str)]; 4] = [
        &[("PatientID", &patient)],
        &[("StudyInstanceUID", &study)],
        &[("SOPInstanceUID", &uid)],
        &[("StudyDate", "2018"), ("Modality", "CT\\MR")],
    ];
    let others: [&[(&str, &str)]; 4] = [
        &[],
        &[("PatientID", "*7*")],
        &[("Manufacturer", "")],
        &[("Modality", "C*"), ("StudyDate", "2019-")],
    ];
    let (mut with_rows, mut checked) = (0, 0);
    for keys in looked_up.iter().chain(&others) {
        for level in SearchLevel::ALL {
            for (sort, limit) in [(None, None), (Some("StudyDate"), Some(5)), (None, Some(3))] {
                let sort = sort.filter(|_| *level != SearchLevel::Patients);
                let request = request(*level, keys, sort, limit);
                let (mut found, mut expected) = (Answer::default(), Answer::default());
                let options = QueryOptions::default();
                let completeness = many.search(&request, &options, &mut found).expect("an answer");
                one.search(&request, &options, &mut expected).expect("an answer");
                assert_eq!(comparable(&found.rows, true), comparable(&expected.rows, true), "{request:?}");
                let is_whole = completeness.pruned + completeness.answered == completeness.total;
                assert!(is_whole && completeness.is_complete(), "{completeness:?}");
                let must_prune = looked_up.contains(keys) && *level != SearchLevel::Patients;
                assert!(!must_prune || completeness.pruned > 0, "{request:?}: {completeness:?}");
                checked += 1;
                with_rows += usize::from(!found.rows.is_empty());
            }
        }
    }
    assert!(with_rows * 10 >= checked * 9, "only {with_rows} of {checked} searches find rows");
}
