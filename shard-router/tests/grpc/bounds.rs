//! What must end, and what must not grow.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shardex_catalog::{Cell, LeafQuery, LeafSearch, Predicate, ShardId};
use shardex_proto::Fault;
use shardex_proto::v1::error_detail::Reason;
use shardex_proto::v1::sql_chunk::Part;
use shardex_proto::v1::{SearchLevel, SearchRequest, SqlRequest};
use shardex_seams::{Leaf, StoreError};
use shardex_shard_router::Router;
use tonic::{Code, Request};

use crate::served::{SOON, Served, small_router, wait_until};
use crate::support::{Rows, router_with};

const ENDLESS_ROWS: &str = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n";
const ENDLESS_WORK: &str =
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";

fn statement(statement: &str) -> SqlRequest {
    SqlRequest { statement: statement.to_owned(), ..SqlRequest::default() }
}

/// One shard that reads until it is told to stop, and tells when it begins and ends.
struct Hanging {
    begun: SyncSender<()>,
    ended: SyncSender<()>,
}

impl Hanging {
    fn router() -> (Router, Receiver<()>, Receiver<()>) {
        let ((begun, has_begun), (ended, has_ended)) = (sync_channel(1000), sync_channel(1000));
        (router_with(Arc::new(Self { begun, ended }), Rows::new(), |_| ()), has_begun, has_ended)
    }

    fn hang(&self, cancel: &AtomicBool) -> Result<(), StoreError> {
        self.begun.send(()).expect("room");
        while !cancel.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        self.ended.send(()).expect("room");
        Err(StoreError::Query("interrupted".into()))
    }
}

impl Leaf for Hanging {
    fn rows(
        &self,
        _: &ShardId,
        _: &LeafQuery,
        cancel: &Arc<AtomicBool>,
        _: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        self.hang(cancel)
    }

    fn search(
        &self,
        _: &ShardId,
        _: &LeafSearch,
        cancel: &Arc<AtomicBool>,
        _: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        self.hang(cancel)
    }

    fn shards(&self) -> Result<Vec<ShardId>, StoreError> {
        Ok(vec![ShardId::new("x/0").expect("a name")])
    }

    fn excludes(&self, _: &ShardId, _: &Predicate) -> Result<bool, StoreError> {
        Ok(false)
    }
}

#[test]
fn a_dropped_search_stops_the_leaf() {
    let (router, begun, ended) = Hanging::router();
    let served = Served::start(router);
    let mut client = served.client();
    let columns = vec!["domain".to_owned()];
    let request = SearchRequest { level: SearchLevel::Series.into(), columns, ..SearchRequest::default() };
    let stream = served.runtime.block_on(client.search(request)).expect("begun").into_inner();
    begun.recv_timeout(SOON).expect("the leaf reads");
    drop(stream);
    ended.recv_timeout(SOON).expect("the leaf has stopped");
}

#[test]
fn a_dropped_stream_stops_the_leaf() {
    let (router, begun, ended) = Hanging::router();
    let served = Served::start(router);
    let mut client = served.client();
    let stream =
        served.runtime.block_on(client.sql(statement("SELECT * FROM series"))).expect("begun").into_inner();
    begun.recv_timeout(SOON).expect("the leaf reads");
    assert_eq!(served.service.running(), 1);
    drop(stream);
    ended.recv_timeout(SOON).expect("the leaf was told to stop");
    wait_until("the free place", || served.service.running() == 0);
}

#[test]
fn a_closed_connection_stops_the_leaf() {
    let (router, begun, ended) = Hanging::router();
    let served = Served::start(router);
    let far = tokio::runtime::Runtime::new().expect("threads");
    let settings = served.channel();
    let stream = far.block_on(async {
        let peer = shardex_daemon::net::connect(&settings).await.expect("a connection");
        let mut client = shardex_proto::v1::query_client::QueryClient::new(peer);
        client.sql(statement("SELECT * FROM series")).await.expect("begun")
    });
    begun.recv_timeout(SOON).expect("the leaf reads");
    // The whole caller dies, without a word.
    far.shutdown_background();
    drop(stream);
    ended.recv_timeout(SOON).expect("the leaf was told to stop");
}

#[test]
fn a_deadline_ends_work_and_says_so() {
    let served = Served::small();
    for sql in [ENDLESS_WORK, ENDLESS_ROWS] {
        let mut client = served.client();
        let mut request = Request::new(statement(sql));
        request.set_timeout(Duration::from_millis(300));
        let status = served.runtime.block_on(async {
            let mut stream = client.sql(request).await?.into_inner();
            while stream.message().await?.is_some() {}
            Ok::<_, tonic::Status>(())
        });
        let fault = Fault::from(status.expect_err("it never ends"));
        assert_eq!((fault.code, fault.reason()), (Code::DeadlineExceeded, Reason::Deadline), "{sql}");
        assert!(fault.message.contains("longer than 0.3 seconds"), "{}", fault.message);
    }
    wait_until("free places", || served.service.running() == 0);
}

