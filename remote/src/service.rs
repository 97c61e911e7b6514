//! The service `shardex.v1.Store`: what others do with the stores of this process.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shardex_catalog::{
    Cell, Domain, Fence, FileName, LeafQuery, PartitionKey, Predicate, RelativePath, ShardId, SourceName,
    StudyKey, View,
};
use shardex_proto::Fault;
use shardex_proto::packed::{Malformed, batch_in, changes_in, range_in, range_out, record_out, search_in};
use shardex_proto::v1::error_detail::Reason;
use shardex_proto::v1::store_server::{Store, StoreServer};
use shardex_proto::v1::{self, Done};
use shardex_seams::{
    Departure, Leaf, Ledger, Registry, ReportParts, ShardWriter, SiteClaim, StoreError, StoreSource,
    StoredName, StudyClaim,
};
use tokio::sync::Semaphore;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::gate::{self, Gate};
use crate::leaf::LedgerFileRows;
use crate::ledger::RANGES_MAX;
use crate::parts::{Parts, parts};
use crate::peers::MESSAGE_BYTES_MAX;
use crate::report_parts::{Wanted, wanted_in};
use crate::shards::applied_out;
use crate::status;
use crate::transfer::{Fetched, fetched, file_in};

/// Queries that run at once, each on a thread.
const QUERIES_MAX: usize = 64;
/// An answer of records goes out when it is this long.
const RECORDS_BYTES: usize = 8 << 20;
/// Entries that one page may hold.
const PAGE_MAX: u32 = 10_000;

/// The stores of this process.
#[derive(Clone)]
pub struct OwnedStores {
    /// Its shards, to write.
    pub shards: Arc<dyn ShardWriter>,
    /// Its registry.
    pub registry: Arc<dyn Registry>,
    /// Its ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Its shards, to read.
    pub leaf: Arc<dyn Leaf>,
    /// What its ledger knows of files without rows.
    pub ledger_files: Arc<dyn LedgerFileRows>,
    /// Parts of reports.
    pub parts: Arc<dyn ReportParts>,
    /// What it owns, to give away.
    pub transfer: Arc<dyn StoreSource>,
    /// Drawn at random for this process, as in its reports.
    pub session: u64,
}

/// Serves the stores of this process.
#[derive(Clone)]
pub struct StoreService {
    stores: OwnedStores,
    gate: Arc<Gate>,
    queries: Arc<Semaphore>,
}

impl StoreService {
    /// Name of the service, as health and reflection know it.
    pub const NAME: &str = v1::store_server::SERVICE_NAME;

    /// A service over stores, guarded by a gate.
    #[must_use]
    pub fn new(stores: OwnedStores, gate: Arc<Gate>) -> Self {
        Self { stores, gate, queries: Arc::new(Semaphore::new(QUERIES_MAX)) }
    }

    /// As what a server serves.
    #[must_use]
    pub fn routes(self) -> Routes {
        let server = StoreServer::new(self).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Routes::new(server.max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Runs what blocks on a thread of its own.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&OwnedStores) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Status> {
        let stores = self.stores.clone();
        let done = tokio::task::spawn_blocking(move || work(&stores)).await;
        done.map_err(|_| Status::internal("the store failed"))?.map_err(|error| status::out(&error))
    }

    /// Writes in a task of its own: a caller that goes away leaves a write that goes on, and whoever
    /// begins has to wait for its end.
    async fn write<T: Send + 'static>(
        &self,
        writer: Option<v1::Writer>,
        store: gate::Store<'_>,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, Status> {
        let permit = self.gate.write(writer, store)?;
        let done = tokio::spawn(async move {
            let done = work.await;
            drop(permit);
            done
        });
        done.await.map_err(|_| Status::internal("the store failed"))?.map_err(failed)
    }

    /// Streams rows that a blocking thread makes.
    fn stream(
        &self,
        rows: impl FnOnce(
            &OwnedStores,
            &Arc<AtomicBool>,
            &mut dyn FnMut(Vec<Cell>) -> bool,
        ) -> Result<(), StoreError>
        + Send
        + 'static,
    ) -> Result<Parts, Fault> {
        let place = Arc::clone(&self.queries).try_acquire_owned();
        let place =
            place.map_err(|_| Fault::new(Reason::Busy, "the owner answers as many queries as it may"))?;
        let stores = self.stores.clone();
        Ok(parts(place, move |cancel, row| rows(&stores, cancel, row)))
    }
}

