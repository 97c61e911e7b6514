//! How long, how much, how large.

use std::time::Duration;

/// What a run is like; each value by an environment variable, so that one that failed can be repeated or made longer.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time in which faults happen, at least (`CHAOS_SECONDS`).
    pub time: Duration,
    /// Files of the tree as it is written (`CHAOS_FILES`).
    pub files: u64,
    /// How long two are cut off (`CHAOS_CUT_SECONDS`).
    pub cut: Duration,
    /// How long etcd has no quorum (`CHAOS_NO_QUORUM_SECONDS`).
    pub no_quorum: Duration,
    /// The seed (`SHARDEX_TEST_SEED`). With `CHAOS_KEEP` the folder of a run that ended wrong stays.
    pub seed: u64,
}

impl Settings {
    /// Those of the environment.
    ///
    /// # Panics
    /// If a variable is no number.
    #[must_use]
    pub fn read() -> Self {
        let seconds = |name, default| Duration::from_secs(number(name, default));
        Self {
            time: seconds("CHAOS_SECONDS", 180),
            files: number("CHAOS_FILES", 20_000),
            cut: seconds("CHAOS_CUT_SECONDS", 30),
            no_quorum: seconds("CHAOS_NO_QUORUM_SECONDS", 60),
            seed: crate::random::seed(),
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}
