//! What every long-running role of shardex needs from its process: time, signals, logs, listening
//! and connecting.

mod clock;
pub mod net;
mod shutdown;
mod telemetry;

pub use clock::SystemClock;
pub use shutdown::{InstallError, stop_on_signals};
pub use telemetry::init_telemetry;