/// Unpacks on a blocking thread: a large batch takes milliseconds.
async fn unpacked<T: Send + 'static>(
    unpack: impl FnOnce() -> Result<T, Malformed> + Send + 'static,
) -> Result<T, Status> {
    let unpacked = tokio::task::spawn_blocking(unpack).await;
    unpacked.map_err(|_| Status::internal("a message could not be read"))?.map_err(status::malformed)
}

pub(crate) fn nonsense(what: &'static str) -> Status {
    Fault::new(Reason::BadRequest, format!("the request's {what} makes no sense")).into()
}

pub(crate) fn shard_in(shard: &str) -> Result<ShardId, Status> {
    ShardId::new(shard).map_err(|_| nonsense("shard"))
}

fn source_in(source: &str) -> Result<SourceName, Status> {
    SourceName::new(source).map_err(|_| nonsense("source"))
}

fn names_in(names: &[shardex_proto::Bytes]) -> Result<Vec<FileName>, Status> {
    names.iter().map(|name| crate::shards::name_in(name).map_err(|_| nonsense("name"))).collect()
}

fn claim_in(claim: v1::StudyClaim) -> Result<StudyClaim, Status> {
    let domain = Domain::new(&claim.domain).map_err(|_| nonsense("domain"))?;
    let label = |label: &str| PartitionKey::from_label(label).ok_or_else(|| nonsense("partition"));
    let site = |site: v1::SiteClaim| {
        Ok::<_, Status>(SiteClaim {
            name: site.name.into(),
            sites_max: site.sites_max,
            other: label(&site.other)?,
        })
    };
    if claim.study_instance_uid.is_empty() {
        return Err(nonsense("study"));
    }
    Ok(StudyClaim {
        key: StudyKey::new(&domain, &claim.study_instance_uid),
        domain,
        study_instance_uid: claim.study_instance_uid.into(),
        partition: label(&claim.partition)?,
        site: claim.site.map(site).transpose()?,
    })
}

fn stored_in(file: v1::StoredFile) -> Result<StoredName, Status> {
    let name = crate::shards::name_in(&file.name).map_err(|_| nonsense("name"))?;
    if file.directory.starts_with(b"/") || file.directory.ends_with(b"/") {
        return Err(nonsense("directory"));
    }
    Ok(StoredName { source: source_in(&file.source)?, directory: RelativePath::new(&file.directory), name })
}

fn stored_out(file: StoredName) -> v1::StoredFile {
    v1::StoredFile {
        source: file.source.to_string(),
        directory: file.directory.as_bytes().to_vec().into(),
        name: file.name.as_bytes().to_vec().into(),
    }
}

fn query_in(request: v1::RowsRequest) -> Result<(ShardId, LeafQuery), Status> {
    let shard = shard_in(&request.shard)?;
    let view: View = request.view.parse().map_err(|()| nonsense("view"))?;
    let query = LeafQuery {
        view,
        columns: request.columns,
        filters: request.filters,
        sop_instance_uids: request.sop_instance_uids.map(|uids| uids.texts),
        rows_max: request.rows_max,
    };
    Ok((shard, query))
}

fn failed(error: StoreError) -> Status {
    status::out(&error)
}

#[tonic::async_trait]
impl Store for StoreService {
    async fn begin(&self, request: Request<v1::Writer>) -> Result<Response<Done>, Status> {
        let writer = request.into_inner();
        self.gate.begin(writer.unit, writer.fence).await?;
        Ok(Response::new(Done {}))
    }

    async fn apply(&self, request: Request<v1::PackedWrite>) -> Result<Response<v1::Applied>, Status> {
        let v1::PackedWrite { writer, packed } = request.into_inner();
        let batch = unpacked(move || batch_in(&packed)).await?;
        if writer.is_none_or(|writer| writer.fence != batch.fence.0) {
            return Err(nonsense("fence"));
        }
        let (shards, shard) = (Arc::clone(&self.stores.shards), batch.shard.clone());
        let work = async move { shards.apply(batch).await };
        let applied = self.write(writer, gate::Store::Shard(&shard), work).await?;
        Ok(Response::new(applied_out(applied)))
    }

