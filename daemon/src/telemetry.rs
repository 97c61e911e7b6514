//! Logs: to standard error, structured, and never with paths, names or values of files.

use tracing_subscriber::EnvFilter;

/// Writes logs of at least this level (`error`, `warn`, `info`, `debug`, `trace`) to standard error.
/// A level that is none is taken as `warn`.
pub fn init_telemetry(level: &str) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("warn"));
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second call, as tests make, changes nothing.
    let _ = subscriber.try_init();
}
