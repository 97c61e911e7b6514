//! Between the wire and the machine. A peer may send anything.

use std::collections::BTreeMap;
use std::time::Duration;

use shardex_catalog::{Domain, RelativePath, ShardId, SourceName, Span};
use shardex_proto::v1;

use super::machine::{
    End, Finished, Grant, Holdings, Job, Kind, Mount, Options, Order, Report, State, Told, Totals, Unit,
    why_not,
};

/// Units, mounts and shards that one report may name.
const UNITS_MAX: usize = 1000;
const MOUNTS_MAX: usize = 1000;
const SHARDS_MAX: usize = 1_000_000;

/// What a peer sent makes no sense: which part.
pub(super) type Nonsense = &'static str;

pub(super) fn report_in(request: v1::ReportRequest) -> Result<Report, Nonsense> {
    if SourceName::new(&request.worker).is_err() {
        return Err("`worker` is no name: 1 to 64 letters, digits, `.`, `_` or `-`");
    }
    if request.units.len() > UNITS_MAX || request.sources.len() > MOUNTS_MAX {
        return Err("too many units or sources");
    }
    if request.holdings.is_some() && request.url.is_empty() {
        return Err("a worker that owns stores must say its `url`");
    }
    Ok(Report {
        worker: request.worker,
        session: request.session,
        url: request.url,
        mounts: request.sources.into_iter().map(mount_in).collect(),
        holdings: request.holdings.map(holdings_in).transpose()?,
        free_slots: request.free_slots,
        units: request.units.into_iter().map(told_in).collect::<Result<_, _>>()?,
        is_draining: request.is_draining,
    })
}

fn mount_in(mount: v1::SourceMount) -> Mount {
    Mount { name: mount.name, marker: mount.marker, root_entries: mount.root_entries }
}

fn holdings_in(holdings: v1::Holdings) -> Result<Holdings, Nonsense> {
    if holdings.shards.len() > SHARDS_MAX
        || holdings.shards.iter().any(|held| ShardId::new(&held.shard).is_err())
    {
        return Err("`holdings` names shards that are none");
    }
    Ok(Holdings {
        shards: holdings.shards.into_iter().map(|held| (held.shard, held.bytes)).collect(),
        is_home: holdings.is_home,
        highest_fence: holdings.highest_fence,
        placement: holdings.placement,
    })
}

fn told_in(unit: v1::UnitReport) -> Result<Told, Nonsense> {
    let end = unit.end.map(|end| match end {
        v1::unit_report::End::Failed(why) => End::Failed(why),
        v1::unit_report::End::Finished(done) => End::Finished(Finished {
            unreadable_directories: done.unreadable_directories,
            root: done.root_was_listed.map(|was_listed| (was_listed, done.root_is_empty)),
            held: done.held,
        }),
    });
    Ok(Told {
        unit: unit.unit,
        fence: unit.fence,
        totals: unit.totals.map(totals_in).unwrap_or_default(),
        set_aside: unit.set_aside.iter().map(span_in).collect::<Result<_, _>>()?,
        end,
    })
}

