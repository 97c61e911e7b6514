//! A server of a made-up archive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shardex_daemon::net::{ChannelSettings, Peer, Server, ServerSettings, connect};
use shardex_proto::v1::query_client::QueryClient;
use shardex_shard_router::{QueryService, Remote, Router, ServiceSettings};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::{FakeLeaf, archive, router};

/// Longest wait for what must happen.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A running server.
pub(crate) struct Served {
    pub(crate) runtime: Runtime,
    pub(crate) address: SocketAddr,
    pub(crate) stop: mpsc::Sender<()>,
    pub(crate) service: QueryService,
    pub(crate) serving: Option<JoinHandle<()>>,
}

/// Settings of both layers.
pub(crate) struct Bounds {
    pub(crate) server: ServerSettings,
    pub(crate) service: ServiceSettings,
}

impl Served {
    pub(crate) fn start(router: Router) -> Self {
        Self::with(router, |_| ())
    }

    pub(crate) fn with(router: Router, change: impl FnOnce(&mut Bounds)) -> Self {
        let mut bounds =
            Bounds { server: ServerSettings::new("127.0.0.1:0"), service: ServiceSettings::default() };
        change(&mut bounds);
        let runtime = Runtime::new().expect("threads");
        let server = runtime.block_on(Server::bind(&bounds.server)).expect("a port");
        let address = server.address();
        let service = QueryService::new(Arc::new(router), &bounds.service, server.ending());
        let (stop, stopped) = mpsc::channel(2);
        let routes = service.clone().routes();
        let serving = runtime.spawn(async move {
            server.serve(routes, &[QueryService::NAME], stopped).await.expect("served to the end");
        });
        Self { runtime, address, stop, service, serving: Some(serving) }
    }

    /// A server of a few synthetic patients.
    pub(crate) fn small() -> Self {
        Self::start(small_router())
    }

    pub(crate) fn channel(&self) -> ChannelSettings {
        ChannelSettings { url: self.address.to_string(), ..ChannelSettings::default() }
    }

    pub(crate) fn remote(&self) -> Remote {
        Remote::connect(&self.channel()).expect("a connection")
    }

    pub(crate) fn client(&self) -> QueryClient<Peer> {
        QueryClient::new(self.runtime.block_on(connect(&self.channel())).expect("a connection"))
    }

    /// Tells the server to end.
    pub(crate) fn say_stop(&self) {
        self.stop.try_send(()).expect("room for a word");
    }

    /// Waits until the server has ended.
    pub(crate) fn wait_for_end(&mut self) {
        let serving = self.serving.take().expect("waited for once");
        let ended = self.runtime.block_on(async { tokio::time::timeout(SOON, serving).await });
        ended.expect("in time").expect("without a panic");
    }
}

pub(crate) fn small_router() -> Router {
    let archive = archive(10);
    router(Arc::new(FakeLeaf { shards: archive.shards, ..FakeLeaf::default() }), archive.ledger)
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < SOON, "{what} did not happen");
        std::thread::yield_now();
    }
}
