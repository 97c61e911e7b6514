//! The commands.

pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod dump;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod ingest;
pub(crate) mod institutions;
pub(crate) mod maintain;
pub(crate) mod man;
mod meter;
pub(crate) mod overview;
pub(crate) mod probe;
pub(crate) mod reading;
pub(crate) mod recover;
pub(crate) mod report;
pub(crate) mod schema;
pub(crate) mod search;
mod serve;
pub(crate) mod show;
mod show_header;
pub(crate) mod snapshot;
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod tree;
pub(crate) mod verify;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use rustix::process::{Resource, getrlimit, setrlimit};
use shardex_worker::BeforeRead;

use crate::args::{Arguments, Command};
use crate::config;
use crate::exit::ExitCode;
use crate::output;

/// Runs the command line; `arguments` begins with the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    run_with(arguments, None)
}

/// As [`run`], with something that is called before a file is read: how tests make files crash or
/// hang their readers.
pub fn run_with(arguments: impl IntoIterator<Item = OsString>, before_read: Option<BeforeRead>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let arguments = match parse(&arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, not errors. A closed pipe stops nothing.
            let _ = error.print();
            // What is wrong with the file itself names it.
            let is_of_both = error.use_stderr() && error.kind() != ErrorKind::Io;
            if let Some(file) = config::file_of(&arguments).filter(|_| is_of_both) {
                output::say(&format!("options were taken from {}, too", file.display()));
            }
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::Done,
                _ => ExitCode::Usage,
            };
        }
    };
    output::look(arguments.color);
    shardex_daemon::init_telemetry(&arguments.log);
    raise_file_limit();
    let result = match arguments.command {
        Command::Ingest(ingest) => ingest::run(*ingest, before_read),
        Command::ProbeFile(probe) => probe::run(&probe, before_read.as_ref()),
        Command::Search(search) => search::run(&search),
        Command::Sql(sql) => sql::run(&sql),
        Command::Files(files) => files::run(&files),
        Command::Status(status) => status::run(&status),
        Command::Summary(summary) => overview::run(&summary),
        Command::Tree(tree) => tree::run(&tree),
        Command::Report(report) => report::run(&report),
        Command::Show(show) => show::run(&show),
        Command::Schema(schema) => schema::run(&schema),
        Command::Dump(dump) => dump::run(&dump),
        Command::Institutions(command) => institutions::run(&command),
        Command::Maintain(maintain) => maintain::run(&maintain),
        Command::Verify(verify) => verify::run(&verify),
        Command::Recover(recover) => recover::run(&recover),
        Command::Snapshot(snapshot) => snapshot::take(&snapshot),
        Command::Restore(restore) => snapshot::put_back(&restore),
        Command::Serve(serve) => serve::run(&serve),
        Command::Coordinator(coordinator) => cluster::coordinator(&coordinator),
        Command::Worker(worker) => cluster::worker(&worker, before_read),
        Command::Router(router) => cluster::router(&router),
        Command::Job(job) => cluster::job(job),
        Command::Workers(workers) => cluster::workers(&workers),
        Command::Shards(shards) => cluster::shards(&shards),
        Command::Health(health) => health::run(&health),
        Command::Completions(completions) => completions::run(&completions),
        Command::Man(man) => man::run(&man),
    };
    result.unwrap_or_else(|error| {
        if is_closed_pipe(&error) {
            // Whoever read the answer has seen enough.
            return ExitCode::Done;
        }
        if is_cancelled(&error) {
            output::say("interrupted: the answer is not complete");
            return ExitCode::Interrupted;
        }
        output::say_error(&error);
        if error.is::<reading::WrongUsage>() { ExitCode::Usage } else { ExitCode::Failed }
    })
}

fn parse(arguments: &[OsString]) -> Result<Arguments, clap::Error> {
    // Help and wrong usage are written before --color is known.
    let is_never = |pair: &[OsString]| pair[0] == "--color" && pair[1] == "never";
    let is_uncolored = arguments.windows(2).any(is_never) || arguments.iter().any(|a| a == "--color=never");
    let command = Arguments::command();
    let command = if is_uncolored { command.color(clap::ColorChoice::Never) } else { command };
    let arguments = config::with_file(&command, arguments, &|variable| std::env::var_os(variable))?;
    Arguments::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// Takes as many open files as the system grants: every open shard needs three.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // As many as before are enough for the defaults.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Whether somebody pressed Ctrl-C while a question was being answered.
fn is_cancelled(error: &anyhow::Error) -> bool {
    use shardex_shard_router::Error;
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(Error::Cancelled)))
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    use std::io::{Error, ErrorKind};
    let is_closed = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<Error>().map(Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(ErrorKind::BrokenPipe)
    };
    error.chain().any(is_closed)
}
