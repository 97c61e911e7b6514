//! An archive opened for questions, or a router that is asked instead.

use std::collections::HashMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use shardex_catalog::Cell;
use shardex_daemon::SystemClock;
use shardex_shard_router::{
    Answers, Completeness, QueryOptions, Remote, ResultColumn, Router, RowSink, Settings,
};
use shardex_shard_store::{ReadArchive, StateReader, view_columns};

use crate::args::{Asked, Place};
use crate::ledger_files::FromLedger;
use crate::output::Rows;

/// Connections to shards that are kept for the next query.
const IDLE_CONNECTIONS: usize = 64;

/// An archive and its router.
pub(crate) struct Reading {
    pub(crate) archive: ReadArchive,
    pub(crate) router: Router,
}

/// The command line says something that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUsage(&'static str);

/// What answers: a router over an archive of this machine, or one elsewhere.
pub(crate) fn ask(asked: &Asked) -> anyhow::Result<Box<dyn Answers>> {
    match asked.place(&|variable| std::env::var_os(variable)).map_err(WrongUsage)? {
        Place::Archive(path) => Ok(Box::new(open(&path)?.router)),
        Place::Router(settings) => Ok(Box::new(Remote::connect(&settings)?)),
    }
}

/// Opens an archive for questions.
pub(crate) fn open(path: &Path) -> anyhow::Result<Reading> {
    open_with(path, |_| ())
}

/// Opens an archive for questions, with other settings than the default ones.
pub(crate) fn open_with(path: &Path, change: impl FnOnce(&mut Settings)) -> anyhow::Result<Reading> {
    let archive = ReadArchive::open(path)?;
    let files = FromLedger::new(archive.clone());
    let mut settings = Settings::new(Arc::new(SystemClock), view_columns);
    change(&mut settings);
    let router = Router::new(archive.leaves(IDLE_CONNECTIONS), Arc::new(files), settings)
        .context("the router cannot start")?;
    Ok(Reading { archive, router })
}

/// Domains by source.
pub(crate) fn domains(archive: &ReadArchive) -> anyhow::Result<HashMap<String, String>> {
    let sources = sources(archive)?;
    Ok(sources.into_iter().map(|source| (source.name.to_string(), source.domain.to_string())).collect())
}

/// The sources of an archive.
pub(crate) fn sources(archive: &ReadArchive) -> anyhow::Result<Vec<shardex_coordinator::RegisteredSource>> {
    let Some(state) = archive.state()? else { return Ok(Vec::new()) };
    let state: &StateReader = &state;
    block_on(shardex_coordinator::known_sources(state))?.map_err(Into::into)
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> anyhow::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    Ok(runtime.block_on(future))
}

/// Runs a query and writes its rows. Returns how much of the archive the answer covers, and its
/// number of rows.
pub(crate) fn query<W: Write>(
    router: &dyn Answers,
    statement: &str,
    options: &QueryOptions,
    rows: Rows<W>,
) -> anyhow::Result<(Completeness, u64)> {
    let mut sink = Sink { rows, failed: None };
    let completeness = router.sql(statement, options, &mut sink)?;
    if let Some(error) = sink.failed {
        return Err(error.into());
    }
    Ok((completeness, sink.rows.end()?))
}

struct Sink<W: Write> {
    rows: Rows<W>,
    failed: Option<std::io::Error>,
}

impl<W: Write> Sink<W> {
    fn note(&mut self, result: std::io::Result<()>) -> ControlFlow<()> {
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

impl<W: Write> RowSink for Sink<W> {
    fn columns(&mut self, columns: &[ResultColumn]) {
        let result = self.rows.columns(columns.iter().map(|column| column.name.clone()).collect());
        let _ = self.note(result);
    }

    fn row(&mut self, cells: &[Cell]) -> ControlFlow<()> {
        if self.failed.is_some() {
            return ControlFlow::Break(());
        }
        let result = self.rows.row(cells);
        self.note(result)
    }
}

/// All rows of a query, as maps by column.
pub(crate) fn collect(
    router: &dyn Answers,
    statement: &str,
) -> anyhow::Result<Vec<serde_json::Map<String, serde_json::Value>>> {
    let mut lines = Vec::new();
    query(router, statement, &QueryOptions::default(), Rows::new(&mut lines, crate::args::Format::Jsonl))?;
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| Ok(serde_json::from_slice(line)?)).collect()
}

/// A text as an SQL literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
