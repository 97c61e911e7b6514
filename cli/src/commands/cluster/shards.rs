//! `shardex shards`.

use std::io::Write;
use std::time::Duration;

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
/// Time between two looks at a split.
const LOOK: Duration = Duration::from_millis(200);

pub(crate) const SHARD_EXAMPLES: &str = "Examples:
  shardex shards list --coordinator http://127.0.0.1:7500
  shardex shards move y2019/0 --to w3 --coordinator http://127.0.0.1:7500
  shardex shards split y2019/0 --coordinator http://127.0.0.1:7500
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
    /// Split a shard that has grown too large in two, and wait for it.
    #[command(after_help = "Examples:
  shardex shards split y2019/0 --coordinator http://127.0.0.1:7500

About half of its studies go to a new shard of the same owner, which may be moved afterwards. No file is read again; studies stay
whole. Jobs wait, and go on by themselves afterwards. Reads are refused for a moment at the end. The owner needs 1.5 times
the shard's size free on its disk. Ctrl-C ends the waiting, not the split.")]
    Split(SplitShard),
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

#[derive(Debug, Args)]
pub(crate) struct SplitShard {
    /// The shard, as `shards list` names it.
    shard: String,
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
        Shards::Split(SplitShard { shard, list }) => {
            let asked = shard.clone();
            let halves = operate(&list.coordinators, async move |client| split(client, asked).await)?;
            let failure = halves.first().map(|half| half.split_failure.clone()).filter(|why| !why.is_empty());
            if let Some(why) = failure {
                anyhow::bail!("shard `{shard}` was not split: {why}");
            }
            (list, halves)
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
        let mut table = Table::new(&["shard", "owner", "size", "served", "moves to", "splits to"]);
        for shard in shards {
            let served = if shard.is_served { "yes" } else { "no" }.to_owned();
            let splits = match &*shard.split_stage {
                "" => String::new(),
                stage => format!("{} ({stage})", shard.splits_to),
            };
            table.row([shard.shard, shard.owner, byte_size(shard.bytes), served, shard.moves_to, splits]);
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
        "splits_to": (!shard.splits_to.is_empty()).then_some(&shard.splits_to),
        "split_stage": (!shard.split_stage.is_empty()).then_some(&shard.split_stage),
    })
}

/// Orders a split and waits for its end; gives both halves.
async fn split(
    client: Client,
    shard: String,
) -> Result<Vec<v1::ShardStatus>, shardex_coordinator::cluster::ClientError> {
    let mut last = client.split_shard(v1::SplitShardRequest { shard: shard.clone() }).await?;
    let to = last.splits_to.clone();
    let mut stage = String::new();
    // A page begins after a name: that of the shard begins after what is just before it.
    let before = shard.strip_suffix('0').or_else(|| shard.strip_suffix('1')).unwrap_or_default().to_owned();
    while !last.split_stage.is_empty() {
        if last.split_stage != stage {
            stage.clone_from(&last.split_stage);
            output::say(&format!("shard {shard}: {stage}"));
        }
        tokio::time::sleep(LOOK).await;
        let page = client.shards(v1::ShardsRequest { after: before.clone(), limit: PAGE }).await?;
        let Some(found) = page.shards.into_iter().find(|found| found.shard == shard) else { break };
        last = found;
    }
    let all = all(client).await?;
    let mut halves: Vec<_> = all.into_iter().filter(|half| half.shard == shard || half.shard == to).collect();
    halves.sort_by(|a, b| a.shard.cmp(&b.shard));
    Ok(halves)
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
