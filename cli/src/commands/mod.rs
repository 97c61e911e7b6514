//! The commands.

pub(crate) mod dump;
pub(crate) mod files;
pub(crate) mod ingest;
pub(crate) mod institutions;
pub(crate) mod maintain;
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
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod tree;
pub(crate) mod verify;

use std::ffi::OsString;

use clap::Parser;
use clap::error::ErrorKind;
use rustix::process::{Resource, getrlimit, setrlimit};
use shardex_worker::BeforeRead;

use crate::args::{Arguments, Command};
use crate::exit::ExitCode;
use crate::output;

/// Runs the command line; `arguments` begins with the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    run_with(arguments, None)
}

/// As [`run`], with something that is called before a file is read: how tests make files crash or
/// hang their readers.
pub fn run_with(arguments: impl IntoIterator<Item = OsString>, before_read: Option<BeforeRead>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, not errors. A closed pipe stops nothing.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::Done,
                _ => ExitCode::Usage,
            };
        }
    };
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
        Command::Serve(serve) => serve::run(&serve),
    };
    result.unwrap_or_else(|error| {
        if is_closed_pipe(&error) {
            // Whoever read the answer has seen enough.
            return ExitCode::Done;
        }
        output::say(&format!("error: {error:#}"));
        if error.is::<reading::WrongUsage>() { ExitCode::Usage } else { ExitCode::Failed }
    })
}

/// Takes as many open files as the system grants: every open shard needs three.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // As many as before are enough for the defaults.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let is_closed = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    };
    error.chain().any(is_closed)
}
