//! `shardex serve`: answers for one archive over the network.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use shardex_daemon::net::{Server, ServerSettings, TlsFiles, stop_signals};
use shardex_shard_router::{QueryService, ServiceSettings};

use super::reading;
use crate::args::Serve;
use crate::exit::ExitCode;
use crate::output;

/// Threads that wait and pass on; queries have their own.
const ASYNC_THREADS: usize = 2;
/// Blocking threads besides those of queries.
const SPARE_THREADS: usize = 8;
/// Time for threads of queries that were told to stop.
const LAST_THREADS: Duration = Duration::from_secs(2);

pub(crate) fn run(serve: &Serve) -> anyhow::Result<ExitCode> {
    let reading = reading::open_with(&serve.archive.archive, |settings| settings.rows_max = serve.max_rows)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(ASYNC_THREADS)
        .max_blocking_threads(usize::from(serve.max_queries) + SPARE_THREADS)
        .thread_name("serve")
        .enable_all()
        .build()
        .context("threads cannot be started")?;
    let result = runtime.block_on(listen(serve, Arc::new(reading.router)));
    runtime.shutdown_timeout(LAST_THREADS);
    result.map(|()| ExitCode::Done)
}

async fn listen(serve: &Serve, router: Arc<shardex_shard_router::Router>) -> anyhow::Result<()> {
    let settings = server_settings(serve);
    let stop = stop_signals()?;
    let server = Server::bind(&settings).await?;
    let bounds = ServiceSettings { queries_max: serve.max_queries.into(), ..ServiceSettings::default() };
    let service = QueryService::new(router, &bounds, server.ending());
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    if settings.token_file.is_some() && settings.tls.is_none() && !server.address().ip().is_loopback() {
        output::say("warning: tokens and answers travel unencrypted; --tls-cert and --tls-key encrypt them");
    }
    // Standard output is for programs that start this one: they wait for the line.
    let mut out = output::answer();
    writeln!(out, "listening on {scheme}://{}", server.address())?;
    out.flush()?;
    server.serve(service.routes(), &[QueryService::NAME], stop).await?;
    Ok(())
}

fn server_settings(serve: &Serve) -> ServerSettings {
    let tls = serve.tls_cert.clone().zip(serve.tls_key.clone()).map(|(certificate, key)| TlsFiles {
        certificate,
        key,
        client_ca: serve.tls_client_ca.clone(),
    });
    ServerSettings {
        token_file: serve.token_file.clone(),
        tls,
        drain: Duration::from_secs(serve.drain_seconds.into()),
        ..ServerSettings::new(&serve.listen)
    }
}
