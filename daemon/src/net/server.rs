//! A server from its first connection to its last.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tonic::service::Routes;
use tonic::transport::ServerTlsConfig;
use tonic_health::ServingStatus;
use tonic_health::server::health_reporter;

use super::admit::Admission;
use super::error::with_causes;
use super::incoming::Incoming;
use super::{Error, ServerSettings};

/// Calls at once on one connection.
const STREAMS_MAX: u32 = 128;
/// Bytes of all metadata of a call.
const HEADERS_BYTES_MAX: u32 = 16 << 10;
/// A peer that does not answer a ping within this time is gone.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_WAIT: Duration = Duration::from_secs(30);
/// Time for the last words once all work has been told to stop.
const LAST_WORDS: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Draining,
    Over,
}

/// Tells services that the time to finish running calls is over.
#[derive(Clone, Debug)]
pub struct Ending(watch::Receiver<Phase>);

impl Ending {
    /// Waits until running calls must end; for ever if the server is never stopped.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn is_over(&mut self) {
        if self.0.wait_for(|phase| *phase == Phase::Over).await.is_err() {
            // The server is gone without a word: nothing will come any more.
            std::future::pending::<()>().await;
        }
    }
}

/// A server that has its address and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    admission: Admission,
    tls: Option<ServerTlsConfig>,
    connections_max: usize,
    drain: Duration,
    phase: watch::Sender<Phase>,
}

impl Server {
    /// Takes the address and reads certificates and tokens.
    ///
    /// # Errors
    /// [`Error`] says what of the settings does not work.
    pub async fn bind(settings: &ServerSettings) -> Result<Self, Error> {
        let listen = settings.address()?;
        let (tokens, tls) = (settings.tokens()?, settings.tls()?);
        let failed = |source| Error::Listen { listen: settings.listen.clone(), source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            admission: Admission(Arc::new(tokens)),
            tls,
            connections_max: settings.connections_max,
            drain: settings.drain,
            phase: watch::Sender::new(Phase::Running),
        })
    }

    /// The address, with the port that was taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What services listen to so that they end in time.
    #[must_use]
    pub fn ending(&self) -> Ending {
        Ending(self.phase.subscribe())
    }

    /// Serves, with health and reflection beside, until `stop` gives its first word: then health
    /// says NOT_SERVING, no connection is accepted, and running calls get the settings' time to
    /// finish, or less if `stop` gives a second word. A dropped sender of `stop` is a word, too.
    /// `names` are the services', for health.
    ///
    /// # Errors
    /// [`Error::Serve`] if serving fails; [`Error::Tls`] if the certificates do not work.
    ///
    /// # Cancel safety
    /// Dropped, it drops its connections; their callers see them closed.
    pub async fn serve(
        self,
        routes: Routes,
        names: &[&str],
        mut stop: mpsc::Receiver<()>,
    ) -> Result<(), Error> {
        let (reporter, health) = health_reporter();
        let all = [&[""], names].concat();
        for name in &all {
            reporter.set_service_status(name, ServingStatus::Serving).await;
        }
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(shardex_proto::FILE_DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let failed = |error: tonic_reflection::server::Error| Error::Serve(error.to_string());
        // Many clients know only the older of the two.
        let (older, newer) =
            (reflection().build_v1alpha().map_err(failed)?, reflection().build_v1().map_err(failed)?);
        let routes = routes.add_service(health).add_service(newer).add_service(older);
        let mut draining = self.phase.subscribe();
        let incoming = Incoming::start(self.listener, self.connections_max);
        let serving = builder(self.tls)?
            .layer(self.admission)
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming, async move {
                // An error says that the server is gone, which is a reason to stop, too.
                let _ = draining.wait_for(|phase| *phase >= Phase::Draining).await;
            });
        let mut serving = pin!(serving);
        let ended = |result: Result<(), tonic::transport::Error>| {
            result.map_err(|error| Error::Serve(with_causes(&error)))
        };
        tokio::select! {
            result = &mut serving => return ended(result),
            _ = stop.recv() => {}
        }
        for name in &all {
            reporter.set_service_status(name, ServingStatus::NotServing).await;
        }
        self.phase.send_replace(Phase::Draining);
        tokio::select! {
            result = &mut serving => return ended(result),
            () = tokio::time::sleep(self.drain) => {}
            _ = stop.recv() => {}
        }
        self.phase.send_replace(Phase::Over);
        tokio::time::timeout(LAST_WORDS, serving).await.map_or(Ok(()), ended)
    }
}

fn builder(tls: Option<ServerTlsConfig>) -> Result<tonic::transport::Server, Error> {
    let builder = tonic::transport::Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADERS_BYTES_MAX)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_WAIT));
    match tls {
        Some(tls) => builder.tls_config(tls).map_err(|error| Error::Tls(with_causes(&error))),
        None => Ok(builder),
    }
}
