//! Rows that a blocking thread makes, as a stream of parts of bounded size.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shardex_catalog::Cell;
use shardex_proto::{RowPacker, v1};
use shardex_seams::StoreError;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::status;

/// Parts that wait for the caller.
const WAITING: usize = 2;
/// Time in which a caller must take a part.
const STALL: Duration = Duration::from_secs(600);

type Part = Result<v1::RowsPart, Status>;

pub(crate) type Parts = ReceiverStream<Part>;

/// Runs `produce` on a blocking thread, which holds `place` until it ends: with its rows, soon
/// after the stream is dropped, or when nobody takes a part for ten minutes. The stream then ends
/// without its last part, which tells.
pub(crate) fn parts(
    place: OwnedSemaphorePermit,
    produce: impl FnOnce(&Arc<AtomicBool>, &mut dyn FnMut(Vec<Cell>) -> bool) -> Result<(), StoreError>
    + Send
    + 'static,
) -> Parts {
    let (sender, receiver) = mpsc::channel(WAITING);
    let cancel = Arc::new(AtomicBool::new(false));
    let (ended, end) = oneshot::channel();
    tokio::spawn(watch(sender.clone(), end, Arc::clone(&cancel)));
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _held: (OwnedSemaphorePermit, oneshot::Sender<()>) = (place, ended);
        let send = |part: Part| {
            let sent = runtime.block_on(tokio::time::timeout(STALL, sender.send(part)));
            matches!(sent, Ok(Ok(())))
        };
        let send_rows = |rows| send(Ok(v1::RowsPart { rows: Some(rows), is_last: false }));
        let mut packer = RowPacker::default();
        let mut is_taken = true;
        let done = produce(&cancel, &mut |row| {
            is_taken = packer.push(&row).into_iter().all(send_rows);
            is_taken
        });
        if is_taken && packer.take().into_iter().all(send_rows) {
            let last = v1::RowsPart { rows: None, is_last: true };
            send(done.map(|()| last).map_err(|error| status::out(&error)));
        }
    });
    ReceiverStream::new(receiver)
}

/// Tells the query that its caller is gone. Ends with the query.
async fn watch(sender: mpsc::Sender<Part>, end: oneshot::Receiver<()>, cancel: Arc<AtomicBool>) {
    tokio::select! {
        () = sender.closed() => cancel.store(true, Ordering::Relaxed),
        // Nothing is ever sent: its sender is dropped.
        _ = end => {}
    }
}
