//! `shardex shards`.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::json;
use shardex_coordinator::cluster::Client;
use shardex_proto::v1;

use super::operate;
use crate::args::Coordinators;
use crate::exit::ExitCode;
use crate::output::{self, Table, byte_size};

/// Shards of a page.
const PAGE: u32 = 1000;

pub(crate) const SHARD_EXAMPLES: &str = "Examples:
  shardex shards list --coordinator http://127.0.0.1:7500
  shardex shards move y2019/0 --to w3 --coordinator http://127.0.0.1:7500
  shardex shards rebalance --coordinator http://127.0.0.1:7500";

#[derive(Debug, Subcommand)]
pub(crate) enum Shards {
    /// All shards of a cluster with their owners.
    #[command(after_help = "Examples:
  shardex shards list --coordinator http://127.0.0.1:7500")]
    List(ShardList),
    /// Move a shard to another worker.
    #[command(after_help = "Examples:
  shardex shards move y2019/0 --to w3 --coordinator http://127.0.0.1:7500

It is copied while it is written and read, and refuses both for a moment at the end. `shards list` shows it on its way.")]
    Move(MoveShard),
    /// Even out what the workers hold, by few moves.
    #[command(after_help = "Examples:
  shardex shards rebalance --coordinator http://127.0.0.1:7500

After a worker has joined. The fullest and the emptiest differ by at most a fifth afterwards, if sizes of shards allow it.")]
    Rebalance(ShardList),
}

#[derive(Debug, Args)]
pub(crate) struct ShardList {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    coordinators: Coordinators,
}

#[derive(Debug, Args)]
pub(crate) struct MoveShard {
    /// The shard, as `shards list` names it.
    shard: String,
    /// The worker that gets it.
    #[arg(long, value_name = "WORKER")]
    to: String,
    #[command(flatten)]
    list: ShardList,
}

pub(crate) fn run(command: &Shards) -> anyhow::Result<ExitCode> {
    let (list, shards) = match command {
        Shards::List(list) => (list, operate(&list.coordinators, all)?),
        Shards::Move(MoveShard { shard, to, list }) => {
            let request = v1::MoveShardRequest { shard: shard.clone(), to: to.clone() };
            let moved = operate(&list.coordinators, async |client| client.move_shard(request).await)?;
            (list, vec![moved])
        }
        Shards::Rebalance(list) => {
            let reply =
                operate(&list.coordinators, async |client| client.rebalance(v1::RebalanceRequest {}).await)?;
            if !list.json {
                output::say(&format!("{} shards are to move", reply.moves));
            }
            (list, operate(&list.coordinators, all)?)
        }
    };
    write(list.json, shards)?;
    Ok(ExitCode::Done)
}

fn write(is_json: bool, shards: Vec<v1::ShardStatus>) -> std::io::Result<()> {
    let mut to = output::answer();
    if is_json {
        let shards = shards.iter().map(as_json).collect::<Vec<_>>();
        writeln!(to, "{}", serde_json::Value::from(shards))?;
    } else {
        let mut table = Table::new(&["shard", "owner", "size", "served", "moves to"]);
        for shard in shards {
            let served = if shard.is_served { "yes" } else { "no" }.to_owned();
            table.row([shard.shard, shard.owner, byte_size(shard.bytes), served, shard.moves_to]);
        }
        table.write(&mut to, true)?;
    }
    to.flush()
}

fn as_json(shard: &v1::ShardStatus) -> serde_json::Value {
    json!({
        "shard": shard.shard,
        "owner": shard.owner,
        "bytes": shard.bytes,
        "is_served": shard.is_served,
        "moves_to": (!shard.moves_to.is_empty()).then_some(&shard.moves_to),
    })
}

async fn all(client: Client) -> Result<Vec<v1::ShardStatus>, shardex_coordinator::cluster::ClientError> {
    let mut shards: Vec<v1::ShardStatus> = Vec::new();
    loop {
        let after = shards.last().map(|last| last.shard.clone()).unwrap_or_default();
        let page = client.shards(v1::ShardsRequest { after, limit: PAGE }).await?;
        if page.shards.is_empty() {
            return Ok(shards);
        }
        shards.extend(page.shards);
    }
}
