//! A query that runs, and the stream of its answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use shardex_daemon::net::{Ending, Principal};
use shardex_proto::Fault;
use shardex_proto::v1::SqlChunk;
use shardex_proto::v1::error_detail::Reason;
use shardex_proto::v1::sql_chunk::Part;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tonic::Status;
use tonic::codegen::tokio_stream::Stream;

use super::convert::completeness_out;
use super::places::{OpenPlace, RunningPlace};
use super::sink::{ChunkSink, Halt};
use crate::{Completeness, Error, QueryOptions, RowSink};

/// Messages that wait for the caller.
const WAITING: usize = 2;

/// What runs: blocks until the answer is complete.
pub(super) type Query =
    Box<dyn FnOnce(&QueryOptions, &mut dyn RowSink) -> Result<Completeness, Error> + Send>;

/// A query with its bounds.
pub(super) struct Running {
    pub(super) query: Query,
    pub(super) options: QueryOptions,
    pub(super) caller: Principal,
    pub(super) places: (RunningPlace, OpenPlace),
    pub(super) ending: Ending,
    /// Time in which a caller must take a message.
    pub(super) stall: Duration,
}

impl Running {
    /// Starts the query on a blocking thread. It ends with its rows, at its deadline, when the
    /// server ends, and soon after the stream is dropped.
    pub(super) fn start(self) -> AnswerStream {
        let (chunks, receiver) = mpsc::channel(WAITING);
        let (last, last_receiver) = oneshot::channel();
        let (halt, halted) = watch::channel(None);
        let (running_place, open_place) = self.places;
        let cancel = Arc::clone(&self.options.cancel);
        tokio::spawn(supervise(chunks.clone(), self.options.deadline, self.ending, cancel, halt));
        let mut sink = ChunkSink::new(chunks, halted.clone(), Handle::current(), self.stall);
        let (query, options, caller) = (self.query, self.options, self.caller);
        tokio::task::spawn_blocking(move || {
            let result = query(&options, &mut sink);
            sink.flush();
            let halt = sink.halted.or(*halted.borrow());
            let word = last_word(result, halt, sink.rows, &options);
            let reason = word.as_ref().err().map(Fault::reason);
            tracing::info!(%caller, rows = sink.rows, ?reason, "a query ended");
            drop(running_place);
            // Nobody listens where the caller is gone. The channel of chunks ends after this, so
            // that the last word is there when the last chunk was taken.
            let _ = last.send(word);
            drop(sink);
        });
        AnswerStream { chunks: receiver, last: Some(last_receiver), _place: open_place }
    }
}

/// Waits for a reason to end before the rows do, and tells the query. Ends with the query, and only
/// then gives up its end of the channel.
async fn supervise(
    chunks: mpsc::Sender<SqlChunk>,
    deadline: Option<Duration>,
    mut ending: Ending,
    cancel: Arc<AtomicBool>,
    halt: watch::Sender<Option<Halt>>,
) {
    let deadline = async {
        match deadline {
            Some(deadline) => tokio::time::sleep(deadline).await,
            None => std::future::pending().await,
        }
    };
    let why = tokio::select! {
        // The query has ended: it holds the only receivers.
        () = halt.closed() => return,
        () = chunks.closed() => Halt::Gone,
        () = deadline => Halt::Deadline,
        () = ending.is_over() => Halt::ServerEnds,
    };
    // A deadline is seen by the query itself, which says so; the flag would say `cancelled`.
    if why != Halt::Deadline {
        cancel.store(true, Ordering::Relaxed);
    }
    halt.send_replace(Some(why));
}

fn last_word(
    result: Result<Completeness, Error>,
    halt: Option<Halt>,
    rows: u64,
    options: &QueryOptions,
) -> Result<SqlChunk, Fault> {
    match (result, halt) {
        (Ok(completeness), None) => {
            Ok(SqlChunk { part: Some(Part::End(completeness_out(&completeness, rows))) })
        }
        (Ok(_) | Err(Error::Cancelled), Some(halt)) => Err(match halt {
            Halt::Deadline => Fault::from(&Error::Deadline(options.deadline.unwrap_or_default())),
            Halt::Gone => Fault::from(&Error::Cancelled),
            Halt::ServerEnds => {
                Fault::new(Reason::ShuttingDown, "the server is being stopped: ask again later")
            }
            Halt::Stalled => {
                Fault::new(Reason::Stalled, "the answer was given up: its receiver took nothing for too long")
            }
        }),
        (Err(error), _) => Err(Fault::from(&error)),
    }
}

/// The answer as it comes. Dropping it stops the query.
pub struct AnswerStream {
    chunks: mpsc::Receiver<SqlChunk>,
    last: Option<oneshot::Receiver<Result<SqlChunk, Fault>>>,
    _place: OpenPlace,
}

impl Stream for AnswerStream {
    type Item = Result<SqlChunk, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(chunk) = ready!(self.chunks.poll_recv(context)) {
            return Poll::Ready(Some(Ok(chunk)));
        }
        let Some(last) = &mut self.last else { return Poll::Ready(None) };
        let word = ready!(Pin::new(last).poll(context));
        self.last = None;
        // Without a last word its thread has panicked.
        let word = word
            .unwrap_or_else(|_| Err(Fault::new(Reason::Unspecified, "the query failed inside the server")));
        Poll::Ready(Some(word.map_err(Status::from)))
    }
}
