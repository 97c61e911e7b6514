//! A job: one ingest of sources.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shardex_catalog::{Domain, SourceName, TimeWindow};

use super::{Cluster, Task, Totals, Unit, hours, text};

/// What a job does with what it finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Options {
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) one_file_system: bool,
    pub(crate) retry_quarantined: bool,
    pub(crate) accept_deletions: bool,
    /// `header`, `full` or `none`; empty for the default.
    pub(crate) digest: String,
    /// Files that each worker reads at once.
    pub(crate) readers: Option<u32>,
    /// Workers that read one source at once.
    pub(crate) workers_max: Option<u32>,
    /// Files that each worker opens a second.
    pub(crate) files_per_second: Option<u32>,
    /// Seconds that a reader may be at one file before it is tried elsewhere.
    pub(crate) patience_seconds: Option<u32>,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Submit {
    /// Sources, each with its domain if the caller names one.
    pub(crate) sources: Vec<(SourceName, Option<Domain>)>,
    pub(crate) options: Options,
    pub(crate) priority: i32,
    /// When it may run; none: at any time.
    pub(crate) windows: Vec<TimeWindow>,
    /// Tells this order from another one of the same content; empty for none.
    pub(crate) request_id: String,
}

/// How far a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Nothing is known of it yet.
    Waiting,
    /// It is walked.
    Walking,
    /// What the walks left is recorded.
    Finishing,
    /// Nothing is left to do.
    Done,
}

/// A source of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobSource {
    /// Its name.
    #[serde(with = "text")]
    pub(crate) name: SourceName,
    /// Its domain.
    #[serde(with = "text")]
    pub(crate) domain: Domain,
    /// How far it is.
    pub(crate) stage: Stage,
    /// What a walk saw of its root.
    pub(crate) root_was_listed: bool,
    pub(crate) root_is_empty: bool,
    /// Somebody read it from a root that may be another.
    pub(crate) identity_changed: bool,
    /// Of finished units.
    #[serde(default)]
    pub(crate) totals: Totals,
}

impl JobSource {
    /// One of which nothing is known yet.
    pub(super) fn waiting(name: SourceName, domain: Domain) -> Self {
        Self {
            name,
            domain,
            stage: Stage::Waiting,
            root_was_listed: false,
            root_is_empty: false,
            identity_changed: false,
            totals: Totals::default(),
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// Everything is recorded.
    Complete,
    /// Everything is recorded, but deletions were not carried out.
    Held,
    /// Something could not be read or recorded.
    Incomplete,
    /// An operator ended it.
    Cancelled,
}

impl Ending {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Held => "held",
            Self::Incomplete => "incomplete",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// It has work left.
    Open,
    /// No unit of it is given out.
    Paused,
    /// It ends when no unit is held any more.
    Cancelling,
    /// It has ended.
    Ended(Ending),
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Its number.
    pub(crate) number: u64,
    pub(crate) sources: Vec<JobSource>,
    pub(crate) options: Options,
    pub(crate) priority: i32,
    /// When it may run; none: at any time.
    #[serde(default, with = "hours::stored")]
    pub(crate) windows: Vec<TimeWindow>,
    /// The order that it came by.
    #[serde(default)]
    pub(crate) request_id: String,
    pub(crate) phase: Phase,
    /// A unit of it was given out, and it has not queued again since.
    pub(crate) has_begun: bool,
    /// Its lowest fence; `None` until its first unit is given out.
    pub(crate) fence: Option<u64>,
    pub(crate) began_ns: i64,
    pub(crate) ended_ns: Option<i64>,
    /// Of finished units.
    pub(crate) totals: Totals,
    /// Units that are not finished.
    pub(crate) units: BTreeMap<u64, Unit>,
    /// Units that were given up.
    pub(crate) dead: BTreeMap<u64, Unit>,
    /// Why deletions are held, by source.
    #[serde(with = "text::map")]
    pub(crate) held: BTreeMap<SourceName, String>,
    pub(crate) unreadable_directories: u64,
}

impl Job {
    /// Whether it has not ended.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Ended(_))
    }

    /// Whether it concerns a source that another one concerns.
    pub(crate) fn shares_source(&self, other: &Self) -> bool {
        self.sources.iter().any(|own| other.sources.iter().any(|theirs| own.name == theirs.name))
    }

    pub(crate) fn source(&self, name: &SourceName) -> Option<&JobSource> {
        self.sources.iter().find(|source| source.name == *name)
    }

    pub(crate) fn source_mut(&mut self, name: &SourceName) -> Option<&mut JobSource> {
        self.sources.iter_mut().find(|source| source.name == *name)
    }

    /// Units of a source that are not finished, given up ones included.
    pub(crate) fn units_of<'a>(&'a self, name: &'a SourceName) -> impl Iterator<Item = &'a Unit> {
        self.units.values().chain(self.dead.values()).filter(|unit| unit.task.source() == Some(name))
    }

    /// Walks that somebody works on.
    pub(crate) fn running_walks(&self) -> impl Iterator<Item = (u64, &Unit)> {
        let walks = self.units.iter().filter(|(_, unit)| unit.task.is_walk());
        walks
            .filter(|(_, unit)| unit.hold.as_ref().is_some_and(|hold| !hold.is_stopping))
            .map(|(n, unit)| (*n, unit))
    }

    /// Whether it began with a ledger that is lost.
    pub(crate) fn rests_on_lost(&self, cluster: &Cluster) -> bool {
        self.is_open() && self.fence.is_some_and(|fence| fence <= cluster.ledger_lost)
    }

    /// Goes back to where it stood before its first unit was given out.
    pub(super) fn begin_anew(&mut self, heal: u64) {
        for source in &mut self.sources {
            let (name, domain) = (source.name.clone(), source.domain.clone());
            *source = JobSource::waiting(name, domain);
        }
        self.fence = None;
        self.totals = Totals::default();
        self.units = BTreeMap::from([(heal, Unit::new(Task::Heal))]);
        self.dead.clear();
        self.held.clear();
        self.unreadable_directories = 0;
    }

    /// Whether the shards were not compared with the ledger yet.
    pub(crate) fn is_healing(&self) -> bool {
        self.units.values().chain(self.dead.values()).any(|unit| unit.task == Task::Heal)
    }
}
