//! Rows of a running query on their way to the stream.

use std::ops::ControlFlow;
use std::time::Duration;

use shardex_catalog::Cell;
use shardex_proto::RowPacker;
use shardex_proto::v1::SqlChunk;
use shardex_proto::v1::sql_chunk::Part;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::convert::columns_out;
use crate::{ResultColumn, RowSink};

/// Why an answer ends before its rows do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// The deadline passed.
    Deadline,
    /// The server ends.
    ServerEnds,
    /// The caller takes nothing.
    Stalled,
    /// The caller is gone.
    Gone,
}

/// Packs rows and sends them, as fast as the caller takes them. Lives on a blocking thread.
pub(super) struct ChunkSink {
    chunks: mpsc::Sender<SqlChunk>,
    halt: watch::Receiver<Option<Halt>>,
    runtime: Handle,
    stall: Duration,
    packer: RowPacker,
    pub(super) rows: u64,
    pub(super) halted: Option<Halt>,
}

impl ChunkSink {
    /// A sink that gives up after `stall` in which the caller took nothing.
    pub(super) fn new(
        chunks: mpsc::Sender<SqlChunk>,
        halt: watch::Receiver<Option<Halt>>,
        runtime: Handle,
        stall: Duration,
    ) -> Self {
        Self { chunks, halt, runtime, stall, packer: RowPacker::default(), rows: 0, halted: None }
    }

    /// Sends what was not sent yet.
    pub(super) fn flush(&mut self) {
        let rest = self.packer.take();
        // Where it breaks off, `halted` says why.
        let _ = self.send_rows(rest);
    }

    fn send_rows(&mut self, parts: Vec<shardex_proto::v1::Rows>) -> ControlFlow<()> {
        parts.into_iter().try_for_each(|rows| self.send(Part::Rows(rows)))
    }

    fn send(&mut self, part: Part) -> ControlFlow<()> {
        if self.halted.is_some() {
            return ControlFlow::Break(());
        }
        let chunk = SqlChunk { part: Some(part) };
        let Err(chunk) = self.chunks.try_send(chunk) else { return ControlFlow::Continue(()) };
        let sent = self.runtime.block_on(async {
            tokio::select! {
                sent = self.chunks.send(chunk.into_inner()) => sent.map_err(|_| Halt::Gone),
                halt = self.halt.wait_for(Option::is_some) => Err(halt.map_or(Halt::Gone, |halt| halt.unwrap_or(Halt::Gone))),
                () = tokio::time::sleep(self.stall) => Err(Halt::Stalled),
            }
        });
        self.halted = sent.err();
        if self.halted.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl RowSink for ChunkSink {
    fn columns(&mut self, columns: &[ResultColumn]) {
        // Where it breaks off, the first row does, too.
        let _ = self.send(Part::Columns(columns_out(columns)));
    }

    fn row(&mut self, cells: &[Cell]) -> ControlFlow<()> {
        if self.halted.is_some() {
            return ControlFlow::Break(());
        }
        self.rows += 1;
        let parts = self.packer.push(cells);
        self.send_rows(parts)
    }
}
