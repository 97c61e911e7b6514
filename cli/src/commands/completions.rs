//! `shardex completions`: what a shell needs to complete commands and options.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Arguments;
use crate::exit::ExitCode;
use crate::output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  source <(shardex completions bash)
  shardex completions bash > ~/.local/share/bash-completion/completions/shardex
  shardex completions zsh > ~/.zfunc/_shardex
  shardex completions fish > ~/.config/fish/completions/shardex.fish")]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

pub(crate) fn run(completions: &Completions) -> anyhow::Result<ExitCode> {
    // The generator panics where it cannot write; memory always takes it.
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Arguments::command(), "shardex", &mut script);
    let mut to = output::answer();
    to.write_all(&script)?;
    to.flush()?;
    Ok(ExitCode::Done)
}
