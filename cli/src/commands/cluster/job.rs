//! `shardex job`: orders to a cluster, and what became of them.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use shardex_coordinator::cluster::Client;
use shardex_daemon::SystemClock;
use shardex_proto::v1;
use shardex_seams::Clock;

use super::{operate, show};
use crate::args::Coordinators;
use crate::exit::ExitCode;
use crate::output;

/// Time between two looks at a job.
const WATCH_EVERY: Duration = Duration::from_secs(1);

pub(crate) const JOB_EXAMPLES: &str = "Examples:
  shardex job submit pacs research@deid --coordinator http://127.0.0.1:7500
  shardex job show 3 --watch
  shardex job list --json
  shardex job pause 3; shardex job resume 3

SHARDEX_COORDINATOR stands for --coordinator. Show and watch end with the exit code that the ingest would have: \
3 incomplete, 4 deletions held.";

#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// Order an ingest of sources: NAME, or NAME@DOMAIN the first time.
    #[command(after_help = "Examples:
  shardex job submit pacs research@deid
  shardex job submit pacs --accept-deletions --watch")]
    Submit(Box<Submit>),
    /// The last jobs.
    #[command(after_help = "Examples:
  shardex job list
  shardex job list --limit 5 --json")]
    List(List),
    /// One job with its units.
    #[command(after_help = "Examples:
  shardex job show 3
  shardex job show 3 --watch")]
    Show(Show),
    /// Give out no further units; running ones stop soon and lose nothing.
    #[command(after_help = "Examples:
  shardex job pause 3")]
    Pause(One),
    /// Go on with a paused job.
    #[command(after_help = "Examples:
  shardex job resume 3")]
    Resume(One),
    /// End a job; what was recorded stays.
    #[command(after_help = "Examples:
  shardex job cancel 3")]
    Cancel(One),
    /// Try units again that were given up.
    #[command(after_help = "Examples:
  shardex job retry 3")]
    Retry(One),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DigestName {
    Header,
    Full,
    None,
}

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// Sources: NAME or NAME@DOMAIN.
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Take only files whose name or path matches. May be repeated.
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Leave out files and directories whose name or path matches. May be repeated.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Do not enter other file systems.
    #[arg(long)]
    one_file_system: bool,
    /// Read quarantined files again although they have not changed.
    #[arg(long)]
    retry_quarantined: bool,
    /// Remove files that are gone from the index even where this would be held.
    #[arg(long)]
    accept_deletions: bool,
    /// Digest taken of each file.
    #[arg(long, value_enum, default_value = "header")]
    digest: DigestName,
    /// Files read at once by each worker [default: adapts].
    #[arg(long, value_name = "N")]
    readers: Option<u32>,
    /// Workers that may read one source at once [default: all].
    #[arg(long, value_name = "N")]
    workers_max: Option<u32>,
    /// Files opened a second at most by each worker, to spare a storage that others work with [default: no limit].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..))]
    files_per_second: Option<u32>,
    /// Jobs of a higher priority go first.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
    /// Show the job until it ends.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    coordinators: Coordinators,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its number.
    job: u64,
    /// Show it again and again until it ends.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its number.
    job: u64,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(job: Job) -> anyhow::Result<ExitCode> {
    match job {
        Job::Submit(submit) => {
            let request = order(&submit)?;
            let job = operate(&submit.common.coordinators, async |client| client.submit(request).await)?;
            if submit.watch { watch(job.job, &submit.common) } else { tell(&job, &submit.common) }
        }
        Job::List(list) => {
            let request = v1::ListJobsRequest { limit: list.limit };
            let reply = operate(&list.common.coordinators, async |client| client.list(request).await)?;
            let mut to = output::answer();
            if list.common.json {
                let jobs: Vec<_> = reply.jobs.iter().map(show::job_json).collect();
                writeln!(to, "{}", serde_json::Value::from(jobs))?;
            } else {
                show::jobs(&mut to, &reply.jobs)?;
            }
            to.flush()?;
            Ok(ExitCode::Done)
        }
        Job::Show(show) if show.watch => watch(show.job, &show.common),
        Job::Show(show) => {
            let request = v1::JobRequest { job: show.job };
            let job = operate(&show.common.coordinators, async |client| client.show(request).await)?;
            tell(&job, &show.common)?;
            Ok(exit_code(&job))
        }
        Job::Pause(one) => change(&one, async |client, request| client.pause(request).await),
        Job::Resume(one) => change(&one, async |client, request| client.resume(request).await),
        Job::Cancel(one) => change(&one, async |client, request| client.cancel(request).await),
        Job::Retry(one) => change(&one, async |client, request| client.retry(request).await),
    }
}

