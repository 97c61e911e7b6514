//! A worker of a cluster: says what it has and does, and does what the coordinator answers.
//!
//! The whole conversation is one call, `Report`. Everything in it is a state, so that a lost answer
//! costs an interval and nothing else.

mod crumbs;
mod held;
mod mounts;
mod options;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shardex_catalog::{Fence, Placement};
use shardex_proto::v1::{Holdings, WorkerOrders, WorkerReport};
use shardex_seams::Clock;
use tokio::sync::{Notify, watch};

use crate::ingest::Stores;
use crate::settings::BeforeRead;
use crate::suspects::Probe;
use held::Table;
pub use mounts::Mount;

/// Until the first answer says something else.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// A worker that waits long for its units to stop leaves them behind.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// Reports follow each other no faster, however much happens.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

/// The leader among the coordinators, however it is found.
#[async_trait]
pub trait Reports: Send + Sync {
    /// Says a report.
    ///
    /// # Errors
    /// A text for the log. The report may or may not have been heard; saying it again is harmless.
    async fn report(&self, request: WorkerReport) -> Result<WorkerOrders, String>;
}

/// The stores that this process owns.
#[async_trait]
pub trait Owner: Send + Sync {
    /// What they hold.
    ///
    /// # Errors
    /// A text for the log, if that cannot be told now.
    fn holdings(&self) -> Result<Holdings, String>;

    /// Takes an answer: map, table of fences, and the moment (of [`Clock::elapsed`]) until which the
    /// stores may serve. Whether it was taken: else nothing of it counts.
    async fn take(&self, reply: &WorkerOrders, until: Duration) -> bool;
}

/// The stores as a unit sees them, wherever they are.
#[async_trait]
pub trait UnitStores: Send + Sync {
    /// Begins a session of a unit at every store. Nobody with a lower fence writes for it from then on.
    ///
    /// # Errors
    /// A text for the coordinator, without paths, if a store did not answer or knows a higher fence.
    async fn begin(&self, unit: u64, fence: Fence) -> Result<Stores, String>;
}

/// What a worker is.
pub struct AgentSettings {
    /// Its name.
    pub name: String,
    /// Drawn at random for this process.
    pub session: u64,
    /// Where others reach its stores; empty if it owns none.
    pub url: String,
    /// The sources that it reads.
    pub mounts: Vec<Mount>,
    /// Units that it reads at once; 0 only owns. As many more may wait for the stores.
    pub slots: u32,
    /// Digest of the table of attributes.
    pub schema_digest: Vec<u8>,
    /// Reads a file in a child process.
    pub probe: Option<Arc<dyn Probe>>,
    /// Where word is left of the units that run, and after a death of the files that readers are at; `None`: nowhere, and
    /// a file that kills the process is not found out.
    pub breadcrumbs: Option<PathBuf>,
    /// Called before a file is read.
    pub before_read: Option<BeforeRead>,
    /// Reads the placement that the coordinator sends.
    pub parse_placement: fn(&str) -> Result<Placement, String>,
}

/// Waits until it is told to stop; a dropped sender is a word, too.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A worker's conversation.
pub struct Agent {
    settings: Arc<AgentSettings>,
    reports: Arc<dyn Reports>,
    owner: Option<Arc<dyn Owner>>,
    clock: Arc<dyn Clock>,
    table: Table,
    wake: Arc<Notify>,
    map_version: u64,
    interval: Duration,
    lease_until: Duration,
    is_draining: bool,
}

impl Agent {
    /// A worker that has said nothing yet.
    #[must_use]
    pub fn new(
        settings: AgentSettings,
        reports: Arc<dyn Reports>,
        owner: Option<Arc<dyn Owner>>,
        stores: Arc<dyn UnitStores>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (settings, wake) = (Arc::new(settings), Arc::new(Notify::new()));
        let table = Table::new(Arc::clone(&settings), stores, Arc::clone(&wake));
        Self {
            settings,
            reports,
            owner,
            clock,
            table,
            wake,
            map_version: 0,
            interval: FIRST_INTERVAL,
            lease_until: Duration::ZERO,
            is_draining: false,
        }
    }

    /// Lets the next report come at once.
    #[must_use]
    pub fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Reports until it is told to stop, and its units have stopped and been given back.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut drained_by = None;
        loop {
            let sent = self.clock.elapsed();
            let is_last = self.is_draining && self.table.has_ended();
            self.report(sent).await;
            let is_late = drained_by.is_some_and(|by| self.clock.elapsed() > by);
            if is_last || is_late {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = self.wake.notified() => tokio::time::sleep(INTERVAL_MIN).await,
                () = told(&mut stop), if !self.is_draining => {
                    self.is_draining = true;
                    drained_by = Some(self.clock.elapsed() + DRAIN_MAX);
                    self.table.stop_all();
                }
            }
        }
    }

    /// Says one report. `sent`: the moment before it is put together.
    async fn report(&mut self, sent: Duration) {
        let answer = match self.request() {
            Ok(request) => {
                let report = self.reports.report(request);
                let bounded = tokio::time::timeout(self.interval.max(FIRST_INTERVAL) * 4, report).await;
                bounded.unwrap_or_else(|_| Err("no coordinator answered in time".to_owned()))
            }
            Err(why) => Err(why),
        };
        match answer {
            Ok(reply) => self.take(&reply, sent).await,
            Err(why) => {
                tracing::warn!(why, "a report failed");
                if self.clock.elapsed() > self.lease_until {
                    // Others may hold the units by now.
                    self.table.lose_all();
                }
            }
        }
    }

    fn request(&self) -> Result<WorkerReport, String> {
        Ok(WorkerReport {
            worker: self.settings.name.clone(),
            session: self.settings.session,
            url: self.settings.url.clone(),
            sources: self.settings.mounts.iter().map(Mount::look).collect(),
            holdings: self.owner.as_ref().map(|owner| owner.holdings()).transpose()?,
            free_slots: if self.is_draining { 0 } else { self.table.free_slots() },
            units: self.table.reports(),
            is_draining: self.is_draining,
            map_version: self.map_version,
            schema_digest: self.settings.schema_digest.clone().into(),
            suspect_units: self.table.suspects(),
        })
    }

    async fn take(&mut self, reply: &WorkerOrders, sent: Duration) {
        self.interval = Duration::from_millis(reply.report_interval_ms.into()).max(INTERVAL_MIN);
        self.lease_until = sent + Duration::from_millis(reply.lease_ms.into());
        // Before units: their sessions are checked against this table.
        let is_taken = match &self.owner {
            Some(owner) => owner.take(reply, self.lease_until).await,
            None => true,
        };
        // The leader hands over what it believes to be known here.
        if let Some(map) = reply.map.as_ref().filter(|_| is_taken) {
            self.map_version = map.version;
        }
        self.table.take(reply, self.is_draining);
    }
}
