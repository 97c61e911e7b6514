//! Rows that wait for their shards, under one budget. Pure.

use std::time::Duration;

use hashbrown::HashMap;
use shardex_catalog::{DirectoryRange, FileRow, Operation, ShardId};

/// Rows that go to a shard together.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    pub(crate) directories: Vec<DirectoryRange>,
    pub(crate) operations: Vec<Operation>,
    /// Numbers of the parts that the rows belong to, in their order, each with how many rows follow each other.
    pub(crate) parts: Vec<(u64, usize)>,
    pub(crate) bytes: usize,
    /// Place of the directory of the last row.
    last: u32,
    places: HashMap<u64, u32>,
    since: Duration,
}

impl Buffer {
    fn push(&mut self, part: u64, range: &DirectoryRange, row: FileRow) {
        self.bytes += row.heap_bytes();
        match self.parts.last_mut() {
            Some((last, rows)) if *last == part => *rows += 1,
            _ => {
                self.parts.push((part, 1));
                self.last = *self.places.entry(part).or_insert_with(|| {
                    self.directories.push(range.clone());
                    u32::try_from(self.directories.len() - 1).expect("a batch has few directories")
                });
            }
        }
        self.operations.push(Operation::Upsert { directory: self.last, row });
    }
}

/// Rows by shard.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    shards: HashMap<ShardId, Buffer>,
    bytes: usize,
}

impl Buffers {
    /// Adds a row of a part, which covers a range, at a moment.
    pub(crate) fn push(
        &mut self,
        shard: &ShardId,
        (part, range): (u64, &DirectoryRange),
        row: FileRow,
        now: Duration,
    ) {
        let buffer = match self.shards.get_mut(shard) {
            Some(buffer) => buffer,
            None => {
                self.shards.entry(shard.clone()).insert(Buffer { since: now, ..Buffer::default() }).into_mut()
            }
        };
        let before = buffer.bytes;
        buffer.push(part, range, row);
        self.bytes += buffer.bytes - before;
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
        let full = free().filter(|(_, buffer)| buffer.operations.len() >= batch_rows);
        let chosen = full.max_by_key(|(_, buffer)| buffer.operations.len()).or_else(|| {
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

    /// Takes all rows of a shard.
    pub(crate) fn take(&mut self, shard: &ShardId) -> Buffer {
        let buffer = self.shards.remove(shard).unwrap_or_default();
        self.bytes -= buffer.bytes;
        buffer
    }
}

#[cfg(test)]
mod tests {
    use shardex_catalog::{Domain, FileName, FileStamp, Header, RelativePath, SourceName, Values, Warnings};

    use super::*;

    fn row() -> FileRow {
        let study = Header::study(Domain::default(), Values::default());
        let stack = Header::below(&Header::below(&study, Values::default()), Values::default());
        FileRow {
            name: FileName::new(b"x"),
            stamp: FileStamp::default(),
            digest: None,
            warnings: Warnings::default(),
            sop_instance_uid: "1.2".into(),
            stack,
            values: Values::default(),
        }
    }

    fn range(directory: &str) -> DirectoryRange {
        let path = RelativePath::default().join(directory.as_bytes());
        DirectoryRange::whole(SourceName::new("pacs").expect("a name"), path)
    }

    #[test]
    fn full_then_largest_then_oldest() {
        let [a, b] = ["a/0", "b/0"].map(|id| ShardId::new(id).expect("an id"));
        let mut buffers = Buffers::default();
        let range = range("d");
        buffers.push(&a, (0, &range), row(), Duration::from_secs(1));
        (0..3).for_each(|_| buffers.push(&b, (0, &range), row(), Duration::from_secs(2)));
        let idle = |_: &ShardId| false;
        assert_eq!(buffers.next(4, usize::MAX, false, idle), None);
        assert_eq!(buffers.next(3, usize::MAX, false, idle), Some(b.clone()));
        assert_eq!(buffers.next(9, 1, false, idle), Some(b.clone()));
        assert_eq!(buffers.next(9, usize::MAX, true, idle), Some(a.clone()));
        assert_eq!(buffers.next(9, 1, false, |shard| *shard == b), Some(a.clone()));
        assert_eq!(buffers.take(&b).operations.len(), 3);
        assert_eq!(buffers.take(&a).operations.len(), 1);
        assert!(buffers.is_empty() && buffers.bytes() == 0);
    }

    #[test]
    fn rows_name_the_directory_of_their_part() {
        let shard = ShardId::new("a/0").expect("an id");
        let ranges = [range("d"), range("e")];
        let mut buffers = Buffers::default();
        for part in [0, 0, 1, 0] {
            buffers.push(&shard, (part as u64, &ranges[part]), row(), Duration::ZERO);
        }
        let buffer = buffers.take(&shard);
        assert_eq!(buffer.parts, [(0, 2), (1, 1), (0, 1)]);
        let directories = buffer.operations.iter().map(|operation| match operation {
            Operation::Upsert { directory, .. } => &buffer.directories[*directory as usize],
            Operation::Remove { .. } => panic!("nothing is removed"),
        });
        let [d, e] = &ranges;
        assert_eq!(directories.collect::<Vec<_>>(), [d, d, e, d]);
        assert_eq!(buffer.directories.len(), 2);
    }
}
