//! Between the wire and the machine. A peer may send anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use shardex_catalog::{Domain, RelativePath, ShardId, SourceName, Span, StoreId, TimeWindow};
use shardex_proto::v1;

use super::machine::{
    Arrived, End, Finished, Grant, Holdings, JobView, Map, Memory, Moment, Mount, Move, Options, Reply,
    Report, ShardView, Slow, Split, SplitReport, SplitStage, State, Submit, Task, Totals, Unit, UnitReport,
    UnitView, WorkerName, WorkerState, WorkerView,
};

/// Units, mounts and shards that one report may name.
const UNITS_MAX: usize = 1000;
const MOUNTS_MAX: usize = 1000;
const SHARDS_MAX: usize = 1_000_000;
/// Shards that may be located at once, and that a page shows.
const PAGE_MAX: usize = 1000;
/// Bytes of the name of a cluster.
const CLUSTER_ID_MAX: usize = 64;
/// Slow directories that a unit names.
const SLOWEST_MAX: usize = 8;
/// Characters of a text that a worker sends to be shown.
const TEXT_MAX: usize = 300;

/// What a peer sent makes no sense: which part.
pub(super) type Nonsense = String;

pub(super) fn worker_in(name: &str) -> Result<WorkerName, Nonsense> {
    WorkerName::new(name)
}

pub(super) fn report_in(request: v1::WorkerReport) -> Result<Report, Nonsense> {
    if request.units.len() > UNITS_MAX || request.sources.len() > MOUNTS_MAX {
        return Err("too many units or sources".into());
    }
    Ok(Report {
        worker: worker_in(&request.worker)?,
        session: request.session,
        url: request.url,
        mounts: request.sources.into_iter().map(mount_in).collect::<Result<_, _>>()?,
        holdings: request.holdings.map(holdings_in).transpose()?,
        free_slots: request.free_slots,
        units: request.units.into_iter().map(told_in).collect::<Result<_, _>>()?,
        is_draining: request.is_draining,
        map_version: request.map_version,
        schema_digest: request.schema_digest.to_vec(),
        suspects: request.suspect_units.into_iter().take(UNITS_MAX).collect(),
    })
}

fn source_in(name: &str) -> Result<SourceName, Nonsense> {
    SourceName::new(name).map_err(|error| error.to_string())
}

fn mount_in(mount: v1::SourceMount) -> Result<(SourceName, Mount), Nonsense> {
    Ok((source_in(&mount.name)?, Mount { marker: mount.marker, root_entries: mount.root_entries }))
}

pub(super) fn shard_in(name: &str) -> Result<ShardId, Nonsense> {
    ShardId::new(name).map_err(|error| error.to_string())
}

pub(super) fn shards_in(request: &v1::LocateRequest) -> Result<Vec<ShardId>, Nonsense> {
    if request.shards.len() > PAGE_MAX {
        return Err("at most 1,000 shards are located at once".into());
    }
    request.shards.iter().map(|name| shard_in(name)).collect()
}

fn holdings_in(holdings: v1::Holdings) -> Result<Holdings, Nonsense> {
    if holdings.shards.len() > SHARDS_MAX {
        return Err("`holdings` names too many shards".into());
    }
    let shards = holdings.shards.into_iter().map(|held| Ok((shard_in(&held.shard)?, held.bytes)));
    Ok(Holdings {
        shards: shards.collect::<Result<_, Nonsense>>()?,
        is_home: holdings.is_home,
        home_leaves_to: match &*holdings.home_leaves_to {
            "" => None,
            to => Some(worker_in(to)?),
        },
        placement: holdings.placement,
        folder_id: holdings.folder_id,
        arrived: holdings.arrived.into_iter().map(arrived_in).collect::<Result<_, _>>()?,
        splits: holdings.splits.into_iter().map(split_in).collect::<Result<_, _>>()?,
        relabelled: holdings.relabelled.into_iter().map(split_in).collect::<Result<_, _>>()?,
        memory: Memory {
            cluster: cluster_in(holdings.cluster_id)?,
            fence: holdings.highest_fence,
            map_version: holdings.seen_map_version,
            domains: holdings.domains.iter().map(domain_in).collect::<Result<_, _>>()?,
        },
        ledger: holdings.ledger.map(ledger_in).transpose()?,
    })
}

fn cluster_in(id: String) -> Result<String, Nonsense> {
    let is_clean = id.len() <= CLUSTER_ID_MAX && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_clean { Ok(id) } else { Err("`cluster_id` is none".into()) }
}

