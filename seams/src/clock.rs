//! Time as an argument.

use std::time::Duration;

/// Where time comes from. Production code has one implementation, in `shardex-daemon`.
pub trait Clock: Send + Sync {
    /// Nanoseconds since the Unix epoch. May jump; compare it with file times only.
    fn wall_ns(&self) -> i64;

    /// Time since an arbitrary point that goes on while the machine sleeps (CLOCK_BOOTTIME).
    fn elapsed(&self) -> Duration;
}