    async fn barrier(&self, request: Request<v1::ShardWrite>) -> Result<Response<Done>, Status> {
        let request = request.into_inner();
        let shard = shard_in(&request.shard)?;
        let (shards, of) = (Arc::clone(&self.stores.shards), shard.clone());
        let work = async move { shards.barrier(of).await };
        self.write(request.writer, gate::Store::Shard(&shard), work).await?;
        Ok(Response::new(Done {}))
    }

    async fn history(
        &self,
        request: Request<v1::ShardRequest>,
    ) -> Result<Response<v1::HistoryReply>, Status> {
        let shard = shard_in(&request.into_inner().shard)?;
        let _held = self.gate.hold(gate::Store::Shard(&shard))?;
        let history = self.stores.shards.history(shard).await.map_err(failed)?;
        let life = |(incarnation, sequence)| applied_out(shardex_catalog::Applied { incarnation, sequence });
        Ok(Response::new(v1::HistoryReply { lives: history.0.into_iter().map(life).collect() }))
    }

    async fn names(&self, request: Request<v1::NamesRequest>) -> Result<Response<v1::NamesReply>, Status> {
        let request = request.into_inner();
        let shard = shard_in(&request.shard)?;
        let range = range_in(&request.range).map_err(status::malformed)?;
        let _held = self.gate.hold(gate::Store::Shard(&shard))?;
        let names = self.stores.shards.names(shard, range).await.map_err(failed)?;
        Ok(Response::new(v1::NamesReply { names: crate::shards::names_out(&names) }))
    }

    async fn files_after(
        &self,
        request: Request<v1::FilesAfterRequest>,
    ) -> Result<Response<v1::FilesReply>, Status> {
        let request = request.into_inner();
        let shard = shard_in(&request.shard)?;
        let after = request.after.map(stored_in).transpose()?;
        let _held = self.gate.hold(gate::Store::Shard(&shard))?;
        let limit = request.limit.min(PAGE_MAX);
        let files = self.stores.shards.files_after(shard, after, limit).await.map_err(failed)?;
        Ok(Response::new(v1::FilesReply { files: files.into_iter().map(stored_out).collect() }))
    }

    async fn moved(&self, request: Request<v1::MovedRequest>) -> Result<Response<v1::Count>, Status> {
        let request = request.into_inner();
        let shard = shard_in(&request.shard)?;
        let range = range_in(&request.range).map_err(status::malformed)?;
        let names = names_in(&request.names)?;
        let _held = self.gate.hold(gate::Store::Shard(&shard))?;
        let moved = self.stores.shards.moved(shard, range, names, Fence(request.since)).await;
        Ok(Response::new(v1::Count { count: moved.map_err(failed)? }))
    }

    async fn claim(&self, request: Request<v1::ClaimRequest>) -> Result<Response<v1::ClaimReply>, Status> {
        let request = request.into_inner();
        let claims = request.claims.into_iter().map(claim_in).collect::<Result<_, _>>()?;
        let registry = Arc::clone(&self.stores.registry);
        let work = async move { registry.claim(claims).await };
        let shards = self.write(request.writer, gate::Store::Home, work).await?;
        Ok(Response::new(v1::ClaimReply { shards: shards.iter().map(ShardId::to_string).collect() }))
    }

    async fn records(
        &self,
        request: Request<v1::RecordsRequest>,
    ) -> Result<Response<v1::RecordsReply>, Status> {
        let request = request.into_inner();
        let ranges: Result<Vec<_>, _> = request.ranges.iter().map(|range| range_in(range)).collect();
        let ranges = ranges.map_err(status::malformed)?;
        if !(1..=RANGES_MAX).contains(&ranges.len()) {
            return Err(nonsense("number of ranges"));
        }
        self.gate.read(gate::Store::Home)?;
        let gate = Arc::clone(&self.gate);
        let records = self.blocking(move |stores| {
            gate.reads_home()?;
            let (mut records, mut bytes) = (Vec::new(), 0);
            // One at a time: a record may be long, and what does not fit is not read.
            for range in &ranges {
                let record = stores.ledger.record(range)?.map(|record| record_out(&record));
                bytes += record.as_ref().map_or(0, Vec::len);
                records.push(v1::MaybeRecord { record: record.map(Into::into) });
                if bytes > RECORDS_BYTES {
                    break;
                }
            }
            Ok(records)
        });
        Ok(Response::new(v1::RecordsReply { records: records.await? }))
    }