fn domain_in((source, domain): (&String, &String)) -> Result<(SourceName, Domain), Nonsense> {
    Ok((source_in(source)?, Domain::new(domain).map_err(|error| error.to_string())?))
}

fn ledger_in(ledger: v1::LedgerShards) -> Result<BTreeSet<ShardId>, Nonsense> {
    if ledger.shards.len() > SHARDS_MAX {
        return Err("`ledger` names too many shards".into());
    }
    ledger.shards.iter().map(|name| shard_in(name)).collect()
}

fn arrived_in(arrived: v1::ArrivedShard) -> Result<Arrived, Nonsense> {
    let store = match &*arrived.shard {
        "" => StoreId::Home,
        shard => shard_in(shard)?.into(),
    };
    Ok(Arrived { store, number: arrived.r#move, from_session: arrived.from_session })
}

fn split_in(said: v1::SplitReport) -> Result<SplitReport, Nonsense> {
    Ok(SplitReport {
        shard: shard_in(&said.shard)?,
        to: shard_in(&said.to)?,
        moved: said.moved,
        number: said.number,
        is_placed: said.is_placed,
        failed: said.failed,
    })
}

fn told_in(unit: v1::UnitReport) -> Result<UnitReport, Nonsense> {
    let end = unit.end.map(|end| match end {
        v1::unit_report::End::Failed(why) if unit.begins_anew => End::Over(why),
        v1::unit_report::End::Failed(why) => End::Failed(why),
        v1::unit_report::End::Finished(done) => End::Finished(Finished {
            unreadable_directories: done.unreadable_directories,
            root_was_listed: done.root_was_listed,
            root_is_empty: done.root_is_empty,
            held: done.held.map(|why| why.chars().take(TEXT_MAX).collect()),
        }),
    });
    let mut totals = unit.totals.unwrap_or_default();
    totals.slowest.truncate(SLOWEST_MAX);
    let slowest = std::mem::take(&mut totals.slowest).into_iter().map(slow_in).collect();
    Ok(UnitReport {
        unit: unit.unit,
        fence: unit.fence,
        totals: totals_in(totals),
        slowest,
        set_aside: unit.set_aside.iter().map(span_in).collect::<Result<_, _>>()?,
        end,
    })
}

fn slow_in(slow: v1::SlowDirectory) -> Slow {
    let v1::SlowDirectory { source: _, directory, milliseconds, files } = slow;
    Slow { directory: directory.to_vec(), milliseconds, files }
}

fn slow_out((source, slow): &(SourceName, Slow)) -> v1::SlowDirectory {
    v1::SlowDirectory {
        source: source.to_string(),
        directory: slow.directory.clone().into(),
        milliseconds: slow.milliseconds,
        files: slow.files,
    }
}

fn span_in(span: &v1::Span) -> Result<Span, Nonsense> {
    let mut parts = span.directory.split(|byte| *byte == b'/');
    let is_clean = span.directory.is_empty()
        || parts.all(|part| !matches!(part, b"" | b"." | b"..") && !part.contains(&0));
    if !is_clean {
        return Err("a span's directory is no relative path".into());
    }
    let directory = RelativePath::new(&span.directory);
    if span.is_whole {
        return Ok(Span::whole(directory));
    }
    Span::range(directory, &span.from, &span.to).ok_or_else(|| "a span holds no name".into())
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
        slowest: Vec::new(),
    }
}

pub(super) fn order_in(request: v1::SubmitRequest) -> Result<Submit, Nonsense> {
    let source = |source: v1::JobSource| {
        let domain = match source.domain.as_str() {
            "" => None,
            domain => Some(Domain::new(domain).map_err(|error| error.to_string())?),
        };
        Ok((source_in(&source.name)?, domain))
    };
    Ok(Submit {
        sources: request.sources.into_iter().map(source).collect::<Result<_, Nonsense>>()?,
        options: options_in(request.options.unwrap_or_default()),
        priority: request.priority,
        windows: request.windows.iter().map(window_in).collect::<Result<_, _>>()?,
        request_id: request.request_id,
    })
}

fn window_in(window: &v1::TimeWindow) -> Result<TimeWindow, Nonsense> {
    let minute = |minute: u32| u16::try_from(minute).unwrap_or(u16::MAX);
    let offset = i16::try_from(window.utc_offset_minutes).unwrap_or(i16::MAX);
    TimeWindow::new(minute(window.from_minute), minute(window.to_minute), offset)
        .map_err(|_| "`windows`: no part of a day".to_owned())
}

fn window_out(window: &TimeWindow) -> v1::TimeWindow {
    v1::TimeWindow {
        from_minute: window.from_minute().into(),
        to_minute: window.to_minute().into(),
        utc_offset_minutes: window.utc_offset_minutes().into(),
    }
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
        files_per_second: options.files_per_second,
        patience_seconds: options.patience_seconds,
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
        files_per_second: options.files_per_second,
        patience_seconds: options.patience_seconds,
    }
}

