//! `shardex man`: manual pages, one a command.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};

use crate::args::Arguments;
use crate::exit::ExitCode;
use crate::output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex man ~/.local/share/man/man1
  man shardex-ingest")]
pub(crate) struct Man {
    /// Folder for the pages; it is made where there is none.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

pub(crate) fn run(man: &Man) -> anyhow::Result<ExitCode> {
    let about = || format!("no manual pages can be written to `{}`", man.folder.display());
    std::fs::create_dir_all(&man.folder).with_context(about)?;
    clap_mangen::generate_to(Arguments::command(), &man.folder).with_context(about)?;
    output::say(&format!("wrote manual pages to `{}`", man.folder.display()));
    Ok(ExitCode::Done)
}
