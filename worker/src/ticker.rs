//! What is looked at every few milliseconds while readers work: cancellation, readers that hang, and
//! how many readers there should be.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::adaptive::{self, Observed};
use crate::error::Error;
use crate::reader::Shared;
use crate::sequencer::Sequencer;
use crate::settings::Readers;
use crate::threads::Threads;
use crate::watch::Watch;

const TICKS_A_DECISION: u32 = 10;
const TICKS_A_LOOK: u32 = 5;
/// How long readers may take to notice that the run is cancelled.
const CANCEL_PATIENCE: Duration = Duration::from_millis(1000);

/// How the run goes on after a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    /// As before.
    On,
    /// It was cancelled, and storage keeps readers waiting: they are left behind.
    WithoutReaders,
}

/// State between ticks.
pub(crate) struct Ticker {
    ticked: u32,
    cores: usize,
    load: Load,
    watch: Watch,
    cancelled_at: Option<Duration>,
}

impl Ticker {
    pub(crate) fn new(shared: &Shared, cores: usize) -> Self {
        let load = Load::now(shared);
        Self { ticked: 0, cores, load, watch: Watch::default(), cancelled_at: None }
    }

    /// Looks after the readers. `is_backed_up`: they wait for the sequencer.
    pub(crate) fn tick(
        &mut self,
        sequencer: &mut Sequencer,
        threads: &mut Threads,
        is_backed_up: bool,
    ) -> Result<Go, Error> {
        let shared = Arc::clone(&sequencer.shared);
        let now = shared.clock.elapsed();
        self.ticked = self.ticked.wrapping_add(1);
        if shared.cancel.load(Ordering::Relaxed) {
            shared.frontier.stop();
            if now.saturating_sub(*self.cancelled_at.get_or_insert(now)) > CANCEL_PATIENCE {
                return Ok(Go::WithoutReaders);
            }
        }
        if self.ticked.is_multiple_of(TICKS_A_LOOK) {
            for given_up in self.watch.look(&shared, now)? {
                threads.replace(sequencer, given_up)?;
            }
        }
        if let (0, Readers::Adaptive { max }) = (self.ticked % TICKS_A_DECISION, shared.settings.readers) {
            let load = Load::now(&shared);
            let readers = shared.wanted.load(Ordering::Relaxed);
            let observed = self.load.until(&load, readers, self.cores, is_backed_up);
            self.load = load;
            threads.set_wanted(adaptive::next_readers(observed, self.cores, max))?;
        }
        Ok(Go::On)
    }
}

/// Processor time and wall time at a moment.
struct Load {
    wall: Duration,
    readers_ns: u64,
    process_ns: u64,
}

impl Load {
    fn now(shared: &Shared) -> Self {
        let process = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let seconds = u64::try_from(process.tv_sec).unwrap_or(0);
        Self {
            wall: shared.clock.elapsed(),
            readers_ns: shared.busy_ns.load(Ordering::Relaxed),
            process_ns: seconds * 1_000_000_000 + u64::try_from(process.tv_nsec).unwrap_or(0),
        }
    }

    fn until(&self, later: &Self, readers: usize, cores: usize, is_backed_up: bool) -> Observed {
        let wall_ns = later.wall.saturating_sub(self.wall).as_nanos().max(1) as f64;
        let share = |ns: u64, of: usize| ns as f64 / (wall_ns * of.max(1) as f64);
        Observed {
            readers,
            readers_busy: share(later.readers_ns.saturating_sub(self.readers_ns), readers),
            process_busy: share(later.process_ns.saturating_sub(self.process_ns), cores),
            is_backed_up,
        }
    }
}
