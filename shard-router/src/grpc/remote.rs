//! A router of another process, asked over the network.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shardex_catalog::query::SearchRequest;
use shardex_daemon::net::{self, ChannelSettings, Peer, check_protocol};
use shardex_proto::v1::query_client::QueryClient;
use shardex_proto::v1::sql_chunk::Part;
use shardex_proto::v1::{SqlChunk, SqlRequest};
use shardex_proto::{Fault, RowReader};
use tokio::runtime::Runtime;
use tonic::{Request, Response, Status, Streaming};

use super::convert::{columns_in, completeness_in, list_out, report_out, search_out};
use crate::{Answers, Completeness, Error, QueryOptions, ReportRequest, RowSink};

/// Time between two looks at the cancel flag.
const CANCEL_CHECK: Duration = Duration::from_millis(25);
/// A server that keeps silent for this long after a deadline is given up.
const GRACE: Duration = Duration::from_secs(5);

/// Asks a router elsewhere, as if it were one of this process.
pub struct Remote {
    client: QueryClient<Peer>,
    /// One thread of it answers the server's pings while the caller's is busy with rows.
    runtime: Runtime,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

impl Remote {
    /// Connects.
    ///
    /// # Errors
    /// [`net::Error`] if the settings do not work, or nobody answers.
    pub fn connect(settings: &ChannelSettings) -> Result<Self, net::Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| net::Error::Serve(error.to_string()))?;
        let peer = runtime.block_on(net::connect(settings))?;
        Ok(Self { client: QueryClient::new(peer), runtime })
    }
}

impl Answers for Remote {
    fn sql(&self, text: &str, options: &QueryOptions, sink: &mut dyn RowSink) -> Result<Completeness, Error> {
        let message = SqlRequest {
            statement: text.to_owned(),
            allow_partial: options.allow_partial,
            rows_max: options.rows_max,
            lists: options.lists.iter().map(list_out).collect(),
        };
        let mut client = self.client.clone();
        self.answer(async move |request| client.sql(request).await, message, options, sink)
    }

    fn search(
        &self,
        request: &SearchRequest,
        options: &QueryOptions,
        sink: &mut dyn RowSink,
    ) -> Result<Completeness, Error> {
        let mut client = self.client.clone();
        let message = search_out(request, options);
        self.answer(async move |request| client.search(request).await, message, options, sink)
    }

    fn report(
        &self,
        request: &ReportRequest,
        options: &QueryOptions,
        sink: &mut dyn RowSink,
    ) -> Result<Completeness, Error> {
        let mut client = self.client.clone();
        self.answer(async move |request| client.report(request).await, report_out(request), options, sink)
    }
}

impl Remote {
    /// Calls, and takes the answer in until it ends or the caller has had enough.
    fn answer<M>(
        &self,
        call: impl AsyncFnOnce(Request<M>) -> Result<Response<Streaming<SqlChunk>>, Status>,
        message: M,
        options: &QueryOptions,
        sink: &mut dyn RowSink,
    ) -> Result<Completeness, Error> {
        let mut request = Request::new(message);
        if let Some(deadline) = options.deadline {
            request.set_timeout(deadline);
        }
        self.runtime.block_on(async {
            tokio::select! {
                result = receive(call(request), sink) => result,
                error = stopped(options) => Err(error),
            }
        })
    }
}

/// Waits until the caller cancels, or the deadline is long over.
async fn stopped(options: &QueryOptions) -> Error {
    let silent = async {
        match options.deadline {
            Some(deadline) => tokio::time::sleep(deadline.saturating_add(GRACE)).await,
            None => std::future::pending().await,
        }
    };
    let cancelled = async {
        let mut look = tokio::time::interval(CANCEL_CHECK);
        while !options.cancel.load(Ordering::Relaxed) {
            look.tick().await;
        }
    };
    tokio::select! {
        () = silent => Error::Deadline(options.deadline.unwrap_or_default()),
        () = cancelled => Error::Cancelled,
    }
}

/// Takes an answer in. Dropped, it tells the server to stop.
async fn receive(
    call: impl Future<Output = Result<Response<Streaming<SqlChunk>>, Status>>,
    sink: &mut dyn RowSink,
) -> Result<Completeness, Error> {
    let response = call.await.map_err(fault)?;
    check_protocol(response.metadata())?;
    let mut stream = response.into_inner();
    let mut reader: Option<RowReader> = None;
    let mut rows = 0_u64;
    while let Some(chunk) = stream.message().await.map_err(fault)? {
        match (chunk.part, &mut reader) {
            (Some(Part::Columns(columns)), None) => {
                let columns = columns_in(columns);
                reader = Some(RowReader::new(columns.len()));
                sink.columns(&columns);
            }
            (Some(Part::Rows(part)), Some(reader)) => {
                let goes_on = reader.read(&part, &mut |cells| {
                    rows += 1;
                    sink.row(cells).is_continue()
                });
                if !goes_on.map_err(|error| nonsense(&error.to_string()))? {
                    return Ok(Completeness::default());
                }
            }
            (Some(Part::End(end)), Some(reader)) => {
                reader.end().map_err(|error| nonsense(&error.to_string()))?;
                if end.rows != rows {
                    return Err(nonsense("its rows are not as many as it says"));
                }
                return completeness_in(end).ok_or_else(|| nonsense("its last message makes no sense"));
            }
            _ => return Err(nonsense("its messages come in no order that makes sense")),
        }
    }
    Err(nonsense("it ends too early"))
}

/// What went wrong with a call. Of a connection that the server ends, for whatever reason, tonic says only
/// `transport error`.
fn fault(status: Status) -> Fault {
    let is_ended = status.message() == "transport error";
    let mut fault = Fault::from(status);
    if is_ended {
        fault.message =
            "the server ended the connection: it was stopped, or wants `https://` and --tls-ca, or a \
                         certificate of its caller (--tls-cert, --tls-key)"
                .to_owned();
    }
    fault
}

fn nonsense(why: &str) -> Error {
    Error::Failed(format!("the server's answer is not complete: {why}"))
}
