//! Rows on their way from a shard to the merge, some at a time.

use shardex_catalog::Cell;

/// Rows of one batch at most.
const ROWS_MAX: usize = 1024;
/// Bytes of one batch, roughly, at most; a single larger row still goes alone.
const BYTES_MAX: usize = 256 << 10;

/// Gathers rows until there are enough to hand on.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    rows: Vec<Vec<Cell>>,
    bytes: usize,
}

impl Batch {
    /// Adds a row; gives the batch where it is full now.
    pub(crate) fn push(&mut self, row: Vec<Cell>) -> Option<Vec<Vec<Cell>>> {
        self.bytes += row.iter().map(bytes).sum::<usize>();
        if self.rows.capacity() == 0 {
            self.rows.reserve(64);
        }
        self.rows.push(row);
        let is_full = self.rows.len() >= ROWS_MAX || self.bytes >= BYTES_MAX;
        is_full.then(|| self.take())
    }

    /// What is there.
    pub(crate) fn take(&mut self) -> Vec<Vec<Cell>> {
        self.bytes = 0;
        std::mem::take(&mut self.rows)
    }
}

fn bytes(cell: &Cell) -> usize {
    size_of::<Cell>()
        + match cell {
            Cell::Null | Cell::Integer(_) | Cell::Real(_) => 0,
            Cell::Text(text) => text.len(),
            Cell::Blob(bytes) => bytes.len(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_by_rows_and_by_bytes() {
        let mut batch = Batch::default();
        let sizes: Vec<_> =
            (0..2500).filter_map(|n| batch.push(vec![Cell::Integer(n)])).map(|b| b.len()).collect();
        assert_eq!((sizes, batch.take().len()), (vec![1024, 1024], 452));
        let large = || vec![Cell::Text("x".repeat(100 << 10))];
        assert_eq!((0..6).filter_map(|_| batch.push(large())).map(|b| b.len()).collect::<Vec<_>>(), [3, 3]);
    }
}
