//! Progress of long upkeep: one line on a terminal, with rate and time left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use shardex_daemon::SystemClock;
use shardex_seams::Clock;

use crate::output::{self, byte_size, duration, grouped};

const INTERVAL: Duration = Duration::from_millis(200);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Files,
    Shards,
}

#[derive(Clone, Copy)]
struct Phase {
    name: &'static str,
    unit: Unit,
    total: u64,
    began: Duration,
}

/// Counts, and shows the counts if somebody looks.
pub(crate) struct Meter {
    state: Arc<State>,
    shown: Option<(mpsc::SyncSender<()>, JoinHandle<()>)>,
}

struct State {
    phase: Mutex<Phase>,
    done: AtomicU64,
}

impl Meter {
    /// A meter that shows itself on a terminal, unless it is to be quiet.
    pub(crate) fn start(quiet: bool) -> anyhow::Result<Self> {
        let phase = Phase { name: "", unit: Unit::Files, total: 0, began: SystemClock.elapsed() };
        let state = Arc::new(State { phase: Mutex::new(phase), done: AtomicU64::new(0) });
        let mut meter = Self { state, shown: None };
        if !quiet && output::is_watched() {
            let (stop, stopped) = mpsc::sync_channel(0);
            let state = Arc::clone(&meter.state);
            let show = move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(INTERVAL) {
                    output::say_over(&state.line(SystemClock.elapsed()));
                }
                output::say_over("");
            };
            meter.shown = Some((stop, std::thread::Builder::new().name("meter".to_owned()).spawn(show)?));
        }
        Ok(meter)
    }

    /// Begins to count something else, of which there are about `total`.
    pub(crate) fn phase(&self, name: &'static str, unit: Unit, total: u64) {
        self.state.done.store(0, Ordering::Relaxed);
        let began = SystemClock.elapsed();
        *self.state.phase.lock().unwrap_or_else(PoisonError::into_inner) = Phase { name, unit, total, began };
    }

    pub(crate) fn advance(&self, by: u64) {
        self.state.done.fetch_add(by, Ordering::Relaxed);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.shown.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl State {
    fn line(&self, now: Duration) -> String {
        let phase = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.done.load(Ordering::Relaxed);
        line(phase.name, phase.unit, done, phase.total, now.saturating_sub(phase.began))
    }
}

fn line(name: &str, unit: Unit, done: u64, total: u64, elapsed: Duration) -> String {
    let amount = |n: u64| match unit {
        Unit::Bytes => byte_size(n),
        Unit::Files => format!("{} files", grouped(n)),
        Unit::Shards => format!("{} shards", grouped(n)),
    };
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = done.saturating_mul(1000) / millis;
    let mut line = format!("{name}: {}", amount(done));
    if total > 0 {
        line.push_str(&format!(" of {}", amount(total)));
    }
    if unit != Unit::Shards && rate > 0 {
        let shown = if unit == Unit::Bytes { byte_size(rate) } else { grouped(rate) };
        line.push_str(&format!(", {shown}/s"));
    }
    if total > done && done > 0 {
        line.push_str(&format!(
            ", ETA {}",
            duration((total - done) as f64 / done as f64 * elapsed.as_secs_f64())
        ));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_rate_and_time_left() {
        assert_eq!(
            line("files", Unit::Files, 5000, 20_000, Duration::from_secs(5)),
            "files: 5,000 files of 20,000 files, 1,000/s, ETA 15 s"
        );
        assert_eq!(line("pages", Unit::Bytes, 0, 1_000_000, Duration::ZERO), "pages: 0 B of 1.0 MB");
        assert_eq!(
            line("headers", Unit::Shards, 3, 3, Duration::from_secs(1)),
            "headers: 3 shards of 3 shards"
        );
    }
}
