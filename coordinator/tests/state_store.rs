//! What every [`StateStore`] does: one suite, run against SQLite and etcd.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod support;

use shardex_coordinator::cluster::EtcdStore;
use shardex_seams::{CHANGES_MAX, Change, Expect, StateStore, Swap};
use shardex_shard_store::StateFile;
use support::Etcd;

#[tokio::test]
async fn sqlite_keeps_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = StateFile::open(&folder.path().join("state.sqlite")).expect("it opens");
    conforms(&store).await;
}

#[tokio::test]
async fn etcd_keeps_state() {
    let Some(etcd) = Etcd::start(1).await else { return };
    let store = EtcdStore::connect(&etcd.settings("a")).await.expect("it connects");
    conforms(&store).await;
    let mut other = etcd.settings("b");
    other.prefix = "/tes".to_owned();
    let other = EtcdStore::connect(&other).await.expect("it connects");
    assert!(other.list("", "", 10).await.expect("a list").is_empty(), "clusters do not see each other");
}

async fn conforms(store: &dyn StateStore) {
    single_keys_change_by_comparison(store).await;
    several_keys_change_together_or_not_at_all(store).await;
    lists_are_pages_in_order(store).await;
    large_values_are_kept(store).await;
}

async fn value(store: &dyn StateStore, key: &str) -> Option<Vec<u8>> {
    store.get(key).await.expect("it is read").map(|found| found.value)
}

async fn put(store: &dyn StateStore, key: &str, value: &[u8], expect: Expect) -> Option<u64> {
    match store.put(key, value.to_vec(), expect).await.expect("it answers") {
        Swap::Done(version) => Some(version),
        Swap::Conflict => None,
    }
}

async fn single_keys_change_by_comparison(store: &dyn StateStore) {
    assert_eq!(value(store, "one").await, None);
    assert_eq!(put(store, "one", b"x", Expect::Version(7)).await, None, "nothing is there");
    let first = put(store, "one", b"a", Expect::Absent).await.expect("it was absent");
    assert_eq!(put(store, "one", b"b", Expect::Absent).await, None);
    let found = store.get("one").await.expect("it is read").expect("it is there");
    assert_eq!((&found.value[..], found.version), (&b"a"[..], first));
    let second = put(store, "one", b"b", Expect::Version(first)).await.expect("the version is right");
    assert!(second > first);
    assert_eq!(put(store, "one", b"c", Expect::Version(first)).await, None, "the version is old");
    assert_eq!(value(store, "one").await.as_deref(), Some(&b"b"[..]));
}

fn change(key: &str, value: Option<&[u8]>, expect: Expect) -> Change {
    Change { key: key.to_owned(), value: value.map(<[u8]>::to_vec), expect }
}

async fn several_keys_change_together_or_not_at_all(store: &dyn StateStore) {
    let both = vec![change("t/a", Some(b"1"), Expect::Absent), change("t/b", Some(b"2"), Expect::Absent)];
    let versions = store.apply(both.clone()).await.expect("it answers").expect("both were absent");
    assert_eq!(versions.len(), 2);
    assert_eq!(store.apply(both).await.expect("it answers"), None);
    let half = vec![
        change("t/a", Some(b"3"), Expect::Version(versions[0])),
        change("t/c", Some(b"4"), Expect::Version(1_000_000)),
    ];
    assert_eq!(store.apply(half).await.expect("it answers"), None);
    assert_eq!(value(store, "t/a").await.as_deref(), Some(&b"1"[..]), "half of a change was made");
    let stale = change("t/b", None, Expect::Version(versions[1] + 1_000_000));
    assert_eq!(store.apply(vec![stale]).await.expect("it answers"), None);
    let mixed = vec![
        change("t/a", Some(b"5"), Expect::Version(versions[0])),
        change("t/b", None, Expect::Version(versions[1])),
        change("t/d", None, Expect::Absent),
    ];
    let written = store.apply(mixed).await.expect("it answers").expect("all is as expected");
    assert!(written[0] > versions[0]);
    assert_eq!(written[1..], [0, 0]);
    assert_eq!(value(store, "t/b").await, None);
    assert!(put(store, "t/a", b"6", Expect::Version(written[0])).await.is_some());
    assert!(put(store, "t/b", b"7", Expect::Absent).await.is_some(), "what was removed may come again");
    let many = (0..=CHANGES_MAX).map(|n| change(&format!("m/{n}"), Some(b""), Expect::Absent)).collect();
    assert!(store.apply(many).await.is_err(), "more than may be changed together");
}

async fn lists_are_pages_in_order(store: &dyn StateStore) {
    for key in ["l/c", "l/a", "l/b", "l", "l0", "m/l/a"] {
        assert!(put(store, key, key.as_bytes(), Expect::Absent).await.is_some());
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = store.list("l/", &after, 2).await.expect("a page");
        assert!(page.len() <= 2);
        let Some((last, _)) = page.last() else { break };
        after.clone_from(last);
        for (key, found) in page {
            assert_eq!(found.value, key.as_bytes());
            seen.push(key);
        }
    }
    assert_eq!(seen, ["l/a", "l/b", "l/c"]);
    let from_prefix = store.list("l/", "l/", 10).await.expect("a page");
    assert_eq!(from_prefix.len(), 3);
    assert!(store.list("l/", "l/c", 10).await.expect("a page").is_empty());
    assert!(store.list("l/", "z", 10).await.expect("a page").is_empty());
    assert!(store.list("nothing/", "", 10).await.expect("a page").is_empty());
}

async fn large_values_are_kept(store: &dyn StateStore) {
    let large = vec![7; 1 << 20];
    assert!(put(store, "large", &large, Expect::Absent).await.is_some());
    assert_eq!(value(store, "large").await, Some(large));
}
