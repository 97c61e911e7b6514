//! Owners that were waited for in vain.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shardex_seams::Clock;

/// An absent owner is tried once in this time, by one caller.
const AGAIN: Duration = Duration::from_secs(1);
/// An owner that nobody has tried for this long is waited for again.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Owners that gave no answer within a caller's patience, by URL: who asks many shards of one does not wait for
/// each of them.
pub(crate) struct Absent {
    clock: Arc<dyn Clock>,
    owners: Mutex<HashMap<String, Missed>>,
}

struct Missed {
    /// Of the clock, when the last try ended, or one began that is not over.
    tried: Duration,
    why: String,
}

/// What to do about a call to an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Try until patience is over.
    Patient,
    /// Try, and say how it went.
    Once,
    /// Do not even try: why it failed a moment ago.
    None(String),
}

impl Absent {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, owners: Mutex::default() }
    }

    /// What an owner is worth now. Of callers that ask at the same time one is told to try.
    pub(crate) fn effort(&self, url: &str) -> Effort {
        let now = self.clock.elapsed();
        let mut owners = self.owners();
        let Some(missed) = owners.get_mut(url) else { return Effort::Patient };
        match now.saturating_sub(missed.tried) {
            since if since < AGAIN => Effort::None(missed.why.clone()),
            since if since < FORGOTTEN => {
                missed.tried = now;
                Effort::Once
            }
            _ => Effort::Patient,
        }
    }

    /// An owner was tried, or waited for, in vain.
    pub(crate) fn missed(&self, url: &str, why: String) {
        let tried = self.clock.elapsed();
        let mut owners = self.owners();
        // Workers that come and go with new addresses leave nothing behind.
        owners.retain(|_, missed| tried.saturating_sub(missed.tried) < FORGOTTEN);
        owners.insert(url.to_owned(), Missed { tried, why });
    }

    /// An owner has answered, whatever it said.
    pub(crate) fn answered(&self, url: &str) {
        self.owners().remove(url);
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<String, Missed>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Hand(Mutex<Duration>);

    impl Clock for Hand {
        fn wall_ns(&self) -> i64 {
            0
        }

        fn elapsed(&self) -> Duration {
            *self.0.lock().expect("not poisoned")
        }
    }

    #[test]
    fn an_absent_owner_is_tried_once_a_second_until_it_answers_or_is_forgotten() {
        let clock = Arc::new(Hand::default());
        let turn = |seconds| *clock.0.lock().expect("not poisoned") += Duration::from_secs(seconds);
        let absent = Absent::new(Arc::clone(&clock) as _);
        let refused = Effort::None("refused".to_owned());
        assert_eq!(absent.effort("a"), Effort::Patient);
        absent.missed("a", "refused".to_owned());
        assert_eq!([absent.effort("a"), absent.effort("b")], [refused.clone(), Effort::Patient]);
        turn(1);
        assert_eq!([absent.effort("a"), absent.effort("a")], [Effort::Once, refused.clone()]);
        turn(2);
        absent.missed("a", "refused".to_owned());
        assert_eq!(absent.effort("a"), refused);
        absent.answered("a");
        assert_eq!(absent.effort("a"), Effort::Patient);

        absent.missed("a", "refused".to_owned());
        turn(60);
        assert_eq!(absent.effort("a"), Effort::Patient);
        absent.missed("b", "refused".to_owned());
        assert_eq!(absent.owners().keys().collect::<Vec<_>>(), ["b"]);
    }
}