/// Kind, source, root and exclusions.
fn task_out(task: &Task) -> (v1::UnitKind, String, Span, &[Span]) {
    let whole = || Span::whole(RelativePath::default());
    match task {
        Task::Heal => (v1::UnitKind::Heal, String::new(), whole(), &[]),
        Task::Walk { source, root, exclusions } => {
            (v1::UnitKind::Walk, source.to_string(), root.clone(), exclusions)
        }
        Task::Finish { source } => (v1::UnitKind::Finish, source.to_string(), whole(), &[]),
    }
}

/// What the machine says; the rest of a reply stays as it is by default.
pub(super) fn reply_out(reply: Reply) -> v1::WorkerOrders {
    v1::WorkerOrders {
        granted: reply.granted.iter().map(grant_out).collect(),
        dropped: reply.dropped,
        split_wanted: reply.split_wanted,
        split_done: reply.split_done,
        fences: reply.fences.into_iter().map(|(unit, fence)| v1::UnitFence { unit, fence }).collect(),
        map: reply.map.map(|map| map_out(&map)),
        placement: reply.placement,
        ..v1::WorkerOrders::default()
    }
}

fn grant_out(grant: &Grant) -> v1::UnitGrant {
    let (kind, source, root, exclusions) = task_out(&grant.task);
    v1::UnitGrant {
        job: grant.job,
        unit: grant.unit,
        fence: grant.fence,
        job_fence: grant.job_fence,
        kind: kind.into(),
        source,
        domain: grant.domain.as_ref().map(ToString::to_string).unwrap_or_default(),
        root: Some(span_out(&root)),
        exclusions: exclusions.iter().map(span_out).collect(),
        options: Some(options_out(&grant.options)),
        root_was_listed: grant.root_was_listed,
        root_is_empty: grant.root_is_empty,
        identity_changed: grant.identity_changed,
    }
}

/// The domain of each source.
pub(super) fn domains(state: &State) -> HashMap<String, String> {
    let sources = state.durable.cluster.sources.iter();
    sources.map(|(name, source)| (name.to_string(), source.domain.to_string())).collect()
}

pub(super) fn map_out(map: &Map) -> v1::ShardMap {
    let owner = |(shard, owner): (&ShardId, &WorkerName)| {
        let known = map.move_of(shard);
        let is_placing = |(from, split): (&ShardId, &Split)| {
            split.stage == SplitStage::Placing && (from == shard || split.to == *shard)
        };
        let is_released = known.is_some_and(Move::is_released);
        let is_served = !is_released && !map.splits.iter().any(is_placing);
        v1::ShardOwner {
            shard: shard.to_string(),
            owner: if is_served { owner.to_string() } else { String::new() },
            moves_to: known.map(|known| known.to.to_string()).unwrap_or_default(),
            r#move: known.map_or(0, |known| known.number),
            split: map.splits.get(shard).map(|split| split_out(split, owner)),
        }
    };
    let address = |(worker, url): (&WorkerName, &String)| v1::WorkerAddress {
        worker: worker.to_string(),
        url: url.clone(),
    };
    v1::ShardMap {
        version: map.version,
        home: map.serving_home().map(ToString::to_string).unwrap_or_default(),
        home_moves_to: map.home_move().map(|known| known.to.to_string()).unwrap_or_default(),
        home_move: map.home_move().map_or(0, |known| known.number),
        home_begun: map.home_begun,
        shards: map.shards.iter().map(owner).collect(),
        workers: map.urls.iter().map(address).collect(),
        lost: map.lost.shards.iter().map(ToString::to_string).collect(),
    }
}

fn split_out(split: &Split, owner: &WorkerName) -> v1::ShardSplit {
    let stage = match split.stage {
        SplitStage::Waiting => v1::SplitStage::Waiting,
        SplitStage::Building => v1::SplitStage::Building,
        SplitStage::Placing => v1::SplitStage::Placing,
        SplitStage::Relabelling => v1::SplitStage::Relabelling,
        SplitStage::Done(_) => v1::SplitStage::Done,
    };
    v1::ShardSplit {
        owner: owner.to_string(),
        to: split.to.to_string(),
        moved: split.moved.clone(),
        number: split.number,
        stage: stage.into(),
    }
}

