//! Progress of an ingest: a line on a terminal, or JSON for a machine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use shardex_daemon::SystemClock;
use shardex_seams::Clock;
use shardex_worker::{Progress, Snapshot};

use super::Ingest;
use crate::output::{self, byte_size, duration, grouped};

const LINE_INTERVAL: Duration = Duration::from_millis(200);
const JSON_INTERVAL: Duration = Duration::from_secs(1);
/// The rate is that of the last while, not of the whole run.
const RATE_WINDOW: usize = 25;

/// Shows progress until it is stopped.
pub(crate) struct Shown(Option<(mpsc::SyncSender<()>, JoinHandle<()>)>);

/// Starts to show the progress of an ingest, if anybody looks.
pub(crate) fn start(ingest: &Ingest, progress: Arc<Progress>, clock: SystemClock) -> anyhow::Result<Shown> {
    let is_json = ingest.json;
    if ingest.quiet || !(is_json || output::is_watched()) {
        return Ok(Shown(None));
    }
    let (stop, stopped) = mpsc::sync_channel(0);
    let show = move || {
        let interval = if is_json { JSON_INTERVAL } else { LINE_INTERVAL };
        let mut rate = Rate::default();
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(interval) {
            let snapshot = progress.snapshot();
            let per_second = rate.add(clock.elapsed(), snapshot.files);
            if is_json { show_json(&snapshot, per_second) } else { show_line(&snapshot, per_second) }
        }
        if !is_json {
            output::say_over("");
        }
    };
    let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(show)?;
    Ok(Shown(Some((stop, thread))))
}

impl Shown {
    /// Ends the line.
    pub(crate) fn stop(self) {
        if let Some((stop, thread)) = self.0 {
            drop(stop);
            let _ = thread.join();
        }
    }
}

/// Files a second over the last moments.
#[derive(Default)]
struct Rate(VecDeque<(Duration, u64)>);

impl Rate {
    fn add(&mut self, now: Duration, files: u64) -> f64 {
        self.0.push_back((now, files));
        if self.0.len() > RATE_WINDOW {
            self.0.pop_front();
        }
        let (then, before) = self.0.front().copied().unwrap_or_default();
        let seconds = now.saturating_sub(then).as_secs_f64();
        if seconds > 0.0 { (files - before) as f64 / seconds } else { 0.0 }
    }
}

/// Seconds that are left, by an estimate of the total.
fn eta_seconds(snapshot: &Snapshot, per_second: f64) -> Option<f64> {
    let left = snapshot.estimate?.checked_sub(snapshot.files)?;
    (per_second > 0.0).then(|| left as f64 / per_second)
}

fn show_json(snapshot: &Snapshot, per_second: f64) {
    let states: serde_json::Map<_, _> =
        snapshot.states.iter().map(|(state, n)| (state.to_string(), json!(n))).collect();
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let line = json!({
        "phase": snapshot.phase,
        "files": snapshot.files,
        "opened": snapshot.opened,
        "unchanged": snapshot.unchanged,
        "directories": snapshot.directories,
        "bytes": snapshot.bytes,
        "states": states,
        "estimated_files": snapshot.estimate,
        "files_per_second": per_second.round(),
        "eta_seconds": eta_seconds(snapshot, per_second).map(f64::round),
        "cpu_seconds": cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
    });
    output::say(&line.to_string());
}

fn show_line(snapshot: &Snapshot, per_second: f64) {
    let mut line = format!("{} {} files, {per_second:.0}/s", snapshot.phase, grouped(snapshot.files));
    if let Some(estimate) = snapshot.estimate.filter(|estimate| *estimate > 0) {
        let percent = (snapshot.files as f64 / estimate.max(snapshot.files) as f64 * 100.0).min(100.0);
        line.push_str(&format!(", ~{percent:.0} % of ~{}", grouped(estimate)));
    }
    if let Some(eta) = eta_seconds(snapshot, per_second) {
        line.push_str(&format!(", ETA ~{}", duration(eta)));
    }
    line.push_str(&format!(", {}", byte_size(snapshot.bytes)));
    if let Some((source, directory)) = &snapshot.current {
        line.push_str(&format!("  {source}/{}", String::from_utf8_lossy(directory.as_bytes())));
    }
    output::say_over(&line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_moments() {
        let mut rate = Rate::default();
        assert_eq!(rate.add(Duration::from_secs(1), 100), 0.0);
        assert_eq!(rate.add(Duration::from_secs(2), 300), 200.0);
    }
}
