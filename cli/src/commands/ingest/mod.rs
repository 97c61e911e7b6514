//! `shardex ingest`: coordinator, worker, shards and registry composed in one process.

mod arguments;
mod dry;
mod progress;
mod sqlite;
mod summary;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use shardex_catalog::{Domain, Fence};
use shardex_coordinator::{Registration, SourceSpecification, Unwritten};
use shardex_daemon::SystemClock;
use shardex_seams::Clock;
use shardex_shard_store::{Archive, ArchiveSettings, ReadArchive, ShardPool, SourceRoots};
use shardex_worker::{
    BeforeRead, Control, Coverage, Ended, Filters, Outcome, Readers, Settings, SourceRoot, Stores,
};

use super::probe::ChildProbe;
use super::reading::{self, WrongUsage};
use crate::exit::ExitCode;
use crate::output;
use arguments::Tuning;
pub(crate) use arguments::{Digest, Ingest};

pub(crate) fn run(ingest: Ingest, before_read: Option<BeforeRead>) -> anyhow::Result<ExitCode> {
    let clock = SystemClock;
    let began = clock.elapsed();
    let parsed = ingest.sources.iter().map(|text| SourceSpecification::parse(text));
    let specifications: Vec<_> = parsed.collect::<Result<_, _>>().map_err(usage)?;
    // What is wrong with a command line is said before anything is made.
    let mut settings = settings(&ingest)?;
    settings.before_read = before_read;
    settings.probe = Some(Arc::new(ChildProbe::new(ingest.digest)?));
    specifications.iter().try_for_each(|source| check_path(Path::new(&source.path)))?;
    let cancel = shardex_daemon::stop_on_signals()?;
    let archive_settings = ArchiveSettings {
        partition: ingest.partition.as_deref().map(str::parse).transpose().map_err(usage)?,
        institutions: ingest.institution_map.as_deref().map(super::institutions::read_mapping).transpose()?,
        institutions_max: ingest.institutions_max,
        sqlite: sqlite::settings(&ingest.tuning).map_err(usage)?,
        ..ArchiveSettings::default()
    };
    let path = &ingest.archive.archive;
    let scratch = if ingest.dry_run { dry::Scratch::instead_of(path)? } else { None };
    let path = scratch.as_ref().map_or(path.as_path(), dry::Scratch::path);
    let domain = ingest.domain.as_deref().map(Domain::new).transpose().map_err(usage)?;
    if ReadArchive::open(path).is_err() {
        // Nor are sources taken that a new archive would have to refuse.
        shardex_coordinator::agree(&[], &specifications, domain.as_ref(), ingest.rebind)?;
    }
    let archive = Archive::create_or_open(path, &archive_settings)?;
    tell_healed(&archive);
    let state = archive.state();
    let state = if ingest.dry_run { Arc::new(Unwritten::over(state)) } else { state };
    settings.breadcrumbs = Some(archive.temporary());
    let (sources, fence, last) = reading::block_on(async {
        let mut sources =
            shardex_coordinator::register(&*state, &specifications, domain.as_ref(), ingest.rebind).await?;
        if let Some(holds_stubs) = ingest.offline_stubs {
            shardex_coordinator::mark_stubs(&*state, &mut sources, holds_stubs).await?;
        }
        let last = shardex_coordinator::jobs(&*state).await?.pop();
        let fence = shardex_coordinator::begin_job(&*state, archive.highest_fence(), clock.wall_ns()).await?;
        anyhow::Ok((sources, fence, last))
    })??;
    settings.after_a_death = last.is_some_and(|job| job.ended_ns.is_none());
    let control = Control { cancel, ..Control::default() };
    let shown = progress::start(&ingest, Arc::clone(&control.progress), clock)?;
    let rebind = ingest.rebind && !ingest.dry_run;
    let job = Job { archive: &archive, fence, sources: &sources, rebind, recall: ingest.recall };
    let result = job.run(settings, &ingest.tuning, control);
    shown.stop();
    let (name, files) = result.as_ref().map_or(("failed", 0), |outcome| (ended_name(outcome), outcome.files));
    let ended = reading::block_on(shardex_coordinator::end_job(&*state, fence, name, files, clock.wall_ns()));
    // Why it failed comes first: on a full disk its end cannot be written down either.
    let outcome = result?;
    ended??;
    let elapsed = clock.elapsed().saturating_sub(began);
    summary::write(&ingest, &outcome, elapsed)?;
    Ok(exit_code(&outcome))
}

/// One run over sources of an archive.
struct Job<'a> {
    archive: &'a Archive,
    fence: Fence,
    sources: &'a [Registration],
    /// Sources may have moved: every shard is told where they are.
    rebind: bool,
    /// Stubs are read too.
    recall: bool,
}

