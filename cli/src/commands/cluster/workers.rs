//! `shardex workers`.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::json;
use shardex_proto::v1;

use super::operate;
use crate::args::Coordinators;
use crate::exit::ExitCode;
use crate::output::{self, Table, byte_size, duration};

pub(crate) const WORKER_EXAMPLES: &str = "Examples:
  shardex workers list --coordinator http://127.0.0.1:7500
  shardex workers drain w3 --coordinator http://127.0.0.1:7500
  shardex workers make-home w2 --coordinator http://127.0.0.1:7500
  shardex workers forget w3 --coordinator http://127.0.0.1:7500";

#[derive(Debug, Subcommand)]
pub(crate) enum Workers {
    /// All workers of a cluster.
    #[command(after_help = "Examples:
  shardex workers list --coordinator http://127.0.0.1:7500")]
    List(WorkerList),
    /// Give up a worker that will not come back: what it owned is filled again from the files by the next job.
    #[command(after_help = "Examples:
  shardex workers forget w3 --coordinator http://127.0.0.1:7500")]
    Forget(One),
    /// Give a worker no more units and shards, and move what it owns to others, before it is taken away.
    #[command(after_help = "Examples:
  shardex workers drain w3 --coordinator http://127.0.0.1:7500
  shardex shards list --coordinator http://127.0.0.1:7500

Nothing is lost, and queries go on: each shard is copied while it is written and read, and so are ledger and registry if
it is home. When it holds no shards any more and is not home, stop it (SIGTERM), and forget it.")]
    Drain(One),
    /// Make a worker home: ledger and registry move to it.
    #[command(after_help = "Examples:
  shardex workers make-home w2 --coordinator http://127.0.0.1:7500
  shardex workers list --coordinator http://127.0.0.1:7500

They are copied while they are written and read, and refuse both for a moment at the end. `workers list` shows them on
their way. Nothing is read again, and jobs go on. `workers drain` of the home does this, too.")]
    MakeHome(One),
    /// Take that back: it gets units and shards again. What has moved stays where it is.
    #[command(after_help = "Examples:
  shardex workers undrain w3 --coordinator http://127.0.0.1:7500
  shardex shards rebalance --coordinator http://127.0.0.1:7500")]
    Undrain(One),
}

#[derive(Debug, Args)]
pub(crate) struct WorkerList {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    coordinators: Coordinators,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its name.
    worker: String,
    #[command(flatten)]
    list: WorkerList,
}

pub(crate) fn run(command: &Workers) -> anyhow::Result<ExitCode> {
    let one = |one: &One| v1::WorkerRequest { worker: one.worker.clone() };
    let (list, reply) = match command {
        Workers::List(list) => {
            (list, operate(&list.coordinators, async |client| client.workers(v1::WorkersRequest {}).await))
        }
        Workers::Forget(One { worker, list }) => {
            let request = v1::ForgetWorkerRequest { worker: worker.clone() };
            (list, operate(&list.coordinators, async |client| client.forget_worker(request).await))
        }
        Workers::Drain(given) => {
            let list = &given.list;
            (list, operate(&list.coordinators, async |client| client.drain_worker(one(given)).await))
        }
        Workers::MakeHome(given) => {
            let list = &given.list;
            (list, operate(&list.coordinators, async |client| client.make_home(one(given)).await))
        }
        Workers::Undrain(given) => {
            let list = &given.list;
            (list, operate(&list.coordinators, async |client| client.undrain_worker(one(given)).await))
        }
    };
    let reply = reply?;
    let mut to = output::answer();
    if list.json {
        let workers: Vec<_> = reply.workers.iter().map(as_json).collect();
        writeln!(to, "{}", serde_json::Value::from(workers))?;
    } else {
        write_table(&mut to, &reply.workers)?;
    }
    to.flush()?;
    Ok(ExitCode::Done)
}

fn as_json(worker: &v1::Worker) -> serde_json::Value {
    let source = |mount: &v1::SourceMount| json!({ "name": mount.name, "root_entries": mount.root_entries, "marker": mount.marker, "refused": mount.refused });
    json!({
        "worker": worker.worker,
        "url": worker.url,
        "state": worker.state,
        "sources": worker.sources.iter().map(source).collect::<Vec<_>>(),
        "units": worker.units,
        "shards": worker.shards,
        "bytes": worker.bytes,
        "is_home": worker.is_home,
        "home_moves_to": (!worker.home_moves_to.is_empty()).then_some(&worker.home_moves_to),
        "silent_ms": worker.silent_ms,
    })
}

fn home(worker: &v1::Worker) -> String {
    match (worker.is_home, &*worker.home_moves_to) {
        (false, _) => String::new(),
        (true, "") => "yes".to_owned(),
        (true, to) => format!("moves to {to}"),
    }
}

fn write_table(to: &mut impl Write, workers: &[v1::Worker]) -> std::io::Result<()> {
    let mut table =
        Table::new(&["worker", "state", "units", "shards", "size", "home", "last report", "sources", "url"]);
    for worker in workers {
        let sources: Vec<_> = worker.sources.iter().map(|mount| mount.name.as_str()).collect();
        let heard = match worker.silent_ms {
            u32::MAX => "never".to_owned(),
            ms => format!("{} ago", duration(f64::from(ms) / 1e3)),
        };
        table.row([
            worker.worker.clone(),
            worker.state.clone(),
            worker.units.to_string(),
            worker.shards.to_string(),
            byte_size(worker.bytes),
            home(worker),
            heard,
            sources.join(","),
            worker.url.clone(),
        ]);
    }
    table.write(to, true)?;
    for worker in workers {
        for mount in worker.sources.iter().filter(|mount| !mount.refused.is_empty()) {
            writeln!(
                to,
                "worker {} gets no units of source {}: {}",
                worker.worker, mount.name, mount.refused
            )?;
        }
    }
    Ok(())
}
