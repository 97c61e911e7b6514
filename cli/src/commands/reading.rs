//! An archive opened for questions, or a router that is asked instead.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use shardex_catalog::Cell;
use shardex_daemon::SystemClock;
use shardex_shard_router::{
    Answers, Completeness, QueryOptions, Remote, ReportRequest, ResultColumn, Router, RowSink, Settings,
};
use shardex_shard_store::{ReadArchive, StateReader, view_columns};

use crate::args::{Asked, Place};
use crate::ledger_files::FromLedger;
use crate::output::{Rows, shell_quoted};
use crate::reports::FromStores;

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
pub(crate) struct WrongUsage(pub(crate) Cow<'static, str>);

impl WrongUsage {
    pub(crate) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }
}

/// One who answers, with the name under which its rows are shown, where there are several.
pub(crate) struct Answering {
    pub(crate) archive: Option<String>,
    pub(crate) answers: Box<dyn Answers>,
}

/// All who answer: a router over each archive of this machine, or one elsewhere.
pub(crate) fn ask(asked: &Asked) -> anyhow::Result<Vec<Answering>> {
    match place(asked)? {
        Place::Archives(paths) => {
            let are_several = paths.len() > 1;
            let open = |path: &PathBuf| {
                let archive = are_several.then(|| path.to_string_lossy().into_owned());
                Ok(Answering { archive, answers: Box::new(open(path)?.router) })
            };
            paths.iter().map(open).collect()
        }
        Place::Router(settings) => {
            Ok(vec![Answering { archive: None, answers: Box::new(Remote::connect(&settings)?) }])
        }
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
    let whole = Arc::new(archive.clone());
    let reports = FromStores::new(Arc::clone(&whole) as _, whole);
    let router = Router::new(archive.leaves(IDLE_CONNECTIONS), Arc::new(files), settings)
        .context("the router cannot start")?
        .with_reports(Arc::new(reports));
    Ok(Reading { archive, router })
}

/// The one who answers, for what is not said of several archives together.
pub(crate) fn ask_one(asked: &Asked) -> anyhow::Result<Box<dyn Answers>> {
    let mut answering = ask(asked)?;
    match (answering.pop(), answering.len()) {
        (Some(one), 0) => Ok(one.answers),
        _ => Err(WrongUsage::new("one archive can be asked this at a time: give one --archive").into()),
    }
}

/// Domains by source, as a state has them.
pub(crate) async fn domains_of(
    state: Arc<dyn shardex_seams::StateStore>,
) -> Result<HashMap<String, String>, shardex_coordinator::Error> {
    let sources = shardex_coordinator::known_sources(&*state).await?;
    Ok(sources.into_iter().map(|source| (source.name.to_string(), source.domain.to_string())).collect())
}

/// The sources of an archive.
pub(crate) fn sources(archive: &ReadArchive) -> anyhow::Result<Vec<shardex_coordinator::RegisteredSource>> {
    let Some(state) = archive.state()? else { return Ok(Vec::new()) };
    let state: &StateReader = &state;
    block_on(shardex_coordinator::known_sources(state))?.map_err(Into::into)
}

/// The jobs of an archive, as far as they are remembered.
pub(crate) fn jobs(archive: &ReadArchive) -> anyhow::Result<Vec<shardex_coordinator::JobRecord>> {
    let Some(state) = archive.state()? else { return Ok(Vec::new()) };
    let state: &StateReader = &state;
    block_on(shardex_coordinator::jobs(state))?.map_err(Into::into)
}

/// A row of a report, its values by column.
pub(crate) struct Line {
    columns: &'static [&'static str],
    cells: Vec<Cell>,
}

impl Line {
    fn cell(&self, column: &str) -> Option<&Cell> {
        self.columns.iter().position(|name| *name == column).and_then(|at| self.cells.get(at))
    }