impl Job<'_> {
    fn run(&self, mut settings: Settings, tuning: &Tuning, control: Control) -> anyhow::Result<Outcome> {
        settings.placement = self.archive.placement().clone();
        let folder = std::fs::metadata(self.archive.path())?;
        settings.avoid = Some((folder.dev(), folder.ino()));
        let roots = self
            .sources
            .iter()
            .map(|taken| (taken.source.name.clone(), taken.source.root.as_os_str().as_bytes().to_vec()));
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let writers = tuning.writers.map_or(cores, usize::from);
        let shards: Arc<ShardPool> = self.archive.shards(writers, SourceRoots::new(roots))?;
        if self.rebind {
            reading::block_on(shards.move_roots())??;
        }
        let stores = Stores {
            shards: Arc::clone(&shards) as _,
            registry: self.archive.registry(),
            ledger: self.archive.ledger(),
            clock: Arc::new(SystemClock),
        };
        let sources = self.sources.iter().map(|taken| SourceRoot {
            name: taken.source.name.clone(),
            domain: taken.source.domain.clone(),
            root: taken.source.root.clone(),
            identity_changed: taken.identity_changed,
            skips_stubs: taken.source.holds_stubs && !self.recall,
        });
        let outcome = shardex_worker::ingest(sources.collect(), self.fence, settings, stores, control)?;
        if outcome.ended != Ended::Interrupted {
            // Ctrl-C wants its prompt back: the logs stay, and nothing is lost.
            reading::block_on(self.archive.truncate_logs(&shards))??;
        }
        Ok(outcome)
    }
}

fn settings(ingest: &Ingest) -> anyhow::Result<Settings> {
    let tuning = &ingest.tuning;
    let digest = ingest.digest.mode();
    let default_charset = ingest.charset.as_deref().map(str::parse).transpose().map_err(usage)?;
    let most = Settings::default();
    Ok(Settings {
        extract: shardex_extract::Settings { digest, default_charset },
        readers: tuning.readers.map_or(most.readers, |readers| Readers::Fixed(readers.into())),
        files_per_second: tuning.files_per_second,
        row_budget_bytes: (tuning.row_budget_mib as usize) << 20,
        batch_rows: tuning.batch_rows as usize,
        barrier_interval: Duration::from_secs(tuning.barrier_seconds.into()),
        filters: Filters::new(&ingest.include, &ingest.exclude).map_err(usage)?,
        patience: Duration::from_secs(tuning.patience_seconds.into()),
        one_file_system: ingest.one_file_system,
        retry_quarantined: ingest.retry_quarantined,
        accept_deletions: ingest.accept_deletions,
        coverage: coverage(ingest)?,
        dry_run: ingest.dry_run,
        count_ahead: !ingest.quiet && (ingest.json || output::is_watched()),
        ..most
    })
}

fn coverage(ingest: &Ingest) -> anyhow::Result<Coverage> {
    let Some(path) = &ingest.files_from else {
        return Ok(if ingest.sample { Coverage::Sample } else { Coverage::Full });
    };
    let list: Box<dyn BufRead + Send + Sync> = if path.as_os_str() == "-" {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(path).with_context(|| format!("`{}`", path.display()))?))
    };
    Ok(Coverage::FilesFrom { list, delimiter: if ingest.from0 { 0 } else { b'\n' } })
}

fn check_path(path: &Path) -> anyhow::Result<()> {
    let metadata = std::fs::metadata(path)
        .with_context(|| format!("source `{}` cannot be used; is it mounted?", path.display()))?;
    anyhow::ensure!(
        metadata.is_dir(),
        "source `{}` is a file: name the directory it lies in, with --files-from for single files",
        path.display()
    );
    Ok(())
}

/// What is wrong with the command line, told with the exit code that says so.
fn usage(error: impl Into<anyhow::Error>) -> WrongUsage {
    WrongUsage::new(format!("{:#}", error.into()))
}

fn tell_healed(archive: &Archive) {
    let healed = archive.healed();
    if let Some(files) = healed.ledger_files {
        output::say(&format!(
            "note: the ledger was lost or old and was rebuilt from the shards ({files} files)"
        ));
    }
    if let Some(studies) = healed.registry_studies.filter(|studies| *studies > 0) {
        output::say(&format!(
            "note: the registry was lost or old and was completed from the shards ({studies} studies)"
        ));
    }
    for (shard, why) in &healed.unreadable_shards {
        output::say(&format!("warning: shard {shard} cannot be read: {why}"));
    }
}

/// How a run ended, as job records and summaries name it.
pub(super) fn ended_name(outcome: &Outcome) -> &'static str {
    match outcome.ended {
        Ended::Complete => "complete",
        Ended::Interrupted => "interrupted",
        Ended::Held(_) => "held",
        Ended::Incomplete { .. } => "incomplete",
    }
}

fn exit_code(outcome: &Outcome) -> ExitCode {
    match outcome.ended {
        Ended::Complete => ExitCode::Done,
        Ended::Interrupted => ExitCode::Interrupted,
        Ended::Held(_) => ExitCode::Held,
        Ended::Incomplete { .. } => ExitCode::Incomplete,
    }
}
