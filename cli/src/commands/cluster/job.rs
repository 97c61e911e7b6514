//! `shardex job`: orders to a cluster, and what became of them.

use std::io::Write;

use clap::{Args, Subcommand, ValueEnum};
use shardex_catalog::TimeWindow;
use shardex_coordinator::cluster::Client;
use shardex_proto::v1;

use super::follow::watch;
use super::{operate, show};
use crate::args::Coordinators;
use crate::exit::ExitCode;
use crate::output;

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
  shardex job submit pacs --accept-deletions --watch
  shardex job submit pacs --between 20:00-06:00+02:00 --between 12:00-13:00+02:00

Times are UTC unless they say how far local clocks are ahead of it; they do not follow daylight saving. Outside of its
hours a job gives its units back as when it is paused, and keeps its sources from other jobs if it has begun.")]
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
    /// Seconds that a reader may be at one file before that is tried in a process of its own [default: 60].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    patience_seconds: Option<u32>,
    /// Jobs of a higher priority go first.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
    /// Run only at this part of the day, HH:MM-HH:MM in UTC, or with an offset: 20:00-06:00+02:00. May be repeated
    /// [default: at any time].
    #[arg(long, value_name = "FROM-TO")]
    between: Vec<TimeWindow>,
    /// Show the job until it ends.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct Common {
    /// As JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) coordinators: Coordinators,
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
            patience_seconds: submit.patience_seconds,
        }),
        priority: submit.priority,
        windows: submit.between.iter().map(window).collect(),
        // The client may have to say it twice, to another leader.
        request_id: format!("{:016x}", super::random()),
    })
}

fn window(window: &TimeWindow) -> v1::TimeWindow {
    v1::TimeWindow {
        from_minute: window.from_minute().into(),
        to_minute: window.to_minute().into(),
        utc_offset_minutes: window.utc_offset_minutes().into(),
    }
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

pub(super) fn exit_code(job: &v1::Job) -> ExitCode {
    match job.state.as_str() {
        "incomplete" | "cancelled" => ExitCode::Incomplete,
        "held" => ExitCode::Held,
        _ => ExitCode::Done,
    }
}