pub(super) fn job_out(view: JobView) -> v1::Job {
    let job = &view.job;
    let sources = job.sources.iter().zip(&view.by_source).map(|(source, totals)| v1::JobSource {
        name: source.name.to_string(),
        domain: source.domain.to_string(),
        totals: Some(totals_out(totals)),
    });
    let mut totals = totals_out(&view.totals);
    totals.slowest = view.slowest.iter().map(slow_out).collect();
    v1::Job {
        job: job.number,
        state: view.state.to_owned(),
        waits_for: view.waits_for.clone(),
        windows: job.windows.iter().map(window_out).collect(),
        sources: sources.collect(),
        options: Some(options_out(&job.options)),
        priority: job.priority,
        began_ns: job.began_ns,
        ended_ns: job.ended_ns,
        totals: Some(totals),
        units: view.units.iter().map(unit_out).collect(),
        dead: job.dead.iter().map(|(unit, what)| dead_out(*unit, what)).collect(),
        held: job.held.iter().map(|(source, why)| (source.to_string(), why.clone())).collect(),
        unreadable_directories: job.unreadable_directories,
    }
}

fn unit_out(view: &UnitView) -> v1::Unit {
    v1::Unit {
        totals: Some(totals_out(&view.totals)),
        waits_for: view.waits_for.clone(),
        ..dead_out(view.unit, &view.what)
    }
}

/// A unit without what it does now.
fn dead_out(unit: u64, what: &Unit) -> v1::Unit {
    let (kind, source, root, exclusions) = task_out(&what.task);
    v1::Unit {
        unit,
        kind: kind.into(),
        source,
        root: Some(span_out(&root)),
        exclusions: u32::try_from(exclusions.len()).unwrap_or(u32::MAX),
        worker: what.hold.as_ref().map(|hold| hold.worker.to_string()).unwrap_or_default(),
        attempts: what.failures + what.losses,
        failure: what.failure.clone(),
        totals: None,
        waits_for: String::new(),
    }
}

pub(super) fn workers_out(state: &State, now: Moment) -> v1::WorkersReply {
    v1::WorkersReply { workers: state.worker_views(now).into_iter().map(worker_out).collect() }
}

fn worker_out(view: WorkerView) -> v1::Worker {
    let status = match view.state {
        WorkerState::Alive => "alive",
        WorkerState::Silent => "silent",
        WorkerState::Draining => "draining",
        WorkerState::Drained => "drained",
    };
    let mounts = view.mounts.iter().map(|(name, mount)| v1::SourceMount {
        name: name.to_string(),
        marker: mount.marker.clone(),
        root_entries: mount.root_entries,
        refused: view.refused.get(name).copied().unwrap_or_default().to_owned(),
    });
    v1::Worker {
        worker: view.name.to_string(),
        url: view.url,
        state: status.to_owned(),
        sources: mounts.collect(),
        units: view.units,
        shards: view.shards,
        bytes: view.bytes,
        is_home: view.is_home,
        home_moves_to: view.home_moves_to.map(|to| to.to_string()).unwrap_or_default(),
        silent_ms: view
            .silent
            .map_or(u32::MAX, |silent| u32::try_from(silent.as_millis()).unwrap_or(u32::MAX)),
    }
}

pub(super) fn shard_out(view: ShardView) -> v1::ShardStatus {
    v1::ShardStatus {
        shard: view.shard.to_string(),
        owner: view.owner.to_string(),
        bytes: view.bytes,
        is_served: view.is_served,
        moves_to: view.moves_to.map(|to| to.to_string()).unwrap_or_default(),
        splits_to: view.splits_to.map(|to| to.to_string()).unwrap_or_default(),
        split_stage: view.split_stage.to_owned(),
        split_failure: view.split_failure,
    }
}

pub(super) fn shards_out(state: &State, after: &str, limit: u32, now: Moment) -> v1::ShardsReply {
    let limit = match usize::try_from(limit).unwrap_or(PAGE_MAX) {
        0 => PAGE_MAX,
        limit => limit.min(PAGE_MAX),
    };
    let shards = state.shards_after(after, limit, now).into_iter();
    let shards = shards.map(shard_out);
    let placement = state.durable.cluster.placement.clone().unwrap_or_default();
    v1::ShardsReply { shards: shards.collect(), placement }
}