    /// All values.
    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    pub(crate) fn text_or_null(&self, column: &str) -> Option<&str> {
        match self.cell(column) {
            Some(Cell::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A text; empty for NULL.
    pub(crate) fn text(&self, column: &str) -> &str {
        self.text_or_null(column).unwrap_or("")
    }

    pub(crate) fn integer_or_null(&self, column: &str) -> Option<i64> {
        match self.cell(column) {
            Some(Cell::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// A count; 0 for NULL.
    pub(crate) fn number(&self, column: &str) -> u64 {
        self.integer_or_null(column).and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
    }
}

/// The archive of this machine that is asked; `None` if a router is, or several are.
pub(crate) fn one_archive(asked: &Asked) -> anyhow::Result<Option<PathBuf>> {
    match place(asked)? {
        Place::Archives(mut paths) if paths.len() == 1 => Ok(paths.pop()),
        _ => Ok(None),
    }
}

fn place(asked: &Asked) -> anyhow::Result<Place> {
    Ok(asked.place(&|variable| std::env::var_os(variable)).map_err(WrongUsage::new)?)
}

/// All rows of a report that begins with these columns.
pub(crate) fn report(
    answers: &dyn Answers,
    request: &ReportRequest,
    options: &QueryOptions,
    columns: &'static [&'static str],
) -> anyhow::Result<Vec<Line>> {
    struct Gather(Vec<String>, Vec<Vec<Cell>>);
    impl RowSink for Gather {
        fn columns(&mut self, columns: &[ResultColumn]) {
            self.0 = columns.iter().map(|column| column.name.clone()).collect();
        }

        fn row(&mut self, cells: &[Cell]) -> ControlFlow<()> {
            self.1.push(cells.to_vec());
            ControlFlow::Continue(())
        }
    }
    let mut gather = Gather(Vec::new(), Vec::new());
    answers.report(request, options, &mut gather)?;
    anyhow::ensure!(
        gather.0.iter().map(String::as_str).take(columns.len()).eq(columns.iter().copied()),
        "the server's report has other columns: use the same version of shardex on both sides"
    );
    Ok(gather.1.into_iter().map(|cells| Line { columns, cells }).collect())
}

/// What was asked, as arguments of another command.
pub(crate) fn place_argument(asked: &Asked) -> anyhow::Result<String> {
    Ok(match place(asked)? {
        Place::Archives(paths) => {
            paths.iter().map(|path| format!("--archive {}", shell_quoted(path))).collect::<Vec<_>>().join(" ")
        }
        Place::Router(settings) => format!("--router {}", shell_quoted(Path::new(&settings.url))),
    })
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
    let mut sink = Sink::new(rows, None);
    let completeness = router.sql(statement, options, &mut sink)?;
    sink.checked()?;
    Ok((completeness, sink.rows.end()?))
}

/// What is asked of each who answers.
pub(crate) type Question<'q> =
    dyn Fn(&dyn Answers, &mut dyn RowSink) -> Result<Completeness, shardex_shard_router::Error> + 'q;

/// Puts a question to all who answer, one after the other, and writes their rows, at most `limit`. What
/// several say is never de-duplicated.
pub(crate) fn query_all<W: Write>(
    answering: &[Answering],
    limit: Option<u64>,
    rows: Rows<W>,
    question: &Question<'_>,
) -> anyhow::Result<(Completeness, u64)> {
    let mut sink = Sink::new(rows, limit);
    let mut all = Completeness::default();
    for one in answering {
        sink.archive = one.archive.clone().map(Cell::Text);
        let found = question(&*one.answers, &mut sink);
        let found = match &one.archive {
            Some(archive) => found.with_context(|| format!("archive `{archive}`"))?,
            None => found?,
        };
        sink.checked()?;
        all.total += found.total;
        all.pruned += found.pruned;
        all.answered += found.answered;
        all.failed.extend(found.failed);
        all.rows_pulled += found.rows_pulled;
        if sink.left == Some(0) {
            break;
        }
    }
    Ok((all, sink.rows.end()?))
}

struct Sink<W: Write> {
    rows: Rows<W>,
    /// First value of each row.
    archive: Option<Cell>,
    has_columns: bool,
    /// Rows that are still wanted.
    left: Option<u64>,
    failed: Option<std::io::Error>,
}

impl<W: Write> Sink<W> {
    fn new(rows: Rows<W>, limit: Option<u64>) -> Self {
        Self { rows, archive: None, has_columns: false, left: limit, failed: None }
    }

    fn note(&mut self, result: std::io::Result<()>) -> ControlFlow<()> {
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn checked(&mut self) -> std::io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl<W: Write> RowSink for Sink<W> {
    fn columns(&mut self, columns: &[ResultColumn]) {
        if std::mem::replace(&mut self.has_columns, true) {
            return;
        }
        let archive = self.archive.is_some().then(|| "archive".to_owned());
        let names = archive.into_iter().chain(columns.iter().map(|column| column.name.clone()));
        let result = self.rows.columns(names.collect());
        let _ = self.note(result);
    }

    fn row(&mut self, cells: &[Cell]) -> ControlFlow<()> {
        if self.failed.is_some() || self.left == Some(0) {
            return ControlFlow::Break(());
        }
        self.left = self.left.map(|left| left - 1);
        let result = match &self.archive {
            None => self.rows.row(cells),
            Some(archive) => self.rows.row(&[std::slice::from_ref(archive), cells].concat()),
        };
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
