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
  shardex shards list --coordinator http://127.0.0.1:7500";

#[derive(Debug, Subcommand)]
pub(crate) enum Shards {
    /// All shards of a cluster with their owners.
    #[command(after_help = "Examples:
  shardex shards list --coordinator http://127.0.0.1:7500")]
    List(ShardList),
}

#[derive(Debug, Args)]
pub(crate) struct ShardList {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    coordinators: Coordinators,
}

pub(crate) fn run(command: &Shards) -> anyhow::Result<ExitCode> {
    let Shards::List(list) = command;
    let shards = operate(&list.coordinators, all)?;
    let mut to = output::answer();
    if list.json {
        let shard = |shard: &v1::ShardStatus| json!({ "shard": shard.shard, "owner": shard.owner, "bytes": shard.bytes, "is_served": shard.is_served });
        writeln!(to, "{}", serde_json::Value::from(shards.iter().map(shard).collect::<Vec<_>>()))?;
    } else {
        let mut table = Table::new(&["shard", "owner", "size", "served"]);
        for shard in shards {
            let served = if shard.is_served { "yes" } else { "no" };
            table.row([shard.shard, shard.owner, byte_size(shard.bytes), served.to_owned()]);
        }
        table.write(&mut to, true)?;
    }
    to.flush()?;
    Ok(ExitCode::Done)
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
