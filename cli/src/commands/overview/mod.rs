//! `shardex summary`: what an archive holds, and what in it deserves a look.

mod facts;
mod findings;
mod json;
mod text;

use std::io::Write;

use clap::Args;

use crate::args::Asked;
use crate::exit::ExitCode;
use crate::output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex summary --archive ./archive
  shardex summary -a ./archive --json | jq '.by.modality'
  shardex summary --router http://127.0.0.1:7400

A study with two modalities counts in both groups. Every finding names the command that lists it.")]
pub(crate) struct Summary {
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Show every group and every attribute.
    #[arg(long)]
    pub(crate) all: bool,
    /// Read all files for attributes that are stored with files, however many there are.
    #[arg(long)]
    pub(crate) exact: bool,
    /// As one JSON object, complete.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(summary: &Summary) -> anyhow::Result<ExitCode> {
    let facts = facts::gather(summary)?;
    let findings = findings::of(&facts);
    let mut to = output::answer();
    if summary.json {
        output::write_json_pretty(&mut to, &json::of(&facts, &findings))?;
        writeln!(to)?;
    } else {
        text::write(&mut to, &facts, &findings, summary.all)?;
    }
    to.flush()?;
    Ok(ExitCode::Done)
}