fn order(submit: &Submit) -> anyhow::Result<v1::SubmitRequest> {
    let source = |text: &String| {
        let (name, domain) = text.split_once('@').unwrap_or((text, ""));
        v1::JobSource { name: name.to_owned(), domain: domain.to_owned(), totals: None }
    };
    let digest = match submit.digest {
        DigestName::Header => "header",
        DigestName::Full => "full",
        DigestName::None => "none",
    };
    shardex_worker::Filters::new(&submit.include, &submit.exclude)?;
    Ok(v1::SubmitRequest {
        sources: submit.sources.iter().map(source).collect(),
        options: Some(v1::JobOptions {
            include: submit.include.clone(),
            exclude: submit.exclude.clone(),
            one_file_system: submit.one_file_system,
            retry_quarantined: submit.retry_quarantined,
            accept_deletions: submit.accept_deletions,
            digest: digest.to_owned(),
            readers: submit.readers,
            workers_max: submit.workers_max,
            files_per_second: submit.files_per_second,
        }),
        priority: submit.priority,
        // The client may have to say it twice, to another leader.
        request_id: format!("{:016x}", super::random()),
    })
}

fn change(
    one: &One,
    ask: impl AsyncFnOnce(Client, v1::JobRequest) -> Result<v1::Job, shardex_coordinator::cluster::ClientError>,
) -> anyhow::Result<ExitCode> {
    let request = v1::JobRequest { job: one.job };
    let job = operate(&one.common.coordinators, async |client| ask(client, request).await)?;
    tell(&job, &one.common)
}

fn tell(job: &v1::Job, common: &Common) -> anyhow::Result<ExitCode> {
    let mut to = output::answer();
    if common.json {
        writeln!(to, "{}", show::job_json(job))?;
    } else {
        show::job(&mut to, job, None)?;
    }
    to.flush()?;
    Ok(ExitCode::Done)
}

fn exit_code(job: &v1::Job) -> ExitCode {
    match job.state.as_str() {
        "incomplete" | "cancelled" => ExitCode::Incomplete,
        "held" => ExitCode::Held,
        _ => ExitCode::Done,
    }
}

/// Shows a job until it ends: on a terminal in place, else a line of JSON or text a second.
fn watch(job: u64, common: &Common) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(common.coordinators.channels(), super::PATIENCE);
    let cancel = shardex_daemon::stop_on_signals()?;
    let clock = SystemClock;
    let mut before: Option<(Duration, u64)> = None;
    loop {
        let found =
            runtime.block_on(client.show(v1::JobRequest { job })).context("the job cannot be shown")?;
        let files = found.totals.as_ref().map_or(0, |totals| totals.files);
        let now = clock.elapsed();
        let per_second = before.map(|(then, had)| {
            files.saturating_sub(had) as f64 / now.saturating_sub(then).as_secs_f64().max(1e-3)
        });
        before = Some((now, files));
        let mut to = output::answer();
        if common.json {
            writeln!(to, "{}", show::job_json(&found))?;
        } else {
            if output::is_watched() {
                // The last look's place on the screen.
                write!(to, "\x1b[H\x1b[2J")?;
            }
            show::job(&mut to, &found, per_second)?;
        }
        to.flush()?;
        if found.ended_ns.is_some() {
            return Ok(exit_code(&found));
        }
        if cancel.load(std::sync::atomic::Ordering::Relaxed) {
            return Ok(ExitCode::Interrupted);
        }
        // Made inside: a timer belongs to the runtime that is entered.
        runtime.block_on(async { tokio::time::sleep(WATCH_EVERY).await });
    }
}
