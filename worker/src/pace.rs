//! Reading no faster than a source bears.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use shardex_seams::Clock;

/// Lets so many files a second be opened, by all readers of a run together.
pub(crate) struct Pace {
    between: Duration,
    /// When the next file may be opened.
    next: Mutex<Duration>,
    /// Never signalled: readers wait on it for time to pass.
    time: Condvar,
}

impl Pace {
    /// At most `per_second` files.
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            between: Duration::from_secs(1) / per_second.max(1),
            next: Mutex::default(),
            time: Condvar::new(),
        }
    }

    /// Waits until the next file may be opened.
    pub(crate) fn wait(&self, clock: &dyn Clock) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock.elapsed();
        let due = place(&mut next, now, self.between);
        let mut left = due.saturating_sub(now);
        while !left.is_zero() {
            let waited = self.time.wait_timeout(next, left);
            (next, _) = waited.unwrap_or_else(PoisonError::into_inner);
            left = due.saturating_sub(clock.elapsed());
        }
    }
}

/// Takes the next place in the row. Time in which nobody came is lost: no burst follows a rest. Pure.
fn place(next: &mut Duration, now: Duration, between: Duration) -> Duration {
    let due = (*next).max(now);
    *next = due + between;
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_follow_each_other_at_the_pace_and_a_rest_gives_no_burst() {
        let (mut next, between) = (Duration::ZERO, Duration::from_millis(10));
        let ms = Duration::from_millis;
        let due: Vec<_> = [0, 0, 5, 100, 100].map(|now| place(&mut next, ms(now), between)).into();
        assert_eq!(due, [ms(0), ms(10), ms(20), ms(100), ms(110)]);
    }
}