#[test]
fn a_caller_that_reads_nothing_frees_its_place() {
    for (deadline, stall) in [(Some(300), 600_000), (None, 300)] {
        let served = Served::with(small_router(), |bounds| {
            bounds.service.stall = Duration::from_millis(stall);
        });
        let mut client = served.client();
        let mut request = Request::new(statement(ENDLESS_ROWS));
        deadline.into_iter().for_each(|ms| request.set_timeout(Duration::from_millis(ms)));
        let mut stream = served.runtime.block_on(client.sql(request)).expect("begun").into_inner();
        wait_until("the free place", || served.service.running() == 0);
        // What was under way still comes, then the reason; nothing looks like an end.
        let status = served.runtime.block_on(async {
            loop {
                match stream.message().await {
                    Ok(Some(chunk)) => assert!(!matches!(chunk.part, Some(Part::End(_)))),
                    Ok(None) => panic!("an end without a reason"),
                    Err(status) => return status,
                }
            }
        });
        let expected = if deadline.is_some() { Reason::Deadline } else { Reason::Stalled };
        assert_eq!(Fault::from(status).reason(), expected);
    }
}

#[test]
fn more_queries_than_places_are_refused() {
    let (router, begun, _ended) = Hanging::router();
    let served = Served::with(router, |bounds| bounds.service.queries_max = 2);
    let mut client = served.client();
    let mut sql = |text| served.runtime.block_on(client.sql(statement(text)));
    let held = [sql("SELECT * FROM series").expect("a place"), sql("SELECT * FROM series").expect("a place")];
    (0..2).for_each(|_| begun.recv_timeout(SOON).expect("the leaf reads"));
    let fault = Fault::from(sql("SELECT 1").expect_err("no place"));
    assert_eq!((fault.code, fault.reason()), (Code::ResourceExhausted, Reason::Busy));
    assert!(fault.detail.may_retry && fault.detail.limit == 2, "{fault:?}");
    drop(held);
    wait_until("free places", || served.service.running() == 0);
    assert!(sql("SELECT 1").is_ok());
}

/// Answers nothing, and notes how many read at once.
#[derive(Default)]
struct Counting {
    now: AtomicUsize,
    most: AtomicUsize,
    gate: Mutex<()>,
}

impl Leaf for Counting {
    fn rows(
        &self,
        _: &ShardId,
        _: &LeafQuery,
        _: &Arc<AtomicBool>,
        _: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        drop(self.gate.lock());
        self.now.fetch_sub(1, Ordering::SeqCst);
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
        Ok(vec![ShardId::new("x/0").expect("a name")])
    }

    fn excludes(&self, _: &ShardId, _: &Predicate) -> Result<bool, StoreError> {
        Ok(false)
    }
}

#[test]
fn ten_thousand_calls_at_once_stay_bounded() {
    let leaf = Arc::new(Counting::default());
    let router = router_with(Arc::clone(&leaf) as Arc<dyn Leaf>, Rows::new(), |_| ());
    let served = Served::with(router, |bounds| bounds.service.queries_max = 4);
    let clients: Vec<_> = (0..10).map(|_| served.client()).collect();
    let (mut answered, mut refused) = (0, 0);
    let gate = leaf.gate.lock().expect("held");
    served.runtime.block_on(async {
        let mut calls = tokio::task::JoinSet::new();
        for n in 0..10_000 {
            let mut client = clients[n % clients.len()].clone();
            calls.spawn(async move {
                let mut stream = client.sql(statement("SELECT count(*) FROM series")).await?.into_inner();
                while stream.message().await?.is_some() {}
                Ok::<_, tonic::Status>(())
            });
        }
        let mut gate = Some(gate);
        while let Some(result) = calls.join_next().await {
            // Refusals come while nothing is answered.
            gate.take();
            match result.expect("no panic") {
                Ok(()) => answered += 1,
                Err(status) => {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                    refused += 1;
                }
            }
        }
    });
    assert_eq!(answered + refused, 10_000);
    assert!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");
    assert!(leaf.most.load(Ordering::SeqCst) <= 4, "{leaf:?}", leaf = leaf.most);
}

#[test]
fn a_server_that_ends_lets_queries_finish_and_then_cuts_them() {
    let (router, begun, ended) = Hanging::router();
    let mut served = Served::with(router, |bounds| bounds.server.drain = Duration::from_millis(300));
    let mut client = served.client();
    let mut stream =
        served.runtime.block_on(client.sql(statement("SELECT * FROM series"))).expect("begun").into_inner();
    begun.recv_timeout(SOON).expect("the leaf reads");
    served.say_stop();
    let status = served.runtime.block_on(stream.message()).expect_err("cut");
    let fault = Fault::from(status);
    assert_eq!((fault.code, fault.reason()), (Code::Unavailable, Reason::ShuttingDown), "{fault:?}");
    ended.recv_timeout(SOON).expect("the leaf was told to stop");
    served.wait_for_end();
    assert!(shardex_shard_router::Remote::connect(&served.channel()).is_err());
}

#[test]
fn an_idle_server_ends_at_once() {
    let mut served = Served::with(small_router(), |bounds| bounds.server.drain = Duration::from_secs(3600));
    let remote = served.remote();
    served.say_stop();
    served.wait_for_end();
    drop(remote);
}

#[test]
fn a_second_word_ends_a_server_that_drains() {
    let (router, begun, _ended) = Hanging::router();
    let mut served = Served::with(router, |bounds| bounds.server.drain = Duration::from_secs(3600));
    let mut client = served.client();
    let stream = served.runtime.block_on(client.sql(statement("SELECT * FROM series"))).expect("begun");
    begun.recv_timeout(SOON).expect("the leaf reads");
    served.say_stop();
    served.say_stop();
    served.wait_for_end();
    drop(stream);
}
