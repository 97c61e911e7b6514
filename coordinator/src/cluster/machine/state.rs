//! What the leader knows. All of it but [`Live`] is stored, and changes only together with the store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shardex_catalog::{RelativePath, Span};

/// Attempts of a unit before it is given up.
pub(super) const ATTEMPTS_MAX: u32 = 5;
/// Excluded spans of a unit.
pub(super) const EXCLUSIONS_MAX: usize = 100;
/// Ended jobs that are remembered.
const ENDED_MAX: usize = 100;

/// The stored state, and the workers that were heard of.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) cluster: Cluster,
    /// By number.
    pub(crate) jobs: BTreeMap<u64, Job>,
    /// By name.
    pub(crate) live: BTreeMap<String, Live>,
}

/// What is not of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) last_fence: u64,
    pub(crate) last_unit: u64,
    pub(crate) last_job: u64,
    /// How studies are placed; `None` until the operator or an adopted archive says it.
    pub(crate) placement: Option<String>,
    /// The worker with ledger and registry.
    pub(crate) home: Option<String>,
    /// The home was given up: the next owner that reports becomes it.
    pub(crate) home_was_lost: bool,
    pub(crate) map_version: u64,
    /// Owner by shard.
    pub(crate) shards: BTreeMap<String, String>,
    /// URL by worker, of those that own something.
    pub(crate) urls: BTreeMap<String, String>,
    /// By name.
    pub(crate) sources: BTreeMap<String, Source>,
}

/// A source as it was first seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) domain: String,
    /// The line that names it, once a worker has shown one.
    pub(crate) marker: Option<String>,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    #[default]
    Waiting,
    Running,
    Paused,
    Complete,
    Held,
    Incomplete,
    Cancelled,
}

impl JobState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Complete => "complete",
            Self::Held => "held",
            Self::Incomplete => "incomplete",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn has_ended(self) -> bool {
        matches!(self, Self::Complete | Self::Held | Self::Incomplete | Self::Cancelled)
    }
}

/// What a job is to do, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    #[default]
    Heal,
    Walk,
    Finish,
}

/// One ingest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) job: u64,
    pub(crate) state: JobState,
    pub(crate) phase: Phase,
    /// Lowest fence of its units.
    pub(crate) fence: u64,
    pub(crate) sources: BTreeMap<String, JobSource>,
    pub(crate) options: Options,
    pub(crate) priority: i32,
    pub(crate) began_ns: i64,
    pub(crate) ended_ns: Option<i64>,
    /// Units that are not finished.
    pub(crate) units: BTreeMap<u64, Unit>,
    /// Units that were given up.
    pub(crate) dead: BTreeMap<u64, Unit>,
    /// Of finished units.
    pub(crate) totals: Totals,
    pub(crate) unreadable_directories: u64,
    /// Why deletions are held, by source.
    pub(crate) held: BTreeMap<String, String>,
}

/// A source of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobSource {
    /// What the walk from its root has seen of it.
    pub(crate) root_was_listed: bool,
    pub(crate) root_is_empty: bool,
}

/// How a job's units are done; as `JobOptions` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) one_file_system: bool,
    pub(crate) retry_quarantined: bool,
    pub(crate) accept_deletions: bool,
    pub(crate) digest: String,
    pub(crate) readers: Option<u32>,
    pub(crate) workers_max: Option<u32>,
}

/// What a unit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Heal,
    Walk,
    Finish,
}

/// A unit of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Unit {
    pub(crate) unit: u64,
    pub(crate) kind: Kind,
    /// Empty for a heal.
    pub(crate) source: String,
    #[serde(with = "spans::one")]
    pub(crate) root: Span,
    #[serde(with = "spans::many")]
    pub(crate) exclusions: Vec<Span>,
    pub(crate) holder: Option<Holder>,
    pub(crate) attempts: u32,
    pub(crate) failure: String,
    /// Not before this moment of the leader's clock; another leader need not wait.
    #[serde(skip)]
    pub(crate) not_before: Duration,
    /// As its holder last said; an estimate, never stored.
    #[serde(skip)]
    pub(crate) progress: Totals,
}

impl Unit {
    pub(super) fn new(unit: u64, kind: Kind, source: &str, root: Span) -> Self {
        Self {
            unit,
            kind,
            source: source.to_owned(),
            root,
            exclusions: Vec::new(),
            holder: None,
            attempts: 0,
            failure: String::new(),
            not_before: Duration::ZERO,
            progress: Totals::default(),
        }
    }

    pub(super) fn whole(unit: u64, kind: Kind, source: &str) -> Self {
        Self::new(unit, kind, source, Span::whole(RelativePath::default()))
    }
}

/// Who holds a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) worker: String,
    pub(crate) session: u64,
    pub(crate) fence: u64,
}

