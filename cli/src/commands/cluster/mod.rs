//! The processes of a cluster, and what operators ask of it.

mod coordinator;
mod directory;
mod follow;
mod home;
mod job;
mod moves;
mod owner;
mod recover;
mod router;
mod shards;
mod show;
mod splits;
mod worker;
mod workers;

use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use shardex_coordinator::cluster::Client;
use shardex_daemon::net::{Server, stop_signals};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use crate::args::Coordinators;
use crate::output;

pub(crate) use coordinator::{Coordinator, run as coordinator};
pub(crate) use job::{JOB_EXAMPLES, Job, run as job};
pub(crate) use recover::run as recover;
pub(crate) use router::{Router, run as router};
pub(crate) use shards::{SHARD_EXAMPLES, Shards, run as shards};
pub(crate) use worker::{Worker, run as worker};
pub(crate) use workers::{WORKER_EXAMPLES, Workers, run as workers};

/// How long an operator waits for a coordinator that leads.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time for threads that were told to stop.
const LAST_THREADS: Duration = Duration::from_secs(2);

/// A runtime for a role.
fn runtime(name: &str) -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from))
        .thread_name(name)
        .enable_all()
        .build()
        .context("threads cannot be started")
}

/// Runs a role to its end.
fn run_role(
    name: &str,
    role: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<crate::exit::ExitCode> {
    let runtime = runtime(name)?;
    let result = runtime.block_on(role);
    runtime.shutdown_timeout(LAST_THREADS);
    result.map(|()| crate::exit::ExitCode::Done)
}

/// Says where a server listens: who started it waits for the line.
fn say_listening(server: &Server, is_tls: bool) -> anyhow::Result<()> {
    let scheme = if is_tls { "https" } else { "http" };
    let mut out = output::answer();
    writeln!(out, "listening on {scheme}://{}", server.address())?;
    out.flush()?;
    Ok(())
}

/// Passes signals to stop on: the first to what drains, and once that is done, or at the second, to the
/// server.
fn stopping() -> anyhow::Result<(watch::Receiver<bool>, Stopping)> {
    let (to, stop) = watch::channel(false);
    Ok((stop, Stopping { signals: stop_signals()?, to }))
}

struct Stopping {
    signals: mpsc::Receiver<()>,
    to: watch::Sender<bool>,
}

impl Stopping {
    /// Waits for a signal; then for `drained`, or another signal. What it gives stops a server.
    fn after(mut self, drained: impl Future<Output = ()> + Send + 'static) -> mpsc::Receiver<()> {
        let (words, stop) = mpsc::channel(2);
        tokio::spawn(async move {
            self.signals.recv().await;
            self.to.send_replace(true);
            tokio::select! {
                () = drained => {}
                _ = self.signals.recv() => {}
            }
            // A server that has ended hears nothing.
            let _ = words.send(()).await;
            self.signals.recv().await;
            let _ = words.send(()).await;
        });
        stop
    }
}

/// A number by chance: the standard library seeds its hashers so.
fn random() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

/// A number from 0 to 1 by chance.
fn chance() -> f64 {
    (random() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Asks the coordinators on behalf of an operator.
fn operate<T>(
    coordinators: &Coordinators,
    ask: impl AsyncFnOnce(Client) -> Result<T, shardex_coordinator::cluster::ClientError>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(ask(Client::new(coordinators.channels(), PATIENCE)))?)
}
