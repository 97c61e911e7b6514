//! One query from its text to its answer.

use std::fmt;
use std::sync::Arc;

use shardex_catalog::query::SearchRequest;
use shardex_catalog::{ShardId, covered};
use shardex_seams::Leaf;
use shardex_shard_store::merge::{Analyser, MergeDatabase, StopCheck};

use crate::completeness::{Completeness, Tally};
use crate::plan::plan;
use crate::pull::Pull;
use crate::reports::NoReports;
use crate::stop::Stop;
use crate::{Answers, Error, LedgerFiles, QueryOptions, ReportRequest, Reports, RowSink, Settings};

/// How often a query is asked whose shards are split meanwhile.
const SPLIT_TRIES_MAX: u32 = 3;

/// Answers SQL over all shards. One serves many threads.
pub struct Router {
    pub(crate) leaf: Arc<dyn Leaf>,
    pub(crate) ledger: Arc<dyn LedgerFiles>,
    pub(crate) reports: Arc<dyn Reports>,
    pub(crate) settings: Settings,
    analyser: Analyser,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Router {
    /// A router over the shards behind `leaf`, and the files that are not indexed behind `ledger`.
    ///
    /// # Errors
    /// [`Error::Failed`] if the views' columns make no tables.
    pub fn new(leaf: Arc<dyn Leaf>, ledger: Arc<dyn LedgerFiles>, settings: Settings) -> Result<Self, Error> {
        let analyser = Analyser::new(settings.columns, settings.limits.clone())?;
        Ok(Self { leaf, ledger, reports: Arc::new(NoReports), settings, analyser })
    }

    /// Runs one SELECT (or WITH … SELECT, or VALUES) and gives its answer to `sink`.
    ///
    /// Blocks the calling thread; at most [`Settings::leaf_threads`] further ones read shards.
    ///
    /// # Errors
    /// [`Error`]; rows may have come before it. A failing shard fails the query unless
    /// [`QueryOptions::allow_partial`] is set, and then only if every shard asked failed.
    pub fn sql(
        &self,
        text: &str,
        options: &QueryOptions,
        sink: &mut dyn RowSink,
    ) -> Result<Completeness, Error> {
        let stop = Stop::new(&self.settings.clock, options);
        unless_split(|| self.sql_once(text, options, &stop, &mut *sink))
    }

    fn sql_once(
        &self,
        text: &str,
        options: &QueryOptions,
        stop: &Stop,
        sink: &mut dyn RowSink,
    ) -> Result<Completeness, Error> {
        let lists = &*options.lists;
        let analysis = match lists {
            [] => self.analyser.analyse(text),
            lists => Analyser::with_lists(self.settings.columns, self.settings.limits.clone(), lists)?
                .analyse(text),
        }?;
        let plans = plan(text, &analysis, self.settings.columns, lists);
        let shards = if plans.is_empty() { Vec::new() } else { self.leaf.shards()? };
        let mut merge = MergeDatabase::create(self.settings.limits.clone())?;
        lists.iter().try_for_each(|list| merge.add_list(list))?;
        let pull = Pull {
            router: self,
            shards: &shards,
            stop,
            rows_max: options.rows_max.unwrap_or(self.settings.rows_max),
            allow_partial: options.allow_partial,
        };
        let mut tally = Tally::default();
        for plan in &plans {
            pull.view(plan, &merge, &mut tally)?;
        }
        self.unsplit(&shards)?;
        let completeness = complete(tally, shards.len())?;
        for plan in &plans {
            plan.indexes.iter().try_for_each(|column| merge.index(plan.view, column))?;
        }
        stop.reason().map_or(Ok(()), Err)?;
        sink.columns(&analysis.columns);
        let check = stop.clone();
        let check: StopCheck = Arc::new(move || check.is_due());
        let result = merge.run(text, check, &mut |row| sink.row(row));
        result.map_err(|error| stop.reason().unwrap_or_else(|| error.into()))?;
        Ok(completeness)
    }
}

impl Router {
    /// Whether each of the shards that were asked still covers what it did when they were listed: then no study was read
    /// in two of them, and none was passed over between two.
    pub(crate) fn unsplit(&self, asked: &[ShardId]) -> Result<(), Error> {
        if asked.is_empty() {
            return Ok(());
        }
        let (before, now) = (asked.iter().cloned().collect(), self.leaf.shards()?.into_iter().collect());
        let split = asked.iter().find(|shard| covered(shard, &before) != covered(shard, &now));
        split.map_or(Ok(()), |shard| Err(Error::Split(shard.clone())))
    }
}

/// Asks again if a shard was split meanwhile. Nothing may have been given to anybody before that is known.
pub(crate) fn unless_split<T>(mut ask: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..SPLIT_TRIES_MAX {
        match ask() {
            Err(Error::Split(_)) => {}
            answer => return answer,
        }
    }
    ask()
}

/// What an answer rests on; an error if it rests on nothing.
pub(crate) fn complete(tally: Tally, shards: usize) -> Result<Completeness, Error> {
    let completeness = tally.finish(shards);
    match (&*completeness.failed, completeness.answered) {
        ([first, ..], 0) => {
            Err(Error::AllShards { failed: completeness.failed.len(), first: Box::new(first.clone()) })
        }
        _ => Ok(completeness),
    }
}

impl Answers for Router {
    fn search(
        &self,
        request: &SearchRequest,
        options: &QueryOptions,
        sink: &mut dyn RowSink,
    ) -> Result<Completeness, Error> {
        Self::search(self, request, options, sink)
    }

    fn sql(&self, text: &str, options: &QueryOptions, sink: &mut dyn RowSink) -> Result<Completeness, Error> {
        Self::sql(self, text, options, sink)
    }

    fn report(
        &self,
        request: &ReportRequest,
        options: &QueryOptions,
        sink: &mut dyn RowSink,
    ) -> Result<Completeness, Error> {
        Self::report(self, request, options, sink)
    }
}
