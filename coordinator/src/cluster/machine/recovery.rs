//! A state that was lost, or put back from a backup: how that is noticed, and how the map is made anew from what the
//! workers hold.
//!
//! Folders remember the cluster. A leader whose state knows less refuses to lead, because it would give fences twice,
//! and answer without the shards that it has never heard of. Once the operator says so it begins a new generation of
//! fences and maps, and takes what workers report. Nobody gets the map before it has every shard that the home's ledger
//! rests on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shardex_catalog::{Domain, ShardId, SourceName};

use super::mount::Identity;
use super::state::{Durable, KnownSource, Moment, State};
use super::{Holdings, Map, Refusal, WorkerName};

/// The bits of a fence, or of a map's version, below its generation.
const GENERATION_SHIFT: u32 = 48;

/// What a worker's folder remembers of its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Its name; empty if the folder was in none yet.
    pub(crate) cluster: String,
    /// The highest fence that its stores have seen, or of which a leader has told.
    pub(crate) fence: u64,
    /// The newest map that was taken.
    pub(crate) map_version: u64,
    /// The domains of sources.
    pub(crate) domains: BTreeMap<SourceName, Domain>,
}

impl Memory {
    /// Whether a state knows all of this, or is made anew.
    pub(crate) fn is_known_to(&self, durable: &Durable) -> bool {
        let cluster = &durable.cluster;
        let is_as_new = self.fence <= cluster.last_fence && self.map_version <= durable.map.version;
        cluster.recovering.is_some() || (is_as_new && (self.cluster.is_empty() || self.cluster == cluster.id))
    }
}

/// How the map is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recovering {
    /// What no worker reports is given up.
    pub(crate) accepts_lost: bool,
}

impl Durable {
    /// Begins anew: fences and maps go on in a generation that nobody has seen, and every worker is a stranger whose
    /// shards are adopted.
    pub(crate) fn recover(&mut self, accepts_lost: bool) {
        let is_gone = self.knows_no_shard();
        let cluster = self.cluster_mut();
        if is_gone {
            // Drawn by who found nothing. The workers know the right one.
            cluster.id.clear();
        }
        cluster.last_fence = generation_after(cluster.last_fence);
        cluster.workers.clear();
        cluster.folders.clear();
        cluster.recovering = Some(Recovering { accepts_lost });
        let (version, lost) = (generation_after(self.map.version), self.map.lost.clone());
        *self.map_mut() = Map { version, lost, ..Map::default() };
    }

    fn knows_no_shard(&self) -> bool {
        self.map.home.is_none() && self.map.shards.is_empty()
    }
}

impl State {
    /// Looks whether what a folder remembers goes with the state.
    pub(super) fn check_memory(&self, worker: &WorkerName, memory: &Memory) -> Result<(), Refusal> {
        let cluster = &self.durable.cluster;
        let is_strange = !memory.cluster.is_empty() && memory.cluster != cluster.id;
        let of_another = || {
            Err(Refusal::Refused(format!(
                "the folder of worker `{worker}` belongs to another cluster: start it on an empty one"
            )))
        };
        if cluster.recovering.is_some() {
            return if is_strange && !cluster.id.is_empty() { of_another() } else { Ok(()) };
        }
        let seen = || (worker.clone(), memory.clone());
        if is_strange && self.durable.knows_no_shard() {
            let (worker, seen) = seen();
            return Err(Refusal::Lost { worker, seen });
        }
        if is_strange {
            return of_another();
        }
        let is_own = !memory.cluster.is_empty() || cluster.workers.contains(worker);
        if is_own && !memory.is_known_to(&self.durable) {
            let (worker, seen) = seen();
            return Err(Refusal::Restored { worker, seen });
        }
        Ok(())
    }

    /// Notes a worker that shows its stores, and what they remember.
    pub(super) fn remember(&mut self, worker: &WorkerName, holdings: &Holdings, now: Moment) {
        let memory = &holdings.memory;
        let is_recovering = self.durable.cluster.recovering.is_some();
        if self.durable.cluster.id.is_empty() && !(is_recovering && memory.cluster.is_empty()) {
            let is_new = memory.cluster.is_empty();
            let drawn = || format!("{:016x}{:08x}", now.wall_ns, now.random);
            self.durable.cluster_mut().id = if is_new { drawn() } else { memory.cluster.clone() };
        }
        if self.durable.cluster.workers.contains(worker) {
            return;
        }
        let cluster = self.durable.cluster_mut();
        cluster.workers.insert(worker.clone());
        cluster.forgotten.remove(worker);
        if !is_recovering {
            // An archive that is adopted.
            cluster.last_fence = cluster.last_fence.max(memory.fence);
            return;
        }
        if memory.fence > cluster.last_fence {
            cluster.last_fence = generation_after(memory.fence);
        }
        for (source, domain) in &memory.domains {
            let known = KnownSource { domain: domain.clone(), identity: Identity::Unseen };
            cluster.sources.entry(source.clone()).or_insert(known);
        }
        if memory.map_version > self.durable.map.version {
            self.durable.map_mut().version = generation_after(memory.map_version);
        }
    }

