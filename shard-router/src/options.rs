//! What a caller decides about queries.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use shardex_catalog::Cell;
use shardex_catalog::query::SearchRequest;
use shardex_seams::Clock;
use shardex_shard_store::merge::{Columns, Limits, List, ResultColumn};

use crate::{Completeness, Error, ReportRequest};

/// Settings of a router, the same for all its queries.
#[derive(Clone)]
pub struct Settings {
    /// Measures deadlines.
    pub clock: Arc<dyn Clock>,
    /// Columns of the views; `shardex_shard_store::view_columns`.
    pub columns: Columns,
    /// Shards read at once by one query; at least 1.
    pub leaf_threads: usize,
    /// Rows of one view that a query may pull, unless it says otherwise.
    pub rows_max: u64,
    /// Bounds of the merge.
    pub limits: Limits,
}

impl Settings {
    /// Defaults: as many threads as cores, 5,000,000 rows a view.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, columns: Columns) -> Self {
        let leaf_threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { clock, columns, leaf_threads, rows_max: 5_000_000, limits: Limits::default() }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("leaf_threads", &self.leaf_threads)
            .field("rows_max", &self.rows_max)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Options of one query. The default has no deadline and wants a complete answer.
#[derive(Clone, Debug, Default)]
pub struct QueryOptions {
    /// Time that the query may take, from the call on.
    pub deadline: Option<Duration>,
    /// Set it to stop the query.
    pub cancel: Arc<AtomicBool>,
    /// Answer without the shards that fail; [`crate::Completeness`] names them.
    pub allow_partial: bool,
    /// Rows of one view that the query may pull; `None` for the router's setting.
    pub rows_max: Option<u64>,
    /// Lists that a statement may read as tables.
    pub lists: Arc<[List]>,
}

/// Takes an answer. `columns` comes once, before all rows, when the shards have given theirs; an
/// error can still follow.
pub trait RowSink {
    /// The columns of the answer.
    fn columns(&mut self, columns: &[ResultColumn]);

    /// One row, as many values as columns. Breaking off ends the query without an error.
    fn row(&mut self, cells: &[Cell]) -> ControlFlow<()>;
}

/// What answers: a router of this process, or one elsewhere.
pub trait Answers: Send + Sync {
    /// As [`crate::Router::sql`].
    ///
    /// # Errors
    /// [`Error`]; rows may have come before it.
    fn sql(&self, text: &str, options: &QueryOptions, sink: &mut dyn RowSink) -> Result<Completeness, Error>;

    /// As [`crate::Router::search`].
    ///
    /// # Errors
    /// [`Error`]; rows may have come before it.
    fn search(
        &self,
        request: &SearchRequest,
        options: &QueryOptions,
        sink: &mut dyn RowSink,
    ) -> Result<Completeness, Error>;

    /// As [`crate::Router::report`].
    ///
    /// # Errors
    /// [`Error`]; rows may have come before it.
    fn report(
        &self,
        request: &ReportRequest,
        options: &QueryOptions,
        sink: &mut dyn RowSink,
    ) -> Result<Completeness, Error>;
}