    async fn shards_of(
        &self,
        request: Request<v1::NamesRequest>,
    ) -> Result<Response<v1::ShardsOfReply>, Status> {
        let request = request.into_inner();
        let range = range_in(&request.range).map_err(status::malformed)?;
        let names = names_in(&request.names)?;
        self.gate.read(gate::Store::Home)?;
        let gate = Arc::clone(&self.gate);
        let shards = self.blocking(move |stores| {
            gate.reads_home()?;
            stores.ledger.shards_of(&range, &names)
        });
        let shards = shards.await?;
        let shards = shards.iter().map(|shard| shard.as_ref().map(ShardId::to_string).unwrap_or_default());
        Ok(Response::new(v1::ShardsOfReply { shards: shards.collect() }))
    }

    async fn is_open(&self, request: Request<v1::PackedRequest>) -> Result<Response<v1::Count>, Status> {
        let range = range_in(&request.into_inner().range).map_err(status::malformed)?;
        self.gate.read(gate::Store::Home)?;
        let gate = Arc::clone(&self.gate);
        let is_open = self.blocking(move |stores| {
            gate.reads_home()?;
            stores.ledger.is_open(&range)
        });
        let is_open = is_open.await?;
        Ok(Response::new(v1::Count { count: u64::from(is_open) }))
    }

    async fn open(&self, request: Request<v1::OpenRequest>) -> Result<Response<Done>, Status> {
        let request = request.into_inner();
        let ranges: Result<Vec<_>, _> = request.ranges.iter().map(|range| range_in(range)).collect();
        let ranges = ranges.map_err(status::malformed)?;
        let fence = Fence(request.writer.unwrap_or_default().fence);
        let ledger = Arc::clone(&self.stores.ledger);
        let work = async move { ledger.open(ranges, fence).await };
        self.write(request.writer, gate::Store::Home, work).await?;
        Ok(Response::new(Done {}))
    }

    async fn commit(&self, request: Request<v1::PackedWrite>) -> Result<Response<Done>, Status> {
        let request = request.into_inner();
        let changes = unpacked(move || changes_in(&request.packed)).await?;
        let ledger = Arc::clone(&self.stores.ledger);
        let work = async move { ledger.commit(changes).await };
        self.write(request.writer, gate::Store::Home, work).await?;
        Ok(Response::new(Done {}))
    }

    async fn open_before(
        &self,
        request: Request<v1::RangesRequest>,
    ) -> Result<Response<v1::RangesReply>, Status> {
        let request = request.into_inner();
        let source = source_in(&request.source)?;
        self.gate.read(gate::Store::Home)?;
        let limit = request.limit.min(PAGE_MAX);
        let ranges =
            self.stores.ledger.open_before(source, Fence(request.fence), limit).await.map_err(failed)?;
        Ok(Response::new(v1::RangesReply {
            ranges: ranges.iter().map(|range| range_out(range).into()).collect(),
        }))
    }

    async fn with_missing(
        &self,
        request: Request<v1::RangesRequest>,
    ) -> Result<Response<v1::RangesReply>, Status> {
        let request = request.into_inner();
        let source = source_in(&request.source)?;
        let after = request.after.map(|after| range_in(&after)).transpose().map_err(status::malformed)?;
        self.gate.read(gate::Store::Home)?;
        let limit = request.limit.min(PAGE_MAX);
        let ranges = self.stores.ledger.with_missing(source, after, limit).await.map_err(failed)?;
        Ok(Response::new(v1::RangesReply {
            ranges: ranges.iter().map(|range| range_out(range).into()).collect(),
        }))
    }

    async fn present_and_missing(
        &self,
        request: Request<v1::SourceRequest>,
    ) -> Result<Response<v1::PresentReply>, Status> {
        let source = source_in(&request.into_inner().source)?;
        self.gate.read(gate::Store::Home)?;
        let (present, missing) = self.stores.ledger.present_and_missing(source).await.map_err(failed)?;
        Ok(Response::new(v1::PresentReply { present, missing }))
    }

    async fn positions(
        &self,
        _: Request<v1::PositionsRequest>,
    ) -> Result<Response<v1::PositionsReply>, Status> {
        self.gate.read(gate::Store::Home)?;
        let positions = self.stores.ledger.positions().await.map_err(failed)?;
        let position = |(shard, applied): (ShardId, _)| v1::Position {
            shard: shard.to_string(),
            applied: Some(applied_out(applied)),
        };
        Ok(Response::new(v1::PositionsReply { positions: positions.into_iter().map(position).collect() }))
    }