    /// Has the map made anew, if this leader refused to lead; else changes nothing but whether lost shards are waited for.
    pub(crate) fn recover(&mut self, accepts_lost: bool, now: Moment) {
        match self.durable.cluster.recovering {
            Some(known) if accepts_lost && !known.accepts_lost => {
                self.durable.cluster_mut().recovering = Some(Recovering { accepts_lost });
            }
            None if self.may_recover => {
                self.durable.recover(accepts_lost);
                *self = Self::begin(self.durable.clone(), self.limits.clone(), None, now);
            }
            _ => {}
        }
    }

    /// Refuses while the map is being made anew.
    pub(crate) fn is_whole(&self, now: Moment) -> Result<(), Refusal> {
        self.recovery_waits(now).map_or(Ok(()), |why| Err(Refusal::Recovering(why)))
    }

    /// Leads as ever once the map is whole.
    pub(super) fn end_recovery(&mut self, now: Moment) {
        self.take_home_back(now);
        if self.durable.cluster.recovering.is_some() && self.recovery_waits(now).is_none() {
            self.durable.cluster_mut().recovering = None;
            self.give_up_unreported();
        }
    }

    /// What was waited for in vain is lost; without a ledger all is, because it has to be read again.
    fn give_up_unreported(&mut self) {
        if self.durable.map.home.is_none() {
            self.ledger_is_lost();
        }
        let map = &self.durable.map;
        let ledger = map.home.as_ref().and_then(|home| self.live.workers.get(home)?.ledger.as_ref());
        let is_there = |shard: &ShardId| map.shards.contains_key(shard);
        let lost: Vec<_> = match ledger {
            Some(ledger) => ledger.iter().filter(|shard| !is_there(shard)).cloned().collect(),
            None => map.shards.keys().cloned().collect(),
        };
        if !lost.is_empty() {
            self.note_lost(lost);
            self.durable.map_mut().version += 1;
        }
    }

    /// Who has a ledger that was leaving, and for whom.
    pub(super) fn leaving_homes(&self) -> impl Iterator<Item = (&WorkerName, &WorkerName)> {
        let leaving = self.live.workers.iter().filter(|(_, live)| live.is_home);
        leaving.filter_map(|(from, live)| Some((from, live.home_leaves_to.as_ref()?)))
    }

    /// A ledger that was leaving counts if it has not arrived: the one that it was to go to says so, and has heard that
    /// the map of before, which may have named it, is none any more.
    fn take_home_back(&mut self, now: Moment) {
        let map = &self.durable.map;
        if self.durable.cluster.recovering.is_none() || map.home.is_some() || now.elapsed < self.settled {
            return;
        }
        let generation = |version: u64| version >> GENERATION_SHIFT;
        let has_none = |to: &WorkerName| {
            self.live.workers.get(to).is_some_and(|live| {
                live.session.is_some()
                    && !live.is_home
                    && generation(live.map_version) == generation(map.version)
            })
        };
        let back = self.leaving_homes().find(|(_, to)| has_none(to)).map(|(from, _)| from.clone());
        if let Some(from) = back {
            let map = self.durable.map_mut();
            map.home = Some(from);
            map.home_begun = 0;
            map.version += 1;
        }
    }

    /// What the map that is made anew lacks.
    pub(crate) fn recovery_waits(&self, now: Moment) -> Option<String> {
        let Recovering { accepts_lost } = self.durable.cluster.recovering?;
        // Whoever runs has reported by then.
        if now.elapsed < self.settled {
            return Some("workers are being asked what they hold".to_owned());
        }
        if accepts_lost {
            return None;
        }
        let give_up = "start it, or give up what is lost with `shardex recover --accept-lost-shards`";
        let map = &self.durable.map;
        let Some(home) = &map.home else {
            return Some(match self.leaving_homes().next() {
                Some((from, to)) => format!(
                    "worker `{to}`, which may have had ledger and registry from worker `{from}`, has not reported: {give_up}"
                ),
                None => format!("no worker with the ledger has reported: {give_up}"),
            });
        };
        let Some(ledger) = self.live.workers.get(home).and_then(|live| live.ledger.as_ref()) else {
            return Some(format!("worker `{home}` has not said yet what its ledger rests on"));
        };
        let mut lost = ledger.iter().filter(|shard| !map.shards.contains_key(*shard));
        let first = lost.next()?;
        let more = lost.count();
        Some(format!("shard `{first}` and {more} others are at a worker that has not reported: {give_up}"))
    }
}

/// The beginning of the generation after a fence or a version.
fn generation_after(number: u64) -> u64 {
    ((number >> GENERATION_SHIFT) + 1) << GENERATION_SHIFT
}
