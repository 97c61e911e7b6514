//! What an archive can be asked beside queries. Every report is a table; `query.proto` documents its columns.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shardex_seams::StoreError;

use crate::{Completeness, Error, QueryOptions, ResultColumn, Router, RowSink};

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// Attributes on which files of one study or series disagree.
    Conflicts,
    /// Files that share a SOP Instance UID.
    Duplicates,
    /// Files that are gone, paired with the file that they became.
    Moves,
    /// Files that are gone, and those whose deletion is held.
    Deletions,
    /// Studies whose dates cannot be right.
    Dates,
    /// Studies whose files disagree on patient, date or institution.
    SplitStudies,
    /// Directories that could not be listed.
    Unreadable,
    /// What the archive holds, in numbers.
    Summary,
    /// Sources, jobs, and what became of the files.
    Status,
}

/// A report that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRequest {
    /// What it is about.
    pub kind: ReportKind,
    /// A summary reads all files for the attributes that are stored with files, however many there are.
    pub is_exact: bool,
}

/// Makes the reports that are no query over the views: from headers, the ledger and the job state.
pub trait Reports: Send + Sync {
    /// Streams a report to `sink` until that breaks off. `cancel` stops it.
    ///
    /// # Errors
    /// [`StoreError`] of the first file of the archive that cannot be read.
    fn report(
        &self,
        request: &ReportRequest,
        cancel: &Arc<AtomicBool>,
        sink: &mut dyn RowSink,
    ) -> Result<(), StoreError>;
}

/// No reports: for a router over shards alone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NoReports;

impl Reports for NoReports {
    fn report(
        &self,
        _request: &ReportRequest,
        _cancel: &Arc<AtomicBool>,
        _sink: &mut dyn RowSink,
    ) -> Result<(), StoreError> {
        Err(StoreError::Query("this router makes no reports".to_owned()))
    }
}

const CONFLICTS: &str = "SELECT keyword, level, domain, StudyInstanceUID, SeriesInstanceUID, n_values, value_min, \
                         value_max FROM conflicts ORDER BY domain, StudyInstanceUID, SeriesInstanceUID, level, \
                         keyword";

impl Router {
    /// The same router with reports.
    #[must_use]
    pub fn with_reports(mut self, reports: Arc<dyn Reports>) -> Self {
        self.reports = reports;
        self
    }

    /// Gives a report to `sink`. Blocks the calling thread.
    ///
    /// # Errors
    /// [`Error`]; rows may have come before it.
    pub fn report(
        &self,
        request: &ReportRequest,
        options: &QueryOptions,
        sink: &mut dyn RowSink,
    ) -> Result<Completeness, Error> {
        if request.kind == ReportKind::Conflicts {
            let options = QueryOptions { rows_max: Some(u64::MAX >> 2), ..options.clone() };
            return self.sql(CONFLICTS, &options, sink);
        }
        let shards = self.leaf.shards()?;
        let total = shards.len();
        let given = self.reports.report(request, &options.cancel, sink);
        self.unsplit(&shards)?;
        match given {
            Ok(()) => Ok(Completeness { total, answered: total, ..Completeness::default() }),
            Err(_) if options.cancel.load(std::sync::atomic::Ordering::Relaxed) => Err(Error::Cancelled),
            Err(error) => Err(Error::Store(error)),
        }
    }
}

/// Columns of a report by their names; each value has a type of its own.
#[must_use]
pub fn report_columns(names: &[&str]) -> Vec<ResultColumn> {
    names.iter().map(|name| ResultColumn { name: (*name).to_owned(), column_type: None }).collect()
}
