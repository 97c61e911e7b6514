//! Rows that wait for their shards, under one budget. Pure.

use std::time::Duration;

use hashbrown::HashMap;
use shardex_catalog::{FileRow, ShardId};

/// A row with the number of the part it belongs to, and the place of its entry among those read.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) part: u64,
    pub(crate) entry: usize,
    pub(crate) row: FileRow,
}

#[derive(Debug, Default)]
struct Buffer {
    rows: Vec<Waiting>,
    bytes: usize,
    since: Duration,
}

/// Rows by shard.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    shards: HashMap<ShardId, Buffer>,
    bytes: usize,
}

impl Buffers {
    /// Adds a row at a moment.
    pub(crate) fn push(&mut self, shard: &ShardId, waiting: Waiting, now: Duration) {
        let bytes = waiting.row.heap_bytes();
        let buffer = match self.shards.get_mut(shard) {
            Some(buffer) => buffer,
            None => {
                self.shards.entry(shard.clone()).insert(Buffer { since: now, ..Buffer::default() }).into_mut()
            }
        };
        buffer.rows.push(waiting);
        buffer.bytes += bytes;
        self.bytes += bytes;
    }

    /// Bytes of all rows.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no row waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// The shard whose rows go next, if any must: a full batch first; above the budget the largest;
    /// with `all`, the oldest. Shards that `is_busy` says are left alone.
    pub(crate) fn next(
        &self,
        batch_rows: usize,
        budget_bytes: usize,
        all: bool,
        is_busy: impl Fn(&ShardId) -> bool,
    ) -> Option<ShardId> {
        let free = || self.shards.iter().filter(|(shard, _)| !is_busy(shard));
        let full = free().filter(|(_, buffer)| buffer.rows.len() >= batch_rows);
        let chosen = full.max_by_key(|(_, buffer)| buffer.rows.len()).or_else(|| {
            if self.bytes > budget_bytes {
                free().max_by_key(|(_, buffer)| buffer.bytes)
            } else if all {
                free().min_by_key(|(_, buffer)| buffer.since)
            } else {
                None
            }
        });
        chosen.map(|(shard, _)| shard.clone())
    }

    /// Takes all rows of a shard, with their bytes.
    pub(crate) fn take(&mut self, shard: &ShardId) -> (Vec<Waiting>, usize) {
        let buffer = self.shards.remove(shard).unwrap_or_default();
        self.bytes -= buffer.bytes;
        (buffer.rows, buffer.bytes)
    }
}

#[cfg(test)]
mod tests {
    use shardex_catalog::{Domain, FileName, FileStamp, Header, Values, Warnings};

    use super::*;

    fn waiting() -> Waiting {
        let study = Header::study(Domain::default(), Values::default());
        let stack = Header::below(&Header::below(&study, Values::default()), Values::default());
        let row = FileRow {
            name: FileName::new(b"x"),
            stamp: FileStamp::default(),
            digest: None,
            warnings: Warnings::default(),
            sop_instance_uid: "1.2".into(),
            stack,
            values: Values::default(),
        };
        Waiting { part: 0, entry: 0, row }
    }

    #[test]
    fn full_then_largest_then_oldest() {
        let [a, b] = ["a/0", "b/0"].map(|id| ShardId::new(id).expect("an id"));
        let mut buffers = Buffers::default();
        buffers.push(&a, waiting(), Duration::from_secs(1));
        (0..3).for_each(|_| buffers.push(&b, waiting(), Duration::from_secs(2)));
        let idle = |_: &ShardId| false;
        assert_eq!(buffers.next(4, usize::MAX, false, idle), None);
        assert_eq!(buffers.next(3, usize::MAX, false, idle), Some(b.clone()));
        assert_eq!(buffers.next(9, 1, false, idle), Some(b.clone()));
        assert_eq!(buffers.next(9, usize::MAX, true, idle), Some(a.clone()));
        assert_eq!(buffers.next(9, 1, false, |shard| *shard == b), Some(a.clone()));
        assert_eq!(buffers.take(&b).0.len(), 3);
        assert_eq!(buffers.take(&a).0.len(), 1);
        assert!(buffers.is_empty() && buffers.bytes() == 0);
    }
}