    type RowsStream = Parts;

    async fn rows(&self, request: Request<v1::RowsRequest>) -> Result<Response<Parts>, Status> {
        let (shard, query) = query_in(request.into_inner())?;
        self.gate.read(gate::Store::Shard(&shard))?;
        // The lease may end meanwhile, or the shard move: the answer is as of the moment at which it began, because
        // SQLite reads one snapshot.
        Ok(Response::new(
            self.stream(move |stores, cancel, row| stores.leaf.rows(&shard, &query, cancel, row))?,
        ))
    }

    type SearchStream = Parts;

    async fn search(&self, request: Request<v1::LeafSearchRequest>) -> Result<Response<Parts>, Status> {
        let request = request.into_inner();
        let shard = shard_in(&request.shard)?;
        let search = search_in(&request.packed).map_err(status::malformed)?;
        self.gate.read(gate::Store::Shard(&shard))?;
        Ok(Response::new(
            self.stream(move |stores, cancel, row| stores.leaf.search(&shard, &search, cancel, row))?,
        ))
    }

    async fn excludes(&self, request: Request<v1::ExcludesRequest>) -> Result<Response<v1::Count>, Status> {
        let request = request.into_inner();
        let shard = shard_in(&request.shard)?;
        self.gate.read(gate::Store::Shard(&shard))?;
        let predicate = match request.values {
            Some(values) => Predicate::In(request.column, values.texts),
            None => Predicate::Between(request.column, request.low, request.high),
        };
        let excludes = self.blocking(move |stores| stores.leaf.excludes(&shard, &predicate)).await?;
        Ok(Response::new(v1::Count { count: u64::from(excludes) }))
    }

    type LedgerFilesStream = Parts;

    async fn ledger_files(&self, _: Request<v1::LedgerFilesRequest>) -> Result<Response<Parts>, Status> {
        self.gate.read(gate::Store::Home)?;
        let gate = Arc::clone(&self.gate);
        Ok(Response::new(self.stream(move |stores, _, row| {
            // Again: the thread may have begun late.
            gate.reads_home()?;
            stores.ledger_files.rows(row)
        })?))
    }

    type FetchShardStream = Fetched;

    async fn fetch_shard(
        &self,
        request: Request<v1::FetchShardRequest>,
    ) -> Result<Response<Fetched>, Status> {
        let request = request.into_inner();
        let file = file_in(&request)?;
        let store = file.store();
        let v1::FetchShardRequest { r#move: number, to, is_last, have, .. } = request;
        self.gate.moves(&store, &to, number)?;
        if is_last {
            self.gate.pause(&store, &to, number).await?;
            let (transfer, departure) = (Arc::clone(&self.stores.transfer), Departure { store, to, number });
            // A task of its own: half settled, a store would be of no use.
            let settled = tokio::spawn(async move { transfer.settle(departure).await }).await;
            settled.map_err(|_| Status::internal("the store failed"))?.map_err(failed)?;
        }
        let place = Arc::clone(&self.queries).try_acquire_owned();
        let place =
            place.map_err(|_| Fault::new(Reason::Busy, "the owner answers as many queries as it may"))?;
        let (transfer, session) = (Arc::clone(&self.stores.transfer), self.stores.session);
        Ok(Response::new(fetched(place, session, move |to| transfer.blocks(&file, &have, is_last, to))))
    }

    type ReportPartStream = Parts;

    async fn report_part(&self, request: Request<v1::ReportPartRequest>) -> Result<Response<Parts>, Status> {
        let stream = match wanted_in(request.into_inner())? {
            Wanted::Shard(shard, part) => {
                self.gate.read(gate::Store::Shard(&shard))?;
                self.stream(move |stores, cancel, row| stores.parts.of_shard(&shard, &part, cancel, row))
            }
            Wanted::Home(part) => {
                self.gate.read(gate::Store::Home)?;
                let gate = Arc::clone(&self.gate);
                self.stream(move |stores, cancel, row| {
                    gate.reads_home()?;
                    stores.parts.of_home(part, cancel, row)
                })
            }
        };
        Ok(Response::new(stream?))
    }
}