/// As `UnitTotals` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    pub(crate) files: u64,
    pub(crate) opened: u64,
    pub(crate) unchanged: u64,
    pub(crate) directories: u64,
    pub(crate) bytes: u64,
    pub(crate) states: BTreeMap<String, u64>,
    pub(crate) new_files: u64,
    pub(crate) changed: u64,
    pub(crate) returned: u64,
    pub(crate) missing: u64,
    pub(crate) deleted: u64,
    pub(crate) moved: u64,
    pub(crate) estimate: Option<u64>,
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.opened += other.opened;
        self.unchanged += other.unchanged;
        self.directories += other.directories;
        self.bytes += other.bytes;
        for (state, count) in &other.states {
            *self.states.entry(state.clone()).or_default() += count;
        }
        self.new_files += other.new_files;
        self.changed += other.changed;
        self.returned += other.returned;
        self.missing += other.missing;
        self.deleted += other.deleted;
        self.moved += other.moved;
        // One count runs ahead for a source; what is counted again is not more.
        self.estimate = self.estimate.max(other.estimate);
    }
}

/// A source as a worker has it mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) name: String,
    pub(crate) marker: Option<String>,
    pub(crate) root_entries: u32,
}

/// A worker that was heard of since this leader began. Never stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    pub(crate) session: u64,
    pub(crate) url: String,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) free_slots: u32,
    pub(crate) is_draining: bool,
    /// It owns stores.
    pub(crate) is_owner: bool,
    /// Bytes by shard, of those that it owns.
    pub(crate) bytes: BTreeMap<String, u64>,
    pub(crate) heard: Duration,
    pub(crate) lease_until: Duration,
}

impl State {
    /// The URL of the worker, wherever it is known.
    pub(crate) fn url(&self, worker: &str) -> &str {
        let live = self.live.get(worker).map(|live| live.url.as_str()).filter(|url| !url.is_empty());
        live.or_else(|| self.cluster.urls.get(worker).map(String::as_str)).unwrap_or_default()
    }

    /// Whether a worker's lease holds.
    pub(crate) fn is_alive(&self, worker: &str, now: Duration) -> bool {
        self.live.get(worker).is_some_and(|live| live.lease_until > now)
    }

    pub(super) fn next_fence(&mut self) -> u64 {
        self.cluster.last_fence += 1;
        self.cluster.last_fence
    }

    pub(super) fn next_unit(&mut self) -> u64 {
        self.cluster.last_unit += 1;
        self.cluster.last_unit
    }

    pub(super) fn map_has_changed(&mut self) {
        self.cluster.map_version += 1;
    }

    /// Forgets the oldest of too many ended jobs.
    pub(super) fn forget_jobs(&mut self) {
        let ended: BTreeSet<u64> =
            self.jobs.values().filter(|job| job.state.has_ended()).map(|job| job.job).collect();
        for job in ended.iter().take(ended.len().saturating_sub(ENDED_MAX)) {
            self.jobs.remove(job);
        }
    }
}

/// Spans in the store: as bytes, because names need not be text.
mod spans {
    use super::{Deserialize, RelativePath, Serialize, Span};

    #[derive(Serialize, Deserialize)]
    struct Stored {
        directory: Vec<u8>,
        names: Option<(Vec<u8>, Vec<u8>)>,
    }

    fn out(span: &Span) -> Stored {
        let names = span.names().map(|(from, to)| (from.to_vec(), to.to_vec()));
        Stored { directory: span.directory().as_bytes().to_vec(), names }
    }

    fn back(stored: &Stored) -> Option<Span> {
        let directory = RelativePath::new(&stored.directory);
        match &stored.names {
            None => Some(Span::whole(directory)),
            Some((from, to)) => Span::range(directory, from, to),
        }
    }

    pub(super) mod one {
        use serde::de::Error;
        use serde::{Deserializer, Serializer};

        use super::{Deserialize, Serialize, Span, Stored, back, out};

        pub(crate) fn serialize<S: Serializer>(span: &Span, to: S) -> Result<S::Ok, S::Error> {
            out(span).serialize(to)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
            back(&Stored::deserialize(from)?).ok_or_else(|| D::Error::custom("a span without names"))
        }
    }

    pub(super) mod many {
        use serde::de::Error;
        use serde::{Deserializer, Serializer};

        use super::{Deserialize, Serialize, Span, Stored, back, out};

        pub(crate) fn serialize<S: Serializer>(spans: &[Span], to: S) -> Result<S::Ok, S::Error> {
            spans.iter().map(out).collect::<Vec<_>>().serialize(to)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Span>, D::Error> {
            let stored = Vec::<Stored>::deserialize(from)?;
            let spans: Option<Vec<_>> = stored.iter().map(back).collect();
            spans.ok_or_else(|| D::Error::custom("a span without names"))
        }
    }
}
