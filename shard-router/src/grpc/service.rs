//! The service `shardex.v1.Query`.

use std::sync::Arc;
use std::time::Duration;

use shardex_daemon::net::{Ending, Principal};
use shardex_proto::Fault;
use shardex_proto::v1::error_detail::Reason;
use shardex_proto::v1::query_server::{self, QueryServer};
use shardex_proto::v1::{self, SearchRequest, SqlRequest};
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Extensions, Request, Response, Status};

use super::answer::{AnswerStream, Query, Running};
use super::convert::{list_in, report_in, search_in};
use super::places::Places;
use crate::{QueryOptions, Router, RowSink};

/// Bytes of a request: a statement or a search, with its lists.
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// Bounds of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSettings {
    /// Queries that run at once; more are refused with RESOURCE_EXHAUSTED.
    pub queries_max: usize,
    /// Answers that may wait to be read at once, those of running queries included.
    pub answers_max: usize,
    /// Time in which a caller must take the next part of an answer.
    pub stall: Duration,
}

impl Default for ServiceSettings {
    /// 16 queries, 256 answers, ten minutes.
    fn default() -> Self {
        Self { queries_max: 16, answers_max: 256, stall: Duration::from_secs(600) }
    }
}

/// Answers over the network what a [`Router`] answers in this process.
#[derive(Clone, Debug)]
pub struct QueryService {
    router: Arc<Router>,
    places: Places,
    ending: Ending,
    stall: Duration,
}

impl QueryService {
    /// Name of the service, as health and reflection know it.
    pub const NAME: &str = shardex_proto::v1::query_server::SERVICE_NAME;

    /// A service over a router, which ends its queries when `ending` says so.
    #[must_use]
    pub fn new(router: Arc<Router>, settings: &ServiceSettings, ending: Ending) -> Self {
        let places = Places::new(settings.queries_max, settings.answers_max);
        Self { router, places, ending, stall: settings.stall }
    }

    /// As what a server serves.
    #[must_use]
    pub fn routes(self) -> Routes {
        Routes::new(QueryServer::new(self).max_decoding_message_size(REQUEST_BYTES_MAX))
    }

    /// Queries that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.places.running()
    }
}

#[tonic::async_trait]
impl query_server::Query for QueryService {
    type SqlStream = AnswerStream;

    async fn sql(&self, request: Request<SqlRequest>) -> Result<Response<AnswerStream>, Status> {
        let deadline = deadline(request.metadata())?;
        let caller = caller(request.extensions())?;
        let request = request.into_inner();
        if request.statement.trim().is_empty() {
            return Err(Fault::new(Reason::BadRequest, "`statement` is required").into());
        }
        let router = Arc::clone(&self.router);
        let options = QueryOptions {
            deadline,
            allow_partial: request.allow_partial,
            rows_max: request.rows_max,
            lists: request.lists.into_iter().map(list_in).collect::<Result<_, Fault>>()?,
            ..QueryOptions::default()
        };
        let query = move |options: &QueryOptions, sink: &mut dyn RowSink| {
            router.sql(&request.statement, options, sink)
        };
        self.start(Box::new(query), options, caller)
    }

    type SearchStream = AnswerStream;

    async fn search(&self, request: Request<SearchRequest>) -> Result<Response<AnswerStream>, Status> {
        let deadline = deadline(request.metadata())?;
        let caller = caller(request.extensions())?;
        let sent = request.into_inner();
        let options = QueryOptions {
            deadline,
            allow_partial: sent.allow_partial,
            rows_max: sent.rows_max,
            ..QueryOptions::default()
        };
        let request = search_in(sent)?;
        let router = Arc::clone(&self.router);
        let query =
            move |options: &QueryOptions, sink: &mut dyn RowSink| router.search(&request, options, sink);
        self.start(Box::new(query), options, caller)
    }

    type ReportStream = AnswerStream;

    async fn report(&self, request: Request<v1::ReportRequest>) -> Result<Response<AnswerStream>, Status> {
        let deadline = deadline(request.metadata())?;
        let caller = caller(request.extensions())?;
        let request = report_in(request.into_inner())?;
        let options = QueryOptions { deadline, ..QueryOptions::default() };
        let router = Arc::clone(&self.router);
        let query =
            move |options: &QueryOptions, sink: &mut dyn RowSink| router.report(&request, options, sink);
        self.start(Box::new(query), options, caller)
    }
}

impl QueryService {
    fn start(
        &self,
        query: Query,
        options: QueryOptions,
        caller: Principal,
    ) -> Result<Response<AnswerStream>, Status> {
        let places = self.places.take()?;
        let (ending, stall) = (self.ending.clone(), self.stall);
        Ok(Response::new(Running { query, options, caller, places, ending, stall }.start()))
    }
}

/// Who calls. Set-up code lets no call through without.
fn caller(extensions: &Extensions) -> Result<Principal, Fault> {
    let missing = || Fault::new(Reason::Unauthenticated, "the server does not know who calls");
    extensions.get::<Principal>().cloned().ok_or_else(missing)
}

/// The caller's deadline, as gRPC writes it: up to eight digits and a unit.
fn deadline(metadata: &MetadataMap) -> Result<Option<Duration>, Fault> {
    let Some(value) = metadata.get("grpc-timeout") else { return Ok(None) };
    let wrong =
        || Fault::new(Reason::BadRequest, "`grpc-timeout` is up to eight digits and one of H, M, S, m, u, n");
    let text = value.to_str().map_err(|_| wrong())?;
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let duration = match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return Err(wrong()),
    };
    Ok(Some(duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read_as_grpc_writes_them() {
        for (text, expected) in [
            ("5S", Some(Duration::from_secs(5))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("250m", Some(Duration::from_millis(250))),
            ("0n", Some(Duration::ZERO)),
            ("5", None),
            ("S", None),
            ("", None),
            ("123456789S", None),
            ("-1S", None),
            ("5s", None),
        ] {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().expect("ASCII"));
            assert_eq!(deadline(&metadata).ok().flatten(), expected, "{text}");
        }
        assert_eq!(deadline(&MetadataMap::new()), Ok(None));
    }
}
