//! Figures of the router alone, over shards that make rows up as fast as they are taken. Run with
//! `cargo test --release -p shardex-shard-router --test speed -- --ignored --nocapture`.
#![expect(clippy::print_stderr, reason = "the figures are for a person")]

#[expect(unused, reason = "every test uses a part of it")]
mod support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use shardex_catalog::{Cell, LeafQuery, LeafSearch, Predicate, ShardId};
use shardex_seams::{Leaf, StoreError};
use shardex_shard_router::{NoLedgerFiles, Router, Settings};

use support::{ask, clock, columns};

struct MadeUp {
    shards: usize,
    rows: usize,
}

impl Leaf for MadeUp {
    fn rows(
        &self,
        shard: &ShardId,
        query: &LeafQuery,
        _: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        let number: usize = shard.as_str()[2..].parse().expect("made here");
        let rows = if query.sop_instance_uids.is_some() { usize::from(number == 7) } else { self.rows };
        for n in 0..rows {
            let cell = |name: &String| match name.as_str() {
                "Modality" => Cell::Text(["CT", "MR", "PT", "US"][n % 4].to_owned()),
                "StudyDate" => Cell::Text(format!("20{:02}0101", n % 20)),
                "Rows" => Cell::Integer(512),
                _ => Cell::Text(format!("1.2.840.113619.2.55.3.{number}.{n}")),
            };
            if !row(query.columns.iter().map(cell).collect()) {
                break;
            }
        }
        Ok(())
    }

    fn search(
        &self,
        _: &ShardId,
        _: &LeafSearch,
        _: &Arc<AtomicBool>,
        _: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        unreachable!("nobody searches here")
    }

    fn shards(&self) -> Result<Vec<ShardId>, StoreError> {
        Ok((0..self.shards).map(|n| ShardId::new(&format!("p/{n}")).expect("valid")).collect())
    }

    fn excludes(&self, _: &ShardId, _: &Predicate) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// Median of some runs.
fn median(runs: usize, router: &Router, sql: &str) -> Duration {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            ask(router, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            start.elapsed()
        })
        .collect();
    times.sort();
    times[runs / 2]
}

#[test]
#[ignore = "figures mean something in a release build only"]
fn figures() {
    let router = |shards, rows| {
        let leaf = Arc::new(MadeUp { shards, rows });
        Router::new(leaf, Arc::new(NoLedgerFiles), Settings::new(clock(), columns)).expect("a router")
    };
    let large = router(12, 83_334);
    let sql = "SELECT Modality, StudyDate, sum(Rows) FROM instances GROUP BY 1, 2";
    let grouped = median(5, &large, sql);
    eprintln!("1,000,008 rows of 3 columns, pulled, merged, grouped: {grouped:?}");
    let counted = median(5, &large, "SELECT count(*) FROM instances");
    eprintln!("1,000,008 rows counted: {counted:?}");
    let uids = median(3, &large, "SELECT SOPInstanceUID, Modality FROM instances ORDER BY 1 LIMIT 5");
    eprintln!("1,000,008 rows of 2 columns ordered by UID: {uids:?}");
    let small = router(60, 1);
    let empty = median(101, &router(0, 0), "SELECT StudyDate FROM instances WHERE Modality = 'CT'");
    eprintln!("a query over no shard: {empty:?}");
    let looked_up = median(101, &small, "SELECT * FROM instances WHERE SOPInstanceUID = '1.2.3'");
    eprintln!("a look-up on 60 shards, none pruned: {looked_up:?}");
    assert!(grouped < Duration::from_secs(5) && looked_up < Duration::from_millis(50));
}
