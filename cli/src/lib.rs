//! The command line of shardex: arguments, composition of the roles, output.

mod args;
mod commands;
mod config;
mod exit;
mod ledger_files;
mod lists;
mod output;
mod reports;

pub use commands::{run, run_with};
pub use exit::ExitCode;
