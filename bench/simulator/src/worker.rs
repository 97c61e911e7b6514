//! One simulated worker: the conversation of `shardex_worker::agent`, over walks that cost time only.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use shardex_catalog::{RelativePath, Span};
use shardex_coordinator::cluster::Client;
use shardex_proto::v1::unit_report::End;
use shardex_proto::v1::{
    self, HeldShard, Holdings, SourceMount, UnitFinished, UnitGrant, UnitKind, UnitReport, UnitTotals,
    WorkerOrders, WorkerReport,
};

use crate::Counts;
use crate::walk::{Tree, Walk};

/// The name of the source.
pub(crate) const SOURCE: &str = "simulated";
/// Reports follow each other no faster, as the agent's.
const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// How often a worker looks how far it has come.
const STEP: Duration = Duration::from_millis(250);

enum Task {
    Walk(Walk),
    /// Heals and finishes cost nothing here.
    Other,
}

struct Held {
    task: Task,
    /// Begins at its source's root.
    is_first: bool,
    has_ended: bool,
}

/// What a worker is.
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) session: u64,
    pub(crate) shards: Vec<String>,
    pub(crate) tree: Tree,
    /// Directories a second.
    pub(crate) speed: f64,
    pub(crate) client: Client,
    pub(crate) counts: Rc<Counts>,
}

fn span_in(span: &v1::Span) -> Span {
    let directory = RelativePath::new(&span.directory);
    let range = (!span.is_whole).then(|| Span::range(directory.clone(), &span.from, &span.to)).flatten();
    range.unwrap_or_else(|| Span::whole(directory))
}

fn span_out(span: &Span) -> v1::Span {
    let (from, to) = span.names().unwrap_or_default();
    v1::Span {
        directory: span.directory().as_bytes().to_vec().into(),
        is_whole: span.names().is_none(),
        from: from.to_vec().into(),
        to: to.to_vec().into(),
    }
}

impl Worker {
    /// Reports and works until the process ends.
    pub(crate) async fn run(self) {
        let mut held = BTreeMap::new();
        let mut map_version = 0;
        let mut begun = Instant::now();
        let mut owed = 0.0;
        loop {
            let asked = Instant::now();
            let interval = match self.client.report(self.report(&held, map_version)).await {
                Ok(reply) => {
                    self.counts.answered(asked.elapsed());
                    map_version = reply.map.as_ref().map_or(map_version, |map| map.version);
                    self.take(&reply, &mut held);
                    Duration::from_millis(reply.report_interval_ms.into())
                }
                Err(error) => {
                    self.counts.failed(&error.to_string());
                    Duration::from_secs(1)
                }
            };
            let until = Instant::now() + interval;
            loop {
                let now = Instant::now();
                owed += now.duration_since(begun).as_secs_f64() * self.speed;
                begun = now;
                if work(&mut held, &mut owed) {
                    tokio::time::sleep(INTERVAL_MIN).await;
                    break;
                }
                if now >= until {
                    break;
                }
                tokio::time::sleep(STEP.min(until - now)).await;
            }
        }
    }

    fn report(&self, held: &BTreeMap<(u64, u64), Held>, map_version: u64) -> WorkerReport {
        let holdings = (!self.shards.is_empty()).then(|| Holdings {
            shards: self
                .shards
                .iter()
                .map(|shard| HeldShard { shard: shard.clone(), bytes: 1 << 26 })
                .collect(),
            ..Holdings::default()
        });
        WorkerReport {
            worker: self.name.clone(),
            session: self.session,
            url: if holdings.is_some() { "http://127.0.0.1:1".to_owned() } else { String::new() },
            sources: vec![SourceMount {
                name: SOURCE.to_owned(),
                root_entries: self.tree.fan.first().copied().unwrap_or(1),
                ..SourceMount::default()
            }],
            holdings,
            free_slots: u32::from(held.values().all(|held| held.has_ended)),
            units: held.iter().map(|((unit, fence), held)| report(*unit, *fence, held)).collect(),
            is_draining: false,
            map_version,
            schema_digest: shardex_proto::schema_digest().into(),
            suspect_units: Vec::new(),
        }
    }

    fn take(&self, reply: &WorkerOrders, held: &mut BTreeMap<(u64, u64), Held>) {
        held.retain(|(unit, _), _| !reply.dropped.contains(unit));
        for ((unit, _), held) in held.iter_mut() {
            let Task::Walk(walk) = &mut held.task else { continue };
            if reply.split_done.contains(unit) {
                self.counts.split();
                walk.give_away();
            }
            if reply.split_wanted.contains(unit) && !held.has_ended {
                walk.set_aside();
            }
        }
        for grant in &reply.granted {
            held.entry((grant.unit, grant.fence)).or_insert_with(|| {
                self.counts.granted();
                self.begin(grant)
            });
        }
    }

    fn begin(&self, grant: &UnitGrant) -> Held {
        if grant.kind() != UnitKind::Walk {
            return Held { task: Task::Other, is_first: false, has_ended: false };
        }
        let span = span_in(&grant.root.clone().unwrap_or_default());
        let is_first = span.directory().is_root() && span.names().is_none();
        let excluded = grant.exclusions.iter().map(span_in).collect();
        Held { task: Task::Walk(Walk::new(self.tree.clone(), span, excluded)), is_first, has_ended: false }
    }
}

/// Does what the time was enough for; whether there is something to be said at once.
fn work(held: &mut BTreeMap<(u64, u64), Held>, owed: &mut f64) -> bool {
    let mut is_news = false;
    for held in held.values_mut().filter(|held| !held.has_ended) {
        held.has_ended = match &mut held.task {
            Task::Other => true,
            Task::Walk(walk) => {
                while *owed >= 1.0 && walk.step() {
                    *owed -= 1.0;
                }
                is_news |= walk.aside().is_some();
                walk.is_done()
            }
        };
        is_news |= held.has_ended;
    }
    // Time without work is lost.
    *owed = owed.min(1.0);
    is_news
}

fn report(unit: u64, fence: u64, held: &Held) -> UnitReport {
    let mut totals = UnitTotals::default();
    let mut set_aside = Vec::new();
    if let Task::Walk(walk) = &held.task {
        totals.files = walk.files;
        totals.opened = walk.files;
        totals.new_files = walk.files;
        totals.directories = walk.directories;
        totals.bytes = walk.files * 4096;
        totals.states = [("indexed".to_owned(), walk.files)].into();
        set_aside.extend(walk.aside().map(span_out));
    }
    let finished = UnitFinished { root_was_listed: held.is_first.then_some(true), ..UnitFinished::default() };
    let end = held.has_ended.then_some(End::Finished(finished));
    UnitReport { unit, fence, totals: Some(totals), set_aside, end, begins_anew: false }
}