fn span_in(span: &v1::Span) -> Result<Span, Nonsense> {
    let mut parts = span.directory.split(|byte| *byte == b'/');
    let is_clean = span.directory.is_empty()
        || parts.all(|part| !matches!(part, b"" | b"." | b"..") && !part.contains(&0));
    if !is_clean {
        return Err("a span's directory is no relative path");
    }
    let directory = RelativePath::new(&span.directory);
    if span.is_whole {
        return Ok(Span::whole(directory));
    }
    Span::range(directory, &span.from, &span.to).ok_or("a span holds no name")
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

fn totals_in(totals: v1::UnitTotals) -> Totals {
    Totals {
        files: totals.files,
        opened: totals.opened,
        unchanged: totals.unchanged,
        directories: totals.directories,
        bytes: totals.bytes,
        states: totals.states.into_iter().take(64).collect::<BTreeMap<_, _>>(),
        new_files: totals.new_files,
        changed: totals.changed,
        returned: totals.returned,
        missing: totals.missing,
        deleted: totals.deleted,
        moved: totals.moved,
        estimate: totals.estimate,
    }
}

fn totals_out(totals: &Totals) -> v1::UnitTotals {
    v1::UnitTotals {
        files: totals.files,
        opened: totals.opened,
        unchanged: totals.unchanged,
        directories: totals.directories,
        bytes: totals.bytes,
        states: totals.states.clone().into_iter().collect(),
        new_files: totals.new_files,
        changed: totals.changed,
        returned: totals.returned,
        missing: totals.missing,
        deleted: totals.deleted,
        moved: totals.moved,
        estimate: totals.estimate,
    }
}

pub(super) fn order_in(request: v1::SubmitRequest) -> Result<Order, Nonsense> {
    for source in &request.sources {
        if SourceName::new(&source.name).is_err() {
            return Err("a source's name is none: 1 to 64 letters, digits, `.`, `_` or `-`");
        }
        if !source.domain.is_empty() && Domain::new(&source.domain).is_err() {
            return Err("a domain's name is none: 1 to 64 letters, digits, `.`, `_` or `-`");
        }
    }
    let sources = request.sources.into_iter().map(|source| (source.name, source.domain)).collect();
    let options = options_in(request.options.unwrap_or_default());
    if !matches!(options.digest.as_str(), "" | "header" | "full" | "none") {
        return Err("`digest` is header, full or none");
    }
    Ok(Order { sources, options, priority: request.priority })
}

fn options_in(options: v1::JobOptions) -> Options {
    Options {
        include: options.include,
        exclude: options.exclude,
        one_file_system: options.one_file_system,
        retry_quarantined: options.retry_quarantined,
        accept_deletions: options.accept_deletions,
        digest: options.digest,
        readers: options.readers,
        workers_max: options.workers_max,
    }
}

fn options_out(options: &Options) -> v1::JobOptions {
    v1::JobOptions {
        include: options.include.clone(),
        exclude: options.exclude.clone(),
        one_file_system: options.one_file_system,
        retry_quarantined: options.retry_quarantined,
        accept_deletions: options.accept_deletions,
        digest: options.digest.clone(),
        readers: options.readers,
        workers_max: options.workers_max,
    }
}

fn kind_out(kind: Kind) -> v1::UnitKind {
    match kind {
        Kind::Heal => v1::UnitKind::Heal,
        Kind::Walk => v1::UnitKind::Walk,
        Kind::Finish => v1::UnitKind::Finish,
    }
}

pub(super) fn grant_out(state: &State, grant: &Grant) -> v1::UnitGrant {
    let unit = &grant.unit;
    let job = state.jobs.get(&grant.job);
    let seen = job.and_then(|job| job.sources.get(&unit.source)).cloned().unwrap_or_default();
    let domain = state.cluster.sources.get(&unit.source).map(|source| source.domain.clone());
    v1::UnitGrant {
        job: grant.job,
        unit: unit.unit,
        fence: grant.fence,
        job_fence: job.map_or(grant.fence, |job| job.fence),
        kind: kind_out(unit.kind).into(),
        source: unit.source.clone(),
        domain: domain.unwrap_or_default(),
        root: Some(span_out(&unit.root)),
        exclusions: unit.exclusions.iter().map(span_out).collect(),
        options: job.map(|job| options_out(&job.options)),
        root_was_listed: seen.root_was_listed,
        root_is_empty: seen.root_is_empty,
        identity_changed: false,
    }
}

/// Every unit that is held, with its fence.
pub(super) fn fences(state: &State) -> Vec<v1::UnitFence> {
    let units = state.jobs.values().flat_map(|job| job.units.values());
    units
        .filter_map(|unit| Some(v1::UnitFence { unit: unit.unit, fence: unit.holder.as_ref()?.fence }))
        .collect()
}

/// The domain of each source.
pub(super) fn domains(state: &State) -> std::collections::HashMap<String, String> {
    let sources = state.cluster.sources.iter();
    sources.map(|(name, source)| (name.clone(), source.domain.clone())).collect()
}

pub(super) fn map(state: &State) -> v1::ShardMap {
    let cluster = &state.cluster;
    let owner =
        |(shard, owner): (&String, &String)| v1::ShardOwner { shard: shard.clone(), owner: owner.clone() };
    let address =
        |worker: &String| v1::WorkerAddress { worker: worker.clone(), url: state.url(worker).to_owned() };
    v1::ShardMap {
        version: cluster.map_version,
        home: cluster.home.clone().unwrap_or_default(),
        shards: cluster.shards.iter().map(owner).collect(),
        workers: cluster.urls.keys().map(address).collect(),
    }
}

pub(super) fn job_out(job: &Job) -> v1::Job {
    let source = |name: &String| v1::JobSource { name: name.clone(), domain: String::new() };
    let mut totals = job.totals.clone();
    job.units.values().for_each(|unit| totals.add(&unit.progress));
    v1::Job {
        job: job.job,
        state: job.state.as_str().to_owned(),
        sources: job.sources.keys().map(source).collect(),
        options: Some(options_out(&job.options)),
        priority: job.priority,
        began_ns: job.began_ns,
        ended_ns: job.ended_ns,
        totals: Some(totals_out(&totals)),
        units: job.units.values().map(unit_out).collect(),
        dead: job.dead.values().map(unit_out).collect(),
        held: job.held.clone().into_iter().collect(),
        unreadable_directories: job.unreadable_directories,
    }
}

fn unit_out(unit: &Unit) -> v1::Unit {
    v1::Unit {
        unit: unit.unit,
        kind: kind_out(unit.kind).into(),
        source: unit.source.clone(),
        root: Some(span_out(&unit.root)),
        exclusions: u32::try_from(unit.exclusions.len()).unwrap_or(u32::MAX),
        worker: unit.holder.as_ref().map(|holder| holder.worker.clone()).unwrap_or_default(),
        attempts: unit.attempts,
        failure: unit.failure.clone(),
        totals: Some(totals_out(&unit.progress)),
    }
}

pub(super) fn workers_out(state: &State, now: Duration) -> v1::WorkersReply {
    let names: std::collections::BTreeSet<_> = state.live.keys().chain(state.cluster.urls.keys()).collect();
    v1::WorkersReply { workers: names.into_iter().map(|name| worker_out(state, name, now)).collect() }
}

fn worker_out(state: &State, name: &str, now: Duration) -> v1::Worker {
    let live = state.live.get(name);
    let status = match live {
        Some(live) if live.lease_until > now => {
            if live.is_draining {
                "draining"
            } else {
                "alive"
            }
        }
        _ => "silent",
    };
    let held = state.jobs.values().flat_map(|job| job.units.values());
    let units = held.filter(|unit| unit.holder.as_ref().is_some_and(|holder| holder.worker == name)).count();
    let shards = state.cluster.shards.values().filter(|owner| *owner == name).count();
    let mounts = live.map(|live| live.mounts.as_slice()).unwrap_or_default().iter();
    let mounts = mounts.map(|mount| v1::SourceMount {
        name: mount.name.clone(),
        marker: mount.marker.clone(),
        root_entries: mount.root_entries,
        refused: why_not(mount, state.cluster.sources.get(&mount.name)).unwrap_or_default().to_owned(),
    });
    v1::Worker {
        worker: name.to_owned(),
        url: state.url(name).to_owned(),
        state: status.to_owned(),
        sources: mounts.collect(),
        units: u32::try_from(units).unwrap_or(u32::MAX),
        shards: u32::try_from(shards).unwrap_or(u32::MAX),
        bytes: live.map_or(0, |live| live.bytes.values().sum()),
        is_home: state.cluster.home.as_deref() == Some(name),
        silent_ms: live.map_or(u32::MAX, |live| {
            u32::try_from(now.saturating_sub(live.heard).as_millis()).unwrap_or(u32::MAX)
        }),
    }
}

pub(super) fn shards_out(state: &State, after: &str, limit: u32, now: Duration) -> v1::ShardsReply {
    let limit = if limit == 0 { 1000 } else { limit.min(1000) } as usize;
    let shards = state.cluster.shards.iter().filter(|(shard, _)| shard.as_str() > after).take(limit);
    let shards = shards.map(|(shard, owner)| v1::ShardStatus {
        shard: shard.clone(),
        owner: owner.clone(),
        bytes: state.live.get(owner).and_then(|live| live.bytes.get(shard)).copied().unwrap_or_default(),
        is_served: state.is_alive(owner, now),
    });
    v1::ShardsReply { shards: shards.collect() }
}
