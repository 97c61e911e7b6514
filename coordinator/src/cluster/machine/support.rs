//! What tests of the machine begin with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shardex_catalog::SourceName;

use super::state::{Durable, Limits, Moment, State};
use super::{Holdings, Mount, Options, Report, Submit, UnitReport, WorkerName};

pub(super) const LEASE: Duration = Duration::from_secs(15);

pub(super) fn limits() -> Limits {
    Limits {
        lease: LEASE,
        failures_max: 2,
        losses_max: 3,
        ended_max: 2,
        open_max: 5,
        schema_digest: Vec::new(),
    }
}

pub(super) fn name(text: &str) -> WorkerName {
    WorkerName::new(text).expect("a name")
}

/// The source of [`order`], which every worker of [`report`] has mounted.
pub(super) fn source() -> SourceName {
    SourceName::new("north").expect("a name")
}

pub(super) fn mount(marker: Option<&str>, root_entries: u32) -> Mount {
    Mount { marker: marker.map(str::to_owned), root_entries }
}

pub(super) fn order() -> Submit {
    Submit {
        sources: vec![(source(), None)],
        options: Options::default(),
        priority: 0,
        windows: Vec::new(),
        request_id: String::new(),
    }
}

/// What an owner says in its first process, before it has heard of a map.
pub(super) fn report(worker: &str, free_slots: u32, units: Vec<UnitReport>) -> Report {
    Report {
        worker: name(worker),
        session: 1,
        url: format!("http://{worker}"),
        mounts: BTreeMap::from([(source(), mount(None, 5))]),
        holdings: Some(Holdings::default()),
        free_slots,
        units,
        is_draining: false,
        map_version: 0,
        schema_digest: Vec::new(),
        suspects: BTreeSet::new(),
    }
}

/// The state of a coordinator of which nobody has heard yet, and the time.
pub(super) fn begun() -> (State, Moment) {
    let now = Moment::default();
    (State::begin(Durable::default(), limits(), None, now), now)
}
