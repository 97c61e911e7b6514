//! A job shown again and again until it ends.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use shardex_coordinator::cluster::{Client, ClientError};
use shardex_daemon::SystemClock;
use shardex_proto::v1;
use shardex_seams::Clock;

use super::job::{Common, exit_code};
use super::show;
use crate::exit::ExitCode;
use crate::output;

/// Time between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks over which a rate is taken, and looks for a line where no terminal shows them.
const LOOKS: usize = 10;
/// How long nobody may lead before watching is given up: some leases.
const LEADERLESS_MAX: Duration = Duration::from_secs(120);

/// Files a second of late.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When, and files by then: of each source, and last of all.
    looks: VecDeque<(Duration, Vec<u64>)>,
}

impl Pace {
    fn look(&mut self, now: Duration, job: &v1::Job) {
        let files = |totals: &Option<v1::UnitTotals>| totals.as_ref().map_or(0, |totals| totals.files);
        let sources = job.sources.iter().map(|source| files(&source.totals));
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back((now, sources.chain([files(&job.totals)]).collect()));
    }

    /// Of the source at a place of the job; `None` while that is not known.
    pub(super) fn of_source(&self, at: usize) -> Option<f64> {
        let ((then, had), (now, has)) = (self.looks.front()?, self.looks.back()?);
        let seconds = now.checked_sub(*then).filter(|time| !time.is_zero())?.as_secs_f64();
        // What a lost unit had counted is counted again by its next holder.
        Some(has.get(at)?.saturating_sub(*had.get(at)?) as f64 / seconds)
    }

    /// Of all sources.
    pub(super) fn of_all(&self) -> Option<f64> {
        self.of_source(self.looks.back()?.1.len().checked_sub(1)?)
    }
}

/// Shows a job until it ends: on a terminal in place, else a line now and then and all of it at the end, or
/// each look as a line of JSON.
pub(super) fn watch(job: u64, common: &Common) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(common.coordinators.channels(), super::PATIENCE);
    let cancel = shardex_daemon::stop_on_signals()?;
    let mut pace = Pace::default();
    for looks in 0_usize.. {
        let Some(found) = runtime.block_on(look(&client, job, &cancel))? else { break };
        pace.look(SystemClock.elapsed(), &found);
        let mut to = output::answer();
        let has_ended = found.ended_ns.is_some();
        if common.json {
            writeln!(to, "{}", show::job_json(&found))?;
        } else if let Some(rows) = output::answer_rows() {
            let mut text = Vec::new();
            show::job(&mut text, &found, Some(&pace))?;
            in_place(&mut to, &String::from_utf8_lossy(&text), looks == 0, rows, has_ended)?;
        } else if has_ended {
            show::job(&mut to, &found, Some(&pace))?;
        } else if looks.is_multiple_of(LOOKS) {
            writeln!(to, "{}", show::headline(&found, Some(&pace)))?;
        }
        to.flush()?;
        if has_ended {
            return Ok(exit_code(&found));
        }
        if cancel.load(Ordering::Relaxed) {
            break;
        }
        // Made inside: a timer belongs to the runtime that is entered.
        runtime.block_on(async { tokio::time::sleep(LOOK_EVERY).await });
    }
    output::say(&format!("job {job} goes on: `shardex job show {job} --watch` watches it again"));
    Ok(ExitCode::Interrupted)
}

/// One look, as soon as somebody leads; `None` if it is cancelled before.
async fn look(client: &Client, job: u64, cancel: &AtomicBool) -> anyhow::Result<Option<v1::Job>> {
    let began = SystemClock.elapsed();
    let mut was_said = false;
    loop {
        let error = match client.show(v1::JobRequest { job }).await {
            Ok(found) => return Ok(Some(found)),
            Err(error) => error,
        };
        if cancel.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let time = SystemClock.elapsed().saturating_sub(began);
        if matches!(error, ClientError::Refused(_)) || time > LEADERLESS_MAX {
            return Err(error).context("the job cannot be shown");
        }
        if !was_said {
            output::say(&format!("{error}; asking again"));
            was_said = true;
        }
    }
}

/// Draws over what was drawn before, as many lines as the terminal has, and at the end all.
fn in_place(
    to: &mut impl Write,
    text: &str,
    is_first: bool,
    rows: usize,
    is_last: bool,
) -> std::io::Result<()> {
    let lines: Vec<_> = text.lines().collect();
    // One for the cursor, one for what is said of the others.
    let room = if is_last || lines.len() < rows { lines.len() } else { rows.saturating_sub(2) };
    write!(to, "{}\x1b[H", if is_first { "\x1b[2J" } else { "" })?;
    for line in &lines[..room] {
        writeln!(to, "{line}\x1b[K")?;
    }
    if room < lines.len() {
        writeln!(to, "… {} lines more\x1b[K", lines.len() - room)?;
    }
    write!(to, "\x1b[J")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(files: &[u64]) -> v1::Job {
        let totals = |files| Some(v1::UnitTotals { files, ..v1::UnitTotals::default() });
        let source = |files: &u64| v1::JobSource { totals: totals(*files), ..v1::JobSource::default() };
        let sources = files.iter().map(source).collect();
        v1::Job { sources, totals: totals(files.iter().sum()), ..v1::Job::default() }
    }

    #[test]
    fn rates_are_of_the_last_looks() {
        let mut pace = Pace::default();
        pace.look(Duration::ZERO, &job(&[0, 0]));
        assert_eq!((pace.of_all(), pace.of_source(0)), (None, None));
        for second in 1..=30 {
            // The second source stands still after ten seconds, and once counts less: its worker died.
            let other = if second == 30 { 5 } else { 10 * second.min(10) };
            pace.look(Duration::from_secs(second), &job(&[100 * second, other]));
        }
        assert_eq!((pace.of_source(0), pace.of_source(1), pace.of_source(3)), (Some(100.0), Some(0.0), None));
        assert_eq!(pace.of_all().map(f64::round), Some(91.0));
    }

    #[test]
    fn a_terminal_shows_what_fits_and_all_at_the_end() {
        let drawn = |is_first, rows, is_last| {
            let mut to = Vec::new();
            in_place(&mut to, "a\nb\nc\n", is_first, rows, is_last).expect("memory takes it");
            String::from_utf8(to).expect("text")
        };
        assert_eq!(drawn(true, 24, false), "\x1b[2J\x1b[Ha\x1b[K\nb\x1b[K\nc\x1b[K\n\x1b[J");
        assert_eq!(drawn(false, 3, false), "\x1b[Ha\x1b[K\n… 2 lines more\x1b[K\n\x1b[J");
        assert_eq!(drawn(false, 3, true), "\x1b[Ha\x1b[K\nb\x1b[K\nc\x1b[K\n\x1b[J");
    }
}
