//! `shardex recover --coordinator`: a cluster whose state was lost, or put back from a backup.

use std::io::Write;
use std::time::Duration;

use serde_json::json;
use shardex_coordinator::cluster::Client;
use shardex_proto::v1::{RecoverReply, RecoverRequest};

use super::PATIENCE;
use crate::commands::recover::Recover;
use crate::exit::ExitCode;
use crate::output;

/// Time between two looks whether the map is whole.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Has the map made anew, and waits until it is whole; says meanwhile what it waits for.
pub(crate) fn run(recover: &Recover) -> anyhow::Result<ExitCode> {
    let request = RecoverRequest { accept_lost_shards: recover.accept_lost_shards };
    let client = Client::new(recover.credentials.channels(&recover.coordinator), PATIENCE);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reply = runtime.block_on(wait(&client, request))?;
    let mut to = output::answer();
    if recover.json {
        writeln!(to, "{}", output::json_text(&json!({ "shards": reply.shards })))?;
    } else {
        writeln!(to, "the map of the cluster is whole: {} shards", reply.shards)?;
    }
    to.flush()?;
    Ok(ExitCode::Done)
}

/// For as long as it takes: an operator may be on the way to a worker that is to be started.
async fn wait(client: &Client, request: RecoverRequest) -> anyhow::Result<RecoverReply> {
    let mut said = String::new();
    loop {
        let reply = client.recover(request).await?;
        if reply.waits_for.is_empty() {
            return Ok(reply);
        }
        if said != reply.waits_for {
            output::say(&reply.waits_for);
            said = reply.waits_for;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
