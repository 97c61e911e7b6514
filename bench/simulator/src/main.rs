//! `bench-simulator URL[,URL] [--workers N] [--owners N] [--shards N] [--fan N,N,…] [--files N] [--speed N]`: workers
//! that speak `Report` to real coordinators over a tree that exists in memory only, until a job over it has ended.
//! The tree has `fan` sub-directories a level and `files` files in each of the lowest; a worker looks at `speed`
//! directories a second. Prints one JSON object.

mod walk;
mod worker;

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use shardex_coordinator::cluster::Client;
use shardex_daemon::net::ChannelSettings;
use shardex_proto::v1;
use walk::Tree;
use worker::{SOURCE, Worker};

const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(500);
/// A job that takes longer is given up.
const LONGEST: Duration = Duration::from_secs(600);

/// What all workers have seen.
#[derive(Default)]
pub(crate) struct Counts {
    reports: RefCell<Vec<f32>>,
    grants: Cell<u64>,
    splits: Cell<u64>,
    failures: Cell<u64>,
    failure: RefCell<String>,
}

impl Counts {
    fn answered(&self, after: Duration) {
        self.reports.borrow_mut().push(after.as_secs_f32());
    }

    fn granted(&self) {
        self.grants.set(self.grants.get() + 1);
    }

    fn split(&self) {
        self.splits.set(self.splits.get() + 1);
    }

    fn failed(&self, why: &str) {
        self.failures.set(self.failures.get() + 1);
        why.clone_into(&mut self.failure.borrow_mut());
    }

    /// Milliseconds within which this part of the reports was answered.
    fn within_ms(&self, part: usize, of: usize) -> f32 {
        let mut all = self.reports.borrow().clone();
        all.sort_by(f32::total_cmp);
        all.get(all.len().saturating_sub(1) * part / of).map_or(0.0, |seconds| seconds * 1e3)
    }
}

struct Arguments {
    urls: Vec<String>,
    workers: usize,
    owners: usize,
    shards: usize,
    tree: Tree,
    speed: f64,
}

fn parse(mut given: impl Iterator<Item = String>) -> Result<Arguments, Box<dyn Error>> {
    let urls = given.next().ok_or("the coordinators' URLs are missing")?;
    let tree = Tree { fan: vec![100, 100, 100], files: 100 };
    let urls = urls.split(',').map(str::to_owned).collect();
    let mut asked = Arguments { urls, workers: 1000, owners: 20, shards: 240, tree, speed: 10.0 };
    while let Some(option) = given.next() {
        let value = given.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--workers" => asked.workers = value.parse()?,
            "--owners" => asked.owners = value.parse()?,
            "--shards" => asked.shards = value.parse()?,
            "--files" => asked.tree.files = value.parse()?,
            "--speed" => asked.speed = value.parse()?,
            "--fan" => asked.tree.fan = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    Ok(asked)
}

fn client(urls: &[String]) -> Client {
    let settings = |url: &String| ChannelSettings { url: url.clone(), ..ChannelSettings::default() };
    Client::new(urls.iter().map(settings).collect(), PATIENCE)
}

/// What was seen of the job.
#[derive(Default)]
struct Seen {
    units_max: usize,
    waiting_max: usize,
    exclusions_max: u32,
    busy_max: usize,
    all_busy_after: Option<f64>,
}

impl Seen {
    fn look(&mut self, job: &v1::Job, workers: usize, began: Instant) {
        let busy = job.units.iter().filter(|unit| !unit.worker.is_empty()).count();
        self.units_max = self.units_max.max(job.units.len());
        self.waiting_max = self.waiting_max.max(job.units.len() - busy);
        self.busy_max = self.busy_max.max(busy);
        let exclusions = job.units.iter().map(|unit| unit.exclusions).max().unwrap_or_default();
        self.exclusions_max = self.exclusions_max.max(exclusions);
        if busy * 100 >= workers * 95 && self.all_busy_after.is_none() {
            self.all_busy_after = Some(began.elapsed().as_secs_f64());
        }
    }
}

async fn run(asked: Arguments) -> Result<(), Box<dyn Error>> {
    let counts = Rc::new(Counts::default());
    for number in 0..asked.workers {
        let own = (0..asked.shards).filter(|shard| number < asked.owners && shard % asked.owners == number);
        let worker = Worker {
            name: format!("simulated-{number:04}"),
            session: number as u64 + 1,
            shards: own.map(|shard| format!("{}-{:02}/0", 2004 + shard / 12, shard % 12 + 1)).collect(),
            tree: asked.tree.clone(),
            speed: asked.speed,
            client: client(&asked.urls),
            counts: Rc::clone(&counts),
        };
        tokio::task::spawn_local(worker.run());
        // Connections come one after the other, as those of machines that start.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let operator = client(&asked.urls);
    while operator.workers(v1::WorkersRequest {}).await?.workers.len() < asked.workers {
        tokio::time::sleep(LOOK).await;
    }
    let began = Instant::now();
    let before = counts.reports.borrow().len();
    let source = v1::JobSource { name: SOURCE.to_owned(), ..v1::JobSource::default() };
    let request = v1::SubmitRequest { sources: vec![source], ..v1::SubmitRequest::default() };
    let mut job = operator.submit(request).await?;
    let mut seen = Seen::default();
    while job.ended_ns.is_none() && began.elapsed() < LONGEST {
        tokio::time::sleep(LOOK).await;
        // A coordinator that is slow is asked again.
        if let Ok(now) = operator.show(v1::JobRequest { job: job.job }).await {
            job = now;
            seen.look(&job, asked.workers, began);
        }
    }
    let totals = job.totals.clone().unwrap_or_default();
    println!(
        "{{\"state\": \"{}\", \"files\": {}, \"files_expected\": {}, \"directories\": {}, \"directories_expected\": {}, \
         \"workers\": {}, \"shards\": {}, \"seconds\": {:.2}, \"reports\": {}, \"report_ms_median\": {:.2}, \
         \"report_ms_99\": {:.2}, \"grants\": {}, \"splits\": {}, \"units_max\": {}, \"waiting_max\": {}, \
         \"exclusions_max\": {}, \"busy_max\": {}, \"all_busy_after\": {:.1}, \"failures\": {}, \"failure\": \"{}\"}}",
        job.state,
        totals.files,
        asked.tree.files(),
        totals.directories,
        asked.tree.directories(),
        asked.workers,
        asked.shards,
        began.elapsed().as_secs_f64(),
        counts.reports.borrow().len() - before,
        counts.within_ms(1, 2),
        counts.within_ms(99, 100),
        counts.grants.get(),
        counts.splits.get(),
        seen.units_max,
        seen.waiting_max,
        seen.exclusions_max,
        seen.busy_max,
        seen.all_busy_after.unwrap_or(-1.0),
        counts.failures.get(),
        counts.failure.borrow().replace(['"', '\\', '\n'], " "),
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let asked = parse(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, run(asked))
}
